"""What a stage of a guarded promotion proves: is there data, is the split right, does the new version fail more
often than the stable one, is it slower? Without data nothing is judged; of the others the first bad one decides.

**Data** are what the caller's own proxy counted for each version while the load was sent, so nothing has to be
guessed from what users see: a caller that tries again hides errors from them, and a page does not tell who made it.
An error is a call without an answer of 2xx, so also one that was reset or that the caller gave up.

**Split.** Of the calls at a stage, the new version's are binomial. More or fewer than chance explains, but in one
stage of a hundred thousand, is a wrong split. What a proxy tries again by itself it counts again, and some calls
stay without an answer. So there is a lowest and a highest number of calls, the same when all goes well, and a split
is wrong only when the one is too high or the other too low.

**Errors and P99** are compared with the stable version's at the same time, as a busy machine makes both slower; at
100 % with those of the stage before. There the machine itself may have become slower since, so a fail needs that
what the caller calls besides, and no promotion changes, is no worse than at that stage; else it is inconclusive.
How sure that is, and how many calls it takes, is for workshop.traffic.claims to say. A P99 alone says little: of
150 calls it is the second slowest. What can be told is whether more of the new version's calls are slower than a
bound: the stable P99 times the factor allowed, but not below FLOOR, and rounded up to a bound of the proxy's
buckets, as between two of them nothing is known. By how much more is SLOWER. The bound comes from the answers that
are compared, which makes the stable version's share one of 1 % at most; that is small beside SLOWER.

**Two looks.** Where the new version gets few of the calls, many are needed until it has had enough to be called
good. That it is bad often shows much earlier, and every call more is a user's; so there the figures are looked at
once in between, and only a fail counts. Each look stops a good version in one of a thousand stages at most.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from workshop.mesh.proxy_stats import Buckets, Destination
from workshop.runbook.results import Bar, Latencies, Measurement, Verdict
from workshop.traffic.binomial import at_most, by_chance
from workshop.traffic.claims import no_worse, requests_needed
from workshop.traffic.latency import of_buckets
from workshop.traffic.verdict import ERROR, FALSE_ALARM, Plan, plan

FLOOR = 0.1
"""Seconds below which nobody takes an answer for slow (Nielsen, Usability Engineering, 5.5: 0.1 s is felt as at
once). It keeps noise out: one more hop costs some milliseconds, a pause of a busy machine some tens."""

SLOWER = 0.10
"""The share of calls above the bound, beyond the stable version's, that must be noticed."""

_ABOVE_P99 = 0.01

_SPLIT = 0.10
"""The deviation of a share that must be noticed; of a small one, most of it."""

_MOST = 0.8

_WORTH_A_LOOK = 500
"""Calls; fewer take no time."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`errors`: by what share the new version may fail more often (0.05 is five percentage points); `latency`: how
    many times the stable P99 its own may be."""

    errors: float
    latency: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What calls to one version came to: `answers` got one, `calls` are all, tries of the proxy included."""

    calls: int = 0
    answers: int = 0
    errors: int = 0
    times: Buckets = ()

    @classmethod
    def of(cls, counted: Destination) -> Counted:
        answers = sum(counted.answers.values())
        calls = max(counted.requests, answers)
        return cls(calls, answers, calls - counted.answers.get("2xx", 0), counted.latency)

    def __add__(self, other: Counted) -> Counted:
        ours, theirs = dict(self.times), dict(other.times)
        return Counted(
            self.calls + other.calls,
            self.answers + other.answers,
            self.errors + other.errors,
            tuple((upper, ours.get(upper, 0) + theirs.get(upper, 0)) for upper in sorted({*ours, *theirs})),
        )

    @property
    def latencies(self) -> Latencies | None:
        return of_buckets(self.times)

    def slower_than(self, bound: float) -> int:
        return sum(count for upper, count in self.times if upper > bound)

    @property
    def timed(self) -> int:
        return sum(count for _, count in self.times)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted at a stage in `seconds`; `elsewhere` are calls to other versions than the two, `control`
    those to another service."""

    stable: Counted = Counted()
    candidate: Counted = Counted()
    elsewhere: int = 0
    seconds: float = 0.0
    control: Counted = Counted()


@dataclass(frozen=True, slots=True)
class PromotionStage:
    """`candidate` gets `percent` of the calls, `stable` the rest. `before` are the figures of the stage before: at
    100 % those of `stable` are compared with."""

    percent: int
    stable: str
    candidate: str
    limits: Tolerance
    before: Figures = Figures()

    @property
    def share(self) -> float:
        return self.percent / 100

    @property
    def requests(self) -> int:
        """How many calls prove all of it, but for one stage of a thousand."""
        compared = max(requests_needed(self.limits.errors), requests_needed(SLOWER, bad=_ABOVE_P99))
        return max(self.split.n, _for_share(compared, self._less))

    @property
    def loads(self) -> tuple[int, ...]:
        """The same in parts, after each of which to look."""
        first, all_of_it = self.split.n, self.requests
        return (first, all_of_it - first) if all_of_it > 2 * max(first, _WORTH_A_LOOK) else (all_of_it,)

    @property
    def split(self) -> Plan:
        """What proves the split alone."""
        return _split(self.candidate, self.stable, self.share, min(_SPLIT, _MOST * self._less))

    @property
    def _less(self) -> float:
        return min(self.share, 1 - self.share) or 1.0

    def judge(self, figures: Figures) -> Verdict:
        """With the reason of what decided, and all that was measured."""
        verdict = self._data(figures)
        if verdict.kind == "pass":
            judged = [judge(figures) for judge in (self._shares, self._errors, self._slower)]
            by_kind = {one.kind: one for one in reversed(judged)}
            good = Verdict("pass", f"split, errors and P99 are good{self._compared}")
            verdict = by_kind.get("fail") or by_kind.get("inconclusive") or good
        return Verdict(verdict.kind, verdict.reason, tuple(self._measurements(figures)))

    @property
    def _compared(self) -> str:
        return f", compared with {self.stable} at the stage before" if self.percent == 100 else ""

    def _data(self, figures: Figures) -> Verdict:
        calls = figures.stable.calls + figures.candidate.calls + figures.elsewhere
        if calls >= self.split.n:
            return Verdict("pass", "")
        return Verdict("inconclusive", f"no data: {calls} calls were counted, {self.split.n} are needed")

    def _shares(self, figures: Figures) -> Verdict:
        stable, candidate = figures.stable, figures.candidate
        least, most = self._accepted(candidate.answers + stable.answers + figures.elsewhere)
        lowest, _ = self._accepted(candidate.calls + stable.calls + figures.elsewhere)
        if figures.elsewhere:
            reason = f"{figures.elsewhere} calls went to neither {self.stable} nor {self.candidate}"
        elif candidate.answers > most or candidate.calls < min(least, lowest):
            share = candidate.calls / (candidate.calls + stable.calls)
            reason = f"split: {self.candidate} got {share:.1%} of the calls instead of {self.percent} %"
        else:
            return Verdict("pass", "")
        return Verdict("fail", reason)

    def _errors(self, figures: Figures) -> Verdict:
        new, old = figures.candidate, self._reference(figures)
        what = f"errors: calls to {self.candidate} that failed"
        verdict = no_worse(new.errors, new.calls, old.errors, old.calls, self.limits.errors, what=what)
        now, then = figures.control, self.before.control
        return self._same_machine(verdict, now.errors, now.calls, then.errors, then.calls, self.limits.errors)

    def _slower(self, figures: Figures) -> Verdict:
        new, old = figures.candidate, self._reference(figures)
        bound = self.bound(figures)
        if not old.timed or not new.timed or bound is None:
            return Verdict("inconclusive", "no data: there are no latencies")
        what = f"P99: calls to {self.candidate} slower than {bound * 1000:g} ms"
        slow, slow_before = new.slower_than(bound), old.slower_than(bound)
        verdict = no_worse(slow, new.timed, slow_before, old.timed, SLOWER, what=what)
        now, then = figures.control, self.before.control
        others, before = now.slower_than(bound), then.slower_than(bound)
        return self._same_machine(verdict, others, now.timed, before, then.timed, SLOWER)

    def _same_machine(self, verdict: Verdict, now: int, n: int, then: int, m: int, margin: float) -> Verdict:
        """At 100 % a fail stands when what the promotion does not change is no worse than at the stage before."""
        if self.percent != 100 or verdict.kind != "fail":
            return verdict
        control = no_worse(now, n, then, m, margin)
        if control.kind == "pass":
            return verdict
        seen = f"{now:,} of {n:,} other calls as well, {then:,} of {m:,} at the stage before"
        return Verdict("inconclusive", f"{verdict.reason}; but the machine may be slower now: {seen}")

    def bound(self, figures: Figures) -> float | None:
        """Seconds from which on a call counts as slow; None without stable latencies."""
        reference = self._reference(figures)
        latencies = reference.latencies
        if latencies is None:
            return None
        bounds = [upper for upper, _ in reference.times]
        least = max(FLOOR, self.limits.latency * latencies.p99)
        place = bisect_left(bounds, least)
        return bounds[place] if place < len(bounds) else math.inf

    def _reference(self, figures: Figures) -> Counted:
        return self.before.stable if self.percent == 100 else figures.stable

    def _accepted(self, calls: int) -> tuple[int, int]:
        """The fewest and the most calls that the new version gets of so many, by chance."""
        return (calls, calls) if self.percent == 100 else by_chance(calls, self.share, FALSE_ALARM)

    def _measurements(self, figures: Figures) -> Iterator[Measurement]:
        stable, candidate = figures.stable, figures.candidate
        calls = stable.answers + candidate.answers + figures.elsewhere
        least, most = self._accepted(calls)
        shares = ((self.stable, stable, 1 - self.share), (self.candidate, candidate, self.share))
        ranges = ((calls - most, calls - least), (least, most))
        bars = tuple(
            Bar(name, counted.answers / (calls or 1), share, (low / (calls or 1), high / (calls or 1)))
            for (name, counted, share), (low, high) in zip(shares, ranges, strict=True)
        )
        errors = stable.errors + candidate.errors
        yield Measurement("Calls by version", bars, calls - errors, figures.seconds, errors)
        reference = (self.stable, stable, figures.seconds)
        if self.percent == 100:
            reference = (f"{self.stable}, at the stage before", self.before.stable, self.before.seconds)
        for name, counted, seconds in (reference, (self.candidate, candidate, figures.seconds)):
            good = counted.calls - counted.errors
            yield Measurement(name, (), good, seconds, counted.errors, counted.latencies)


@cache
def _split(candidate: str, stable: str, share: float, deviation: float) -> Plan:
    return plan({candidate: share, stable: 1 - share}, deviation)


def _for_share(count: int, share: float) -> int:
    """How many calls there must be for `count` of them to be of a version with that share, but for ERROR."""
    low, high = count, math.ceil(2 * count / share) + 100
    while low < high:
        middle = (low + high) // 2
        if at_most(count - 1, middle, share) <= ERROR:
            high = middle
        else:
            low = middle + 1
    return low
