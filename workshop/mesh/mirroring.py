"""Mirrored requests, counted where they arrive: in the log of the workload that gets the copies.

Whoever sends a request learns nothing of its copy: nobody waits for the copy's answer, and there is none to be
seen. So each measurement's requests carry a mark of their own in the query, and the receiver's access log is asked
for it. Copies may arrive after the answers did; the log is read until their number stays the same. For how long
depends on the machine: on one where reading it once takes a second, a pause of half a second says nothing. And what
has no answer (a timeout, a lost connection) is no answer of another version: callers are then told nothing of.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workshop.kubernetes.ingress import Address, Ingress, url
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.other_clusters import run_on, typed_for
from workshop.mesh.breaker import joined
from workshop.runbook import events
from workshop.runbook.results import Bar, Hint, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.claims import COUNTED, NOT_COUNTED, counting, judge_all, judge_count
from workshop.traffic.probe import Category, called
from workshop.traffic.verdict import implausible, sample_size

if TYPE_CHECKING:
    from workshop.traffic.load import Result
    from workshop.traffic.pace import Pace
    from workshop.traffic.sequential import Sequential

INGRESS = Ingress()
PARAMETER = "probe"
"""The query's, with the mark as its value."""
_TYPED = 100
"""How many requests a person is told to send."""

CONNECTIONS, TIMEOUT = 16, 15.0
"""At first, and in seconds."""

ALL_NOTICED = 0.10
"""The share of callers that see another version that is noticed, of whom there should be none."""
ALL_SEEN = 66
"""So many answers are needed for that (log ERROR / log 0.9)."""

READINGS = 3
"""For how many readings of the log, as long as the longest of them, no copy may have come."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The pods that get the copies, by label; `cluster` is the other one of the target's that has them, if any."""

    label: str
    namespace: str
    selector: str
    container: str
    cluster: str = ""

    def words(self, *which: str) -> tuple[str, ...]:
        """The arguments of kubectl; `which` lines instead of all of late."""
        lines = which or ("--tail=-1", "--since=10m")
        return ("logs", "-n", self.namespace, "-l", self.selector, "-c", self.container, *lines)

    async def count(self, run: Run, mark: str) -> int:
        """How many requests with the mark are in its log."""
        there = run_on(run, self.cluster) if self.cluster else run
        assert there is not None, f"the target has no cluster {self.cluster}"
        return (await Kubectl.of(there).call(*self.words())).count(mark)


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The proof that all requests from outside to `path` are answered by the `callers_see` category alone, while
    the share `share` of them is copied to the receiver; `deviation` is noticed. Times are in seconds: `settled` is
    for how long no copy may have come, `late` how long copies are waited for."""

    path: str
    callers_see: Category
    never: Category
    receiver: Receiver
    share: float
    headers: tuple[tuple[str, str], ...] = ()
    deviation: float = 0.10
    ingress: Ingress = INGRESS
    visible_within: float = 30.0
    settled: float = 0.4
    late: float = 10.0

    async def prove(self, run: Run) -> Verdict:
        from workshop.traffic.measuring import not_seen
        from workshop.traffic.pace import Pace

        base_url = await run.observe(self.ingress)
        pace = Pace(CONNECTIONS, TIMEOUT)
        unseen = await self._visible(run, base_url, pace)
        result, sent, copies = await self._copies(run, base_url, pace)
        callers = self._callers(result, sent)
        callers = replace(callers, measurements=(self._measured(result),))
        # Of requests that got no answer, none may have come far enough to be copied.
        untold = callers.kind == "inconclusive"
        verdict = joined([callers, replace(copies, kind="inconclusive") if untold else copies])
        if verdict.kind != "pass" and unseen:
            late = f"{not_seen(run, result, self.visible_within)} ({unseen})"
            verdict = replace(verdict, reason=f"{verdict.reason}; {late}")
        return verdict

    async def _copies(self, run: Run, base_url: str, pace: Pace) -> tuple[Result, int, Verdict]:
        """What callers got, how many requests were sent, and what their copies say: once they say something, or
        callers do. A look at the log takes long, so as many are sent as are served meanwhile."""
        from workshop.traffic.load import Result
        from workshop.traffic.pace import merged

        test, mark, result, sent = self._test(), _mark(), Result(), 0
        most = test.last.n
        while True:
            enough = min(most, max(test.least, ALL_SEEN, sent + int(pace.rate * pace.look)))
            while sent < enough:
                size = pace.size(sent, enough, enough)
                last = await self._send(run, base_url, mark, size, pace, (sent, most))
                result, sent = merged(result, last), sent + size
                pace.saw(last, enough - sent)
                if result.answers < sent or result.counts.get(self.never.label):
                    break
            began = time.monotonic()
            received = await self._arrived(run, mark, result.answers)
            pace.look = time.monotonic() - began
            copies = judge_count(
                test,
                sent,
                received,
                title=f"Copies in the log of {self.receiver.label}",
                label="copied",
                seconds=result.seconds,
                colour="green",
            )
            if copies.kind != "inconclusive" or sent < enough or sent >= most or result.answers < sent:
                run.emit(events.Progress(run.lab, self._progress(), sent, sent))
                return result, sent, copies

    def _callers(self, result: Result, sent: int) -> Verdict:
        never = result.counts.get(self.never.label, 0)
        if never:
            return Verdict("fail", f"{never:,} of {sent:,} callers see {self.never.label}")
        if result.answers < sent:
            troubles = "; ".join(f"{kind}: {trouble.count}" for kind, trouble in result.errors.items())
            reason = f"{sent - result.answers:,} of {sent:,} requests had no answer of either version"
            return Verdict("inconclusive", f"{reason} ({troubles or 'time was up'})")
        callers = judge_all(result.answers, sent, ALL_NOTICED if sent >= ALL_SEEN else self.deviation)
        if callers.kind != "pass":
            return callers
        return replace(callers, reason=f"all callers see {self.callers_see.label} only")

    def commands(self, run: Run) -> tuple[str, ...]:
        headers = "".join(f"-H '{name}: {value}' " for name, value in self.headers)
        send = f'curl -s -o /dev/null {headers}"http://$GATEWAY_URL{self.path}?{PARAMETER}=$MARK"'
        logs = " ".join(("kubectl", *self.receiver.words()))
        if self.receiver.cluster:
            logs = typed_for(run, self.receiver.cluster, logs)
        return (
            *self.ingress.commands(),
            "sleep 2  # mostly enough for a change to reach all proxies",
            "export MARK=$RANDOM",
            f"for i in $(seq {_TYPED}); do {send}; done",
            f"# expected: about {self.share * _TYPED:.0f} copies of {_TYPED} requests",
            f'{logs} | grep -c "{PARAMETER}=$MARK"',
        )

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        """An answer, and the last copies."""
        host, port = await run.observe(Address(self.ingress))
        there = (run_on(run, self.receiver.cluster) if self.receiver.cluster else None) or run
        logs = there.use(Kubectl).typed(" ".join(("kubectl", *self.receiver.words("--tail=5"))))
        answers, copies = self.seen(run)
        curl = called(f"{url(host, port)}{self.path}", self.headers)
        return (Hint("call", curl, answers), Hint("type", logs, copies))

    def seen(self, run: Run) -> tuple[str, str]:
        copies = f"{self.share * 100:g} % of the requests are in the log of {self.receiver.label} as well"
        return f"only {self.callers_see.label} answers", copies

    async def _visible(self, run: Run, base_url: str, pace: Pace) -> str:
        """Wait until a sample does not contradict what is expected. Returns what still does when time is up."""
        from workshop.traffic.measuring import wait_in_vain

        need = self._test().last
        size = sample_size(need)

        async def missing() -> str:
            mark = _mark()
            result = await self._send(run, base_url, mark, size, pace)
            pace.saw(result, 0)
            seen = result.counts.get(self.callers_see.label, 0)
            if seen < size:
                return f"{size - seen} of {size} answers are not of {self.callers_see.label}"
            began = time.monotonic()
            received = min(await self._arrived(run, mark, size, late=1.0), size)
            pace.look = time.monotonic() - began
            copied = {COUNTED: received, NOT_COUNTED: size - received}
            return f"{received} of {size} copied" if implausible(need, copied) else ""

        what, within = f"copies to {self.receiver.label}: the change to be visible", self.visible_within
        return await wait_in_vain(run, what, missing, seconds=min(within, run.patience))

    def _test(self) -> Sequential:
        return counting(self.share, self.deviation)

    async def _arrived(self, run: Run, mark: str, sent: int, late: float | None = None) -> int:
        """How many copies there are, once all have come: no more can, or none has for a while."""
        least = sent * self._test().accepted(COUNTED, sent, passed=False)[0]
        started = last = time.monotonic()
        count = await self.receiver.count(run, mark)
        pace = time.monotonic() - started
        while count < sent:
            now = time.monotonic()
            quiet = now - last >= max(self.settled, READINGS * pace)
            if quiet and (count >= least or now - started >= (late or self.late)):
                break
            await asyncio.sleep(0.1)
            asked, before = time.monotonic(), count
            count = await self.receiver.count(run, mark)
            read = time.monotonic()
            pace = max(pace, read - asked)
            last = last if count == before else read
        return count

    async def _send(
        self, run: Run, base_url: str, mark: str, count: int, pace: Pace, shown: tuple[int, int] | None = None
    ) -> Result:
        """`shown` are how many were sent before, and the most that will be."""
        from workshop.traffic.load import Load, send
        from workshop.traffic.measuring import show_progress

        url = f"{base_url.rstrip('/')}{self.path}?{PARAMETER}={mark}"
        progress = show_progress(run, self._progress(), *shown) if shown else None
        load = Load(url, self._classify, headers=self.headers, request_timeout=TIMEOUT)
        return await send(pace.load(load), count, progress=progress)

    def _progress(self) -> str:
        return f"Requests of which {self.share:.0%} are copied"

    def _classify(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        text = body.decode(errors="replace")
        both = (self.callers_see, self.never)
        return next((one.label for one in both if one.matches(status, text, seconds)), None)

    def _measured(self, result: Result) -> Measurement:
        bars = []
        for category, share in ((self.callers_see, 1.0), (self.never, 0.0)):
            measured = result.counts.get(category.label, 0) / result.answers if result.answers else 0.0
            bars.append(Bar(category.label, measured, share, (share, share), category.colour))
        return Measurement("What callers see", tuple(bars), result.answers, result.seconds, result.failed)


def _mark() -> str:
    return secrets.token_hex(6)
