"""What a circuit breaker does to a client in the mesh, shown with fortio and with the client's own proxy.

A breaker lives in the client's proxy, which refuses requests itself: so its own counters have to account for every
503 that the client got, and tell a refused one (`upstream_rq_pending_overflow`) from one that had no pod to go to
because the only one was ejected.

Which share is refused depends on how close together calls come, and on a busy machine they may hardly meet. So a
share that falls short says nothing against a breaker whose account is right: it is measured again, and inconclusive
in the end, unless nobody was held back at all where more calls came than the limits let in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.fortio import Fortio, Load
from workshop.mesh.istioctl import Istioctl
from workshop.mesh.proxy_stats import ANNOTATION, CONTAINER, Destination, read, worker_threads
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Bar, Hint, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.claims import differs, judge_all, judge_some

GOOD, REFUSED = 200, 503
NOTICED = 0.10
"""The smallest share that is noticed, of answers that are there or should not be: ten percentage points."""
BURST = 50
"""How often in a second all connections call at the same time: rarely enough that a call is over by the next."""
TIMES = 3
"""How often at most loads are measured until they tell something."""
EJECTED = 240.0
"""Seconds until a pod that has erred once is back: three minutes, and time to notice."""


@dataclass(frozen=True, slots=True)
class Target:
    """A service as a client in the mesh reaches it: "httpbin", port 8000, in the client's own namespace."""

    client: Fortio
    service: str
    port: int

    def url(self, path: str) -> str:
        return f"http://{self.service}:{self.port}{path}"

    async def counted(self, run: Run) -> Destination:
        """By the client's proxy, until now."""
        stats = await read(run, namespace=self.client.namespace, workload=self.client.workload)
        return stats.of(f"{self.service}.{self.client.namespace}")

    async def threads(self, run: Run) -> int:
        """That the client's proxy runs."""
        return await worker_threads(run, namespace=self.client.namespace, workload=self.client.workload)

    def typed(self, what: str) -> str:
        asked = f"kubectl exec -n {self.client.namespace} {self.client.workload} -c {CONTAINER}"
        return f"{asked} -- pilot-agent request GET {what} | grep {self.service}"


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many connections, and so many requests that wait for one."""

    connections: int
    pending: int


@dataclass(frozen=True, slots=True)
class HasLimits:
    """Wait until the client's proxy has these limits, and no pod is ejected any more: at most `seconds`. Where one
    still is then, nothing can be told."""

    target: Target
    limits: Limits
    seconds: float = EJECTED

    async def prove(self, run: Run) -> Verdict | None:
        ejected = False

        async def missing() -> str:
            nonlocal ejected
            found = await self._found(run)
            ejected = found == self.limits and bool((await self.target.counted(run)).ejected)
            if found != self.limits:
                return f"{found} in the proxy's clusters, not {self.limits}" if found else "the cluster"
            return f"{self.target.service}, which is ejected because it has erred" if ejected else ""

        try:
            await run.wait(
                f"the proxy of {self.target.client.workload} to have the limits",
                missing,
                seconds=min(self.seconds, run.patience),
                every=0.1,
                next_command=run.use(Kubectl).typed(self.commands(run)[0]),
            )
        except WorkshopError as error:
            if not ejected:
                raise
            why = "for the rest of its baseEjectionTime: measured again then, it can be told"
            return Verdict("inconclusive", f"{error.came_back}, {why}")
        return None

    def commands(self, run: Run) -> tuple[str, ...]:
        return (self.target.typed("clusters"),)

    async def _found(self, run: Run) -> Limits | None:
        client = self.target.client
        words = ("pilot-agent", "request", "GET", "clusters")
        done = await Kubectl.of(run).exec(client.namespace, client.workload, words, container=CONTAINER)
        cluster = rf"outbound\|{self.target.port}\|\|{self.target.service}\.{client.namespace}\.[^:]+"
        line = rf"(?m)^{cluster}::default_priority::max_(connections|pending_requests)::(\d+)$"
        there = {name: int(count) for name, count in re.findall(line, done.stdout)}
        return Limits(there["connections"], there["pending_requests"]) if len(there) == 2 else None


@dataclass(frozen=True, slots=True)
class Expected:
    """Of a load: `all` good; or `some` refused, `surely` when its calls are more than the limits let in at once;
    and `more` of them than in the load before. With none of these, chance decides, and only the proxy's account is
    checked. `calls` are of each connection."""

    connections: int
    calls: int
    all: bool = False
    some: bool = False
    surely: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Loads:
    """Loads one after the other, all accounted for by the proxy of the client; together up to TIMES times, while
    they tell nothing."""

    target: Target
    path: str
    expected: tuple[Expected, ...]

    async def prove(self, run: Run) -> Verdict:
        for time in range(1, TIMES + 1):
            verdict = await self._measure(run)
            if verdict.kind == "pass":
                return replace(verdict, reason=f"{verdict.reason}; the proxy counts as many overflows")
            if verdict.kind == "fail":
                return verdict
            if time < TIMES:
                run.emit(events.Told(run.lab, f"{verdict.reason}; measured again ({time + 1} of {TIMES})"))
                if not await self._back(run):
                    break
        return replace(verdict, reason=f"{verdict.reason}; measured {time} times" if time > 1 else verdict.reason)

    async def _measure(self, run: Run) -> Verdict:
        """Up to the load after which there may be no pod left to ask."""
        found: list[Verdict] = []
        previous: Load | None = None
        counted = await self.target.counted(run)
        for one in self.expected:
            load = await self._load(run, one)
            before, counted = counted, await self.target.counted(run)
            since = counted - before
            said = await self._ejected(run, load, since) or _judged(one, load, since, previous)
            said = replace(said, reason=f"{_connections(one.connections)}: {said.reason}")
            found.append(replace(said, measurements=(_measured(_connections(one.connections), load, one),)))
            if since.ejections:
                break
            previous = load
        return joined(found)

    async def _ejected(self, run: Run, load: Load, since: Destination) -> Verdict | None:
        """What it means that a pod was ejected during a load; None when none was.

        Where the client's proxy runs several threads, each opens connections of its own, and the server's sidecar,
        which has the same limits, refuses what is too much: an error in its client's eyes. Where it runs one, the
        pod has erred by itself, as it may on a machine that is too slow for it.
        """
        if not since.ejections:
            return None
        target, client = self.target, self.target.client
        threads = await target.threads(run)
        seen = (
            f"{load.of(REFUSED)} of {load.calls} answers were {REFUSED}; the proxy counts {since.overflow} "
            f"overflows and {since.unhealthy} with no healthy upstream, as {target.service}'s only pod has erred "
            "and is ejected (ejections_active) for the rest of its baseEjectionTime"
        )
        if threads > 1:
            why = (
                f"likeliest cause: the proxy of {client.workload} runs {threads} worker threads, each with a "
                f"connection of its own, and {target.service}'s own sidecar, which has the same limits, refused "
                f"one: the annotation {ANNOTATION} of {client.workload}'s pods lacks `concurrency: 1`"
            )
            look = f"kubectl get {client.workload} -n {client.namespace} -o yaml | grep -A4 {ANNOTATION}"
            return Verdict("fail", f"{seen}; {why}; next: {run.use(Kubectl).typed(look)}")
        why = "likeliest cause: a busy machine, on which it could not answer in time"
        look = f"istioctl proxy-config endpoints {client.workload} -n {client.namespace} | grep {target.service}"
        return Verdict("inconclusive", f"{seen}; {why}; next: {run.use(Istioctl).typed(look)}")

    async def _back(self, run: Run) -> bool:
        """Whether no pod is ejected any more, which is waited for. A second time it is away for twice as long."""

        async def missing() -> str:
            return "its pod, which is ejected" if (await self.target.counted(run)).ejected else ""

        try:
            await run.wait(f"{self.target.service} to be back", missing, seconds=EJECTED, on_purpose=True)
        except WorkshopError:
            return False
        return True

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        """The last of the loads, and fortio's own report of it."""
        *_, load, _ = self.commands(run)
        return (Hint("type", run.use(Kubectl).typed(load), self.seen(run)[-1]),)

    def seen(self, run: Run) -> tuple[str, ...]:
        return tuple(f"{_connections(one.connections)}: {_answers(one)}" for one in self.expected)

    def commands(self, run: Run) -> tuple[str, ...]:
        url = self.target.url(self.path)
        loads = tuple(
            self.target.client.typed_load(
                url, connections=one.connections, calls=one.calls, per_second=BURST, skips=not one.all
            )
            for one in self.expected
        )
        return (*loads, self.target.typed("stats"))

    async def _load(self, run: Run, one: Expected) -> Load:
        calls = one.connections * one.calls
        run.emit(events.Progress(run.lab, f"fortio with {_connections(one.connections)}", 0, calls))
        load = await self.target.client.load(
            run,
            self.target.url(self.path),
            connections=one.connections,
            calls=one.calls,
            per_second=BURST,
            skips=not one.all,
        )
        run.emit(events.Progress(run.lab, f"fortio with {_connections(one.connections)}", calls, calls))
        return load


@dataclass(frozen=True, slots=True)
class Ejects:
    """One answer with an error ejects the service's only pod, so that a load is refused altogether, and not for
    lack of room. The pod is away for minutes, so what only looks leaves it at that."""

    target: Target
    path: str
    calls: int = 100

    async def prove(self, run: Run) -> Verdict | None:
        if run.only_looks:
            said = f"that an error ejects {self.target.service} is not tried: it would be away for minutes"
            run.emit(events.Told(run.lab, said))
            return None
        status = await self.target.client.curl(run, self.target.url("/status/500"))
        if status != 500:
            return Verdict("inconclusive", f"the request for an error was answered with {status}")

        async def missing() -> str:
            return "" if (await self.target.counted(run)).ejected else "an ejection in the proxy's statistics"

        await run.wait(
            f"{self.target.service} to be ejected",
            missing,
            seconds=30.0,
            next_command=run.use(Kubectl).typed(self.commands(run)[-1]),
        )
        before = await self.target.counted(run)
        load = await self.target.client.load(run, self.target.url(self.path), connections=1, calls=self.calls)
        after = await self.target.counted(run)
        refused = _unanswered(load) or judge_all(load.of(REFUSED), load.calls, NOTICED)
        if refused.kind == "pass":
            refused = replace(refused, reason=f"after one error all {load.calls} requests got {REFUSED}")
        elif refused.kind == "fail":
            refused = replace(refused, reason=f"{load.calls - load.of(REFUSED)} of {load.calls} still got through")
        shed = (after - before).overflow
        alone = Verdict("fail" if shed else "pass", f"the proxy counts {after.ejected} pod ejected")
        measured = _measured("after one error 500", load, Expected(1, self.calls), refuses=True)
        return replace(joined([refused, alone]), measurements=(measured,))

    def commands(self, run: Run) -> tuple[str, ...]:
        client = self.target.client
        return (
            client.typed(("fortio", "curl", "-quiet", "-curl-stdout-headers", self.target.url("/status/500"))),
            client.typed_load(self.target.url(self.path), connections=1, calls=self.calls),
            self.target.typed("stats"),
        )


def joined(verdicts: list[Verdict]) -> Verdict:
    """All of them: the worst, with the reasons of those that are as bad, and all that was measured."""
    order = ("fail", "inconclusive", "pass")
    worst = min(verdicts, key=lambda verdict: order.index(verdict.kind)).kind
    reasons = [verdict.reason for verdict in verdicts if verdict.kind == worst]
    return Verdict(worst, "; ".join(reasons), tuple(item for verdict in verdicts for item in verdict.measurements))


def _judged(one: Expected, load: Load, since: Destination, previous: Load | None) -> Verdict:
    """A load without an ejection, by what the proxy counted meanwhile."""
    if strange := _strange(load):
        return strange
    bad = load.of(REFUSED)
    parts = [_unanswered(load) or _accounted(bad, since)]
    if one.all and not load.lost:
        parts.append(judge_all(load.of(GOOD), load.calls, NOTICED))
    if one.some:
        some = judge_some(bad, load.calls, NOTICED, what=f"{REFUSED}s")
        # That nobody was held back at all is a breaker that does nothing; else the calls did not meet.
        idle = one.surely and not since.waited and not since.overflow
        parts.append(some if idle else _not_met(some))
    if one.more and previous is not None:
        more = differs(bad, load.calls, previous.of(REFUSED), previous.calls, NOTICED, what=f"{REFUSED}s")
        parts.append(_not_met(more))
    said = joined(parts)
    if said.kind == "pass":
        return replace(said, reason=f"{bad or 'none'} of {load.calls} refused{', more beyond chance' * one.more}")
    return said


def _not_met(said: Verdict) -> Verdict:
    """What falls short of a share is no failure of the breaker's."""
    if said.kind != "fail":
        return said
    return Verdict("inconclusive", f"{said.reason}: too few calls came at the same moment, as on a busy machine")


def _unanswered(load: Load) -> Verdict | None:
    if not load.lost:
        return None
    return Verdict("inconclusive", f"{load.lost} of {load.calls} requests had no answer, as on a busy machine")


def _strange(load: Load) -> Verdict | None:
    """Other answers are neither the breaker's nor the service's: something else has broken the traffic."""
    others = {status: count for status, count in load.answers.items() if status not in (GOOD, REFUSED)}
    if not others:
        return None
    said = ", ".join(f"{count} of {load.calls} answers were {status}" for status, count in others.items())
    return Verdict("inconclusive", f"{said}, neither {GOOD} nor the breaker's {REFUSED}")


def _accounted(refused: int, since: Destination) -> Verdict:
    if refused == since.overflow:
        return Verdict("pass", f"the proxy counts {refused} overflows")
    seen = f"{refused} answers were {REFUSED}, but the proxy counts {since.overflow} overflows"
    if refused == since.overflow + since.unhealthy:
        return Verdict("inconclusive", f"{seen}, and {since.unhealthy} that no pod was there for")
    return Verdict("fail", seen)


def _connections(count: int) -> str:
    return f"{count} connection{'' if count == 1 else 's'}"


def _measured(title: str, load: Load, expected: Expected, *, refuses: bool = False) -> Measurement:
    shares = {GOOD: 0.0, REFUSED: 1.0} if refuses else {GOOD: 1.0, REFUSED: 0.0} if expected.all else {}
    bars = []
    for status, colour in ((GOOD, "green"), (REFUSED, "red")):
        share, wanted = load.of(status) / load.calls if load.calls else 0.0, shares.get(status)
        accepted = None if wanted is None else (wanted, wanted)
        bars.append(Bar(f"{status}", share, wanted, accepted, colour))
    good = load.of(GOOD)
    return Measurement(title, tuple(bars), good, load.seconds, load.calls - good, load.latencies)


def _answers(one: Expected) -> str:
    return "all get 200" if one.all else "some are refused with 503" if one.some else "200 or 503"
