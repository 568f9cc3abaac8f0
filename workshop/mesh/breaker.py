"""What a circuit breaker does to a client in the mesh, shown with fortio and with the client's own proxy.

A breaker lives in the client's proxy, which refuses requests itself: so its own counters have to account for every
503 that the client got, and tell a refused one (`upstream_rq_pending_overflow`) from one that had no pod to go to
because the only one was ejected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workshop.mesh.fortio import Fortio, Load
from workshop.runbook.model import Bar, Measurement, Verdict

if TYPE_CHECKING:
    from workshop.mesh.proxy_stats import Destination
    from workshop.runbook.run import Run

GOOD, REFUSED = 200, 503
NOTICED = 0.10
"""The smallest share that is noticed, of answers that are there or should not be: ten percentage points."""
BURST = 50
"""How often in a second all connections call at the same time: rarely enough that a call is over by the next."""


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
        from workshop.mesh.proxy_stats import read

        stats = await read(run, namespace=self.client.namespace, workload=self.client.workload)
        return stats.of(f"{self.service}.{self.client.namespace}")

    def typed(self, what: str) -> str:
        asked = f"kubectl exec -n {self.client.namespace} {self.client.workload} -c istio-proxy"
        return f"{asked} -- pilot-agent request GET {what} | grep {self.service}"


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many connections, and so many requests that wait for one."""

    connections: int
    pending: int


@dataclass(frozen=True, slots=True)
class HasLimits:
    """Wait until the client's proxy has these limits, and no pod is ejected any more: at most `seconds`."""

    target: Target
    limits: Limits
    seconds: float = 240.0

    async def prove(self, run: Run) -> None:
        async def missing() -> str:
            found = await self._found(run)
            if found != self.limits:
                return f"{found} in the proxy's clusters, not {self.limits}" if found else "the cluster"
            ejected = (await self.target.counted(run)).ejected
            return f"{self.target.service}, which is ejected because it has erred" if ejected else ""

        await run.wait(
            f"the proxy of {self.target.client.workload} to have the limits",
            missing,
            seconds=self.seconds,
            every=0.1,
            next_command=self.commands(run)[0],
        )

    def commands(self, run: Run) -> tuple[str, ...]:
        return (self.target.typed("clusters"),)

    async def _found(self, run: Run) -> Limits | None:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.mesh.proxy_stats import CONTAINER

        client = self.target.client
        words = ("pilot-agent", "request", "GET", "clusters")
        done = await Kubectl.of(run).exec(client.namespace, client.workload, words, container=CONTAINER)
        cluster = rf"outbound\|{self.target.port}\|\|{self.target.service}\.{client.namespace}\.[^:]+"
        line = rf"(?m)^{cluster}::default_priority::max_(connections|pending_requests)::(\d+)$"
        there = {name: int(count) for name, count in re.findall(line, done.stdout)}
        return Limits(there["connections"], there["pending_requests"]) if len(there) == 2 else None


@dataclass(frozen=True, slots=True)
class Expected:
    """Of a load: `all` good; or `some` refused, and `more` of them than in the load before. With none of these,
    chance decides, and only the proxy's account is checked. `calls` are of each connection."""

    connections: int
    calls: int
    all: bool = False
    some: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Loads:
    """Loads one after the other, all accounted for by the proxy of the client."""

    target: Target
    path: str
    expected: tuple[Expected, ...]

    async def prove(self, run: Run) -> Verdict:
        from workshop.traffic.claims import judge_all, judge_some
        from workshop.traffic.compare import differs

        found: list[Verdict] = []
        previous: Load | None = None
        counted = await self.target.counted(run)
        for one in self.expected:
            load = await self._load(run, one)
            before, counted = counted, await self.target.counted(run)
            bad = load.of(REFUSED)
            parts = [_accounted(bad, (counted - before).overflow)]
            if one.all:
                parts.append(judge_all(load.of(GOOD), load.calls, NOTICED))
            if one.some:
                parts.append(judge_some(bad, load.calls, NOTICED, what=f"{REFUSED}s"))
            if one.more and previous is not None:
                parts.append(
                    differs(bad, load.calls, previous.of(REFUSED), previous.calls, NOTICED, what=f"{REFUSED}s")
                )
            said = joined(parts)
            if said.kind == "pass":
                words = f"{bad or 'none'} of {load.calls} refused{', more beyond chance' * one.more}"
                said = replace(said, reason=words)
            said = replace(said, reason=f"{_connections(one.connections)}: {said.reason}")
            found.append(replace(said, measurements=(_measured(_connections(one.connections), load, one),)))
            previous = load
        verdict = joined(found)
        if verdict.kind != "pass":
            return verdict
        return replace(verdict, reason=f"{verdict.reason}; the proxy counts as many overflows")

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
        from workshop.runbook import events

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
    lack of room."""

    target: Target
    path: str
    calls: int = 100

    async def prove(self, run: Run) -> Verdict:
        from workshop.traffic.claims import judge_all

        status = await self.target.client.curl(run, self.target.url("/status/500"))
        if status != 500:
            return Verdict("inconclusive", f"the request for an error was answered with {status}")

        async def missing() -> str:
            return "" if (await self.target.counted(run)).ejected else "an ejection in the proxy's statistics"

        await run.wait(
            f"{self.target.service} to be ejected", missing, seconds=30.0, next_command=self.commands(run)[-1]
        )
        before = await self.target.counted(run)
        load = await self.target.client.load(run, self.target.url(self.path), connections=1, calls=self.calls)
        after = await self.target.counted(run)
        refused = judge_all(load.of(REFUSED), load.calls, NOTICED)
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


def _accounted(refused: int, overflow: int) -> Verdict:
    if refused == overflow:
        return Verdict("pass", f"the proxy counts {overflow} overflows")
    return Verdict("fail", f"{refused} answers were {REFUSED}, but the proxy counts {overflow} overflows")


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
