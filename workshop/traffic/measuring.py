"""What a probe does: wait until the change is visible, then measure once.

Configuration propagates eventually. Small samples are taken, at growing intervals, until one no longer contradicts
the expected split; then the number of requests that the calculation asks for (`verdict`) is sent. A sample only
decides when to measure and is no part of the measurement. The waiting is bounded: a change that does not arrive is
measured as well, and fails. A sample tells one stage from another, not a deviation of a few percentage points; the
verdict does that.

Where the load has a control, a slow machine does not decide. What it may have changed is lost (`load`); what then
is inconclusive is measured again once a control comes in time, with fewer requests at once, a few times and within
the load's time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Bar, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.latency import of_samples
from workshop.traffic.load import Load, Result, send
from workshop.traffic.side_requests import Control, LoginError
from workshop.traffic.verdict import Plan, implausible, judge, sample_size

FEWER = 4
"""Into how much of its concurrency a load is divided for each further try."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """A probe at its address. `plan` is for the categories that `load` tells apart, of which those in `colours` are
    shown; `tries` is how many times it is measured while nothing can be told, `visible_within` how many seconds are
    waited for the change to be visible."""

    title: str
    load: Load
    plan: Plan
    colours: Mapping[str, str]
    tries: int
    visible_within: float
    with_latencies: bool

    async def measure(self, run: Run) -> Verdict:
        """Emits `events.Waiting` while the change is not visible, then `events.Progress`."""
        unseen = await self._visible(run)
        try:
            found, result, times = await self._measured(run)
        except LoginError as error:
            return Verdict("inconclusive", str(error), (self._measurement(Result()),))
        said = [found.reason, _troubles(result)]
        if self.load.control is not None and found.kind != "pass":
            if result.unrecognised:
                said.append("unrecognised are those that took a time of no category")
            said.append(_slowness(self.load.control, result))
        if times > 1:
            said.append(f"measured {times} times, as too few could be told, with fewer at once each time")
        if found.kind != "pass" and unseen:
            said.append(not_seen(run, result, self.visible_within))
        return replace(found, reason="; ".join(filter(None, said)), measurements=(self._measurement(result),))

    async def _measured(self, run: Run) -> tuple[Verdict, Result, int]:
        """The first measurement that proves something, or the last one, and which one it is. Raises LoginError."""
        load, plan, times = self.load, self.plan, 1
        until, title = time.monotonic() + load.within, self.title
        while True:
            load = replace(load, within=until - time.monotonic())
            result = await send(load, plan.n, may_lose=plan.spare, progress=show_progress(run, title))
            found = judge(plan, result.counts, result.failed, result.lost)
            over = times == self.tries or time.monotonic() >= until
            if found.kind != "inconclusive" or over or not _for_slowness(result):
                return found, result, times
            if not await self._calm(run, load):
                return found, result, times
            times += 1
            load = replace(load, concurrency=max(1, load.concurrency // FEWER))
            title = f"{self.title}, once more, with {load.concurrency} at once at most"

    async def _calm(self, run: Run, load: Load) -> bool:
        """Wait until a control comes in time while nothing else is sent. False when none does."""
        control, alone = load.control, replace(load, within=load.request_timeout)
        assert control is not None, "without one nothing is slow"

        async def missing() -> str:
            result = await send(alone, 0)
            if result.controls and result.controls[-1] <= control.within and not result.control_trouble:
                return ""
            return _slowness(control, result) or "a control"

        what = f"{self.title}: the machine to be less busy"
        return not await wait_in_vain(run, what, missing, seconds=self.visible_within)

    async def _visible(self, run: Run) -> str:
        """Wait for it. Returns what still contradicts when the time is up, else ""."""
        within = min(self.visible_within, run.patience)
        until = time.monotonic() + within

        async def missing() -> str:
            return await self._sample(max(until - time.monotonic(), self.load.request_timeout))

        return await wait_in_vain(run, f"{self.title}: the change to be visible", missing, seconds=within)

    async def _sample(self, within: float) -> str:
        size = sample_size(self.plan)
        try:
            result = await send(replace(self.load, within=within), size, may_lose=size)
        except LoginError as error:
            return str(error)
        # What a slow machine has lost contradicts nothing, unless it is most of it.
        if result.answers < (size // 2 if self.load.control else size):
            return _troubles(result) or f"{result.answers} of {size} answers"
        ranges = self.plan.ranges
        return ", ".join(
            f"{label} {result.counts.get(label, 0)} of {result.answers}, expected {ranges[label].share:.0%}"
            for label in implausible(self.plan, result.counts)
        )

    def _measurement(self, result: Result) -> Measurement:
        bars, n = [], self.plan.n
        for label, colour in self.colours.items():
            it = self.plan.ranges[label]
            measured = result.counts.get(label, 0) / result.answers if result.answers else 0.0
            bars.append(Bar(label, measured, it.share, (it.low / n, it.high / n), colour))
        times = of_samples(result.latencies) if self.with_latencies else None
        return Measurement(self.title, tuple(bars), result.answers, result.seconds, result.failed, times)


def show_progress(run: Run, title: str) -> Callable[[int, int], None]:
    """What shows the progress of a load."""
    return lambda done, total: run.emit(events.Progress(run.lab, title, done, total))


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


def _for_slowness(result: Result) -> bool:
    """Whether a slow machine may be why nothing can be told: not where most answers are of no use."""
    return bool(result.lost) or result.failed <= result.answers


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


def _troubles(result: Result) -> str:
    return "; ".join(
        f"{kind}: {trouble.count}" + (f" ({trouble.example})" if trouble.example else "")
        for kind, trouble in result.errors.items()
    )
