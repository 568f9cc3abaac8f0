"""Envoy's administration interface as one proxy has it, though all proxies share one Envoy.

Only what looks is there: nothing that changes or stops the Envoy of all the others. In Envoy every name of a
proxy's own has the proxy's id in it; here it is taken out again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from sandbox.core.addresses import NOWHERE, container_port
from sandbox.mesh import envoy_clusters, inbound, metric_loggers, stats_matchers, traffic_policies
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.identities import Authority
from sandbox.mesh.proxy_statistics import ProxyStatistics, Wanted
from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "clusters": ("format",),
    "config_dump": ("include_eds", "mask", "resource"),
    "ready": (),
    "stats": ("filter", "format", "type", "usedonly"),
    "stats/prometheus": ("filter", "type", "usedonly"),
}
"""What can be asked for, and how."""

_FORMATS = {"clusters": ("text", "json"), "stats": ("text", "prometheus")}
_SHARED = (envoy_clusters.PASSTHROUGH, envoy_clusters.INBOUND_PASSTHROUGH, envoy_clusters.BLACK_HOLE)
"""Clusters that all proxies have together."""

_SECRETS = "dynamic_active_secrets"

ADMIN_PORT = 15000

Answer = tuple[int, str]
"""Status and body."""


class AdminView:
    """Raises OSError when Envoy does not run."""

    def __init__(
        self,
        data_plane: DataPlane,
        proxy: Proxy,
        statistics: ProxyStatistics,
        node: Mapping[str, Any] | None = None,
        authority: Authority | None = None,
    ) -> None:
        """`node` is who the proxy says it is; `authority` signs for it."""
        self._data_plane, self._proxy, self._id = data_plane, proxy, proxy.id
        self._statistics, self._authority = statistics, authority
        self._node = node or {"id": proxy.id}

    async def answer(self, method: str, target: str) -> Answer:
        """What a request answers. Loggers are asked for by a POST, as of Envoy itself."""
        path, _, query = target.removeprefix("/").partition("?")
        if path.strip("/") == "logging":
            if method != "POST":
                return 405, f"Method {method} not allowed, POST required.\n"
            if query:
                return 400, f"{query}: not supported by the sandbox (its proxies share one Envoy, and so its log)\n"
            return 200, await self._data_plane.admin("/logging", method)
        if method != "GET":
            return 405, f"{method} {path}: not supported by the sandbox\n"
        return await self.get(target)

    async def get(self, target: str) -> Answer:
        """What a GET of `target` (a path, with or without its slash and a query) answers."""
        path, _, query = target.removeprefix("/").partition("?")
        path = path.strip("/")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        if path not in _PARAMETERS:
            return (
                404,
                f"the sandbox's proxies answer these only: {', '.join(f'/{known}' for known in _PARAMETERS)}\n",
            )
        for key in parameters:
            if key not in _PARAMETERS[path]:
                return 400, f"parameter {key}: not supported by the sandbox\n"
        wanted = parameters.get("format", "text")
        if wanted not in _FORMATS.get(path, (wanted,)):
            return 400, f"format {wanted}: not supported by the sandbox, which has {', '.join(_FORMATS[path])}\n"
        if path == "clusters":
            answer = await self._data_plane.admin("/clusters" + ("?format=json" if wanted == "json" else ""))
            return 200, self._json_clusters(answer) if wanted == "json" else self._lines(answer)
        if path == "config_dump":
            return await self._config_dump(parameters)
        if path == "ready":
            return 200, await self._data_plane.admin("/ready")
        return await self._stats(parameters, prometheus="prometheus" in (wanted, path.rpartition("/")[2]))

    async def _stats(self, parameters: Mapping[str, str], *, prometheus: bool) -> Answer:
        try:
            pattern = re.compile(parameters["filter"]) if parameters.get("filter") else None
        except re.error as error:
            return 400, f"Invalid re2 regex: {error}\n"
        wanted = Wanted(pattern, parameters.get("type", ""), "usedonly" in parameters)
        told = self._statistics.page if prometheus else self._statistics.text
        return 200, await told(self._proxy, wanted)

    async def _config_dump(self, parameters: Mapping[str, str]) -> Answer:
        own = "|".join((rf"{re.escape(self._id)}/.*", *_SHARED))
        query = urlencode({"name_regex": own, **parameters}, quote_via=quote)
        answer = await self._data_plane.admin(f"/config_dump?{query}")
        if not answer.startswith("{"):  # a mask or a resource that Envoy does not know
            return 400, f"{answer}\n"
        dump = msgspec.json.decode(answer)
        dump["configs"] = [
            as_real(own_names(self._id, config), self._proxy.threads) for config in dump.get("configs", ())
        ]
        for config in dump["configs"]:
            if "bootstrap" in config:
                config["bootstrap"] = self._bootstrap(config["bootstrap"])
        asked = "resource" not in parameters and _SECRETS in parameters.get("mask", _SECRETS).split(",")
        if self._authority is not None and asked:
            dump["configs"].append(_secrets(self._authority, self._proxy.identity))
        return 200, _indented(dump)

    def _bootstrap(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Envoy's, with what is each proxy's own on a real mesh: who it is, its interface, and what it counts."""
        address = {"socket_address": {"address": "127.0.0.1", "port_value": ADMIN_PORT}}
        made = dict(written)
        if "node" in made:
            made["node"] = {**made["node"], **self._node}
        if "admin" in made:
            made["admin"] = {**made["admin"], "address": address}
        if "stats_config" in made:
            made["stats_config"] = {**made["stats_config"], "stats_matcher": self._proxy.inclusion.matcher}
        return made

    def _said(self, limit: re.Match[str]) -> str:
        """The limit of waiting requests that the rule says (see `traffic_policies.with_threads`)."""
        outbound = limit.string.startswith("outbound|")
        return str(traffic_policies.without_threads(int(limit[0]), self._proxy.threads)) if outbound else limit[0]

    def _lines(self, answer: str) -> str:
        mine = (f"{self._id}/", *(f"{name}::" for name in _SHARED))
        lines = [line.replace(f"{self._id}/", "") for line in answer.splitlines() if line.startswith(mine)]
        lines = [_WAITING.sub(self._said, line) for line in lines]
        return "".join(f"{line}\n" for line in lines)

    def _json_clusters(self, answer: str) -> str:
        statuses = msgspec.json.decode(answer)["cluster_statuses"]
        mine = [one for one in statuses if one["name"].startswith(f"{self._id}/") or one["name"] in _SHARED]
        for host in (host for one in mine for host in one.get("host_statuses", ())):
            if host["address"].get("socket_address", {}).get("address") == NOWHERE and host.get("hostname"):
                host["address"]["socket_address"]["address"] = host["hostname"]
        return _indented({"cluster_statuses": own_names(self._id, mine)})


def _indented(value: Any) -> str:
    """By one, as Envoy does. Python's own writer takes twenty times as long: a sixth of what the server did while
    proxies were asked for their configuration."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def _secrets(authority: Authority, identity: str) -> dict[str, Any]:
    """What a real proxy is told of who it is, and whom it trusts. Here it is told so within clusters and listeners,
    by the very same certificates."""
    chain, root = (
        base64.b64encode(pem.encode()).decode() for pem in (authority.certificate(identity), authority.root)
    )
    hidden = base64.b64encode(b"[redacted]").decode()
    told = {
        "default": {
            "tls_certificate": {
                "certificate_chain": {"inline_bytes": chain},
                "private_key": {"inline_bytes": hidden},
            }
        },
        "ROOTCA": {"validation_context": {"trusted_ca": {"inline_bytes": root}}},
    }
    kind = f"{TYPE_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"
    return {
        "@type": f"{TYPE_PREFIX}envoy.admin.v3.SecretsConfigDump",
        _SECRETS: [
            {"name": name, "secret": {"@type": kind, "name": name, **secret}} for name, secret in told.items()
        ],
    }


def own_names(proxy_id: str, value: Any) -> Any:
    """Configuration as a proxy with an Envoy of its own has it: its names, and nothing that only this one needs."""
    if isinstance(value, str):
        return value.removeprefix(f"{proxy_id}/")
    if isinstance(value, list):
        return [own_names(proxy_id, one) for one in value]
    if not isinstance(value, dict):
        return value
    own = stats_matchers.without(metric_loggers.without(value))
    made = {key: own_names(proxy_id, one) for key, one in own.items()}
    if "eds_cluster_config" in made:
        made.pop("upstream_bind_config", None)  # a real one is in its pod, and so comes from there
    return made


def as_real(dump: Any, threads: int) -> Any:
    """Listeners where they are on a real one (at any address, at the port itself, and a packet filter leads to
    `virtualInbound`), and limits as rules say them.

    Changes `dump`, a section of a proxy's configuration with its own names.
    """
    for one in dump.get("dynamic_active_clusters") or ():
        cluster = one.get("cluster") or {}
        for limits in (cluster.get("circuit_breakers") or {}).get("thresholds") or ():
            if cluster["name"].startswith("outbound|") and "max_pending_requests" in limits:
                limit = traffic_policies.without_threads(limits["max_pending_requests"], threads)
                limits["max_pending_requests"] = limit
    for one in dump.get("dynamic_listeners") or ():
        listener = (one.get("active_state") or {}).get("listener") or {}
        if place := (listener.get("address") or {}).get("socket_address"):
            place |= {"address": "0.0.0.0", "port_value": container_port(place["port_value"])}  # noqa: S104 - shown
        if listener.get("name") == inbound.LISTENER:
            opened = listener.pop("additional_addresses", ())
            for chain in listener.get("filter_chains") or ():
                match = chain.get("filter_chain_match") or {}
                if opened and "destination_port" in match:
                    match["destination_port"] = container_port(match["destination_port"])
    return dump


_WAITING = re.compile(r"(?<=::default_priority::max_pending_requests::)\d+$")
