"""A cluster with a mesh and nothing else: pods are objects with a small HTTP server of the test's behind them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.addresses import SIDECAR_PORT, AddressPool, Network, listen_port
from sandbox.core.cluster import Object
from sandbox.istioctl.manifests import crds
from sandbox.mesh.cluster_mesh import Mesh
from sandbox.mesh.gateway_names import Neighbours
from sandbox.mesh.istio_annotations import stats_inclusion
from sandbox.mesh.registry import Proxy
from sandbox.network.pod_network import proxy_header

SLICES = "endpointslices.discovery.k8s.io"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NO_ANNOTATIONS: Mapping[str, str] = {}
OF_DESTINATIONS = {"sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound"}
"""An annotation: a proxy has statistics of where it sends to."""


async def eventually(question: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(seconds):
        while not await question():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Client:
    """Requests out of a pod: through its sidecar, or (for outside) straight to an address."""

    def __init__(self, dial: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
        self._dial = dial
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, host: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """A GET on the client's connection, which stays open: status, headers, body."""
        return await self.request("GET", path, host, **headers)

    async def request(self, method: str, path: str, host: str, **headers: str) -> tuple[int, dict[str, str], str]:
        if self._connection is None:
            self._connection = await self._dial()
        reader, writer = self._connection
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: {host}",
            *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        got = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(got.get("content-length", "0")))
        if got.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), got, body.decode()

    def close(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


class World:
    def __init__(self, network: Network, directory: Path, neighbours: Neighbours | None = None) -> None:
        self.network = network
        self.cluster = LocalCluster()
        self.mesh = Mesh(self.cluster, directory, neighbours=neighbours)
        self._task: asyncio.Task[None] | None = None
        self._runners: list[web.AppRunner] = []
        self._addresses = AddressPool(network.service_cidr)
        self._proxies: dict[str, Proxy] = {}
        self.received: dict[str, list[tuple[str, str]]] = {}
        """(path, host) of the requests that reached each pod, by its name."""

    async def start(self) -> None:
        self._task = asyncio.create_task(self.mesh.run())
        for crd in crds():
            self.cluster.create(CRDS, crd, manager="test")
        self.mesh.control_plane.start()

    async def stop(self) -> None:
        await self.mesh.control_plane.stop()
        for runner in self._runners:
            await runner.cleanup()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def namespace(self, name: str) -> None:
        self.cluster.create("namespaces", {"metadata": {"name": name}}, manager="test")

    def service(self, name: str, ports: Mapping[str, int], *, namespace: str = "default", **changes: Any) -> Object:
        """A ClusterIP service for pods of app `name`, by ports' names; `port` may hold more of each port."""
        more = changes.pop("port", {})
        spec = {
            "type": "ClusterIP",
            "clusterIP": self._addresses.take(),
            "selector": {"app": name},
            "ports": [
                {"name": port, "port": number, "targetPort": number, "protocol": "TCP", **more}
                for port, number in ports.items()
            ],
            **changes,
        }
        obj = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
        made = self.cluster.create("services", obj, manager="test")
        self._publish_endpoints(namespace, name)
        return made

    async def pod(
        self, name: str, app: str, version: str = "v1", *, port: int = 9080, namespace: str = "default"
    ) -> str:
        """A ready pod that answers every request with its version; its address.

        The request may wish for something else: `x-answer` is the status, `x-after` seconds to wait. What it
        received is in `received`.
        """
        address = self._pod_object(name, {"app": app, "version": version}, namespace)
        await self.serve(name, version, address, listen_port(port))
        self._publish_endpoints(namespace, app)
        return address

    async def serve(self, name: str, version: str, address: str, port: int) -> None:
        """Answer every request to an address with `version`, and keep it in `received` under `name`."""
        application = web.Application()

        async def answer(request: web.Request) -> web.Response:
            self.received.setdefault(name, []).append((request.path_qs, request.headers["Host"]))
            await asyncio.sleep(float(request.headers.get("x-after", 0)))
            seen = {k: v for k, v in request.headers.items() if k.lower().startswith("x-") or k == "Host"}
            body = {"version": version, "path": request.path_qs, "headers": seen}
            return web.json_response(body, status=int(request.headers.get("x-answer", 200)))

        application.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, address, port).start()
        self._runners.append(runner)

    async def serve_tcp(
        self, name: str, app: str, port: int, greeting: bytes, tls: ssl.SSLContext | None = None
    ) -> None:
        """A ready pod whose server speaks first (after a handshake, with `tls`), and then echoes."""
        address = self._pod_object(name, {"app": app, "version": "v1"}, "default")

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()

        await asyncio.start_server(talk, address, listen_port(port), ssl=tls)
        self._publish_endpoints("default", app)

    async def sidecar(
        self,
        name: str,
        *,
        namespace: str = "default",
        annotations: Mapping[str, str] = NO_ANNOTATIONS,
        **labels: str,
    ) -> Proxy:
        """A pod that has nothing but a sidecar, with the statistics that its annotations ask for."""
        address = self._pod_object(name, labels, namespace, annotations)
        inclusion = stats_inclusion(annotations)
        proxy = Proxy("sidecar", name, namespace, address, labels, inclusion=inclusion)
        self.mesh.data_plane.register(proxy)
        await self.mesh.data_plane.live(proxy)
        return proxy

    async def gateway(self, name: str, **labels: str) -> Proxy:
        proxy = Proxy("gateway", name, "default", self._pod_object(name, labels, "default"), labels)
        self.mesh.data_plane.register(proxy)
        await self.mesh.data_plane.live(proxy)
        return proxy

    def unready(self, pod: str, app: str, *, namespace: str = "default") -> None:
        """Take a pod out of its service's endpoints."""
        self.cluster.edit(
            "pods",
            namespace,
            pod,
            lambda obj: obj["status"].update(phase="Failed"),
            manager="test",
            subresource="status",
        )
        self._publish_endpoints(namespace, app)

    def client(self, proxy: Proxy, address: str, port: int) -> Client:
        """A client in the proxy's pod that connects to a service's (or pod's) address and port."""

        async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(proxy.address, SIDECAR_PORT)
            writer.write(proxy_header((proxy.address, 40000), (address, port)))
            return reader, writer

        return Client(dial)

    def outside(self, address: str, port: int) -> Client:
        return Client(lambda: asyncio.open_connection(address, port))

    def apply(self, kind: str, name: str, spec: Object, *, namespace: str = "default") -> None:
        """Create or replace one of Istio's rules."""
        key = f"{kind}.networking.istio.io"
        if self.cluster.find(key, namespace, name) is None:
            obj = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
            self.cluster.create(key, obj, manager="test")
        else:
            self.cluster.edit(key, namespace, name, lambda obj: obj.update(spec=spec), manager="test")

    def _pod_object(
        self,
        name: str,
        labels: Mapping[str, str],
        namespace: str,
        annotations: Mapping[str, str] = NO_ANNOTATIONS,
    ) -> str:
        address = self.network.pods.take()
        metadata = {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations)}
        obj = {
            "metadata": metadata,
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        }
        self.cluster.create("pods", obj, manager="test")
        status = {"phase": "Running", "podIP": address}
        self.cluster.edit(
            "pods", namespace, name, lambda pod: pod.update(status=status), manager="test", subresource="status"
        )
        return address

    def _publish_endpoints(self, namespace: str, app: str) -> None:
        service = self.cluster.find("services", namespace, app)
        if service is None:
            return
        ready = [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace},
            }
            for pod in self.cluster.list("pods", namespace, {"app": app})
            if pod["status"]["phase"] == "Running"
        ]
        obj = {
            "metadata": {"name": app, "namespace": namespace, "labels": {"kubernetes.io/service-name": app}},
            "addressType": "IPv4",
            "endpoints": ready,
            "ports": [
                {"name": port["name"], "port": port["targetPort"], "protocol": "TCP"}
                for port in service["spec"]["ports"]
            ],
        }
        if self.cluster.find(SLICES, namespace, app) is None:
            self.cluster.create(SLICES, obj, manager="test")
        else:
            self.cluster.edit(SLICES, namespace, app, lambda old: old.update(endpoints=ready), manager="test")


def free_block() -> tuple[socket.socket, Network]:
    """Addresses that no sandbox has, for as long as the socket is open."""
    from sandbox.server.stacks import reserve_block

    return reserve_block(Path("/the mesh's tests"))
