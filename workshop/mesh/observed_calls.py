"""What Prometheus has counted, held against what was sent: so many pages from outside, as many calls to
productpage and to details, by the proxy of either side; as many failures as were seen; and of the versions of a
service the shares that the rules ask for.

A reading counts when Prometheus has looked at every pod after the last request, by its own clock; looks that fail
for want of time are waited out. So the
difference of two readings is exact: one request more or less is a failure of the metrics, or of somebody else who
sends as well, which is told apart by there being more. Only which version a call went to is chance, with the tails
of `traffic/verdict.py`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from workshop.kubernetes.ingress import Address, Ingress, url
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import INGRESS_GATEWAY, ISTIO_NAMESPACE, Object
from workshop.mesh.breaker import joined
from workshop.mesh.mesh_rules import Split, rules_of
from workshop.mesh.prometheus import Prometheus
from workshop.runbook import events
from workshop.runbook.results import Bar, Hint, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.load import Load, Result, send
from workshop.traffic.measuring import show_progress, wait_in_vain
from workshop.traffic.verdict import Plan, judge, plan

INGRESS = Ingress()
_LOOKED = 90.0
"""Seconds for Prometheus to look at all pods: six times what Istio's add-on takes (15 s)."""
_JOB = "kubernetes-pods"
_UNKNOWN = "unknown"
"""The version of a pod whose proxy has not answered."""
_ROUNDING = 1e-9

Key = tuple[str, str, str, str]
"""Who tells (source or destination), who called, who was called, and of which version that is."""


@dataclass(slots=True)
class Counted:
    """Requests by key, and by key those that failed. `seconds` are P50 and P99 of each called workload, of all that
    it has answered so far."""

    calls: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def since(self, before: Counted) -> Counted:
        calls = {key: count - before.calls.get(key, 0) for key, count in self.calls.items()}
        failed = {key: count - before.failed.get(key, 0) for key, count in self.failed.items()}
        return Counted(calls, failed, self.seconds)

    def between(self, reporter: str, source: str, destination: str) -> int:
        return sum(count for key, count in self.calls.items() if key[:3] == (reporter, source, destination))


@dataclass(frozen=True, slots=True)
class CountedCalls:
    """The proof for the pages at `path`, that `entry` answers, in `namespace`: each asks `always` once. `split` is
    the service whose versions are compared with the weights of its VirtualService, with the `deviation`
    noticed."""

    path: str
    namespace: str
    entry: str
    always: str
    split: str
    deviation: float = 0.20
    ingress: Ingress = INGRESS

    async def prove(self, run: Run) -> Verdict:
        base_url = await run.observe(self.ingress)
        prometheus = Prometheus.of(run)
        shares = await self._shares(run)
        need = plan(shares or {"v1": 0.5, "v2": 0.5}, self.deviation)
        before = await self._read(run, prometheus)
        if isinstance(before, Verdict):
            return before
        title = f"Pages of {self.entry}, counted by Prometheus"
        load = Load(f"{base_url.rstrip('/')}{self.path}", _by_status)
        result = await send(load, need.n, progress=show_progress(run, title, 0, need.n))
        after = await self._read(run, prometheus)
        if isinstance(after, Verdict):
            return after
        counted = after.since(before)
        run.emit(events.Told(run.lab, "\n".join(self._table(counted, result))))
        return self.verdict(counted, result, shares, need)

    def verdict(self, counted: Counted, result: Result, shares: Mapping[str, float], need: Plan) -> Verdict:
        """Of what was `counted` while `result` came back, as many pages as the plan needs; `shares` are what the
        rules say of versions, if anything."""
        return joined([self._exact(counted, result, need.n), *self._judged(counted, shares, need, result)])

    def _exact(self, counted: Counted, result: Result, sent: int) -> Verdict:
        """Every request is in every count that it belongs to, once."""
        if result.answers < sent:
            return Verdict("inconclusive", f"{sent - result.answers:,} of {sent:,} requests had no answer")
        if any(count < 0 for count in counted.calls.values()):
            return Verdict("inconclusive", "a pod has been replaced meanwhile, and its counts with it")
        gateway, failures = INGRESS_GATEWAY, _failures(result)
        ends = ((gateway, self.entry), (self.entry, self.always))
        for source, destination in ends:
            for reporter in ("source", "destination"):
                found = counted.between(reporter, source, destination)
                if found != sent:
                    said = f"{found:,} calls of {source} to {destination} are counted at the {reporter}"
                    said = f"{said}, and {sent:,} pages were asked for"
                    if found > sent:
                        return Verdict("inconclusive", f"{said}: somebody else sends as well")
                    return Verdict("fail", said)
        seen = sum(count for key, count in counted.failed.items() if key[:3] == ("source", gateway, self.entry))
        if seen != failures:
            return Verdict(
                "fail", f"{seen:,} of {sent:,} pages failed by the metrics, and {failures:,} were seen to"
            )
        return Verdict(
            "pass",
            f"Prometheus counts {sent:,} calls of {gateway} to {self.entry} and {sent:,} of those to {self.always} "
            f"for {sent:,} pages, at both ends; {seen / sent:.1%} failed",
        )

    def _judged(
        self, counted: Counted, shares: Mapping[str, float], need: Plan, result: Result
    ) -> tuple[Verdict, ...]:
        if not shares:
            return ()
        versions: dict[str, int] = dict.fromkeys(shares, 0)
        astray: dict[str, int] = defaultdict(int)
        for (reporter, source, destination, version), count in counted.calls.items():
            if reporter == "source" and source == self.entry and destination.startswith(f"{self.split}-"):
                (versions if version in shares else astray)[version] += count
        unanswered = astray.pop(_UNKNOWN, 0)
        if wrong := {version: count for version, count in astray.items() if count}:
            said = " and ".join(f"{count:,} to {version}" for version, count in sorted(wrong.items()))
            return (Verdict("fail", f"by the metrics {said}, which no rule sends any of {self.split}'s calls to"),)
        total = sum(versions.values()) + unanswered
        if total < need.n:
            return (Verdict("inconclusive", f"{total:,} calls to {self.split} are counted, of {need.n:,} pages"),)
        if total > need.n:
            said = f"{total:,} calls to {self.split} are counted, more than one for each of {need.n:,} pages"
            return (Verdict("inconclusive", f"{said}: some were repeated"),)
        found = judge(need, versions, unanswered)
        bars = tuple(
            Bar(version, count / total, shares.get(version, 0.0), _accepted(need, version))
            for version, count in sorted(versions.items())
        )
        title = f"Calls to versions of {self.split}, as istio_requests_total has them"
        said = f"versions of {self.split} by the metrics: {found.reason}"
        return (Verdict(found.kind, said, (Measurement(title, bars, total, result.seconds),)),)

    async def _shares(self, run: Run) -> dict[str, float]:
        """By version, as the rules ask for; nothing where they leave it to the load balancing."""
        kubectl = Kubectl.of(run)
        places = [Place("VirtualService", self.namespace), Place("DestinationRule", self.namespace)]
        there = await kubectl.look(places)
        rules: list[Object] = [obj for place in places for obj in there[place] or ()]
        found = [split for split in rules_of(rules).splits if self._concerns_all(split)]
        if len(found) != 1 or any(one.version is None for one in found[0].destinations):
            return {}
        shares: dict[str, float] = {}
        for one in found[0].destinations:
            assert one.version is not None
            shares[one.version] = shares.get(one.version, 0.0) + one.weight / 100
        return shares if abs(sum(shares.values()) - 1) < _ROUNDING else {}

    def _concerns_all(self, split: Split) -> bool:
        """Somebody who is not logged in takes it."""
        host = split.destinations[0].host.partition(".")[0]
        return host == self.split and split.when in ("", "all others")

    async def _read(self, run: Run, prometheus: Prometheus) -> Counted | Verdict:
        """The verdict of what cannot be read."""
        found = await looked(run, prometheus, await _pods(Kubectl.of(run), self.namespace))
        if isinstance(found, str):
            return Verdict("inconclusive", found)
        which = f'destination_workload_namespace="{self.namespace}"'
        by = "reporter, source_workload, destination_workload, destination_version"
        counts = found.values(f"istio_requests_total{{{which}}}")
        counted = Counted()
        for sample in await prometheus.query(f"sum by ({by}, response_code) ({counts})", found.end):
            labels = sample.labels
            key = (
                labels.get("reporter", ""),
                labels.get("source_workload", ""),
                labels.get("destination_workload", ""),
                labels.get("destination_version", ""),
            )
            counted.calls[key] += round(sample.value)
            counted.failed[key] += round(sample.value) if _failed(labels.get("response_code", "")) else 0
        counted.seconds = await self._times(prometheus, which, found)
        return counted

    async def _times(self, prometheus: Prometheus, which: str, looks: Looks) -> dict[str, tuple[float, float]]:
        of = looks.values(f'istio_request_duration_milliseconds_bucket{{reporter="destination", {which}}}')
        times: dict[str, list[float]] = defaultdict(list)
        for share in (0.5, 0.99):
            query = f"histogram_quantile({share}, sum by (destination_workload, le) ({of}))"
            for sample in await prometheus.query(query, looks.end):
                times[sample.labels.get("destination_workload", "")].append(sample.value / 1000)
        return {name: (found[0], found[1]) for name, found in times.items() if len(found) == 2}

    def _table(self, counted: Counted, result: Result) -> list[str]:
        whole = max(result.seconds, 1e-3)
        lines = [
            f"{'calls, as Prometheus has them':<44} {'count':>7} {'per s':>8} {'failed':>7} {'P50':>9} {'P99':>9}"
        ]
        merged: dict[tuple[str, str], tuple[int, int]] = {}
        for key, count in counted.calls.items():
            if key[0] == "source" and count > 0:
                before = merged.get(key[1:3], (0, 0))
                merged[key[1], key[2]] = (before[0] + count, before[1] + counted.failed.get(key, 0))
        for (source, destination), (count, failed) in sorted(merged.items()):
            p50, p99 = counted.seconds.get(destination, (math.nan, math.nan))
            lines.append(
                f"{f'{source} → {destination}':<44} {count:>7,} {count / whole:>8.1f} {failed / count:>7.1%} "
                f"{p50 * 1000:>6.1f} ms {p99 * 1000:>6.1f} ms"
            )
        return lines

    def commands(self, run: Run) -> tuple[str, ...]:
        asked = 'sum by (source_workload, destination_workload) (istio_requests_total{reporter="source"})'
        prometheus = Prometheus.of(run)
        query = prometheus.typed("query", {"query": asked}).partition("get --raw ")[2]
        ask = f"kubectl get --raw {query}"
        pages = f"for i in $(seq 100); do curl -s -o /dev/null http://$GATEWAY_URL{self.path}; done"
        return (*self.ingress.commands(), ask, pages, "sleep 20  # Istio's Prometheus looks every 15 s", ask)

    def seen(self, run: Run) -> tuple[str, ...]:
        return (f"for 100 pages, 100 calls more of {INGRESS_GATEWAY} to {self.entry}",)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        host, port = await run.observe(Address(self.ingress))
        page = Hint("open", f"{url(host, port)}{self.path}", "a page, for Prometheus to count")
        return (page, Hint("type", f"{run.program} observe", "who calls whom, while it happens (Ctrl-C ends it)"))


@dataclass(frozen=True, slots=True)
class Looks:
    """The time in which each pod has been looked at, by Prometheus' clock. Which pod answered when does not matter:
    nothing is sent meanwhile."""

    start: float
    end: float

    def values(self, selector: str) -> str:
        """Of what was told within it. A look that failed afterwards ends a series for the time being, and what a
        pod has told before that it has told."""
        return f"last_over_time({selector}[{max(1, round((self.end - self.start) * 1000))}ms])"


async def looked(run: Run, prometheus: Prometheus, pods: Set[str]) -> Looks | str:
    """Waits until Prometheus has looked at all `pods` again; what it still has not when that takes too long. Raises
    as `Prometheus.query`."""
    start: float | None = None
    end = 0.0
    answered: set[str] = set()

    async def missing() -> str:
        nonlocal start, end
        if start is None:
            (now,) = await prometheus.query("time()")
            start = now.value
        times = await prometheus.query(f'timestamp(up{{job="{_JOB}"}})')
        late = {sample.labels.get("pod", "") for sample in times if sample.value > start}
        up = await prometheus.query(f'up{{job="{_JOB}"}} == 1')
        answered.update(late & {sample.labels.get("pod", "") for sample in up})
        end = max((sample.at for sample in up), default=start)
        behind = sorted(pods - answered)
        return f"not yet at {len(behind)} of {len(pods)} pods ({behind[0]})" if behind else ""

    within = min(_LOOKED, run.patience)
    still = await wait_in_vain(run, "Prometheus to look at the pods", missing, seconds=within)
    if not still:
        assert start is not None
        return Looks(start, end)
    troubles = await prometheus.troubles(_JOB)
    why = next((f"; {pod}: {why}" for pod, why in sorted(troubles.items()) if pod in pods), "")
    return f"Prometheus has looked for {within:g} s, {still}{why}"


def _by_status(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
    return str(status)


def _failures(result: Result) -> int:
    return sum(count for status, count in result.counts.items() if _failed(status))


def _failed(code: str) -> bool:
    return code == "0" or (len(code) == 3 and code.startswith("5"))


def _accepted(need: Plan, version: str) -> tuple[float, float] | None:
    found = need.ranges.get(version)
    return (found.low / need.n, found.high / need.n) if found else None


async def _pods(kubectl: Kubectl, namespace: str) -> set[str]:
    """Those with a proxy whose counts are asked for: of the namespace, and the gateway's."""
    places = [Place("Pod", namespace), Place("Pod", ISTIO_NAMESPACE)]
    there = await kubectl.look(places)
    return {
        str(pod["metadata"]["name"])
        for place in places
        for pod in there[place] or ()
        if pod.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and (pod["metadata"].get("annotations") or {}).get("prometheus.io/scrape") == "true"
        and (place.namespace == namespace or pod["metadata"].get("labels", {}).get("istio") == "ingressgateway")
    }
