"""Claims about one count: all, at least one, at least a share, or about a share of n requests.

As in `verdict`, what is said is wrong once in a thousand at most (`ERROR`): a pass when the claim is false (by the
deviation that must be noticed, where there is one), a fail when it is true. Where neither can be said, there are
too few requests, and the verdict is inconclusive. Counts are binomial, tails exact.

**A count on the other side.** `judge_count` is for requests that are counted where they arrive, as the copies at a
mirror. The number n is not chosen here: it is whatever was sent. Accepted is the widest range that rejects both
wrong shares, p - d and p + d; so a pass holds for any n, and where n is small the range is narrow, or empty. A
count outside of it fails when that says something: when a right share gets there but for FALSE_ALARM.
`verdict.plan` with the two shares p and 1 - p gives the n with which every count is a pass or a fail.
"""

from __future__ import annotations

from workshop.runbook.results import Bar, Measurement, Verdict
from workshop.traffic.binomial import at_least, at_most
from workshop.traffic.verdict import ERROR, FALSE_ALARM


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


def judge_least(found: int, n: int, share: float, *, what: str = "answers") -> Verdict:
    """A share of at least `share`. `pass` and `fail` say that the true one is above or below it, so the bound
    belongs well below the share that is expected: at the bound itself any number of requests is inconclusive.

    Raises ValueError for counts or a share that make no sense.
    """
    _check(found, n, share)
    seen = f"{what}: {_of(found, n)}"
    if n and at_least(found, n, share) <= ERROR:
        return Verdict("pass", f"{seen}, which is more than {share:.1%}")
    if n and at_most(found, n, share) <= ERROR:
        return Verdict("fail", f"{seen}, which is less than {share:.1%}")
    return Verdict("inconclusive", f"{seen}: too few to tell from {share:.1%}")


def judge_count(
    n: int,
    share: float,
    deviation: float,
    received: int,
    *,
    title: str,
    label: str,
    seconds: float,
    colour: str = "",
) -> Verdict:
    """Whether `received` is about `share` of the n requests that were sent; a share off by `deviation` or more is
    noticed. The verdict's measurement is a bar with `label` ("copied to v2"). `seconds` is how long it took.

    Raises ValueError for a share or a deviation that make no sense.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the expected share must be from 0 to 1, not {share}")
    _check(0, n, deviation)
    if received < 0:
        raise ValueError(f"{received} is no count")
    low, high = accepted(n, share, deviation)
    bar = Bar(label, received / n if n else 0.0, share, (low / n, high / n) if n and low <= high else None, colour)
    measurements = (Measurement(title, (bar,), n, seconds),)
    seen = f"{label}: {received:,} of {n:,}"
    if received > n:
        return Verdict("fail", f"{seen}, more than were sent", measurements)
    if low <= received <= high:
        return Verdict("pass", f"{seen}, as expected", measurements)
    if _too_far(n, share, received, low, high):
        return Verdict("fail", f"{seen}, expected {share:.1%}", measurements)
    return Verdict("inconclusive", f"{seen}: too few to tell", measurements)


def accepted(n: int, share: float, deviation: float) -> tuple[int, int]:
    """The least and the greatest count of n that a share off by `deviation` or more does not get, but for ERROR.

    With few requests the least is above the greatest: none is accepted.
    """
    return n - _greatest(n, 1 - share, deviation), _greatest(n, share, deviation)


def _greatest(n: int, share: float, deviation: float) -> int:
    """-1 when none is."""
    if share >= 1:
        return n
    wrong = min(1.0, share + deviation)
    if share <= 0:
        # One is too many, and none must be a surprise with the wrong share.
        return 0 if at_most(0, n, wrong) <= ERROR else -1
    low, high = -1, n - 1
    while low < high:
        middle = (low + high + 1) // 2
        if at_most(middle, n, wrong) <= ERROR:
            low = middle
        else:
            high = middle - 1
    return low


def _too_far(n: int, share: float, received: int, low: int, high: int) -> bool:
    """A right share gets outside of the range, or else so far out on this side, but for ERROR."""
    outside = at_most(low - 1, n, share) + at_least(high + 1, n, share) if low <= high else 1.0
    tail = min(at_most(received, n, share), at_least(received, n, share))
    return outside <= FALSE_ALARM or tail <= FALSE_ALARM / 2


def _check(count: int, n: int, share: float) -> None:
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no count")
    if not 0 < share < 1:
        raise ValueError(f"the share to notice must be between 0 and 1, not {share}")


def _of(count: int, n: int) -> str:
    return f"{count:,} of {n:,} ({count / n:.1%})" if n else "no answer"
