"""Statistics of proxies as each would have them with an Envoy of its own, of the one that they share.

In Envoy every name of a proxy's own has the proxy's id in it (`cluster.POD.NAMESPACE/outbound|80||HOST;.…`); here
it is taken out again, and what a pod's annotations leave out is left out (`stats_matchers` has most of that not
even counted). All who ask for Prometheus' form at the same time are answered of one look at Envoy: a scrape asks
all proxies of a mesh at once.

Envoy makes no labels for Prometheus here, as looking for them costs time for every statistic that comes into being:
70 µs, with 4,000 of a pod that has all of its clusters'. In that form names have letters, digits and underscores
only, so Envoy is asked for the names as they are as well, whenever there is one that has not been seen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import NamedTuple
from urllib.parse import urlencode

from sandbox.core.turns import Turns
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.istio_metrics import COUNTED, SHOWN, Counted, IstioMetrics
from sandbox.mesh.registry import Proxy

_PROCESS = (
    *(f"server.{name}" for name in ("concurrency", "live", "state", "uptime", "version")),
    "listener_manager.workers_started",
)
"""Of what Istio always keeps, statistics of the process that all proxies share, which are as true of each of them.
All are gauges."""
_CONCURRENCY = "server.concurrency"

_OWNED = re.compile(r"(?:(?:cluster|http|listener|tcp)\.)?([^/.]+\.[^/]+)/")
"""How the name of something of a proxy's own begins: with its id, which has a dot."""

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

_BETWEEN_TURNS = 64
"""Metrics."""


class _Metric(NamedTuple):
    """One metric of Envoy's exposition for Prometheus: its name there, what it is, and its samples' lines."""

    name: str
    kind: str
    samples: str


def _metrics(exposition: str) -> Iterator[_Metric]:
    for text in filter(None, exposition.removeprefix("# TYPE ").split("\n# TYPE ")):
        head, _, samples = text.partition("\n")
        name, _, kind = head.partition(" ")
        yield _Metric(name, kind, samples.rstrip())


@dataclass(frozen=True, slots=True)
class _Statistic:
    """One that a proxy shows. `shown` and `labels` are what Prometheus is told instead of Envoy's name."""

    proxy_id: str
    name: str
    shown: str
    labels: str

    @property
    def own_name(self) -> str:
        return self.name.replace(f"{self.proxy_id}/", "")

    def written(self, metric: _Metric) -> str:
        """The samples, as the proxy tells them."""
        samples = metric.samples.replace(metric.name, self.shown)
        if self.labels:
            samples = samples.replace("{}", f"{{{self.labels}}}").replace("{le=", f"{{{self.labels},le=")
        return f"{samples}\n"


_Names = Mapping[str, Sequence[_Statistic | None]]
"""Statistics by the name that Envoy has for them in its exposition: of services `a-b` in `c` and `a` in `b-c` it is
the same. None: not to be shown."""


_Own = Mapping[str, Sequence[tuple[_Statistic, _Metric]]]
"""Statistics as Envoy has told them, by proxy."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What Envoy has told of all proxies at once."""

    counted: Mapping[str, Counted]
    """Istio's metrics by proxy."""
    process: Mapping[str, str]
    """Values by name."""
    own: _Own


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of its statistics a proxy is asked for: whose name `pattern` is found in, of a `kind` (Envoy's `type`),
    or that have ever been used."""

    pattern: re.Pattern[str] | None = None
    kind: str = ""
    used_only: bool = False

    def names(self, name: str) -> bool:
        return self.pattern is None or self.pattern.search(name) is not None

    def is_of(self, kind: str) -> bool:
        return not self.kind or self.kind.lower() in (f"{kind}s", "all")


ALL = Wanted()


class ProxyStatistics:
    """Of all proxies of one cluster. All that is asked for raises OSError when Envoy does not run."""

    def __init__(self, data_plane: DataPlane, metrics: IstioMetrics) -> None:
        self._data_plane, self._metrics = data_plane, metrics
        self._names: _Names = {}
        data_plane.changed.append(self._forget)
        self._reading = asyncio.Lock()
        self._next: dict[bool, asyncio.Task[_Look]] = {}
        """By whether it is of what has been used only."""

    def _forget(self) -> None:
        """A pod of the same name may show others than the one before it."""
        self._names = {}

    async def text(self, proxy: Proxy, wanted: Wanted = ALL) -> str:
        """Envoy's `name: value` lines."""
        process = "|".join(map(re.escape, _PROCESS))
        owned = rf"^(?:(?:(?:cluster|http|listener|tcp)\.)?{re.escape(proxy.id)}/|(?:{process})$)"
        asked = {"filter": owned, **({"type": wanted.kind} if wanted.kind else {})}
        if wanted.used_only:
            asked["usedonly"] = ""
        found = []
        for line in (await self._data_plane.admin(f"/stats?{urlencode(asked)}")).splitlines():
            name, colon, value = line.partition(": ")
            own = name.replace(f"{proxy.id}/", "")
            if colon and wanted.names(own) and proxy.inclusion.includes(own):
                found.append(f"{own}: {_of_process(own, value, proxy)}\n")
        return "".join(found)

    async def page(self, proxy: Proxy, wanted: Wanted = ALL) -> str:
        """Prometheus' text format, with Istio's metrics: all that was counted before the call."""
        look = await self._look(used_only=wanted.used_only)
        lines: list[str] = []
        if counted := look.counted.get(proxy.id):
            lines += counted.written(wanted.pattern, wanted.is_of)
        for name, value in look.process.items():
            if wanted.is_of("gauge") and wanted.names(name):
                shown = _sanitized(name)
                lines.append(f"# TYPE {shown} gauge\n{shown}{{}} {_of_process(name, value, proxy)}\n")
        found = look.own.get(proxy.id, ())
        if wanted.pattern or wanted.kind:
            found = [
                (one, metric) for one, metric in found if wanted.is_of(metric.kind) and wanted.names(one.own_name)
            ]
        own: dict[str, list[str]] = {}
        for one, metric in found:
            own.setdefault(one.shown, [f"# TYPE {one.shown} {metric.kind}\n"]).append(one.written(metric))
        return "".join((*lines, *(line for found in own.values() for line in found)))

    async def _look(self, *, used_only: bool) -> _Look:
        if used_only not in self._next:
            self._next[used_only] = asyncio.create_task(self._read(used_only))
        return await asyncio.shield(self._next[used_only])

    async def _read(self, used_only: bool) -> _Look:
        """Who comes while Envoy is asked has to wait for the next answer."""
        async with self._reading:
            del self._next[used_only]
            option = "usedonly" if used_only else ""
            exposition = await self._data_plane.admin(f"/stats/prometheus?{option}")
            return await self._understood(exposition, option)

    async def _understood(self, exposition: str, option: str) -> _Look:
        turns = Turns()
        process: dict[str, str] = {}
        of_metrics: list[tuple[str, str]] = []
        others: dict[str, list[_Metric]] = {}
        for number, metric in enumerate(_metrics(exposition)):
            if number % _BETWEEN_TURNS == 0:
                await turns.give()
            if metric.name.startswith(SHOWN):
                of_metrics.append((metric.name, metric.samples))
            elif metric.name in _PROCESS_SHOWN:
                process[_PROCESS_SHOWN[metric.name]] = metric.samples.rpartition(" ")[2]
            else:
                others.setdefault(metric.name, []).append(metric)
        counted = await self._metrics.counted(of_metrics, turns)
        return _Look(counted, process, await self._own(others, option, turns))

    async def _own(self, metrics: Mapping[str, Sequence[_Metric]], option: str, turns: Turns) -> _Own:
        """By the proxy that shows it, what is not of Istio's metrics."""
        own: dict[str, list[tuple[_Statistic, _Metric]]] = {}
        names = await self._known(metrics, turns)
        for number, (name, same) in enumerate(metrics.items()):
            if number % _BETWEEN_TURNS == 0:
                await turns.give()
            found = names.get(name, ())
            if len(found) == len(same) == 1:
                if found[0] is not None:
                    own.setdefault(found[0].proxy_id, []).append((found[0], same[0]))
                continue
            for statistic in filter(None, found):
                query = urlencode({"filter": f"^{re.escape(statistic.name)}$"})
                alone = await self._data_plane.admin(f"/stats/prometheus?{query}&{option}")
                own.setdefault(statistic.proxy_id, []).extend((statistic, one) for one in _metrics(alone))
        return own

    async def _known(self, metrics: Mapping[str, Sequence[_Metric]], turns: Turns) -> _Names:
        """The names that these have, and others."""
        names = self._names
        if any(len(same) > len(names.get(name, ())) for name, same in metrics.items()):
            found: dict[str, list[_Statistic | None]] = {}
            self._names = found  # forgotten when a proxy comes meanwhile
            answer = await self._data_plane.admin("/stats")
            for number, line in enumerate(answer.splitlines()):
                if number % _BETWEEN_TURNS == 0:
                    await turns.give()
                name = line.partition(": ")[0]
                if not name.startswith(COUNTED):
                    found.setdefault(_sanitized(name), []).append(self._statistic(name))
            names = found
        return names

    def _statistic(self, name: str) -> _Statistic | None:
        owned = _OWNED.match(name)
        proxy = self._data_plane.proxies.get(owned[1]) if owned else None
        if proxy is None:
            return None
        own = name.replace(f"{proxy.id}/", "")
        return _Statistic(proxy.id, name, *_as_shown(own)) if proxy.inclusion.includes(own) else None


def _of_process(name: str, value: str, proxy: Proxy) -> str:
    return str(proxy.threads) if name == _CONCURRENCY else value


def _sanitized(name: str) -> str:
    return "envoy_" + re.sub(r"\W", "_", name, flags=re.ASCII)


_PROCESS_SHOWN = {_sanitized(name): name for name in _PROCESS}


def _as_shown(name: str) -> tuple[str, str]:
    """Prometheus' name of a proxy's statistic, and its labels as they are written. As Envoy does, every tag is
    looked for in the whole name, then what they removed is gone from it."""
    labels, removed = [], []
    for tag, pattern in _TAGS:
        if found := re.search(pattern, name):
            labels.append(f'{tag}="{found[2]}"')
            removed.append(found.span(1))
    for start, end in sorted(removed, reverse=True):
        name = name[:start] + name[end:]
    # The same for many statistics.
    return intern(_sanitized(name)), intern(",".join(sorted(labels)))
