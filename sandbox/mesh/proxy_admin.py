"""Envoy's administration interface as one proxy has it, though all proxies share one Envoy.

Only what looks is there: nothing that changes or stops the Envoy of all the others. In Envoy every name of a
proxy's own has the proxy's id in it (`cluster.POD.NAMESPACE/outbound|80||HOST;.…`); here it is taken out again. A
real Envoy is told at its start which statistics to keep at all: a few of Istio's choice, and those that the pod's
annotations name. Here that is decided when somebody looks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from sandbox.core.addresses import NOWHERE, container_port
from sandbox.mesh import envoy_clusters, inbound, metric_loggers, traffic_policies
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.identities import Authority
from sandbox.mesh.istio_annotations import OF_PROCESS, StatsInclusion
from sandbox.mesh.istio_metrics import IstioMetrics
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
_CONCURRENCY = "server.concurrency"

Answer = tuple[int, str]
"""Status and body."""


class AdminView:
    """Raises OSError when Envoy does not run."""

    def __init__(
        self,
        data_plane: DataPlane,
        proxy: Proxy,
        inclusion: StatsInclusion,
        node: Mapping[str, Any] | None = None,
        metrics: IstioMetrics | None = None,
        authority: Authority | None = None,
    ) -> None:
        """`node` is who the proxy says it is; `metrics` count its traffic, `authority` signs for it."""
        self._data_plane, self._proxy, self._id, self._inclusion = data_plane, proxy, proxy.id, inclusion
        self._node = node or {"id": proxy.id}
        self._metrics, self._authority = metrics, authority

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
        view = StatsView(self._id, self._inclusion, pattern, self._proxy.threads)
        passed = {key: value for key, value in parameters.items() if key not in ("filter", "format")}

        async def ask(filter_: str, **more: str) -> str:
            return await self._data_plane.admin(f"/stats?{urlencode({**passed, 'filter': filter_, **more})}")

        if not prometheus:
            return 200, view.text(await ask(view.envoy_filter))
        if self._metrics and not parameters and self._inclusion == StatsInclusion():
            page = await self._metrics.page(self._proxy)
            if page is not None:
                return 200, page
        exposition = await ask(view.envoy_filter, format="prometheus")
        every = await self._data_plane.admin(f"/stats?{urlencode({'filter': view.envoy_filter})}")
        distinct, ambiguous = distinguished(line.partition(": ")[0] for line in every.splitlines() if ": " in line)
        apart = [(await ask(f"^{re.escape(name)}$", format="prometheus"), [name]) for name in ambiguous]
        counted = await self._metrics.of(self._proxy, pattern, passed.get("type", "")) if self._metrics else ""
        return 200, counted + view.prometheus([(exposition, distinct), *apart])

    async def _config_dump(self, parameters: Mapping[str, str]) -> Answer:
        own = "|".join((rf"{re.escape(self._id)}/.*", *_SHARED))
        query = urlencode({"name_regex": own, **parameters}, quote_via=quote)
        answer = await self._data_plane.admin(f"/config_dump?{query}")
        if not answer.startswith("{"):  # a mask or a resource that Envoy does not know
            return 400, f"{answer}\n"
        dump = msgspec.json.decode(answer)
        dump["configs"] = [self._as_real(own_names(self._id, config)) for config in dump.get("configs", ())]
        for config in dump["configs"]:
            if "bootstrap" in config:
                config["bootstrap"] = self._bootstrap(config["bootstrap"])
        asked = "resource" not in parameters and _SECRETS in parameters.get("mask", _SECRETS).split(",")
        if self._authority is not None and asked:
            dump["configs"].append(_secrets(self._authority, self._proxy.identity))
        return 200, _indented(dump)

    def _bootstrap(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Envoy's, with what is each proxy's own on a real mesh: who it is and where its interface is."""
        address = {"socket_address": {"address": "127.0.0.1", "port_value": ADMIN_PORT}}
        made = dict(written)
        if "node" in made:
            made["node"] = {**made["node"], **self._node}
        if "admin" in made:
            made["admin"] = {**made["admin"], "address": address}
        return made

    def _said(self, limit: re.Match[str]) -> str:
        """The limit of waiting requests that the rule says (see `traffic_policies.with_threads`)."""
        outbound = limit.string.startswith("outbound|")
        return str(traffic_policies.without_threads(int(limit[0]), self._proxy.threads)) if outbound else limit[0]

    def _as_real(self, dump: Any) -> Any:
        """Where `virtualInbound` is on a real one, whose packet filter leads all there, and no port is shifted; and
        limits as rules say them."""
        for one in dump.get("dynamic_active_clusters") or ():
            cluster = one.get("cluster") or {}
            for limits in (cluster.get("circuit_breakers") or {}).get("thresholds") or ():
                if cluster["name"].startswith("outbound|") and "max_pending_requests" in limits:
                    limit = traffic_policies.without_threads(limits["max_pending_requests"], self._proxy.threads)
                    limits["max_pending_requests"] = limit
        for one in dump.get("dynamic_listeners") or ():
            listener = (one.get("active_state") or {}).get("listener") or {}
            if listener.get("name") == inbound.LISTENER:
                listener["address"]["socket_address"]["address"] = "0.0.0.0"  # noqa: S104 - what is shown
                opened = listener.pop("additional_addresses", ())
                for chain in listener.get("filter_chains") or ():
                    match = chain.get("filter_chain_match") or {}
                    if opened and "destination_port" in match:
                        match["destination_port"] = container_port(match["destination_port"])
        return dump

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
    made = {key: own_names(proxy_id, one) for key, one in metric_loggers.without(value).items()}
    if "eds_cluster_config" in made:
        made.pop("upstream_bind_config", None)  # a real one is in its pod, and so comes from there
    return made


_WAITING = re.compile(r"(?<=::default_priority::max_pending_requests::)\d+$")


# Statistics

_TAGS = (
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http\.((.+?);\.)"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("listener_address", r"^listener\.(([_.\d]*)\.)"),
)
"""What is shown as a label for Prometheus: from the name the first group is removed, the second is the value. As in
Istio's bootstrap (tools/packaging/common/envoy_bootstrap.json), of which these are the ones that can occur here."""

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r'([A-Za-z_:][\w:]*)\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\} (.*)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Identity = tuple[str, tuple[tuple[str, str], ...]]
"""A name for Prometheus and its labels."""


@dataclass(frozen=True, slots=True)
class StatsView:
    """What one proxy's statistics are: of `proxy_id`, included, and (when given) found by `pattern`."""

    proxy_id: str
    inclusion: StatsInclusion
    pattern: re.Pattern[str] | None = None
    threads: int = 1

    @property
    def envoy_filter(self) -> str:
        """For Envoy: all that can be this proxy's."""
        own = rf"(?:(?:cluster|http|listener|tcp)\.)?{re.escape(self.proxy_id)}/"
        return f"^(?:{own}|(?:{OF_PROCESS})$)"

    def own_name(self, name: str) -> str:
        """Without the proxy's id, as a proxy with an Envoy of its own says it."""
        return name.replace(f"{self.proxy_id}/", "")

    def shows(self, own_name: str) -> bool:
        return self.inclusion.includes(own_name) and (
            self.pattern is None or self.pattern.search(own_name) is not None
        )

    def text(self, answer: str) -> str:
        """Envoy's `name: value` lines."""
        found = []
        for line in answer.splitlines():
            name, colon, value = line.partition(": ")
            own = self.own_name(name)
            if colon and self.shows(own):
                value = str(self.threads) if own == _CONCURRENCY else value
                found.append(f"{own}: {value}\n")
        return "".join(found)

    def prometheus(self, answers: Iterable[tuple[str, Iterable[str]]]) -> str:
        """Envoy's expositions for Prometheus, each with the names that Envoy has for what is to be taken from it.

        Envoy makes no labels here, as looking for them costs time for every statistic that comes into being.
        """
        found: dict[str, list[str]] = {}
        for answer, names in answers:
            wanted = {_sanitized(name): _identity(own) for name in names if self.shows(own := self.own_name(name))}
            base = kind = ""
            for line in answer.splitlines():
                if typed := _TYPE.fullmatch(line):
                    base, kind = typed[1], typed[2]
                elif (sample := _SAMPLE.fullmatch(line)) and base in wanted:
                    shown, labels = wanted[base]
                    value = str(self.threads) if shown == _sanitized(_CONCURRENCY) else sample[3]
                    written = ",".join(f'{key}="{value}"' for key, value in (*labels, *_LABEL.findall(sample[2])))
                    lines = found.setdefault(shown, [f"# TYPE {shown} {kind}\n"])
                    lines.append(f"{shown}{sample[1][len(base) :]}{{{written}}} {value}\n")
        return "".join("".join(lines) for lines in found.values())


def distinguished(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of Envoy's names that stay different for Prometheus, and those that do not, as it has letters, digits
    and underscores only: of services `a-b` in `c` and `a` in `b-c`."""
    by_shown: dict[str, list[str]] = {}
    for name in names:
        by_shown.setdefault(_sanitized(name), []).append(name)
    distinct = [same[0] for same in by_shown.values() if len(same) == 1]
    return distinct, [name for same in by_shown.values() if len(same) > 1 for name in same]


def _sanitized(name: str) -> str:
    return "envoy_" + re.sub(r"\W", "_", name, flags=re.ASCII)


def _identity(name: str) -> Identity:
    """As Envoy does: every tag is looked for in the whole name, then what they removed is gone from it."""
    labels, removed = [], []
    for tag, pattern in _TAGS:
        if found := re.search(pattern, name):
            labels.append((tag, found[2]))
            removed.append(found.span(1))
    for start, end in sorted(removed, reverse=True):
        name = name[:start] + name[end:]
    return _sanitized(name), tuple(sorted(labels))
