"""Claims about counts: of one (all, at least one, at least a share, about a share of n requests), and of two that
were measured side by side (is one larger, is one worse?).

As in `verdict`, what is said is wrong once in a thousand at most (`ERROR`): a pass when the claim is false (by the
deviation that must be noticed, where there is one), a fail when it is true. Where neither can be said, there are
too few requests, and the verdict is inconclusive: never a pass without data. Counts are binomial, tails exact.

**A count on the other side.** `judge_count` is for requests that are counted where they arrive, as the copies at a
mirror. It is the test of two shares, p that arrive and 1 - p that do not, with all its early looks (`sequential`).

**Two shares.** `differs`: is the share of some answer (503, say) really larger in one measurement than in the
other? `no_worse`: is a candidate's share of bad answers larger than the stable version's by a margin or more? Bad
may mean an error, or an answer slower than some bound. Both have three answers, of which two are claims, and each
claim is wrong in one comparison of a thousand at most, whatever the true shares p and q are:

(a) "larger beyond chance" is said although p <= q;
(b) "not larger by the margin" is said although p >= q + margin.

**(a)** is Fisher's exact test. With all a + b such answers given, and p = q, which of them are among the first n of
n + m is a draw without replacement, so the first's count is hypergeometric, whatever p is:

    P(X >= a) = sum over x >= a of C(n, x) · C(m, a + b - x) / C(n + m, a + b).

When that is at most ERROR the claim is made; p < q makes it only rarer.

**(b)** takes two exact bounds (Clopper and Pearson), each wrong with half of ERROR: p is below the largest share
with which so few as a of n would still be seen, q above the smallest with which so many as b of m would. When
these two are less than the margin apart, so are p and q, but for ERROR. No assumption ties p to q, which costs
requests: none to speak of where errors are rare (149 instead of 135 for a margin of 5 points and no error at all),
twice as many for shares around a half.

Both claims can hold at once: a little worse, surely, but by less than the margin. `no_worse` then says no worse, as
the margin is what is tolerated; `differs` says that they differ.

**Slower.** To compare P99, count the answers above a bound: 1 % of the stable version's are above its P99. The
bound must not come from the very answers that are compared (a stable share of 1 % would then be no chance at all),
but from earlier ones of the stable version.

Answers must be independent of each other, as in `verdict`. How many are sent may depend on anything but the answers
being good or bad: to go on until the candidate has had its number is fine, to go on until it looks good is not.

Sources: Fisher 1935, Clopper and Pearson 1934 (Biometrika 26:404), as in any textbook.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from workshop.runbook.results import Bar, Measurement, Verdict
from workshop.traffic.binomial import at_least, at_most
from workshop.traffic.sequential import Sequential, sequential
from workshop.traffic.verdict import ERROR, MOST_REQUESTS

COUNTED, NOT_COUNTED = "counted", "not counted"
"""The two categories of `counting`."""


def judge_all(succeeded: int, n: int, deviation: float) -> Verdict:
    """Every one of n requests succeeded; a share of `deviation` that fails would have been noticed.

    Raises ValueError for counts or a deviation that make no sense.
    """
    _check(succeeded, n, deviation)
    if succeeded < n:
        return Verdict("fail", f"{n - succeeded:,} of {n:,} requests failed")
    if (1 - deviation) ** n <= ERROR:
        return Verdict("pass", f"all {n:,} requests succeeded")
    return Verdict("inconclusive", f"{n:,} requests succeeded: too few to notice {deviation:.1%} that fail")


def judge_some(found: int, n: int, share: float, *, what: str = "answers") -> Verdict:
    """At least one of n; when there are any at all, their share is `share` or more, so that none can be a fail.

    Raises ValueError for counts or a share that make no sense.
    """
    _check(found, n, share)
    if found:
        return Verdict("pass", f"{what}: {_of(found, n)}")
    if (1 - share) ** n <= ERROR:
        return Verdict("fail", f"{what}: none of {n:,}")
    return Verdict("inconclusive", f"{what}: none of {n:,}, too few to tell")


def counting(share: float, deviation: float) -> Sequential:
    """The test that `judge_count` asks. Raises ValueError for a share or a deviation that make no sense."""
    return sequential({COUNTED: share, NOT_COUNTED: 1 - share}, deviation)


def judge_count(
    test: Sequential,
    n: int,
    received: int,
    *,
    title: str,
    label: str,
    seconds: float,
    colour: str = "",
) -> Verdict:
    """Whether `received` is about the share of the n requests sent so far that `test` (`counting`) is for. The
    verdict's measurement is a bar with `label` ("copied to v2"). `seconds` is how long it took.

    Raises ValueError for counts that make no sense.
    """
    if received < 0:
        raise ValueError(f"{received} is no count")
    share = test.last.ranges[COUNTED].share
    seen = f"{label}: {received:,} of {n:,}"
    if received > n:
        verdict = Verdict("fail", f"{seen}, more than were sent")
    else:
        verdict = test.judge({COUNTED: received, NOT_COUNTED: n - received})
        said = {"pass": ", as expected", "fail": f", expected {share:.1%}", "inconclusive": ": too few to tell"}
        verdict = Verdict(verdict.kind, f"{seen}{said[verdict.kind]}")
    low, high = test.accepted(COUNTED, n, passed=verdict.kind == "pass")
    bar = Bar(label, received / n if n else 0.0, share, (low, high) if n else None, colour)
    return replace(verdict, measurements=(Measurement(title, (bar,), n, seconds),))


def _check(count: int, n: int, share: float) -> None:
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no count")
    if not 0 < share < 1:
        raise ValueError(f"the share to notice must be between 0 and 1, not {share}")


def _of(count: int, n: int) -> str:
    return f"{count:,} of {n:,} ({count / n:.1%})" if n else "no answer"


def differs(more: int, n: int, fewer: int, m: int, by: float, *, what: str = "answers") -> Verdict:
    """`pass`: the share `more` of n is larger than `fewer` of m, beyond chance. `fail`: a difference of `by` or
    more (0.05 is five percentage points) would have shown. Else `inconclusive`.

    Raises ValueError for counts or a difference that make no sense.
    """
    _check_two(more, n, fewer, m, by)
    seen = f"{what}: {_share(more, n)} against {_share(fewer, m)}"
    if _larger(more, n, fewer, m):
        return Verdict("pass", f"{seen}, more beyond chance")
    if _not_larger(more, n, fewer, m, by):
        return Verdict("fail", f"{seen}; {_points(by)} more would have shown")
    return Verdict("inconclusive", f"{seen}: too few to tell")


def no_worse(
    candidate_bad: int,
    candidate_n: int,
    stable_bad: int,
    stable_n: int,
    margin: float,
    *,
    what: str = "errors",
) -> Verdict:
    """`pass`: a candidate worse by `margin` (0.05 is five percentage points) or more would have shown. `fail`: it
    is worse than the stable version beyond chance. Else `inconclusive`: `requests_needed` says how many would do.

    With a `stable_n` of 0 there is nothing to be worse than: it passes when its own share is below `margin` for
    sure.

    Raises ValueError for counts or a margin that make no sense.
    """
    _check_two(candidate_bad, candidate_n, stable_bad, stable_n, margin)
    seen = (
        f"{what}: {_share(candidate_bad, candidate_n)} against the stable version's {_share(stable_bad, stable_n)}"
    )
    if _not_larger(candidate_bad, candidate_n, stable_bad, stable_n, margin):
        return Verdict("pass", f"{seen}; {_points(margin)} more would have shown")
    if _larger(candidate_bad, candidate_n, stable_bad, stable_n):
        return Verdict("fail", f"{seen}, worse beyond chance")
    return Verdict("inconclusive", f"{seen}: too few to tell")


def requests_needed(margin: float, *, bad: float = 0.0, stable_per_candidate: float = 1.0) -> int:
    """How many answers of the candidate let `no_worse` pass one that is as good as the stable version.

    It then passes but for one comparison of a thousand, when both have the share `bad` of bad answers at most (0
    for errors, 0.01 for slower than P99) and the stable version has had `stable_per_candidate` times as many. One
    that is worse by the margin never passes more often than that, with any number.

    Raises ValueError for figures that make no sense, or need more than MOST_REQUESTS.
    """
    if not 0 < margin < 1 or not 0 <= bad < 1 or stable_per_candidate <= 0:
        raise ValueError(f"no margin of {margin} can be told from {bad} with {stable_per_candidate} times as many")
    enough = 1
    while not _suffices(enough, bad, stable_per_candidate, margin):
        enough *= 2
        if enough > MOST_REQUESTS:
            raise ValueError(f"noticing a margin of {margin} takes more than {MOST_REQUESTS} requests")
    # Counts are whole, so what suffices is not quite all from some number on; what is returned does.
    return _first(lambda n: _suffices(n, bad, stable_per_candidate, margin), enough // 2 + 1, enough)


def _suffices(n: int, bad: float, stable_per_candidate: float, margin: float) -> bool:
    """Also the most bad answers of the candidate and the fewest of the other that chance gives, each but for half
    of ERROR, let it pass. What is better than these passes all the more."""
    m = int(n * stable_per_candidate)
    most = _first(lambda count: at_least(count + 1, n, bad) <= ERROR / 2, 0, n)
    fewest = m - _first(lambda count: at_least(count + 1, m, 1 - bad) <= ERROR / 2, 0, m)
    return _not_larger(most, n, fewest, m, margin)


def _larger(a: int, n: int, b: int, m: int) -> bool:
    return drawn_at_least(a, a + b, n, n + m) <= ERROR


def _not_larger(a: int, n: int, b: int, m: int, margin: float) -> bool:
    return highest(a, n, ERROR / 2) - lowest(b, m, ERROR / 2) < margin


def drawn_at_least(count: int, special: int, draws: int, total: int) -> float:
    """P(X >= count) of the special ones among `draws` from `total`, of which `special` are, without replacement."""
    least, most = max(0, draws - (total - special)), min(special, draws)
    if count <= least or count > most:
        return float(count <= least)
    if count * total < special * draws:
        # Below the mean the other tail is the smaller: draws that are not special.
        return 1.0 - drawn_at_least(draws - count + 1, total - special, draws, total)
    ways = _ways(special, count) + _ways(total - special, draws - count) - _ways(total, draws)
    term = tail = math.exp(ways)
    for x in range(count, most):
        term *= (special - x) * (draws - x) / ((x + 1) * (total - special - draws + x + 1))
        tail += term
    return min(tail, 1.0)


def highest(count: int, n: int, error: float) -> float:
    """The upper bound of a share with which `count` of n were seen, too low but for `error`."""
    if count >= n:
        return 1.0
    low, high = count / n, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if at_most(count, n, middle) > error:
            low = middle
        else:
            high = middle
    return high


def lowest(count: int, n: int, error: float) -> float:
    """The lower bound: what is not counted has the upper bound of the rest."""
    return 1.0 - highest(n - count, n, error)


def _ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first from `low` to `high` that it holds for, given that it does for `high` and goes on to."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _check_two(a: int, n: int, b: int, m: int, margin: float) -> None:
    if not 0 <= a <= n or not 0 <= b <= m:
        raise ValueError(f"{a} of {n} and {b} of {m} are no counts")
    if not 0 < margin < 1:
        raise ValueError(f"the difference to notice must be between 0 and 1, not {margin}")


def _share(count: int, n: int) -> str:
    return f"{count / n:.1%} of {n:,}" if n else "no answer"


def _points(margin: float) -> str:
    return f"{margin * 100:g} points"
