"""Where a guarded promotion has its figures from: how often each version was called, what came of it, how long it
took.

**`proxy`**: the caller's own proxy, asked directly. It is up to date at once, and is one pod's.

**`prometheus`**: what the proxies of all of the caller's pods report of themselves (`reporter="source"`) in Istio's
standard metrics, as Flagger and Argo Rollouts ask for them. Both read a rate over a window; here it is the
difference of two readings, so that the stage's own requests are judged and no others, and as many are enough as
with the proxy. A reading counts when Prometheus has looked at each of those pods after the last request: by its own
clock, as no other says when that was. Versions are told apart by the label `version`, which a subset must select
by.

Either gives a reading of the same kind (`proxy_stats.Stats`), so that nothing that judges them knows where they are
from."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh import mesh_rules, proxy_stats
from workshop.mesh.prometheus import Prometheus, Vector
from workshop.mesh.proxy_stats import CONTAINER, Destination, Stats
from workshop.runbook.errors import WorkshopError
from workshop.runbook.run import Run

_LOOKED = 90.0
"""Seconds for Prometheus to look at the caller's pods: six times what Istio's add-on takes (15 s)."""


class NoData(Exception):
    """What a stage is judged by is not there, and why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose calls ("deploy/productpage-v1" in `namespace`), and to whom: the route's host and the control, each
    "reviews.bookinfo"; `subsets` are the host's that are compared."""

    namespace: str
    caller: str
    host: str
    control: str
    subsets: tuple[str, ...]


class Readings(ABC):
    """`visible` and `complete` are seconds for a change of routes to be seen in them, and all times of calls."""

    visible: float
    complete: float

    def __init__(self, run: Run, asked: Asked) -> None:
        self._run, self.asked = run, asked

    @abstractmethod
    async def read(self) -> Stats:
        """All that was counted up to now. Raises NoData."""

    @abstractmethod
    def typed(self) -> str:
        """How a person reads the same."""


class OfProxy(Readings):
    """An Envoy puts its histograms together every few seconds only (`stats_flush_interval`, 5 s), while its
    counters are up to date."""

    visible, complete = 30.0, 15.0

    async def read(self) -> Stats:
        asked = self.asked
        try:
            return await proxy_stats.read(
                self._run,
                namespace=asked.namespace,
                workload=asked.caller,
                filter=f"{asked.host}|{asked.control}",
            )
        except WorkshopError as error:
            raise NoData("; ".join(filter(None, (error.came_back, error.cause)))) from error

    def typed(self) -> str:
        asked = self.asked
        return (
            f"kubectl exec -n {asked.namespace} {asked.caller} -c {CONTAINER} -- "
            f"pilot-agent request GET 'stats/prometheus?filter={quote(asked.host.partition('.')[0])}'"
        )


class OfPrometheus(Readings):
    """Histograms are a flush behind here as well, so that a look more may be needed."""

    visible, complete = 2 * _LOOKED, 2 * _LOOKED

    def __init__(self, run: Run, asked: Asked) -> None:
        super().__init__(run, asked)
        self._prometheus = Prometheus.of(run)
        self._versions: Mapping[str, str] = {}

    @property
    def _which(self) -> str:
        asked = self.asked
        hosts = "|".join(re.escape(host).replace("\\", "\\\\") for host in (asked.host, asked.control))
        return (
            f'reporter="source", source_workload="{asked.caller.rpartition("/")[2]}",'
            f' source_workload_namespace="{asked.namespace}", destination_service=~"({hosts})([.].*)?"'
        )

    @property
    def _queries(self) -> tuple[str, str]:
        by = "destination_service, destination_version"
        return (
            f"sum by ({by}, response_code) (istio_requests_total{{{self._which}}})",
            f"sum by ({by}, le) (istio_request_duration_milliseconds_bucket{{{self._which}}})",
        )

    async def read(self) -> Stats:
        try:
            if not self._versions:
                self._versions = await self._subsets()
            at = await self._looked()
            calls, times = [await self._prometheus.query(query, at) for query in self._queries]
        except NoData:
            raise
        except WorkshopError as error:
            raise NoData(f"Prometheus: {error.came_back}") from error
        return self._stats(calls, times)

    async def _looked(self) -> float:
        """Waits until Prometheus has looked at all of the caller's pods again; its time then."""
        (now,) = await self._prometheus.query("time()")
        at = now.at

        async def missing() -> str:
            nonlocal at
            found = await self._prometheus.query(f"min(timestamp(istio_requests_total{{{self._which}}}))")
            if not found:
                return f"it has no calls of {self.asked.caller} to {self.asked.host}"
            at = found[0].at
            behind = now.value - found[0].value
            return f"it is {behind:.0f} s behind" if behind > 0 else ""

        what = f"Prometheus to look at {self.asked.caller}"
        await self._run.wait(what, missing, seconds=_LOOKED, every=0.2, found="so far")
        return at

    async def _subsets(self) -> dict[str, str]:
        """Which of them each version is."""
        kubectl = Kubectl.of(self._run)
        place = Place("DestinationRule", self.asked.namespace)
        rules = (await kubectl.look([place]))[place] or []
        host = mesh_rules.full_name(self.asked.host.partition(".")[0], self.asked.namespace)
        versions = mesh_rules.versions_of(rules)
        found = {version: name for name in self.asked.subsets if (version := versions.get((host, name)))}
        if missing := [name for name in self.asked.subsets if name not in found.values()]:
            raise NoData(f"no DestinationRule says by the label version alone what the subset {missing[0]} is")
        return found

    def _stats(self, calls: Vector, times: Vector) -> Stats:
        """Of a version that was never called, nought."""
        host = mesh_rules.full_name(self.asked.host.partition(".")[0], self.asked.namespace)
        answers: dict[tuple[str, str], dict[str, int]] = {(host, name): {} for name in self.asked.subsets}
        buckets: dict[tuple[str, str], dict[float, int]] = defaultdict(dict)

        def key(labels: Mapping[str, str]) -> tuple[str, str]:
            service, version = labels.get("destination_service", ""), labels.get("destination_version", "")
            return service, self._versions.get(version, version) if service == host else ""

        for sample in calls:
            code, counted = sample.labels.get("response_code", ""), answers.setdefault(key(sample.labels), {})
            kind = f"{code[0]}xx" if re.fullmatch(r"[1-5]\d\d", code) else "none"
            counted[kind] = counted.get(kind, 0) + round(sample.value)
        for sample in times:
            bound, of = _seconds(sample.labels["le"]), buckets[key(sample.labels)]
            of[bound] = of.get(bound, 0) + round(sample.value)
        return Stats(
            {
                (service, 0, subset): Destination(
                    service,
                    0,
                    subset,
                    sum(counted.values()),
                    {kind: count for kind, count in sorted(counted.items()) if kind != "none"},
                    latency=tuple(proxy_stats.alone(buckets[service, subset])),
                )
                for (service, subset), counted in answers.items()
            }
        )

    def typed(self) -> str:
        return self._prometheus.typed("query", {"query": self._queries[0]})


def _seconds(bound: str) -> float:
    return math.inf if bound == "+Inf" else float(bound) / 1000


async def refuse_without_prometheus(run: Run) -> None:
    """Raises NoPrometheus, and what else has it not answer: before anything is changed."""
    if not run.use(Kubectl).absent:
        await Prometheus.of(run).query("time()")
