"""Istio's standard metrics, of what Envoy has counted (`metric_loggers`).

Envoy counts by addresses, clusters and identities. Whose these are is looked up here when somebody asks, and stays:
what was counted for a pod is that pod's also after it has gone. Names of metrics and labels, and what stands for
what is not known, are Istio's: https://istio.io/latest/docs/reference/config/metrics/.

All proxies' figures are in one Envoy, so those who ask at the same time are answered of one look at it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from sandbox.core.cluster import Cluster, Object
from sandbox.core.turns import Turns
from sandbox.mesh import envoy_clusters, inbound, injection, metric_loggers
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.registry import DOMAIN, Proxy
from sandbox.mesh.rules import Rules

UNKNOWN = "unknown"
_CLUSTER = "Kubernetes"
_ENTRIES = "serviceentries.networking.istio.io"
_NAMES: Mapping[str, tuple[str, str]] = {
    metric_loggers.REQUESTS: ("istio_requests_total", "counter"),
    metric_loggers.DURATION: ("istio_request_duration_milliseconds", "histogram"),
    metric_loggers.REQUEST_BYTES: ("istio_request_bytes", "histogram"),
    metric_loggers.RESPONSE_BYTES: ("istio_response_bytes", "histogram"),
    metric_loggers.OPENED: ("istio_tcp_connections_opened_total", "counter"),
    metric_loggers.CLOSED: ("istio_tcp_connections_closed_total", "counter"),
    metric_loggers.RECEIVED: ("istio_tcp_received_bytes_total", "counter"),
    metric_loggers.SENT: ("istio_tcp_sent_bytes_total", "counter"),
}
"""Name and type by the name of what is counted."""

_OF_ENVOY = f"envoy_{metric_loggers.PREFIX}_"
_SUFFIXES = ("_bucket", "_sum", "_count", "")
_TAG = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_LIMIT = ',le="'
_LINES = 256
"""Read between two turns."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What runs at an address, as labels of metrics tell it."""

    name: str
    namespace: str
    labels: Mapping[str, str]

    def described(self, side: str) -> dict[str, str]:
        def label(*names: str) -> str:
            return next((self.labels[name] for name in names if self.labels.get(name)), "")

        return {
            f"{side}_workload": self.name,
            f"{side}_workload_namespace": self.namespace,
            f"{side}_app": label("app") or UNKNOWN,
            f"{side}_version": label("version") or UNKNOWN,
            f"{side}_canonical_service": label("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
            or self.name,
            f"{side}_canonical_revision": label(
                "service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"
            )
            or "latest",
            f"{side}_cluster": _CLUSTER,
        }


LABELS = (
    *("reporter", "source_workload", "source_canonical_service", "source_canonical_revision"),
    *("source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster"),
    *("destination_workload", "destination_workload_namespace", "destination_principal", "destination_app"),
    *("destination_version", "destination_service", "destination_canonical_service"),
    *("destination_canonical_revision", "destination_service_name", "destination_service_namespace"),
    *("destination_cluster", "request_protocol", "response_code", "grpc_response_status", "response_flags"),
    "connection_security_policy",
)
"""In the order in which a real proxy tells them."""

_OF_WORKLOADS = tuple(Workload("", "", {}).described(""))


class Workloads:
    """Who is, or was last, at a pod's address."""

    def __init__(self, cluster: Cluster) -> None:
        self._by_address: dict[str, Workload] = {}
        cluster.observe("pods", self._observe)

    def _observe(self, _: Object | None, new: Object | None) -> None:
        address = ((new or {}).get("status") or {}).get("podIP")
        if new is None or not address:
            return
        metadata = new["metadata"]
        labels = metadata.get("labels") or {}
        known = self._by_address.get(address)
        if known is None or known.labels is not labels:
            name = injection.workload_name(new)
            self._by_address[address] = Workload(name, metadata["namespace"], labels)

    def at(self, address: str) -> Workload | None:
        return self._by_address.get(address)


@dataclass(slots=True)
class _Series:
    """Values of one metric by its labels as they are written, a histogram's by suffix and limit as well."""

    values: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def add(self, suffix: str, labels: str, limit: str, value: float) -> None:
        key = (labels, suffix, limit)
        self.values[key] = self.values.get(key, 0.0) + value


class IstioMetrics:
    """Of all proxies of one cluster."""

    def __init__(self, cluster: Cluster, data_plane: DataPlane, services: KnownServices) -> None:
        self._cluster, self._data_plane, self._services = cluster, data_plane, services
        self._workloads = Workloads(cluster)
        self._resolved: dict[str, tuple[Proxy, str]] = {}
        """By Envoy's tags: whose it is, and Istio's labels."""
        self._reading = asyncio.Lock()
        self._next: asyncio.Task[Mapping[str, Mapping[str, _Series]]] | None = None

    async def of(self, proxy: Proxy, pattern: re.Pattern[str] | None = None, kind: str = "") -> str:
        """In Prometheus' text format: all that was counted before the call. `pattern` finds the series that are
        wanted, `kind` (Envoy's `type`) their sort. Raises OSError without Envoy."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        found = (await asyncio.shield(self._next)).get(proxy.id, {})
        return "".join(_written(name, series, pattern) for name, series in found.items() if _is(name, kind))

    async def _read(self) -> Mapping[str, Mapping[str, _Series]]:
        """By proxy and metric. Who comes while Envoy is asked has to wait for the next answer."""
        async with self._reading:
            self._next = None
            names = quote(rf"^{metric_loggers.PREFIX}\.", safe="")
            answer = await self._data_plane.admin(f"/stats/prometheus?filter={names}")
        return await self._by_proxy(answer.splitlines())

    async def _by_proxy(self, lines: list[str]) -> Mapping[str, Mapping[str, _Series]]:
        found: dict[str, dict[str, _Series]] = {}
        seen: dict[str, tuple[Proxy, str]] = {}
        proxies = self._data_plane.proxies
        turns = Turns()
        for number, line in enumerate(lines):
            if not number % _LINES:
                await turns.give()
            name, brace, rest = line.partition("{")
            if not brace or line.startswith("#"):
                continue
            told, _, value = rest.rpartition("} ")
            tags, _, limit = told.partition(_LIMIT)
            resolved = self._resolved.get(tags)
            if resolved is None:
                resolved = self._resolve({key: _plain(value) for key, value in _TAG.findall(tags)})
            if resolved is None or proxies.get(resolved[0].id) is not resolved[0]:
                continue  # what a pod has counted that is gone
            seen[tags] = resolved
            owner, labels = resolved
            metric = name.removeprefix(_OF_ENVOY)
            suffix = next(one for one in _SUFFIXES if metric.endswith(one))
            metric = metric.removesuffix(suffix)
            if metric in _NAMES:
                series = found.setdefault(owner.id, {}).setdefault(metric, _Series())
                series.add(suffix, labels, limit.removesuffix('"'), float(value))
        self._resolved = seen
        return found

    def _resolve(self, tags: Mapping[str, str]) -> tuple[Proxy, str] | None:
        """None for what a proxy has counted that is gone."""
        owner = tags.get(metric_loggers.PROXY, "")
        proxy = self._data_plane.proxies.get(owner.partition("@")[0])
        if proxy is None or metric_loggers.owner(proxy) != owner:
            return None
        labels = self._labels(proxy, {tag: "" if value == "-" else value for tag, value in tags.items()})
        return proxy, ",".join(f'{label}="{_escaped(labels[label])}"' for label in LABELS if label in labels)

    def _labels(self, proxy: Proxy, tags: Mapping[str, str]) -> dict[str, str]:
        identity, authority = tags[metric_loggers.IDENTITY], tags.get(metric_loggers.AUTHORITY)
        outbound = tags[metric_loggers.DIRECTION] == "OUTBOUND"
        here = self._workloads.at(proxy.address)
        there = self._workloads.at(tags[metric_loggers.PEER].partition(":")[0])
        if not outbound and not identity and there is not None and not self._is_meshed(there):
            there = None  # nobody has told who it is
        source, destination = (here, there) if outbound else (there, here)
        principals = (proxy.identity, identity) if outbound else (identity, proxy.identity)
        source_principal, destination_principal = principals if identity else (UNKNOWN, UNKNOWN)
        security = UNKNOWN if outbound else "mutual_tls" if identity else "none"
        service, name, namespace = self._service(proxy, outbound, tags[metric_loggers.CLUSTER], authority)
        labels = {
            "reporter": "source" if outbound else "destination",
            **_described(source, "source"),
            "source_principal": source_principal,
            **_described(destination, "destination"),
            "destination_principal": destination_principal,
            "destination_service": service or UNKNOWN,
            "destination_service_name": name or UNKNOWN,
            "destination_service_namespace": namespace or (destination.namespace if destination else UNKNOWN),
            "request_protocol": "tcp" if authority is None else "grpc" if tags[metric_loggers.GRPC] else "http",
            "response_flags": tags[metric_loggers.FLAGS] or "-",
            "connection_security_policy": security,
        }
        if authority is not None:
            labels["response_code"] = tags[metric_loggers.CODE] or "0"
            labels["grpc_response_status"] = tags[metric_loggers.GRPC]
        return labels

    @staticmethod
    def _is_meshed(workload: Workload) -> bool:
        return workload.labels.get(inbound.TLS_MODE_LABEL) == "istio"

    def _service(self, proxy: Proxy, outbound: bool, cluster: str, authority: str | None) -> tuple[str, str, str]:
        """The host that was asked for, its short name and its namespace."""
        own = cluster.removeprefix(f"{proxy.id}/")
        if own in (envoy_clusters.PASSTHROUGH, envoy_clusters.BLACK_HOLE, envoy_clusters.INBOUND_PASSTHROUGH):
            return (authority or own if outbound else ""), own, ""
        if not outbound:
            host = self._served(proxy).get(int(own.split("|")[1])) if own.startswith("inbound|") else None
        else:
            host = own.split("|")[3] if own.startswith("outbound|") else None
        if host is None:
            return (authority or "") if outbound else "", "", ""
        if host.endswith(f".{DOMAIN}"):
            name, namespace, *_ = host.split(".")
            return host, name, namespace
        entries = self._cluster.list(_ENTRIES)
        entry = next((one for one in entries if host in one["spec"].get("hosts", ())), None)
        return host, host, entry["metadata"]["namespace"] if entry else ""

    def _served(self, proxy: Proxy) -> Mapping[int, str]:
        services = self._services.registry().by_namespace.get(proxy.namespace, ())
        return {one.port: one.host for one in inbound.served(proxy, services, Rules())}


def _described(workload: Workload | None, side: str) -> dict[str, str]:
    if workload is None:
        return {f"{side}{label}": UNKNOWN for label in _OF_WORKLOADS}
    return workload.described(side)


def _is(metric: str, kind: str) -> bool:
    return not kind or kind.lower() in (f"{_NAMES[metric][1]}s", "all")


def _written(metric: str, series: _Series, pattern: re.Pattern[str] | None) -> str:
    name, kind = _NAMES[metric]
    lines = []
    for (labels, suffix, limit), value in series.values.items():
        if pattern is None or pattern.search(f"{name}{{{labels}}}"):
            le = f'{_LIMIT}{limit}"' if limit else ""
            lines.append(f"{name}{suffix}{{{labels}{le}}} {value:.15g}\n")
    return "".join([f"# TYPE {name} {kind}\n", *lines]) if lines else ""


def _plain(value: str) -> str:
    return value.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
