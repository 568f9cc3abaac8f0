"""Istio's standard metrics, of what Envoy has counted (`metric_loggers`).

Envoy counts by addresses, clusters and identities. Whose these are (`metric_labels`) is looked up when somebody
asks for the first time, and stays: what was counted for a pod is that pod's also after it has gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.core.cluster import Cluster
from sandbox.core.turns import Turns
from sandbox.mesh import metric_loggers
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

COUNTED = f"{metric_loggers.PREFIX}."
"""Begins Envoy's names of all that is counted for these."""
SHOWN = f"envoy_{metric_loggers.PREFIX}_"
"""The same in Envoy's exposition for Prometheus."""
_TAG = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_LIMIT = ',le="'
_CLOSED = metric_loggers.CLOSED
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


class Counted:
    """What one proxy has."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def add(self, metric: str, labels: str, suffix: str, limit: str, value: float) -> None:
        self._series.setdefault(metric, _Series()).add(suffix, labels, limit, value)

    def written(self, pattern: re.Pattern[str] | None, is_of: Callable[[str], bool]) -> Iterator[str]:
        """In Prometheus' text format, of metrics whose kind `is_of` accepts the series that `pattern` finds."""
        for metric, series in self._series.items():
            if is_of(_NAMES[metric][1]):
                yield _written(metric, series, pattern)


class IstioMetrics:
    """Of all proxies of one cluster, which are `proxies` by their ids."""

    def __init__(self, cluster: Cluster, proxies: Mapping[str, Proxy], services: KnownServices) -> None:
        self._proxies, self._labels = proxies, MetricLabels(cluster, services)
        self._resolved: dict[str, _Resolved] = {}
        """By Envoy's tags."""

    async def counted(self, metrics: Iterable[tuple[str, str]], turns: Turns) -> Mapping[str, Counted]:
        """By proxy, of what Envoy tells of it: names (which begin with `SHOWN`) and lines of samples."""
        found: dict[str, Counted] = {}
        seen: dict[str, _Resolved] = {}
        for told, samples in metrics:
            metric = told.removeprefix(SHOWN)
            if metric not in _NAMES:
                continue
            for number, line in enumerate(samples.splitlines()):
                if number % _AT_ONCE == 0:
                    await turns.give()
                name, _, rest = line.partition("{")
                tags, _, value = rest.rpartition("} ")
                tags, _, limit = tags.partition(_LIMIT)
                resolved = seen.get(tags) or self._resolved.get(tags) or self._resolve(tags)
                if resolved is None or self._proxies.get(resolved.proxy.id) is not resolved.proxy:
                    continue  # what a pod has counted that is gone
                seen[tags] = resolved
                counted = found.setdefault(resolved.proxy.id, Counted())
                suffix, limit = name.removeprefix(told), limit.removesuffix('"')
                counted.add(metric, resolved.labels, suffix, limit, float(value))
                if resolved.led_nowhere and metric == _CLOSED:
                    counted.add(metric_loggers.OPENED, resolved.labels, suffix, limit, float(value))
        self._resolved = seen
        return found

    def _resolve(self, text: str) -> _Resolved | None:
        """None for what a proxy has counted that is gone."""
        tags = {key: "" if value == "-" else _plain(value) for key, value in _TAG.findall(text)}
        owner = tags.get(metric_loggers.PROXY, "")
        proxy = self._proxies.get(owner.partition("@")[0])
        if proxy is None or metric_loggers.owner(proxy) != owner:
            return None
        labels = self._labels.of(proxy, tags)
        written = ",".join(f'{label}="{_escaped(labels[label])}"' for label in LABELS if label in labels)
        return _Resolved(proxy, written, bool(NEVER_OPENED & set(tags[metric_loggers.FLAGS].split(","))))


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
