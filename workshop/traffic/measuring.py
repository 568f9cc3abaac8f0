"""What a probe does: wait until the change is visible, then measure once.

Configuration propagates eventually. Small samples are taken, at growing intervals, until one no longer contradicts
the expected split; then the number of requests that the calculation asks for (`verdict`) is sent. A sample only
decides when to measure and is no part of the measurement. The waiting is bounded: a change that does not arrive is
measured as well, and fails. A sample tells one stage from another, not a deviation of a few percentage points; the
verdict does that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from workshop.runbook import events
from workshop.runbook.model import Bar, Measurement, Verdict
from workshop.runbook.run import Run
from workshop.traffic.client import LoginError
from workshop.traffic.latency import of_samples
from workshop.traffic.load import Result, send
from workshop.traffic.probe import Probe
from workshop.traffic.verdict import Plan, implausible, judge, sample_size

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


async def measure(probe: Probe, run: Run, base_url: str) -> Verdict:
    """Emits `events.Waiting` while the change is not visible, then `events.Progress`."""
    plan = probe.plan()
    url = base_url.rstrip("/") + probe.path
    unseen = await _visible(probe, plan, run, url)
    try:
        result = await _send(
            probe,
            url,
            plan.n,
            probe.within,
            lambda done, total: run.emit(events.Progress(run.lab, probe.title, done, total)),
        )
    except LoginError as error:
        return Verdict("inconclusive", str(error), (_measurement(probe, plan, Result()),))
    found = judge(plan, result.counts, result.failed)
    reason = "; ".join(part for part in (found.reason, _troubles(result)) if part)
    if found.kind != "pass" and unseen:
        reason += f"; the change was not visible within {probe.visible_within:g} s"
    return replace(found, reason=reason, measurements=(_measurement(probe, plan, result),))


async def _visible(probe: Probe, plan: Plan, run: Run, url: str) -> str:
    """Wait for it. Returns what still contradicts when the time is up, else ""."""
    size, pause, started = sample_size(plan), FIRST_PAUSE, time.monotonic()
    what = f"{probe.title}: the change to be visible"
    while True:
        left = probe.visible_within - (time.monotonic() - started)
        missing = await _sample(probe, plan, url, size, max(left, probe.request_timeout))
        waited = time.monotonic() - started
        if not missing or waited >= probe.visible_within:
            return missing
        run.emit(events.Waiting(run.lab, what, missing, waited, probe.visible_within))
        await asyncio.sleep(min(pause, probe.visible_within - waited))
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _sample(probe: Probe, plan: Plan, url: str, size: int, within: float) -> str:
    try:
        result = await _send(probe, url, size, within, None)
    except LoginError as error:
        return str(error)
    if result.answers < size:
        return _troubles(result) or f"{result.answers} of {size} answers"
    return ", ".join(
        f"{label} {result.counts.get(label, 0)} of {size}, expected {plan.ranges[label].share:.0%}"
        for label in implausible(plan, result.counts)
    )


async def _send(
    probe: Probe, url: str, count: int, within: float, progress: Callable[[int, int], None] | None
) -> Result:
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
