from __future__ import annotations

from itertools import pairwise
from math import comb, factorial

import pytest

from workshop.traffic.binomial import at_least, at_most
from workshop.traffic.verdict import ERROR, FALSE_ALARM, Plan, implausible, judge, plan, sample_size

SPLITS = [
    ((0.5, 0.5), 0.10),
    ((1 / 3, 1 / 3, 1 / 3), 0.10),
    ((0.33, 0.33, 0.34), 0.10),
    ((0.8, 0.2, 0), 0.10),
    ((0.95, 0.05), 0.04),
    ((0.9, 0.1), 0.10),
    ((0.95, 0.05), 0.10),
    ((1, 0, 0), 0.10),
    ((1,), 0.10),
    ((0.5, 0.3, 0.1, 0.1), 0.10),
    ((0.99, 0.01), 0.02),
    ((0.97, 0.02, 0.01), 0.30),
    ((0.123456789, 0.876543211), 0.07),
]


def named(shares: tuple[float, ...]) -> dict[str, float]:
    return {f"v{number}": share for number, share in enumerate(shares, 1)}


def of(plan: Plan) -> list[tuple[int, int]]:
    return [(it.low, it.high) for it in plan.ranges.values()]


@pytest.mark.parametrize(("shares", "deviation"), SPLITS)
def test_both_errors_are_as_rare_as_promised(shares: tuple[float, ...], deviation: float) -> None:
    found = plan(named(shares), deviation)
    outside = [
        at_most(low - 1, found.n, p) + at_least(high + 1, found.n, p)
        for p, (low, high) in zip(shares, of(found), strict=True)
    ]
    # Of two categories one says it all: where the second's count is outside, the first's is.
    assert sum(outside[:1] if len([p for p in shares if p]) == 2 else outside) <= FALSE_ALARM
    assert found.rejects_right <= FALSE_ALARM
    for p, (low, high) in zip(shares, of(found), strict=True):
        wrong = [q for q in (p - deviation, p - deviation / 0.9, p + deviation, p + deviation / 0.9) if 0 <= q <= 1]
        for q in (*wrong, *([0.0] if p else []), *([1.0] if p < 1 else [])):
            assert at_most(high, found.n, q) - at_most(low - 1, found.n, q) <= ERROR * (1 + 1e-9)
    assert found.accepts_wrong <= ERROR


@pytest.mark.parametrize(("shares", "deviation"), SPLITS)
def test_several_tries_are_together_as_rarely_wrong_whatever_is_lost(
    shares: tuple[float, ...], deviation: float
) -> None:
    found = plan(named(shares), deviation, tries=3)
    assert found.rejects_right <= FALSE_ALARM
    assert found.accepts_wrong <= ERROR
    assert found.n <= 2.6 * plan(named(shares), deviation).n
    for p, (low, high) in zip(shares, of(found), strict=True):
        wide = found.spare if p in (0, 1) else 0
        wrong = [q for q in (p - deviation, p + deviation) if 0 <= q <= 1]
        for q in (*wrong, *([0.0] if p else []), *([1.0] if p < 1 else [])):
            some = at_most(high + wide, found.n, q) - at_most(low - wide - 1, found.n, q)
            assert 3 * some <= ERROR * (1 + 1e-9)


def test_a_slow_machine_may_take_a_part_of_the_deviation() -> None:
    found = plan(named((1, 0, 0)), 0.18, tries=3)
    assert (found.n, found.spare) == (84, 4)  # a quarter of 18 points
    assert plan(named((1, 0, 0)), 0.18).spare == 0


def widest(p: float, deviation: float, n: int) -> tuple[int, int] | None:
    """A category's widest range that notices the deviation, by trying all counts."""
    if p in (0, 1):
        return (round(n * p), round(n * p)) if (1 - deviation) ** n <= ERROR else None
    up, down = min(1.0, p + deviation), max(0.0, p - deviation)
    highs = [h for h in range(n) if at_most(h, n, up) <= ERROR]
    lows = [low for low in range(1, n + 1) if at_least(low, n, down) <= ERROR]
    return (min(lows), max(highs)) if lows and highs else None


@pytest.mark.parametrize(
    ("shares", "deviation"),
    [((0.5, 0.5), 0.30), ((0.25, 0.25, 0.5), 0.35), ((0.8, 0.2, 0), 0.30), ((0.9, 0.1), 0.20), ((1, 0), 0.05)],
)
def test_no_smaller_number_of_requests_would_do(shares: tuple[float, ...], deviation: float) -> None:
    found = plan(named(shares), deviation)
    between = [p for p in shares if 0 < p < 1]

    def enough(n: int) -> bool:
        ranges = [widest(p, deviation, n) for p in shares]
        if None in ranges:
            return False
        outside = [
            at_most(low - 1, n, p) + at_least(high + 1, n, p)
            for p, (low, high) in zip(shares, [it for it in ranges if it], strict=True)
            if p in between
        ]
        return sum(outside[:1] if len(between) == 2 else outside) <= FALSE_ALARM

    assert [n for n in range(1, found.n + 1) if enough(n)] == [found.n]
    assert of(found) == [widest(p, deviation, found.n) for p in shares]


def multinomial(counts: tuple[int, ...], shares: tuple[float, ...]) -> float:
    ways, chance = factorial(sum(counts)), 1.0
    for count, share in zip(counts, shares, strict=True):
        ways //= factorial(count)
        chance *= share**count
    return ways * chance


def accepted(plan: Plan, shares: tuple[float, float, float]) -> float:
    """The exact probability that `judge` passes three categories, over all outcomes."""
    total = 0.0
    for a in range(plan.n + 1):
        for b in range(plan.n + 1 - a):
            counts = (a, b, plan.n - a - b)
            if judge(plan, dict(zip(plan.ranges, counts, strict=True))).kind == "pass":
                total += multinomial(counts, shares)
    return total


def test_the_exact_multinomial_errors_of_three_categories() -> None:
    right, d = (0.3, 0.3, 0.4), 0.3
    found = plan(named(right), d)
    assert found.n < 160
    assert 0.5 * FALSE_ALARM < 1 - accepted(found, right) <= found.rejects_right <= FALSE_ALARM
    for wrong in [
        (0.6, 0.15, 0.25),
        (0.6, 0.0, 0.4),
        (0.0, 0.6, 0.4),
        (0.15, 0.15, 0.7),
        (0.45, 0.45, 0.1),
        (0, 0, 1),
    ]:
        assert accepted(found, wrong) <= ERROR


def test_two_categories_mirror_each_other() -> None:
    found = plan(named((0.8, 0.2)), 0.1)
    (low, high), second = of(found)
    assert second == (found.n - high, found.n - low)


def test_figures_of_the_workshop() -> None:
    """A change here changes how long every lab takes."""
    assert [(plan(named(shares), d).n) for shares, d in SPLITS[:6]] == [1394, 1359, 1365, 999, 2123, 662]
    assert of(plan(named((0.5, 0.5)), 0.1)) == [(615, 779), (615, 779)]
    assert plan(named((1, 0, 0)), 0.1).n == 66
    assert of(plan(named((1, 0, 0)), 0.1)) == [(66, 66), (0, 0), (0, 0)]


def test_a_category_with_a_share_that_gets_nothing_is_noticed_whatever_the_deviation() -> None:
    found = plan(named((0.95, 0.05)), 0.5)
    assert found.ranges["v2"].low == 1
    assert judge(found, {"v1": found.n}).kind == "fail"


def test_a_share_that_is_all_but_for_rounding_is_all() -> None:
    """Else a single other answer would be within its range."""
    sixths = sum([1 / 6] * 6)
    assert sixths < 1
    assert plan({"v1": sixths, "v2": 1 - sixths}, 0.1) == plan({"v1": 1.0, "v2": 0.0}, 0.1)


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.2, -0.2), (0.5, 0.5, 0.1)])
def test_shares_must_add_up(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        plan(named(shares), 0.1)


@pytest.mark.parametrize("deviation", [0, -0.1, 1])
def test_a_deviation_must_make_sense(deviation: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        plan(named((0.5, 0.5)), deviation)


def test_a_deviation_nobody_can_wait_for_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 200000"):
        plan(named((1, 0)), 0.00001)


FIFTY = plan(named((0.5, 0.5)), 0.1)
THIRDS = plan(named((0.3, 0.3, 0.4)), 0.3)
ALL = plan(named((1, 0)), 0.1)


@pytest.mark.parametrize(
    ("plan", "counts", "errors", "kind", "said"),
    [
        (FIFTY, {}, 0, "inconclusive", "0 of 1,394 answers"),
        (FIFTY, {}, 1394, "inconclusive", "0 of 1,394 answers, 1,394 errors"),
        (FIFTY, {"v1": 697, "v2": 697}, 0, "pass", "1,394 answers"),
        (FIFTY, {"v1": 615, "v2": 779}, 0, "pass", "as expected"),
        (FIFTY, {"v1": 614, "v2": 780}, 0, "fail", "v1: 44.0%, accepted 44.1% to 55.9%"),
        (FIFTY, {"v1": 692, "v2": 692}, 10, "pass", "1,384 of 1,394 answers, 10 errors, which prove"),
        (FIFTY, {"v1": 772, "v2": 614}, 8, "inconclusive", "too few to tell"),
        (FIFTY, {"v1": 780}, 0, "fail", "v1: 100.0%"),
        (FIFTY, {"v1": 779}, 0, "inconclusive", "779 of 1,394"),
        (ALL, {"v1": 66}, 0, "pass", "66 answers"),
        (ALL, {"v1": 65}, 1, "inconclusive", "65 of 66 answers, 1 errors"),
        (ALL, {"v1": 65, "v2": 1}, 0, "fail", "v1: 98.5%, accepted 100.0%; v2: 1.5%, accepted 0.0%"),
        (ALL, {"v2": 1}, 0, "fail", "v2: 100.0%, accepted 0.0%"),
    ],
)
def test_judgements(plan: Plan, counts: dict[str, int], errors: int, kind: str, said: str) -> None:
    found = judge(plan, counts, errors)
    assert found.kind == kind
    assert said in found.reason


TWICE = plan(named((0.5, 0.5, 0)), 0.18, tries=3)
ALONE = plan(named((1, 0)), 0.18, tries=3)


@pytest.mark.parametrize(
    ("plan", "counts", "errors", "lost", "kind", "said"),
    [
        (
            TWICE,
            {"v1": 220, "v2": 221},
            0,
            40,
            "pass",
            "40 lost to a slow machine, which prove the split",
        ),
        (TWICE, {"v1": 260, "v2": 181}, 0, 40, "inconclusive", "too few to tell"),
        (TWICE, {"v1": 220, "v2": 220}, 1, 40, "inconclusive", "440 of 481 answers, 1 errors, 40 lost"),
        (TWICE, {"v1": 220, "v2": 220, "v3": 1}, 0, 40, "inconclusive", "too few to tell"),
        (TWICE, {"v1": 210, "v2": 213, "v3": 58}, 0, 0, "inconclusive", "481 answers: too few"),
        (TWICE, {"v1": 210, "v2": 212, "v3": 59}, 0, 0, "fail", "v3: 12.3%, accepted 0.0%"),
        (TWICE, {}, 0, 481, "inconclusive", "0 of 481 answers, 481 lost"),
        (ALONE, {"v1": 84}, 0, 0, "pass", "84 answers"),
        (ALONE, {"v1": 80}, 0, 4, "pass", "80 of 84 answers, 4 lost"),
        (ALONE, {"v1": 79}, 0, 5, "inconclusive", "5 lost to a slow machine: too few"),
        (ALONE, {"v1": 83, "v2": 1}, 0, 0, "inconclusive", "84 answers: too few"),
        (ALONE, {"v1": 79, "v2": 5}, 0, 0, "fail", "v2: 6.0%, accepted 0.0%"),
        (ALL, {"v1": 65}, 0, 1, "inconclusive", "1 lost to a slow machine"),
    ],
)
def test_judgements_beside_a_slow_machine(
    plan: Plan, counts: dict[str, int], errors: int, lost: int, kind: str, said: str
) -> None:
    found = judge(plan, counts, errors, lost)
    assert (found.kind, said in found.reason) == (kind, True), found.reason


def test_missing_answers_count_however_they_would_have_come_out() -> None:
    """Of every number of answers, against all ways to complete them."""
    names, n = list(THIRDS.ranges), THIRDS.n
    seen = set()
    for a in range(0, n + 1, 5):
        for b in range(0, n + 1 - a, 5):
            for missing in {0, 1, 7, 20, n - a - b} & set(range(n - a - b + 1)):
                counts = (a, b, n - a - b - missing)
                complete = [
                    all(it.low <= count <= it.high for it, count in zip(THIRDS.ranges.values(), end, strict=True))
                    for x in range(missing + 1)
                    for y in range(missing + 1 - x)
                    for end in [(counts[0] + x, counts[1] + y, counts[2] + missing - x - y)]
                ]
                expected = "pass" if all(complete) else "inconclusive" if any(complete) else "fail"
                found = dict(zip(names, counts, strict=True))
                assert judge(THIRDS, found, missing).kind == judge(THIRDS, found, 0, missing).kind == expected
                seen.add((expected, missing > 0))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("counts", "errors", "lost"),
    [({"v1": 1395}, 0, 0), ({"v1": 1384}, 11, 0), ({"v1": 1384}, 10, 1), ({"v9": 1}, 0, 0), ({"v1": -1}, 0, 0)],
)
def test_answers_must_fit_the_plan(counts: dict[str, int], errors: int, lost: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        judge(FIFTY, counts, errors, lost)


@pytest.mark.parametrize(("shares", "deviation"), SPLITS)
def test_a_sample_shows_every_category_and_is_small(shares: tuple[float, ...], deviation: float) -> None:
    found = plan(named(shares), deviation)
    size = sample_size(found)
    assert min(20, found.n) <= size <= found.n
    assert all((1 - p) ** size <= 0.01 for p in shares if p)
    assert not implausible(found, {label: round(size * it.share) for label, it in found.ranges.items()})


def test_stages_of_a_canary_are_told_apart_by_a_sample() -> None:
    stages = [(1.0, 0.0, 0.0), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, 0.5), (0.0, 0.0, 1.0)]
    for before, after in pairwise(stages):
        found = plan(named(after), 0.1)
        size = sample_size(found)
        assert implausible(found, {f"v{i}": round(size * share) for i, share in enumerate(before, 1)})


def test_a_share_of_0_with_an_answer_is_implausible() -> None:
    assert implausible(ALL, {"v1": 19, "v2": 1}) == ("v1", "v2")
    assert implausible(ALL, {"v1": 20}) == ()


def test_a_fixed_hundred_would_not_do() -> None:
    """The field's usual "100 requests, plus or minus 10" takes 60/40 for 50/50 about half of the time."""
    half = sum(comb(100, k) * 0.6**k * 0.4 ** (100 - k) for k in range(40, 61))
    assert half == pytest.approx(0.54, abs=0.01)


def test_a_category_without_an_answer_need_not_be_among_the_counts() -> None:
    thirds = plan({"v1": 0.33, "v2": 0.33, "v3": 0.34}, 0.1)
    for missing in (0, 1, thirds.n // 2):
        seen = thirds.n - missing
        assert judge(thirds, {"v1": seen}, missing) == judge(thirds, {"v1": seen, "v2": 0, "v3": 0}, missing)


def test_what_one_missing_answer_could_put_right_is_no_fail() -> None:
    thirds = plan({"v1": 0.33, "v2": 0.33, "v3": 0.34}, 0.1)
    low = thirds.ranges["v1"].low
    rest = thirds.n - low
    counts = {"v1": low - 1, "v2": rest // 2, "v3": rest - rest // 2}
    assert judge(thirds, counts, 1).kind == "inconclusive"
    assert judge(thirds, {**counts, "v1": low - 2, "v2": counts["v2"] + 1}, 1).kind == "fail"


def test_what_may_be_lost_counts_as_accepted_where_nothing_is_expected() -> None:
    """Else the error rate of a plan for several tries would be said to be smaller than it is."""
    tried = plan({"v1": 0.5, "v2": 0.5, "v3": 0.0}, 0.1, 3)
    assert tried.spare > 0
    assert ERROR >= tried.accepts_wrong >= 3 * at_most(tried.spare, tried.n, 0.1) > 0
