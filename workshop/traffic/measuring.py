"""What a probe does: wait until the change is visible, then measure until the answers are enough.

Configuration propagates eventually. Small samples are taken, at growing intervals, until one no longer contradicts
the expected split; then requests are sent until they prove something (`sequential`), and no more than the plan
has. A sample only decides when to measure and is no part of the measurement. The waiting is bounded: a change that
does not arrive is measured as well, and fails. A sample tells one stage from another, not a deviation of a few
percentage points; the verdict does that.

Requests go in groups, each looked at as a whole when all of it is back, and as large and over as many connections
as the service makes worth it (`pace`).

Where the load has a control, a slow machine does not decide. What it may have changed is lost (`timed`). When that
is most of a sample, the next one has fewer at once, until the machine bears it. What is inconclusive for such
reasons is measured again once a control comes in time, with fewer requests at once, a few times and within the
load's time.

So is a fail because answers came later than they should: where requests wait in line for what others hold, of which
no control knows, all come late. That too many came at once no slowness explains, and it stands. Each of the
measurements has its part of both error rates (`verdict`), so whether there is another one may depend on anything:
a wrong split passes in any of them at most as rarely as is promised, and a right one fails only when the last does.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Bar, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.latency import of_samples
from workshop.traffic.load import Load, Result, send
from workshop.traffic.pace import Pace, merged
from workshop.traffic.sequential import Sequential
from workshop.traffic.side_requests import Control, LoginError
from workshop.traffic.timed import Timed, ask_alone, contradicting, send_timed, troubles
from workshop.traffic.verdict import sample_size

FEWER = 8
"""By how much the concurrency of a load is divided when the machine did not bear it, and for each further try: from
256 to 32 and 4, which a server with eight workers bears."""

FEW = 4
"""Requests that show whether a machine is less busy."""

AHEAD = 20
"""A sample is this part of a plan where it goes ahead of the measurement, as its answers are waited for."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """A probe at its address. `test` is for the categories that `load` tells apart, of which those in `colours` are
    shown; `tries` is how many times it is measured while nothing can be told, `visible_within` how many seconds are
    waited for the change to be visible. An answer of a category in `prompt` after so many seconds is a slow one."""

    title: str
    load: Load
    test: Sequential
    colours: Mapping[str, str]
    tries: int
    visible_within: float
    with_latencies: bool
    prompt: Mapping[str, float] = field(default_factory=dict)

    async def measure(self, run: Run) -> Verdict:
        """Emits `events.Waiting` while the change is not visible, then `events.Progress`."""
        try:
            if self.load.control is not None:
                return await self._beside_controls(run, self.load.control)
            pace = Pace(self.load.concurrency, self.load.request_timeout)
            unseen = await self._visible(run, pace)
            found, result, sent = await self._in_groups(run, pace)
        except LoginError as error:
            return Verdict("inconclusive", str(error), (self._measurement(Result(), 0, passed=False),))
        said = [found.reason, troubles(result)]
        if found.kind != "pass" and unseen:
            said.append(not_seen(run, result, self.visible_within))
        return self._said(found, said, result, sent)

    def _said(self, found: Verdict, said: list[str], result: Result, sent: int) -> Verdict:
        measurement = self._measurement(result, sent, passed=found.kind == "pass")
        return replace(found, reason="; ".join(filter(None, said)), measurements=(measurement,))

    async def _in_groups(self, run: Run, pace: Pace) -> tuple[Verdict, Result, int]:
        """Until something is proved, or nothing can be any more."""
        test, most, sent = self.test, self.test.last.n, 0
        until, result, found = time.monotonic() + self.load.within, Result(), Verdict("inconclusive", "")
        while sent < most:
            size = pace.size(sent, test.least, most)
            load = replace(pace.load(self.load), within=max(0.001, until - time.monotonic()))
            last = await send(load, size, progress=show_progress(run, self.title, sent, most))
            result, sent = merged(result, last), sent + size
            pace.saw(last, most - sent)
            missing = sent - result.answers - result.failed
            found = test.judge(result.counts, result.failed, 0, missing)
            if found.kind != "inconclusive" or missing:
                break
            if sent >= test.least and not test.possible(result.failed, 0):
                break
        run.emit(events.Progress(run.lab, self.title, sent, sent))
        return found, result, sent

    async def _beside_controls(self, run: Run, control: Control) -> Verdict:
        """By the first measurement that proves something, or the last one."""
        until, load = time.monotonic() + self.load.within, self.load
        times, seen, unseen = 0, False, ""
        while True:
            found, still, load = await self._timed(run, load, until, sample=not seen)
            later = found.verdict.kind == "fail" and self._later(found.result.counts)
            if found.slow:
                again = load.concurrency > self._fewest
            else:
                seen, unseen, times = True, unseen or still, times + 1
                untold = found.verdict.kind == "inconclusive" and _for_slowness(found)
                again = times < self.tries and (untold or (later and load.concurrency > self._fewest))
            if not again or time.monotonic() >= until or not await self._calm(run, load, until):
                break
            load = self._with_fewer(load)
        if found.sent:
            done = found.sent if found.verdict.kind != "inconclusive" else self.test.last.n
            run.emit(events.Progress(run.lab, self._named(load), found.sent, done))
        if later and again:
            why = f"which fewer than {load.concurrency} at once might not"
            reason = f"{found.verdict.reason}; they came later than expected, {why}: too few to tell"
            found.verdict = Verdict("inconclusive", reason)
        said = [found.verdict.reason, troubles(found.result)]
        if found.verdict.kind != "pass":
            if found.odd:
                said.append(f"{found.odd:,} took a time of no category")
            said.append(_slowness(control, found.result))
        if times > 1:
            said.append(f"measured {times} times, as too few could be told, with fewer at once each time")
        if found.verdict.kind != "pass" and unseen:
            said.append(not_seen(run, found.result, self.visible_within))
        return self._said(found.verdict, said, found.result, found.sent)

    @property
    def _fewest(self) -> int:
        """At once, in the last of all tries."""
        return max(1, self.load.concurrency // int(FEWER ** (self.tries - 1)))

    def _with_fewer(self, load: Load) -> Load:
        return replace(load, concurrency=max(self._fewest, load.concurrency // FEWER))

    def _named(self, load: Load) -> str:
        if load.concurrency == self.load.concurrency:
            return self.title
        return f"{self.title}, once more, with {load.concurrency} at once at most"

    def _later(self, counts: Mapping[str, int]) -> bool:
        """Whether answers are as expected, but for coming later."""
        answers = sum(counts.get(label, 0) for label in self.colours)
        prompt = sum(counts.get(label, 0) for label in self.prompt)
        expected = sum(self.test.last.ranges[label].share for label in self.prompt)
        return answers == sum(counts.values()) > 0 and prompt < answers * expected

    async def _timed(self, run: Run, load: Load, until: float, *, sample: bool) -> tuple[Timed, str, Load]:
        """With a sample ahead, once that contradicts nothing. Returns what still does when the time is up, and the
        load with no more at once than what may be why a sample came late."""
        found, late = Timed(), False

        async def once(size: int) -> None:
            nonlocal found
            found = Timed()
            left = replace(load, within=max(0.001, until - time.monotonic()))
            shown = show_progress(run, self._named(load))
            found = await send_timed(left, self.test, sample=size, prompt=self.prompt, progress=shown)

        async def missing() -> str:
            nonlocal load, late
            try:
                await once(sample_size(self.test.last, parts=AHEAD))
            except LoginError as error:
                return str(error)
            before, late = late, bool(found.contradicts) and self._later(found.sampled)
            if before and late:  # one alone may be of what was there before the change
                load = self._with_fewer(load)
            return found.contradicts

        still = ""
        if sample:
            within = min(self.visible_within, run.patience)
            still = await wait_in_vain(run, f"{self.title}: the change to be visible", missing, seconds=within)
        if still or not sample:
            await once(0)
        return found, still, load

    async def _calm(self, run: Run, load: Load, until: float) -> bool:
        """Wait until a control comes in time while hardly anything else is sent: False when none does. And for an
        answer that comes at once, where some should: what has been given up may still hold others up."""
        control, what = load.control, f"{self.title}: the machine to be less busy"
        assert control is not None, "without one nothing is slow"
        prompt = [label for label in self.prompt if self.test.last.ranges[label].share > 0]
        slow = True

        async def missing() -> str:
            nonlocal slow
            result = await ask_alone(load)
            slow = result.controls[0] > control.within or bool(result.control_trouble)
            if slow:
                return _slowness(control, result) or "a control"
            few = await ask_alone(load, FEW if prompt else 0)
            if not prompt or any(few.counts.get(label) for label in prompt):
                return ""
            return f"none of {FEW} answers is {' or '.join(prompt)}"

        seconds = max(0.0, min(self.visible_within, until - time.monotonic()))
        await wait_in_vain(run, what, missing, seconds=seconds)
        return not slow

    async def _visible(self, run: Run, pace: Pace) -> str:
        """Wait for it. Returns what still contradicts when the time is up, else ""."""
        within = min(self.visible_within, run.patience)
        until = time.monotonic() + within
        size = sample_size(self.test.last)

        async def missing() -> str:
            left = max(until - time.monotonic(), self.load.request_timeout)
            try:
                result = await send(replace(self.load, within=left), size)
            except LoginError as error:
                return str(error)
            pace.saw(result, 0)
            if result.answers < size:
                return troubles(result) or f"{result.answers} of {size} answers"
            return contradicting(self.test, result)

        return await wait_in_vain(run, f"{self.title}: the change to be visible", missing, seconds=within)

    def _measurement(self, result: Result, sent: int, *, passed: bool) -> Measurement:
        """`sent` were looked at, and so many are accepted of those."""
        bars = []
        for label, colour in self.colours.items():
            measured = result.counts.get(label, 0) / result.answers if result.answers else 0.0
            accepted = self.test.accepted(label, sent, passed=passed)
            bars.append(Bar(label, measured, self.test.last.ranges[label].share, accepted, colour))
        times = of_samples(result.latencies) if self.with_latencies else None
        return Measurement(self.title, tuple(bars), result.answers, result.seconds, result.failed, times)


def show_progress(run: Run, title: str, before: int = 0, most: int = 0) -> Callable[[int, int], None]:
    """What shows the progress of a load, of which `before` are done already, of `most` in all."""
    return lambda done, total: run.emit(events.Progress(run.lab, title, before + done, most or total))


async def wait_in_vain(run: Run, what: str, missing: Callable[[], Awaitable[str]], *, seconds: float) -> str:
    """Wait until nothing is missing, as `Run.wait` does; what still is when time is up is returned, not raised."""
    still = ""

    async def watched() -> str:
        nonlocal still
        still = ""
        still = await missing()
        return still

    try:
        await run.wait(what, watched, seconds=seconds)
    except WorkshopError:
        if not still:
            raise  # this is what `missing` has met
    return still


def not_seen(run: Run, result: Result, within: float) -> str:
    """That what was waited for was not to be seen. Where nothing has been changed, that is not why."""
    if result.answers:
        what = "what is expected was not to be seen" if run.only_looks else "the change was not visible"
    else:
        what = "no other answer came" if result.latencies else "no answer came"
    return f"{what} within {min(within, run.patience):g} s"


def _for_slowness(found: Timed) -> bool:
    """Whether a slow machine may be why nothing can be told: not where most answers are of no use."""
    return 2 * (found.odd + found.result.failed) <= found.sent


def _slowness(control: Control, result: Result) -> str:
    """What the controls say of the machine."""
    path = f"{control.path}, which nothing delays,"
    if result.control_trouble:
        return f"{path} did not answer as it should meanwhile: {result.control_trouble}"
    if not result.controls:
        return ""
    longest, half = result.controls[-1], result.controls[len(result.controls) // 2]
    took = f"{path} took {half:.2g} s at the median and {longest:.2g} s at most meanwhile"
    slow = longest > control.within
    return f"the machine is slow: {took}, where {control.within:.2g} s are the most" if slow else took
