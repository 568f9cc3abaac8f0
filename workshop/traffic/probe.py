"""Measured traffic: where to send requests, how to tell the answers apart, what to expect, and whether it is so.

A probe is a declaration, as labs make it; `invoke --list` imports this module, so what sends requests is imported
when one measures. What it does: wait until the change is visible, then measure once.

Configuration propagates eventually. Small samples are taken, at growing intervals, until one no longer contradicts
the expected split; then the number of requests that the calculation asks for (`verdict`) is sent. A sample only
decides when to measure and is no part of the measurement. The waiting is bounded: a change that does not arrive is
measured as well, and fails. A sample tells one stage from another, not a deviation of a few percentage points; the
verdict does that.

Where the probe has a control, a slow machine does not decide. What it may have changed is lost (`load`); what then
is inconclusive is measured again once a control comes in time, with fewer requests at once, a few times and within
the probe's time.
"""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Bar, Hint, Measurement, Verdict
from workshop.traffic.latency import of_samples
from workshop.traffic.side_requests import Control, Login, LoginError
from workshop.traffic.verdict import Plan, implausible, judge, plan, sample_size

if TYPE_CHECKING:
    from workshop.runbook.run import Run
    from workshop.traffic.load import Load, Progress, Result


TRIES = 3
"""How many times a probe with a control is measured while nothing can be told."""

FEWER = 4
"""Into how much of `concurrency` each further try goes."""

OTHER = "other answers"

_ROUNDING = 1e-9
_COUNTED, _TIMED = 100, 10
"""How many answers a person is told to count, and to wait for where time tells them apart."""


@dataclass(frozen=True, slots=True)
class Category:
    """Answers of one kind: of this `status`, with a body that has the regular expression or passes the test.

    `within` also asks for an answer that took so many seconds: from the first bound up to, but not including, the
    second (which may be infinite). A wait never ends early but may end late on a busy machine: bounds belong just
    below a wait and well above it, and what comes in between is better of no category than of a wrong one: 0 to 1.5
    s and 2.8 to 4.5 s for "at once" and "after 3 s".

    Raises ValueError for bounds that no time is between.
    """

    label: str
    body: str | Callable[[str], bool]
    colour: str = ""
    status: int = 200
    within: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.within is not None and not 0 <= self.within[0] < self.within[1]:
            raise ValueError(f"category {self.label!r}: no time is between {self.within[0]} and {self.within[1]} s")

    def matches(self, status: int, body: str, seconds: float) -> bool:
        return (not self.within or self.within[0] <= seconds < self.within[1]) and self.fits(status, body)

    def fits(self, status: int, body: str) -> bool:
        """Whenever it came."""
        if status != self.status:
            return False
        return re.search(self.body, body) is not None if isinstance(self.body, str) else self.body(body)


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests to `path` and the share of them that each category is expected to get.

    `expected` are shares in the order of `categories`, adding up to 1. `deviation` is the smallest one that must
    be noticed in any category (0.10 is ten percentage points); it decides the number of requests. An answer of no
    category, or of several, is an error; with a control one of status 200 whose body fits none of them is of the
    category OTHER, of which none is expected, as no slowness explains it. Times are in seconds: `visible_within`
    for the change to arrive, `within` for the measurement as a whole, `request_timeout` for each request.
    `latencies` asks for the histogram as well. `telling` is an extended regular expression (grep -E) whose first
    match in an answer shows a person which category it is of; one without a match shows as its HTTP status. `page`
    is what a person opens instead of `path`, where that is for programs.

    Where time tells answers apart, or may change them, a slow machine must not decide: `control` says how it
    shows. Answers that it may have changed are lost, and what is inconclusive for such reasons is measured again,
    with fewer at once, `tries` times in all. With a control `concurrency` is the most that are under way at once;
    without one it is how many always are.

    Shares may come from a lab's options, so all figures are checked here. Raises ValueError.
    """

    title: str
    path: str
    categories: tuple[Category, ...]
    expected: tuple[float, ...]
    deviation: float = 0.10
    headers: tuple[tuple[str, str], ...] = ()
    login: Login | None = None
    concurrency: int = 16
    request_timeout: float = 15.0
    visible_within: float = 30.0
    within: float = 120.0
    latencies: bool = False
    control: Control | None = None
    telling: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        wrong = self._wrong()
        if wrong:
            raise ValueError(f"probe {self.title!r}: {wrong}")

    def _wrong(self) -> str:
        labels = {category.label for category in self.categories}
        if len(self.expected) != len(self.categories) or len(labels - {OTHER}) != len(self.categories):
            return "each category needs a label of its own and a share"
        if not all(0 <= share <= 1 for share in self.expected) or abs(math.fsum(self.expected) - 1) > _ROUNDING:
            return f"the expected shares must be from 0 to 1 and add up to 1, not {self.expected}"
        if not 0 < self.deviation < 1:
            return f"the deviation to notice must be between 0 and 1, not {self.deviation}"
        if self.concurrency < 1:
            return f"the concurrency must be 1 or more, not {self.concurrency}"
        if not all(seconds > 0 for seconds in (self.request_timeout, self.visible_within, self.within)):
            return "times must be more than 0 s"
        if self.control is None and any(it.within for it in self.categories):
            return "answers are told apart by time, and no control says how slow the machine is"
        if self.control is not None and not self.control.within > 0:
            return f"a control cannot come within {self.control.within:g} s"
        late = [it.label for it in self.categories if it.within and it.within[0] >= self.request_timeout]
        return f"{late[0]!r} can have no answer within {self.request_timeout:g} s" if late else ""

    def load(self, base_url: str) -> Load:
        from workshop.traffic.load import Load

        return Load(
            base_url.rstrip("/") + self.path,
            self.classify,
            self.concurrency,
            self.headers,
            self.login,
            self.control,
            self.request_timeout,
            self.within,
        )

    def plan(self) -> Plan:
        """Raises ValueError for a deviation so small that nobody would wait for the measurement."""
        shares = {it.label: share for it, share in zip(self.categories, self.expected, strict=True)}
        return plan({**shares, OTHER: 0.0} if self.control else shares, self.deviation, self.tries)

    @property
    def tries(self) -> int:
        return TRIES if self.control else 1

    def classify(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        text = body.decode(errors="replace")
        found = [category.label for category in self.categories if category.matches(status, text, seconds)]
        if self.control and status == 200 and not any(category.fits(status, text) for category in self.categories):
            return OTHER
        return found[0] if len(found) == 1 else None

    def commands(self, base_url: str) -> tuple[str, ...]:
        """What a person types to see it: one answer, or a hundred that are counted; ten times, where time tells."""
        headers = "".join(f"-H '{name}: {value}' " for name, value in self.headers)
        cookies = "" if self.login is None else "-b $COOKIES "
        curl, url = f"curl -s {cookies}{headers}", f"{base_url}{self.path}"
        before = () if self.login is None else self.login.commands(base_url)
        if self.control is not None and any(it.within for it in self.categories):
            timed = f"{curl}-o /dev/null -w '%{{time_total}} s\\n' {url}"
            return (*before, *self._expected(), f"for i in $(seq {_TIMED}); do {timed}; done")
        if not self.telling:
            return (*before, f"{curl}{url}")
        told = f"grep -oE {shlex.quote(f'{self.telling}|HTTP [0-9]+')} | head -n 1"
        one = f"{curl}-w 'HTTP %{{http_code}}' {url}"
        counted = f"for i in $(seq {_COUNTED}); do {one} | {told}; done | sort | uniq -c"
        return (*before, *self._expected(), counted)

    def look_at(self, base_url: str) -> Hint:
        """Where a person sees it: in a browser, unless that cannot send the headers."""
        shares = [(category.label, share) for category, share in zip(self.categories, self.expected, strict=True)]
        seen = "; ".join(
            f"{share * 100:.3g} % {label}" if len(shares) > 1 else label for label, share in shares if share
        )
        about = f"{self.title if self.login is None else f'Log in as {self.login.who}'}: {seen}"
        if self.headers:
            return Hint("call", called(f"{base_url}{self.path}", self.headers), about)
        return Hint("open", f"{base_url}{self.page or self.path}", about)

    def _expected(self) -> tuple[str, ...]:
        """A line a share: a comment that is wrapped does not go on in a shell."""
        shares = zip(self.categories, self.expected, strict=True)
        said = (f"# expected: {share:.0%} {category.label}" for category, share in shares if share)
        return ("sleep 2  # mostly enough for a change to reach all proxies", *said)

    async def measure(self, run: Run, base_url: str) -> Verdict:
        """Wait until the change is visible at `base_url` (scheme, host and port), then measure once.

        Emits `events.Waiting` while the change is not visible, then `events.Progress`.
        """
        return await _measure(self, run, base_url)


def called(url: str, headers: tuple[tuple[str, str], ...]) -> str:
    """One request, as a person types it."""
    given = "".join(f"-H {shlex.quote(f'{name}: {value}')} " for name, value in headers)
    return f"curl -s {given}{shlex.quote(url)}"


async def _measure(probe: Probe, run: Run, base_url: str) -> Verdict:
    from workshop.traffic.load import Result

    plan, load = probe.plan(), probe.load(base_url)
    unseen = await _visible(probe, plan, run, load)
    try:
        found, result, times = await _measured(probe, plan, run, load)
    except LoginError as error:
        return Verdict("inconclusive", str(error), (_measurement(probe, plan, Result()),))
    said = [found.reason, _troubles(result)]
    if probe.control is not None and found.kind != "pass":
        if result.unrecognised:
            said.append("unrecognised are those that took a time of no category")
        said.append(_slowness(probe.control, result))
    if times > 1:
        said.append(f"measured {times} times, as too few could be told, with fewer at once each time")
    if found.kind != "pass" and unseen:
        said.append(not_seen(run, result, probe.visible_within))
    return replace(found, reason="; ".join(filter(None, said)), measurements=(_measurement(probe, plan, result),))


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


async def _measured(probe: Probe, plan: Plan, run: Run, load: Load) -> tuple[Verdict, Result, int]:
    """The first measurement that proves something, or the last one, and which one it is. Raises LoginError."""
    until, title, times = time.monotonic() + load.within, probe.title, 1
    while True:
        progress = partial(_progress, run, title)
        load = replace(load, within=until - time.monotonic())
        result = await _send(load, plan.n, plan.spare, progress)
        found = judge(plan, result.counts, result.failed, result.lost)
        over = times == probe.tries or time.monotonic() >= until
        if found.kind != "inconclusive" or over or not _for_slowness(result):
            return found, result, times
        if not await _calm(probe, run, load):
            return found, result, times
        times += 1
        load = replace(load, concurrency=max(1, load.concurrency // FEWER))
        title = f"{probe.title}, once more, with {load.concurrency} at once at most"


async def _calm(probe: Probe, run: Run, load: Load) -> bool:
    """Wait until a control comes in time while nothing else is sent. False when none does."""
    control, alone = probe.control, replace(load, within=probe.request_timeout)
    assert control is not None, "without one nothing is slow"

    async def missing() -> str:
        result = await _send(alone, 0)
        if result.controls and result.controls[-1] <= control.within and not result.control_trouble:
            return ""
        return _slowness(control, result) or "a control"

    what = f"{probe.title}: the machine to be less busy"
    return not await wait_in_vain(run, what, missing, seconds=probe.visible_within)


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


async def _visible(probe: Probe, plan: Plan, run: Run, load: Load) -> str:
    """Wait for it. Returns what still contradicts when the time is up, else ""."""
    within = min(probe.visible_within, run.patience)
    until = time.monotonic() + within

    async def missing() -> str:
        left = max(until - time.monotonic(), probe.request_timeout)
        return await _sample(probe, plan, replace(load, within=left))

    return await wait_in_vain(run, f"{probe.title}: the change to be visible", missing, seconds=within)


async def _sample(probe: Probe, plan: Plan, load: Load) -> str:
    size = sample_size(plan)
    try:
        result = await _send(load, size, size)
    except LoginError as error:
        return str(error)
    # What a slow machine has lost contradicts nothing, unless it is most of it.
    if result.answers < (size // 2 if probe.control else size):
        return _troubles(result) or f"{result.answers} of {size} answers"
    return ", ".join(
        f"{label} {result.counts.get(label, 0)} of {result.answers}, expected {plan.ranges[label].share:.0%}"
        for label in implausible(plan, result.counts)
    )


async def _send(load: Load, count: int, may_lose: int = 0, progress: Progress | None = None) -> Result:
    from workshop.traffic.load import send

    return await send(load, count, may_lose=may_lose, progress=progress)


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
