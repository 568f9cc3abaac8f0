"""The mesh's own images: `pilot` (istiod) and `proxyv2` (a sidecar, a gateway, or the init container)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import urlsplit

from sandbox.core.cluster import Object
from sandbox.images.program import Container, Factory, LocalAnswer, NoOp, Program, ProgramError, Streams
from sandbox.mesh import sidecar_annotations
from sandbox.mesh.agent_status import AgentStatus
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import TYPES, DataPlane
from sandbox.mesh.identities import Authority
from sandbox.mesh.istio import CONTAINER, STATUS_PORT, SYNC_STATUS, VERSION
from sandbox.mesh.istio_annotations import StatsInclusion, stats_inclusion, threads
from sandbox.mesh.istiod_debug import IstiodDebug
from sandbox.mesh.proxy_admin import ADMIN_PORT, AdminView
from sandbox.mesh.proxy_statistics import ProxyStatistics
from sandbox.mesh.registry import CLUSTER_ID, TRUST_DOMAIN, Proxy
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX
from sandbox.network.pod_network import Interception


def programs(
    control_plane: ControlPlane, data_plane: DataPlane, statistics: ProxyStatistics
) -> Mapping[str, Factory]:
    """Factories by image."""
    return {
        "pilot": lambda container: Istiod(container, control_plane, data_plane),
        "proxyv2": lambda container: _proxy(container, data_plane, statistics, control_plane.authority),
    }


def _proxy(
    container: Container, data_plane: DataPlane, statistics: ProxyStatistics, authority: Authority
) -> Program:
    role = container.command[:2]
    if role and role[0] == "istio-iptables":
        return Redirection(container)
    if role == ["proxy", "sidecar"] or role == ["proxy", "router"]:
        return ProxyAgent(container, data_plane, role[1], statistics, authority)
    raise ProgramError(f"proxyv2 does not know what to do with {' '.join(container.command) or 'no arguments'}")


class Redirection(NoOp):
    """`istio-iptables`: here the pod's network is told what goes through the sidecar."""

    async def start(self) -> None:
        arguments = self.container.command[1:]
        given = dict(pairwise(arguments))
        ranges, ports, served = given.get("-i", "*"), given.get("-q", ""), given.get("-b", "*")
        try:
            self.container.network.interception = Interception(
                None if "*" in (ranges, ports) else _ranges(ranges),
                frozenset() if ports == "*" else _ports_of(ports),
                _ranges(given.get("-x", "")),
                _ports_of(given.get("-o", "")),
                None if served == "*" else _ports_of(served),
                _ports_of(given.get("-d", "")),
            )
        except ValueError as error:
            raise ProgramError(f"Error: {error}") from error


def _ports_of(text: str) -> frozenset[int]:
    return frozenset(sidecar_annotations.ports(text))


def _ranges(text: str) -> tuple[str, ...]:
    return tuple(str(one) for one in sidecar_annotations.ranges(text))


# pilot

MONITORING_PORT = 15014


class Istiod(Program):
    """The control plane is the sandbox's; while one of these runs, it works."""

    def __init__(self, container: Container, control_plane: ControlPlane, data_plane: DataPlane) -> None:
        super().__init__(container)
        self._control_plane, self._data_plane, self._runs = control_plane, data_plane, False
        self._serving = contextlib.AsyncExitStack()

    async def start(self) -> None:
        self._control_plane.start()
        self._data_plane.refusing.append(self._refused)
        self._runs = True
        debug = IstiodDebug(self._data_plane, self.container.pod_name, self._answer)
        await self._serving.enter_async_context(debug.serving(self.container.ip))
        self.container.log("info\tthe sandbox's stand-in for istiod is ready")

    async def stop(self, grace: float) -> None:
        if self._runs:
            self._runs = False
            await self._serving.aclose()
            self._data_plane.refusing.remove(self._refused)
            await self._control_plane.stop()

    def answers_at(self, port: int) -> LocalAnswer | None:
        return self._monitoring if port == MONITORING_PORT else None

    async def _monitoring(self, method: str, target: str) -> tuple[int, str]:
        return await self._answer(target) if method == "GET" else (405, "only GET: not supported by the sandbox\n")

    async def _answer(self, target: str) -> tuple[int, str]:
        """`/version` (release, revision, state) and `/debug/syncz` (who is connected), in the real one's form."""
        path = "/" + target.partition("?")[0].strip("/")
        if path == "/version":
            return 200, f"{VERSION}-sandbox-Clean"
        if path == SYNC_STATUS[-1]:
            connected = [
                {
                    "cluster_id": "Kubernetes",
                    "proxy": proxy.id,
                    "proxy_type": "router" if proxy.kind == "gateway" else "sidecar",
                    "istio_version": VERSION,
                }
                for _, proxy in sorted(self._data_plane.proxies.items())
            ]
            return 200, json.dumps(connected, indent=2)
        return 404, f"the sandbox's istiod answers these only: /version, {SYNC_STATUS[-1]}\n"

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """`pilot-discovery request GET /debug/syncz`: what `istioctl proxy-status` asks for."""
        if not command or command[0].rpartition("/")[2] != SYNC_STATUS[0]:
            return None
        if tuple(command[1:]) != SYNC_STATUS[1:]:
            streams.err(f"Error: the sandbox's pilot-discovery only knows: {' '.join(SYNC_STATUS)}\n".encode())
            return 1
        known = [self._client_config(proxy) for _, proxy in sorted(self._data_plane.proxies.items())]
        streams.out(json.dumps(known, indent=2).encode() + b"\n")
        return 0

    def _client_config(self, proxy: Proxy) -> dict[str, object]:
        """As istiod writes it: envoy.service.status.v3.ClientConfig."""
        found = [
            {"typeUrl": TYPE_PREFIX + TYPES[service], "configStatus": status}
            for service, status in self._data_plane.status(proxy).items()
        ]
        return {"node": {"id": proxy.id}, "genericXdsConfigs": found}

    def _refused(self, proxy: Proxy, service: str, why: str) -> None:
        self.container.log(f"warn\tads\tADS:{service}: ACK ERROR {proxy.id} Internal:{why}")


# proxyv2

_DRAIN = ["request", f"--debug-port={STATUS_PORT}", "POST", "drain"]
_LOG_LEVEL, _QUIET = "--log_output_level=", ("none", "fatal", "error", "warn")
_LOCAL = ("localhost", "127.0.0.1")
_CURL_FLAGS = ("-s", "-S", "-sS", "--silent", "--show-error")
_CURL_FAIL_FLAGS = ("-f", "-fs", "-sf", "-fsS", "--fail")


class ProxyAgent(Program):
    """A proxy of the mesh. It is ready when Envoy takes connections for it."""

    def __init__(
        self,
        container: Container,
        data_plane: DataPlane,
        role: str,
        statistics: ProxyStatistics,
        authority: Authority | None = None,
    ) -> None:
        """Without an authority it does not show its certificates."""
        super().__init__(container)
        self._data_plane = data_plane
        self._proxy = Proxy(
            "gateway" if role == "router" else "sidecar",
            container.pod_name,
            container.namespace,
            container.ip,
            dict(container.labels),
            account=container.pod["spec"].get("serviceAccountName") or "default",
            workload=container.env.get("ISTIO_META_WORKLOAD_NAME", ""),
            threads=_threads(container),
            inclusion=_stats_inclusion(container),
            named_ports={port["name"]: port["containerPort"] for port in _ports(container) if port.get("name")},
            ports={*(port["containerPort"] for port in _ports(container)), *container.network.served},
            leads_in=lambda port: container.network.interception.leads_in(port),
        )
        node = _node(container, self._proxy)
        self._admin = AdminView(data_plane, self._proxy, statistics, node, authority)
        self._status = AgentStatus(container, self._admin)
        self._quiet = any(word.endswith(_QUIET) for word in container.command if word.startswith(_LOG_LEVEL))

    async def start(self) -> None:
        self.container.network.serving = self._open
        self._log(f"info\tproxy {self._proxy.id} ({self._proxy.kind}) at {self._proxy.address}")
        try:
            await self._status.start()
        except OSError as error:
            raise ProgramError(f"listen tcp {self.container.ip}:{STATUS_PORT}: {error.strerror}") from error
        self._data_plane.access_logs.attach(self._proxy.id, self.container.streams.out)
        self._data_plane.register(self._proxy)
        await self._data_plane.live(self._proxy)
        self._status.ready = True
        self._log("info\tEnvoy proxy is ready")

    def _log(self, line: str) -> None:
        if not self._quiet:
            self.container.log(line)

    def _open(self) -> None:
        """A program of the pod serves another port."""
        before = len(self._proxy.ports)
        self._proxy.ports.update(self.container.network.served)
        if len(self._proxy.ports) > before:
            self._data_plane.reconsider(self._proxy)

    async def stop(self, grace: float) -> None:
        self.container.network.serving = None
        self._status.ready = False
        try:
            await self._data_plane.unregister(self._proxy)
        finally:  # also when that takes longer than the pod has: its address may soon be another one's
            self._data_plane.access_logs.detach(self._proxy.id, self.container.streams.out)
            await self._status.stop()

    def answers_at(self, port: int) -> LocalAnswer | None:
        return self._admin.answer if port == ADMIN_PORT else None

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """`pilot-agent request GET PATH`, and `curl` of the same path at localhost:15000."""
        name = command[0].rpartition("/")[2] if command else ""
        if name == "pilot-agent":
            return await self._pilot_agent(command[1:], streams)
        if name == "curl":
            return await self._curl(command[1:], streams)
        return None

    async def _pilot_agent(self, arguments: list[str], streams: Streams) -> int:
        if arguments == _DRAIN:
            # What the pod's end begins with. It has left the EndpointSlices by then, and its listeners drain later.
            return 0
        words = [word for word in arguments if word != f"--debug-port={ADMIN_PORT}"]
        if len(words) != 3 or words[0] != "request" or words[1] not in ("GET", "POST"):
            streams.err(b"Error: the sandbox's pilot-agent only knows: pilot-agent request GET|POST PATH\n")
            return 1
        status, body = await self._admin.answer(words[1], words[2])
        if status >= 400 and status != 404:
            streams.err(f"Error: received unsuccessful status code {status}: {body}\n".encode())
            return 1
        streams.out(f"{body}\n".encode())
        return 0

    async def _curl(self, arguments: list[str], streams: Streams) -> int | None:
        """None when it is not for the proxy's own port, or asks for more than an answer."""
        urls = [word for word in arguments if word not in (*_CURL_FLAGS, *_CURL_FAIL_FLAGS)]
        if len(urls) != 1 or urls[0].startswith("-"):
            return None
        url = urlsplit(urls[0] if "://" in urls[0] else f"http://{urls[0]}")
        if url.hostname not in _LOCAL or url.port != ADMIN_PORT:
            return None
        status, body = await self._admin.get(f"{url.path}?{url.query}")
        if status >= 400 and any(word in _CURL_FAIL_FLAGS for word in arguments):
            streams.err(f"curl: (22) The requested URL returned error: {status}\n".encode())
            return 22
        streams.out(body.encode())
        return 0


def _ports(container: Container) -> list[Object]:
    """What the pod's containers declare, but for the proxy's own."""
    spec = container.pod["spec"]
    return [
        port
        for one in (*spec["containers"], *(spec.get("initContainers") or ()))
        if one["name"] != CONTAINER
        for port in one.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    ]


def _threads(container: Container) -> int:
    try:
        return threads(container.pod["metadata"].get("annotations") or {})
    except ValueError as error:
        raise ProgramError(f"Error: {error}") from error


def _node(container: Container, proxy: Proxy) -> dict[str, object]:
    """Who a proxy says it is, as pilot-agent writes it from what the pod says."""
    metadata, spec = container.pod["metadata"], container.pod["spec"]
    return {
        "id": proxy.node_id,
        "cluster": proxy.service_cluster,
        "metadata": {
            "ANNOTATIONS": dict(metadata.get("annotations") or {}),
            "CLUSTER_ID": CLUSTER_ID,
            "INSTANCE_IPS": container.ip,
            "ISTIO_VERSION": VERSION,
            "LABELS": dict(container.labels),
            "MESH_ID": TRUST_DOMAIN,
            "NAME": container.pod_name,
            "NAMESPACE": container.namespace,
            "NODE_NAME": spec.get("nodeName", ""),
            "SERVICE_ACCOUNT": spec.get("serviceAccountName", "default"),
        },
    }


def _stats_inclusion(container: Container) -> StatsInclusion:
    try:
        return stats_inclusion(container.pod["metadata"].get("annotations") or {})
    except ValueError as error:
        raise ProgramError(f"Error: {error}") from error
