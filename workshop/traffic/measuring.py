"""What a probe does: wait until the change is visible, then measure once.

Configuration propagates eventually. Small samples are taken, at growing intervals, until one no longer contradicts
the expected split; then the number of requests that the calculation asks for (`verdict`) is sent. A sample only
decides when to measure and is no part of the measurement. The waiting is bounded: a change that does not arrive is
measured as well, and fails. A sample tells one stage from another, not a deviation of a few percentage points; the
verdict does that.

Where the probe has a control, a slow machine does not decide. What it may have changed is lost (`controlled`); what
then is inconclusive is measured again once a control comes in time, with fewer requests at once, a few times and
within the probe's time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from workshop.runbook import events
from workshop.runbook.results import Bar, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic import controlled
from workshop.traffic.client import LoginError
from workshop.traffic.latency import of_samples
from workshop.traffic.load import UNRECOGNISED, Result, send
from workshop.traffic.probe import Control, Probe
from workshop.traffic.verdict import Plan, implausible, judge, sample_size

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0

FEWER = 4
"""Into how much of `concurrency` each further try goes."""


async def measure(probe: Probe, run: Run, base_url: str) -> Verdict:
    """Emits `events.Waiting` while the change is not visible, then `events.Progress`."""
    plan = probe.plan()
    url = base_url.rstrip("/") + probe.path
    unseen = await _visible(probe, plan, run, url)
    try:
        found, result, times = await _measured(probe, plan, run, url)
    except LoginError as error:
        return Verdict("inconclusive", str(error), (_measurement(probe, plan, Result()),))
    said = [found.reason, _troubles(result)]
    if probe.control is not None and found.kind != "pass":
        if UNRECOGNISED in result.errors:
            said.append("unrecognised are those that took a time of no category")
        said.append(_slowness(probe.control, result))
    if times > 1:
        said.append(f"measured {times} times, as too few could be told, with fewer at once each time")
    if found.kind != "pass" and unseen:
        said.append(not_seen(run, result, probe.visible_within))
    return replace(found, reason="; ".join(filter(None, said)), measurements=(_measurement(probe, plan, result),))


def not_seen(run: Run, result: Result, within: float) -> str:
    """That what was waited for was not to be seen. Where nothing has been changed, that is not why."""
    if result.answers:
        what = "what is expected was not to be seen" if run.only_looks else "the change was not visible"
    else:
        answered = any(kind == UNRECOGNISED or kind.startswith("HTTP ") for kind in result.errors)
        what = "no other answer came" if answered else "no answer came"
    return f"{what} within {min(within, run.patience):g} s"


async def _measured(probe: Probe, plan: Plan, run: Run, url: str) -> tuple[Verdict, Result, int]:
    """The first measurement that proves something, or the last one, and which one it is. Raises LoginError."""
    until, title, times = time.monotonic() + probe.within, probe.title, 1
    while True:
        progress = partial(_progress, run, title)
        result = await _send(probe, url, plan.n, plan.spare, until - time.monotonic(), progress)
        found = judge(plan, result.counts, result.failed, result.lost)
        over = times == probe.tries or time.monotonic() >= until
        if found.kind != "inconclusive" or over or not _for_slowness(result):
            return found, result, times
        if not await _calm(probe, run, url):
            return found, result, times
        times += 1
        probe = replace(probe, concurrency=max(1, probe.concurrency // FEWER))
        title = f"{probe.title}, once more, with {probe.concurrency} at once at most"


async def _calm(probe: Probe, run: Run, url: str) -> bool:
    """Wait until a control comes in time while nothing else is sent. False when none does."""
    assert probe.control is not None, "without one nothing is slow"
    what, pause, started = f"{probe.title}: the machine to be less busy", FIRST_PAUSE, time.monotonic()
    while True:
        result = await _send(probe, url, 0, 0, probe.request_timeout, None)
        if result.controls and result.controls[-1] <= probe.control.within and not result.control_trouble:
            return True
        waited = time.monotonic() - started
        if waited >= probe.visible_within:
            return False
        run.emit(events.Waiting(run.lab, what, _slowness(probe.control, result), waited, probe.visible_within))
        await asyncio.sleep(min(pause, probe.visible_within - waited))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _progress(run: Run, title: str, done: int, total: int) -> None:
    run.emit(events.Progress(run.lab, title, done, total))


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


async def _visible(probe: Probe, plan: Plan, run: Run, url: str) -> str:
    """Wait for it. Returns what still contradicts when the time is up, else ""."""
    size, pause, started = sample_size(plan), FIRST_PAUSE, time.monotonic()
    what, within = f"{probe.title}: the change to be visible", min(probe.visible_within, run.patience)
    while True:
        left = within - (time.monotonic() - started)
        missing = await _sample(probe, plan, url, size, max(left, probe.request_timeout))
        waited = time.monotonic() - started
        if not missing or waited >= within:
            return missing
        run.emit(events.Waiting(run.lab, what, missing, waited, within))
        await asyncio.sleep(min(pause, within - waited))
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _sample(probe: Probe, plan: Plan, url: str, size: int, within: float) -> str:
    try:
        result = await _send(probe, url, size, size, within, None)
    except LoginError as error:
        return str(error)
    # What a slow machine has lost contradicts nothing, unless it is most of it.
    if result.answers < (size // 2 if probe.control else size):
        return _troubles(result) or f"{result.answers} of {size} answers"
    return ", ".join(
        f"{label} {result.counts.get(label, 0)} of {result.answers}, expected {plan.ranges[label].share:.0%}"
        for label in implausible(plan, result.counts)
    )


async def _send(
    probe: Probe, url: str, count: int, may_lose: int, within: float, progress: Callable[[int, int], None] | None
) -> Result:
    if probe.control is not None:
        return await controlled.send(
            url,
            count=count,
            classify=probe.classify,
            control=probe.control,
            concurrency=probe.concurrency,
            may_lose=may_lose,
            headers=dict(probe.headers),
            login=probe.login,
            request_timeout=probe.request_timeout,
            within=within,
            progress=progress,
        )
    return await send(
        url,
        count=count,
        classify=probe.classify,
        concurrency=probe.concurrency,
        headers=dict(probe.headers),
        login=probe.login,
        request_timeout=probe.request_timeout,
        within=within,
        progress=progress,
    )


def _measurement(probe: Probe, plan: Plan, result: Result) -> Measurement:
    bars = []
    for category in probe.categories:
        it = plan.ranges[category.label]
        measured = result.counts.get(category.label, 0) / result.answers if result.answers else 0.0
        bars.append(Bar(category.label, measured, it.share, (it.low / plan.n, it.high / plan.n), category.colour))
    times = of_samples(result.latencies) if probe.latencies else None
    return Measurement(probe.title, tuple(bars), result.answers, result.seconds, result.failed, times)


def _troubles(result: Result) -> str:
    return "; ".join(
        f"{kind}: {trouble.count}" + (f" ({trouble.example})" if trouble.example else "")
        for kind, trouble in result.errors.items()
    )
