"""How many requests prove a split, and what they prove.

**The question.** A probe sends n requests and counts the answers of each category. The mesh is expected to send
share p_i of them to category i. Two mistakes are possible:

(a) a right split is rejected, because some count is outside its accepted range by chance: in one probe of a hundred
    thousand at most (`FALSE_ALARM`). A workshop measures some twenty splits for each of thirty people; with one in
    a thousand every other workshop would have somebody search for a mistake that is none;
(b) a wrong split is accepted, where wrong means that *some* category's true share differs from p_i by the
    deviation d or more, however the other categories share the rest: in one of a thousand at most (`ERROR`).

**The calculation.** A proxy with weights picks a destination for every request independently, so the counts are
multinomial and each single count X_i is binomial(n, q_i) with the true share q_i. Accepted are all counts in
their ranges low_i <= X_i <= high_i.

For (b) it is enough that the one category that deviates notices it. P(X <= h) falls and P(X >= h) rises with the
share, so of all shares above p_i + d, that at p_i + d is hardest to notice, and in the same way p_i - d below:

    P(X_i <= high_i | n, p_i + d) <= ERROR   and   P(X_i >= low_i | n, p_i - d) <= ERROR.

The widest ranges that obey these are taken; narrower ones would only make (a) worse. Where
p_i - d is below 0 or p_i + d above 1, 0 and 1 stand in: a category that should be there and gets nothing is
always noticed, whatever d.

For (a) the tails outside the ranges are added up over the categories (Bonferroni's inequality); with exactly two
categories between 0 and 1, the second's count is n minus the first's, its range mirrors the first's, and one
category's two tails are the whole, exact probability. The smallest n for which the sum is at most FALSE_ALARM is
found by trying all n from below.

**0 and 1.** A category with share 0 must get no answer at all: a right split never breaks that, and a wrong one
passes with (1 - d)^n, so n >= log(ERROR) / log(1 - d). A share of 1 is that rule for everything else: every answer
must match.

**A slow machine.** Where time tells answers apart, those that a slow machine may have changed are lost
(`timed`): what was measured of them is not looked at. They count as answers that are missing, of any category,
so (a) and (b) hold whichever were lost: had all come out, a pass had every count in its range and a fail one out of
it. With a share of 0 or 1 nothing could be lost at all then; so a plan for several `tries` has `spare` answers that
may be, the most that still leave (b): a share of d or more has no more than so many answers but for ERROR. A pass
still needs that none of the other answers is of a category with share 0. That some are, and no more than spare, is
no fail either, only inconclusive; more than that are not one slow moment's.

What is inconclusive for such a reason is measured again, and so is a fail that slowness may explain (`measuring`).
A verdict is wrong only when one of the measurements would have been wrong with all its answers, and each is planned
with 1 / tries of both error rates; so together they are within them, whatever decides that there is another one
(Bonferroni's inequality once more). It costs a seventh more requests for three tries, and there are never more.

**What is guaranteed.** (a) and (b) at exactly the plan's n. Counts are whole numbers, so the errors do not fall
evenly as n grows: the next larger n may miss one of them by a little. That is why a probe takes exactly n answers
where fewer have not been enough (`sequential`), and why a missing answer is not left out of the sum but counted
against every category (see `judge`). Round robin spreads requests more evenly than chance, which only helps (a).
Least request favours whoever answers faster, so equal shares are then not what is to be expected; and answers that
depend on each other (a session that sticks to a version) are outside the calculation.

Sources: binomial and multinomial distribution, Bonferroni's inequality and the monotone likelihood ratio of the
binomial, as in any textbook (e.g. Casella and Berger, Statistical Inference, 8.3). No approximation is used: tails
are sums of exact terms (`binomial`). For two equal shares and d = 0.10 the normal approximation would say
(4.42 · 0.5 + 3.09 · 0.49)² / 0.1² = 1387.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from workshop.runbook.results import Verdict
from workshop.traffic.binomial import UpperTail, at_least, at_most

ERROR = 0.001
"""The most any mistake may happen: one probe of a thousand (the design's figure)."""

FALSE_ALARM = 0.00001
"""The most a right split is rejected. It costs two fifths more requests than ERROR would."""

SPARE = 0.25
"""The part of the deviation that a plan for several tries lets a slow machine take, at least."""

MOST_REQUESTS = 200_000
"""A plan that needs more is refused: nobody waits for it."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Range:
    """What is accepted of a category: its expected `share`, and `low` to `high` answers of n, both included."""

    share: float
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`n` requests and the accepted counts of each category.

    `rejects_right` bounds the probability that a right split is rejected, at most FALSE_ALARM; `accepts_wrong` that
    one off by `deviation` or more in some category is accepted, at most ERROR; both in `tries` measurements.
    `spare` answers may be lost to a slow machine.
    """

    n: int
    deviation: float
    ranges: Mapping[str, Range]
    rejects_right: float
    accepts_wrong: float
    tries: int = 1
    spare: int = 0


def plan(expected: Mapping[str, float], deviation: float, tries: int = 1, part: float = 1.0) -> Plan:
    """The smallest plan that notices `deviation` (absolute: 0.10 is ten percentage points) in any category.

    `expected` are the shares by category; they add up to 1. With `tries` it may be carried out so many times, until
    a pass, and answers may be lost. It keeps within `part` of both error rates. Raises ValueError for shares or a
    deviation that make no sense, and for a deviation so small that it needs more than MOST_REQUESTS.
    """
    shares = {label: _snap(share) for label, share in expected.items()}
    if not shares or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > _ROUNDING:
        raise ValueError(f"the expected shares must be 0 or more and add up to 1, not {dict(expected)}")
    if not 0 < deviation < 1:
        raise ValueError(f"the deviation to notice must be between 0 and 1, not {deviation}")
    sides, summed = _sides(shares, deviation)
    times = Counter(side for label in summed for side in sides[label])
    error, alarm = part * ERROR / tries, part * FALSE_ALARM / tries
    tails = {side: UpperTail(*side, error) for side in times}
    n = max(_for_zeros(shares, deviation, error, tries > 1), *(tail.n for tail in tails.values()), 1)
    while n <= MOST_REQUESTS:
        for tail in tails.values():
            while tail.n < n:
                tail.grow()
        if sum(times[side] * tail.rejected for side, tail in tails.items()) <= alarm:
            ranges = {
                label: Range(share, n - tails[sides[label][1]].limit, tails[sides[label][0]].limit)
                if label in sides
                else Range(share, int(n * share), int(n * share))
                for label, share in shares.items()
            }
            spare = _spare(n, deviation, error) if tries > 1 else 0
            rejects, accepts = _rejects_right(n, ranges, summed), _accepts_wrong(n, deviation, ranges, spare)
            # The search adds and subtracts along the way; what counts is the direct sum.
            if rejects <= alarm and accepts <= error:
                return Plan(n, deviation, ranges, tries * rejects, tries * accepts, tries, spare)
        n += 1
    raise ValueError(f"noticing a deviation of {deviation} takes more than {MOST_REQUESTS} requests")


def _snap(share: float) -> float:
    """A share that is 0 or 1 but for rounding."""
    return float(round(share)) if abs(share - round(share)) < _ROUNDING else share


def _up(share: float, deviation: float) -> float:
    return min(1.0, _snap(share + deviation))


_Side = tuple[float, float]


def _sides(shares: Mapping[str, float], deviation: float) -> tuple[dict[str, tuple[_Side, _Side]], tuple[str, ...]]:
    """Right and wrong share of both tails of each category between 0 and 1, and the categories whose tails add up.

    A lower tail is the upper tail of everything else.
    """
    sides = {
        label: ((share, _up(share, deviation)), (1 - share, _up(1 - share, deviation)))
        for label, share in shares.items()
        if 0 < share < 1
    }
    if len(sides) == 2:
        first, second = sides
        above, below = sides[first]
        return {first: (above, below), second: (below, above)}, (first,)
    return sides, tuple(sides)


def _for_zeros(shares: Mapping[str, float], deviation: float, error: float, spare: bool) -> int:
    if all(0 < share < 1 for share in shares.values()):
        return 1
    n = math.ceil(math.log(error) / math.log1p(-deviation))
    while spare and _spare(n, deviation, error) < SPARE * deviation * n:
        n += 1
    return n


def _spare(n: int, deviation: float, error: float) -> int:
    """The most answers of n that a category with that share gets but for `error`."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        if at_most(middle, n, deviation) <= error:
            low = middle
        else:
            high = middle - 1
    return low


def _rejects_right(n: int, ranges: Mapping[str, Range], summed: tuple[str, ...]) -> float:
    of = [ranges[label] for label in summed]
    return math.fsum(at_most(it.low - 1, n, it.share) + at_least(it.high + 1, n, it.share) for it in of)


def _accepts_wrong(n: int, deviation: float, ranges: Mapping[str, Range], spare: int) -> float:
    """Where nothing is to be seen, no more than what is lost may be there."""
    highs = [(it.share, it.high + spare * (it.share == 0)) for it in ranges.values() if it.share < 1]
    lows = [(it.share, it.low - spare * (it.share == 1)) for it in ranges.values() if it.share > 0]
    above = [at_most(high, n, _up(share, deviation)) for share, high in highs]
    below = [at_least(low, n, 1 - _up(1 - share, deviation)) for share, low in lows]
    return max(above + below)


def judge(plan: Plan, counts: Mapping[str, int], errors: int = 0, lost: int = 0) -> Verdict:
    """What these answers prove. `errors` requests had no usable answer, `lost` ones one that a slow machine may
    have changed; others may not have been sent.

    All answers that are missing from the plan's n could have been of any category, so

    * `pass` needs every count in its range however the missing answers would have come out: then (b) holds, even
      if the errors are all one version's;
    * `fail` needs a count out of its range however they would have come out: then (a) holds, and it may be said
      early;
    * anything else is `inconclusive`.

    Of a share of 0 or 1, `plan.spare` lost answers are none too many for a pass, and so many of another category
    none too many for a fail to be sure of (see above).

    Without data it is never a pass: a category with a share has a `low` of 1 at least.

    Raises ValueError for more answers than planned, or of an unknown category.
    """
    unknown = set(counts) - set(plan.ranges)
    answers = sum(counts.values())
    if unknown or answers + errors + lost > plan.n or min([errors, lost, *counts.values()]) < 0:
        said = f"{dict(counts)}, {errors} errors and {lost} lost"
        raise ValueError(f"{said} do not fit a plan of {plan.n} requests")
    missing = plan.n - answers
    short = sum(max(0, it.low - counts.get(label, 0)) for label, it in plan.ranges.items())
    out = [
        f"{label}: {_of(counts.get(label, 0), answers)}, accepted {_accepted(it, plan.n)}"
        for label, it in plan.ranges.items()
        if counts.get(label, 0) > it.high + plan.spare * (it.share == 0)
        or (counts.get(label, 0) < it.low and short > missing + plan.spare * (it.share == 1))
    ]
    had = f"{answers:,} of {plan.n:,} answers" if missing else f"{answers:,} answers"
    if errors:
        had += f", {errors:,} errors"
    if lost:
        had += f", {lost:,} lost to a slow machine"
    if out:
        return Verdict("fail", f"{'; '.join(out)} ({had})")
    sure = missing <= min(lost, plan.spare)
    if all(_proven(it, counts.get(label, 0), answers, missing, sure) for label, it in plan.ranges.items()):
        proven = ", which prove the split without the rest" if missing else ""
        return Verdict("pass", f"every share is as expected ({had}{proven})")
    return Verdict("inconclusive", f"{had}: too few to tell")


def _proven(it: Range, count: int, answers: int, missing: int, sure: bool) -> bool:
    if it.share in (0, 1):
        return sure and count == it.share * answers
    return it.low <= count <= it.high - missing


def _of(count: int, answers: int) -> str:
    return f"{count / answers:.1%}" if answers else "no answer"


def _accepted(it: Range, n: int) -> str:
    low, high = f"{it.low / n:.1%}", f"{it.high / n:.1%}"
    return low if low == high else f"{low} to {high}"


def sample_size(plan: Plan, doubt: float = 0.01, parts: int = 10) -> int:
    """How many requests show at a glance whether a change has arrived: a tenth of the plan's, 20 at least.

    It is also large enough that every category with a share is seen but for `doubt`, and never above the plan's.
    """
    rare = min(it.share for it in plan.ranges.values() if it.share > 0)
    seen = math.ceil(math.log(doubt) / math.log1p(-rare)) if rare < 1 else 1
    return min(plan.n, max(20, plan.n // parts, seen))


def implausible(plan: Plan, counts: Mapping[str, int], doubt: float = 0.01) -> tuple[str, ...]:
    """The categories whose count hardly fits the expected share: in `doubt` of right splits or less, on each side.

    A category of share 0 with an answer, and one with a share that is not seen in a `sample_size`, are among them.
    """
    n = sum(counts.values())
    found = ((label, counts.get(label, 0), it.share) for label, it in plan.ranges.items())
    return tuple(
        label for label, count, share in found if min(at_most(count, n, share), at_least(count, n, share)) <= doubt
    )
