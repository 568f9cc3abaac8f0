"""Both error rates, seen in simulated streams of answers (seeded, so that a run is always the same)."""

from __future__ import annotations

import random

import pytest

from workshop.traffic.binomial import at_least
from workshop.traffic.verdict import ERROR, FALSE_ALARM, Plan, judge, plan

STREAMS = 10_000
BITS = 24
"""Shares are simulated to this many binary digits: to 6e-8."""


def most(rate: float) -> int:
    """More errors than this would be seen once in a thousand tests if the rate were as it is promised."""
    return next(count for count in range(STREAMS) if at_least(count + 1, STREAMS, rate) < ERROR)


MOST_ALARMS, MOST_MISSED = most(FALSE_ALARM), most(ERROR)


def chosen(rng: random.Random, requests: int, share: float) -> int:
    """A number whose bits are requests: each is 1 with probability `share`, independently.

    A bit is 1 where a random binary fraction is below `share`; the fractions of all requests are compared at once,
    the last digit first.
    """
    bits, digits = 0, round(share * 2**BITS)
    if digits >= 2**BITS:
        return (1 << requests) - 1
    for place in range(BITS):
        drawn = rng.getrandbits(requests)
        bits = bits | ~drawn if digits >> place & 1 else bits & ~drawn
    return bits & ((1 << requests) - 1)


def stream(rng: random.Random, plan: Plan, shares: tuple[float, ...]) -> dict[str, int]:
    """Counts of one stream of the plan's requests."""
    counts, left, rest = {}, plan.n, 1.0
    for label, share in zip(plan.ranges, shares, strict=True):
        # Requests that no earlier category took are as good as any others: count on among as many.
        counts[label] = chosen(rng, left, min(1.0, share / rest)).bit_count() if left and share else 0
        left, rest = left - counts[label], rest - share
    return counts


def verdicts(plan: Plan, shares: tuple[float, ...]) -> dict[str, int]:
    rng = random.Random(f"{plan.n} {shares}")  # noqa: S311
    found: dict[str, int] = {}
    for _ in range(STREAMS):
        kind = judge(plan, stream(rng, plan, shares)).kind
        found[kind] = found.get(kind, 0) + 1
    return found


def test_the_simulation_draws_what_it_should() -> None:
    rng = random.Random(1)  # noqa: S311
    whole = plan({"a": 0.3, "b": 0.2, "c": 0.5, "d": 0}, 0.1)
    total = dict.fromkeys(whole.ranges, 0)
    for _ in range(500):
        for label, count in stream(rng, whole, (0.3, 0.2, 0.5, 0)).items():
            total[label] += count
    sent = sum(total.values())
    assert sent == 500 * whole.n
    assert [count / sent for count in total.values()] == pytest.approx([0.3, 0.2, 0.5, 0], abs=0.004)


RIGHT = [
    ((0.5, 0.5), 0.10),
    ((0.33, 0.33, 0.34), 0.10),
    ((0.8, 0.2, 0.0), 0.10),
    ((0.95, 0.05), 0.04),
    ((1.0, 0.0, 0.0), 0.10),
]


@pytest.mark.parametrize(("shares", "deviation"), RIGHT)
def test_a_right_split_is_hardly_ever_rejected(shares: tuple[float, ...], deviation: float) -> None:
    found = verdicts(plan({f"v{i}": share for i, share in enumerate(shares)}, deviation), shares)
    assert found.get("fail", 0) <= MOST_ALARMS
    assert found["pass"] == STREAMS - found.get("fail", 0)


WRONG = [
    ((0.5, 0.5), 0.10, (0.6, 0.4)),
    ((0.5, 0.5), 0.10, (0.4, 0.6)),
    ((0.33, 0.33, 0.34), 0.10, (0.43, 0.28, 0.29)),
    ((0.33, 0.33, 0.34), 0.10, (0.38, 0.38, 0.24)),
    ((0.8, 0.2, 0.0), 0.10, (0.7, 0.3, 0.0)),
    ((0.8, 0.2, 0.0), 0.10, (0.75, 0.15, 0.1)),
    ((0.95, 0.05), 0.04, (0.91, 0.09)),
    ((0.95, 0.05), 0.04, (0.99, 0.01)),
    ((1.0, 0.0, 0.0), 0.10, (0.9, 0.1, 0.0)),
]


@pytest.mark.parametrize(("shares", "deviation", "wrong"), WRONG)
def test_a_split_wrong_by_the_deviation_is_accepted_once_in_a_thousand_at_most(
    shares: tuple[float, ...], deviation: float, wrong: tuple[float, ...]
) -> None:
    found = verdicts(plan({f"v{i}": share for i, share in enumerate(shares)}, deviation), wrong)
    assert found.get("pass", 0) <= MOST_MISSED
    assert found["fail"] == STREAMS - found.get("pass", 0)


def test_half_the_requests_would_break_the_promise() -> None:
    """The tests above have the power to see a plan that is too small."""
    right, wrong = (0.5, 0.5), (0.6, 0.4)
    small = plan({"v1": 0.5, "v2": 0.5}, 0.15)
    assert verdicts(small, right).get("fail", 0) <= MOST_ALARMS
    assert verdicts(small, wrong).get("pass", 0) > 50 * MOST_MISSED


DELAYS = ((0.5, 0.25, 0.25), (0.5, 0.25, 0.25, 0.0), (1.0, 0.0, 0.0))
"""The fault's shares: with the delay, with the fix, before."""


def repeated(rng: random.Random, plan: Plan, shares: tuple[float, ...]) -> tuple[str, int]:
    """The verdict and the number of measurements on a machine that loses from none to half of the answers of a
    measurement, those of one category first: whatever a slow machine prefers."""
    kind, times = "", 0
    while kind in ("", "inconclusive") and times < plan.tries:
        times += 1
        counts, lost = stream(rng, plan, shares), rng.choice((0, rng.randrange(plan.n // 2)))
        left = lost
        for label in rng.sample(list(counts), len(counts)):
            taken = min(left, counts[label])
            counts[label], left = counts[label] - taken, left - taken
        kind = judge(plan, counts, 0, lost).kind
    return kind, times


def all_repeated(plan: Plan, shares: tuple[float, ...]) -> tuple[dict[str, int], int]:
    rng, found, again = random.Random(f"{plan.n} {shares} again"), dict[str, int](), 0  # noqa: S311
    for _ in range(STREAMS):
        kind, times = repeated(rng, plan, shares)
        found[kind] = found.get(kind, 0) + 1
        again += times > 1
    return found, again


@pytest.mark.parametrize("shares", DELAYS)
def test_a_right_split_is_hardly_ever_rejected_with_answers_lost_and_repeats(shares: tuple[float, ...]) -> None:
    found, again = all_repeated(plan({f"v{i}": share for i, share in enumerate(shares)}, 0.18, 3), shares)
    assert found.get("fail", 0) <= MOST_ALARMS
    assert found["pass"] > STREAMS / 2
    assert again > STREAMS / 10


@pytest.mark.parametrize(
    ("shares", "wrong"),
    [
        (DELAYS[0], (0.68, 0.16, 0.16)),
        (DELAYS[0], (0.32, 0.34, 0.34)),
        (DELAYS[1], (0.5, 0.07, 0.43, 0.0)),
        (DELAYS[1], (0.41, 0.205, 0.205, 0.18)),
        (DELAYS[2], (0.82, 0.18, 0.0)),
        (DELAYS[2], (0.82, 0.09, 0.09)),
    ],
)
def test_a_wrong_split_is_hardly_ever_accepted_with_answers_lost_and_repeats(
    shares: tuple[float, ...], wrong: tuple[float, ...]
) -> None:
    found, again = all_repeated(plan({f"v{i}": share for i, share in enumerate(shares)}, 0.18, 3), wrong)
    assert found.get("pass", 0) <= MOST_MISSED
    assert found["fail"] > STREAMS / 3
    assert again > STREAMS / 10
