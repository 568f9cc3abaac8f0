"""Istio's standard metrics, of what Envoy has counted (`metric_loggers`).

Envoy counts by addresses, clusters and identities. Whose these are (`metric_labels`) is looked up when somebody
asks for the first time, and stays: what was counted for a pod is that pod's also after it has gone.

All proxies' figures are in one Envoy, so those who ask at the same time are answered of one look at it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from sandbox.core.cluster import Cluster
from sandbox.core.turns import Turns
from sandbox.mesh import metric_loggers
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.istio_annotations import OF_POLICIES, OF_PROCESS
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.metric_labels import LABELS, NEVER_OPENED, MetricLabels
from sandbox.mesh.registry import Proxy

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
_CLOSED = metric_loggers.CLOSED
_PROCESS = ("envoy_server_", "envoy_listener_manager_")
_CONCURRENCY = "envoy_server_concurrency"
_AT_ONCE = 256
"""Lines between two turns."""


@dataclass(slots=True)
class _Series:
    """Values of one metric by its labels as they are written, a histogram's by suffix and limit as well."""

    values: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def add(self, suffix: str, labels: str, limit: str, value: float) -> None:
        key = (labels, suffix, limit)
        self.values[key] = self.values.get(key, 0.0) + value


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What Envoy's tags mean: whose it is, and Istio's labels as they are written."""

    proxy: Proxy
    labels: str
    led_nowhere: bool
    """Of a connection that ended before it was one."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What Envoy has told of all proxies at once."""

    counted: Mapping[str, Mapping[str, _Series]]
    """By proxy and metric."""
    process: Mapping[str, str]
    """Values of what is the process's, by name."""
    decided: bool
    """Whether there is what AuthorizationPolicies have decided, of any proxy."""


class IstioMetrics:
    """Of all proxies of one cluster."""

    def __init__(self, cluster: Cluster, data_plane: DataPlane, services: KnownServices) -> None:
        self._data_plane, self._labels = data_plane, MetricLabels(cluster, services)
        self._resolved: dict[str, _Resolved] = {}
        """By Envoy's tags."""
        self._reading = asyncio.Lock()
        self._next: asyncio.Task[_Look] | None = None

    async def of(self, proxy: Proxy, pattern: re.Pattern[str] | None = None, kind: str = "") -> str:
        """In Prometheus' text format: all that was counted before the call. `pattern` finds the series that are
        wanted, `kind` (Envoy's `type`) their sort. Raises OSError without Envoy."""
        found = (await self._look()).counted.get(proxy.id, {})
        return "".join(_written(name, series, pattern) for name, series in found.items() if _is(name, kind))

    async def page(self, proxy: Proxy) -> str | None:
        """All that a proxy tells Prometheus whose pod asks for nothing else; None if there is more than this knows.
        All proxies of a mesh are asked at every scrape, so it takes one look for all. Raises OSError."""
        look = await self._look()
        if look.decided:
            return None
        found = look.counted.get(proxy.id, {})
        lines = [_written(name, series, None) for name, series in found.items()]
        for name, value in look.process.items():
            value = str(proxy.threads) if name == _CONCURRENCY else value
            lines.append(f"# TYPE {name} gauge\n{name}{{}} {value}\n")
        return "".join(lines)

    async def _look(self) -> _Look:
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return await asyncio.shield(self._next)

    async def _read(self) -> _Look:
        """Who comes while Envoy is asked has to wait for the next answer."""
        async with self._reading:
            self._next = None
            names = quote(rf"^{metric_loggers.PREFIX}\.|^(?:{OF_PROCESS})$|{OF_POLICIES}", safe="")
            answer = await self._data_plane.admin(f"/stats/prometheus?filter={names}")
            return await self._understood(answer.splitlines())

    async def _understood(self, lines: Iterable[str]) -> _Look:
        process: dict[str, str] = {}
        decided = False
        found: dict[str, dict[str, _Series]] = {}
        seen: dict[str, _Resolved] = {}
        turns = Turns()
        for number, line in enumerate(lines):
            if number % _AT_ONCE == 0:
                await turns.give()
            name, brace, rest = line.partition("{")
            if not brace or line.startswith("#"):
                continue
            if not name.startswith(_OF_ENVOY):
                if name.startswith(_PROCESS):
                    process[name] = rest.removeprefix("} ")
                decided = decided or not name.startswith(_PROCESS)
                continue
            metric, suffix = _metric(name.removeprefix(_OF_ENVOY))
            if metric not in _NAMES:
                continue
            told, _, value = rest.rpartition("} ")
            tags, _, limit = told.partition(_LIMIT)
            resolved = self._resolved.get(tags) or seen.get(tags) or self._resolve(tags)
            if resolved is None or self._data_plane.proxies.get(resolved.proxy.id) is not resolved.proxy:
                continue  # what a pod has counted that is gone
            seen[tags] = resolved
            series = found.setdefault(resolved.proxy.id, {})
            told_of = (metric, metric_loggers.OPENED) if resolved.led_nowhere and metric == _CLOSED else (metric,)
            for one in told_of:
                series.setdefault(one, _Series()).add(
                    suffix, resolved.labels, limit.removesuffix('"'), float(value)
                )
        self._resolved = seen
        return _Look(found, process, decided)

    def _resolve(self, text: str) -> _Resolved | None:
        """None for what a proxy has counted that is gone."""
        tags = {key: "" if value == "-" else _plain(value) for key, value in _TAG.findall(text)}
        owner = tags.get(metric_loggers.PROXY, "")
        proxy = self._data_plane.proxies.get(owner.partition("@")[0])
        if proxy is None or metric_loggers.owner(proxy) != owner:
            return None
        labels = self._labels.of(proxy, tags)
        written = ",".join(f'{label}="{_escaped(labels[label])}"' for label in LABELS if label in labels)
        return _Resolved(proxy, written, bool(NEVER_OPENED & set(tags[metric_loggers.FLAGS].split(","))))


def _metric(name: str) -> tuple[str, str]:
    suffix = next(one for one in _SUFFIXES if name.endswith(one))
    return name.removesuffix(suffix), suffix


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
