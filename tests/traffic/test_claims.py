"""Claims, against enumeration of every outcome: what is said is wrong once in a thousand at most."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Mapping

import pytest

from workshop.runbook.results import Verdict
from workshop.traffic.binomial import at_least, at_most, probability
from workshop.traffic.claims import (
    COUNTED,
    counting,
    differs,
    drawn_at_least,
    highest,
    judge_all,
    judge_count,
    judge_some,
    lowest,
    no_worse,
    requests_needed,
)
from workshop.traffic.sequential import Sequential
from workshop.traffic.verdict import ERROR, FALSE_ALARM

SHARES = [0.0, 0.02, 0.25, 0.5, 0.9, 1.0]
ROUNDING = 1e-12


@functools.cache
def asked(share: float, deviation: float) -> Sequential:
    return counting(share, deviation)


def copied(n: int, share: float, received: int, deviation: float = 0.1) -> Verdict:
    return judge_count(asked(share, deviation), n, received, title="Mirror", label="copied to v2", seconds=1.5)


def likely(judge: Callable[[int], Verdict], kind: str, n: int, share: float) -> float:
    """How likely a verdict is with this true share."""
    return math.fsum(probability(count, n, share) for count in range(n + 1) if judge(count).kind == kind)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 1.0])
def test_a_mirrored_share_is_wrongly_judged_once_in_a_thousand_at_most(part: float, share: float) -> None:
    n = int(part * asked(share, 0.1).last.n)
    said = [copied(n, share, count) for count in range(n + 1)]
    assert likely(lambda count: said[count], "fail", n, share) <= FALSE_ALARM + ROUNDING
    for wrong in (share - 0.1, share + 0.1):
        if 0 <= wrong <= 1:
            assert likely(lambda count: said[count], "pass", n, wrong) <= ERROR + ROUNDING


@pytest.mark.parametrize("share", SHARES)
def test_with_a_plans_number_every_count_is_judged_as_by_the_plan(share: float) -> None:
    whole = asked(share, 0.1).last
    it = whole.ranges[COUNTED]
    for count in range(whole.n + 1):
        assert copied(whole.n, share, count).kind == ("pass" if it.low <= count <= it.high else "fail")


def test_no_copies_at_all_are_noticed_for_any_share() -> None:
    for share in (0.05, 0.5, 1.0):
        assert copied(asked(share, 0.1).last.n, share, 0).kind == "fail"
    assert copied(300, 0.5, 300).kind == "fail"


def test_what_is_measured_at_a_mirror_is_a_bar() -> None:
    verdict = copied(1450, 0.5, 700)
    assert (verdict.kind, verdict.reason) == ("pass", "copied to v2: 700 of 1,450, as expected")
    (measurement,) = verdict.measurements
    assert (measurement.title, measurement.samples, measurement.seconds) == ("Mirror", 1450, 1.5)
    (bar,) = measurement.bars
    assert (bar.label, bar.expected, bar.accepted) == ("copied to v2", 0.5, (640 / 1450, 810 / 1450))
    assert bar.measured == pytest.approx(700 / 1450)


def test_few_requests_say_nothing_of_a_share() -> None:
    verdict = copied(20, 0.5, 8)
    assert (verdict.kind, verdict.reason) == ("inconclusive", "copied to v2: 8 of 20: too few to tell")
    assert verdict.measurements[0].bars[0].accepted == (0, 1)
    assert copied(0, 0.5, 0).measurements[0].bars[0].accepted is None
    assert copied(0, 0.5, 0).kind == "inconclusive"
    assert copied(0, 0.0, 0).kind == "inconclusive"


def test_more_copies_than_requests_are_wrong() -> None:
    assert copied(66, 1.0, 66).kind == "pass"
    verdict = copied(66, 1.0, 67)
    assert (verdict.kind, verdict.reason) == ("fail", "copied to v2: 67 of 66, more than were sent")


def test_every_request_succeeded() -> None:
    assert judge_all(66, 66, 0.1) == Verdict("pass", "all 66 requests succeeded")
    assert judge_all(65, 66, 0.1) == Verdict("fail", "1 of 66 requests failed")
    assert judge_all(65, 65, 0.1).kind == "inconclusive"
    assert judge_all(0, 0, 0.1).kind == "inconclusive"
    assert likely(lambda count: judge_all(count, 66, 0.1), "pass", 66, 0.9) <= ERROR


def test_at_least_one() -> None:
    assert judge_some(1, 5, 0.3, what="503") == Verdict("pass", "503: 1 of 5 (20.0%)")
    assert judge_some(0, 5, 0.3, what="503") == Verdict("inconclusive", "503: none of 5, too few to tell")
    assert judge_some(0, 20, 0.3, what="503") == Verdict("fail", "503: none of 20")
    assert likely(lambda count: judge_some(count, 20, 0.3), "fail", 20, 0.3) <= ERROR
    assert judge_some(0, 0, 0.3).kind == "inconclusive"


@pytest.mark.parametrize(
    "judge",
    [
        lambda: judge_all(5, 4, 0.1),
        lambda: judge_some(-1, 4, 0.1),
        lambda: copied(10, 1.5, 3),
        lambda: copied(10, 0.5, -3),
        lambda: copied(10, 0.5, 3, deviation=0),
    ],
)
def test_what_makes_no_sense_is_refused(judge: Callable[[], Verdict]) -> None:
    with pytest.raises(ValueError, match=r"no count|must be"):
        judge()


Outcomes = Mapping[tuple[int, int], str]
GRID = [place / 40 for place in range(41)]
MARGIN = 0.4
SIZES = [(24, 24), (16, 40), (40, 16)]


def outcomes(n: int, m: int, judge: Callable[[int, int], str]) -> Outcomes:
    return {(a, b): judge(a, b) for a in range(n + 1) for b in range(m + 1)}


def likely_of_two(found: Outcomes, kind: str, n: int, m: int, p: float, q: float) -> float:
    """How likely a verdict is with these true shares."""
    first = [probability(a, n, p) for a in range(n + 1)]
    second = [probability(b, m, q) for b in range(m + 1)]
    return math.fsum(first[a] * second[b] for (a, b), said in found.items() if said == kind)


def pairs(wanted: Callable[[float, float], bool]) -> list[tuple[float, float]]:
    return [(p, q) for p, q in itertools.product(GRID, GRID) if wanted(p, q)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_a_candidate_is_wrongly_called_bad_or_good_once_in_a_thousand_at_most(n: int, m: int) -> None:
    found = outcomes(n, m, lambda a, b: no_worse(a, n, b, m, MARGIN).kind)
    assert set(found.values()) == {"pass", "fail", "inconclusive"}
    for p, q in pairs(lambda p, q: p == q):
        assert likely_of_two(found, "fail", n, m, p, q) <= ERROR
    for p, q in pairs(lambda p, q: abs(p - q - MARGIN) < 1e-9):
        assert likely_of_two(found, "pass", n, m, p, q) <= ERROR


def test_further_away_the_claims_are_rarer_still() -> None:
    n, m = SIZES[0]
    found = outcomes(n, m, lambda a, b: no_worse(a, n, b, m, MARGIN).kind)
    coarse = [(p, q) for p, q in pairs(lambda p, q: True) if (p * 40) % 4 == (q * 40) % 4 == 0]
    assert max(likely_of_two(found, "fail", n, m, p, q) for p, q in coarse if p <= q) <= ERROR
    assert max(likely_of_two(found, "pass", n, m, p, q) for p, q in coarse if p >= q + MARGIN) <= ERROR


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_a_difference_is_wrongly_claimed_or_denied_once_in_a_thousand_at_most(n: int, m: int) -> None:
    found = outcomes(n, m, lambda a, b: differs(a, n, b, m, MARGIN).kind)
    assert set(found.values()) == {"pass", "fail", "inconclusive"}
    for p, q in pairs(lambda p, q: p == q):
        assert likely_of_two(found, "pass", n, m, p, q) <= ERROR
    for p, q in pairs(lambda p, q: abs(p - q - MARGIN) < 1e-9):
        assert likely_of_two(found, "fail", n, m, p, q) <= ERROR


def test_a_weaker_test_would_break_the_promise() -> None:
    """The enumeration above has the power to see one that is ten times too weak."""
    n, m = 24, 24
    weak = outcomes(n, m, lambda a, b: "fail" if drawn_at_least(a, a + b, n, n + m) <= 10 * ERROR else "")
    assert max(likely_of_two(weak, "fail", n, m, p, p) for p in GRID) > 2 * ERROR


def test_the_hypergeometric_tail_is_exact() -> None:
    rng = random.Random(7)  # noqa: S311
    for _ in range(300):
        total = rng.randint(1, 60)
        special, draws = rng.randint(0, total), rng.randint(0, total)
        count = rng.randint(-1, draws + 1)
        ways = sum(
            math.comb(special, x) * math.comb(total - special, draws - x)
            for x in range(max(count, 0), min(special, draws) + 1)
        )
        assert drawn_at_least(count, special, draws, total) == pytest.approx(
            ways / math.comb(total, draws), rel=1e-10, abs=1e-13
        )
    assert drawn_at_least(30_000, 40_000, 50_000, 100_000) == pytest.approx(0, abs=1e-300)
    assert drawn_at_least(10_000, 40_000, 50_000, 100_000) == pytest.approx(1)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 10), (10, 10), (7, 900), (0, 0)])
def test_bounds_of_a_share_are_where_the_tail_is_the_error(count: int, n: int) -> None:
    high, low = highest(count, n, 0.01), lowest(count, n, 0.01)
    assert (high == 1) == (count == n)
    assert (low == 0) == (count == 0)
    if high < 1:
        assert at_most(count, n, high) == pytest.approx(0.01, rel=1e-6)
    if low > 0:
        assert at_least(count, n, low) == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("margin", [0.05, 0.1])
@pytest.mark.parametrize("bad", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("times", [1, 3])
def test_as_many_as_are_needed_let_a_good_candidate_pass(margin: float, bad: float, times: int) -> None:
    n = requests_needed(margin, bad=bad, stable_per_candidate=times)
    m = n * times
    passes, fewest = 0.0, 0
    for a in range(n + 1):
        # The more are bad, the more of the stable version's must be.
        while fewest <= m and no_worse(a, n, fewest, m, margin).kind != "pass":
            fewest += 1
        if fewest > m or probability(a, n, bad) < 1e-12 < a * bad:
            break
        passes += probability(a, n, bad) * at_least(fewest, m, bad)
    assert passes >= 1 - ERROR


def test_the_numbers_that_are_needed() -> None:
    assert requests_needed(0.05) == 149
    assert requests_needed(0.05, stable_per_candidate=19) == 149
    assert requests_needed(0.1, bad=0.01) == 215
    assert requests_needed(0.02, bad=0.05) > 5 * requests_needed(0.05, bad=0.05)
    fewer = 149 - 1
    assert no_worse(0, fewer, 0, fewer, 0.05).kind == "inconclusive"
    with pytest.raises(ValueError, match="more than 200000 requests"):
        requests_needed(0.0001, bad=0.3)


@pytest.mark.parametrize(
    ("counts", "kind", "said"),
    [
        ((0, 149, 0, 149), "pass", "errors: 0.0% of 149 against the stable version's 0.0% of 149; 5 points more"),
        ((60, 149, 0, 149), "fail", "errors: 40.3% of 149 against the stable version's 0.0% of 149, worse beyond"),
        ((0, 20, 0, 380), "inconclusive", "errors: 0.0% of 20 against the stable version's 0.0% of 380: too few"),
        ((0, 0, 0, 0), "inconclusive", "errors: no answer against the stable version's no answer: too few to tell"),
        ((0, 149, 0, 0), "pass", "errors: 0.0% of 149 against the stable version's no answer; 5 points more"),
        # Surely worse, and surely by less than the margin.
        ((1000, 100_000, 500, 100_000), "pass", "errors: 1.0% of 100,000 against"),
    ],
)
def test_what_is_said_of_a_candidate(counts: tuple[int, int, int, int], kind: str, said: str) -> None:
    verdict = no_worse(*counts, 0.05)
    assert verdict.kind == kind
    assert verdict.reason.startswith(said)


@pytest.mark.parametrize(
    ("counts", "kind", "said"),
    [
        ((40, 100, 10, 100), "pass", "503: 40.0% of 100 against 10.0% of 100, more beyond chance"),
        ((0, 200, 0, 200), "fail", "503: 0.0% of 200 against 0.0% of 200; 10 points more would have shown"),
        ((12, 100, 10, 100), "inconclusive", "503: 12.0% of 100 against 10.0% of 100: too few to tell"),
        ((0, 0, 0, 100), "inconclusive", "503: no answer against 0.0% of 100: too few to tell"),
        # Surely more, though by less than would have to be noticed.
        ((1000, 100_000, 500, 100_000), "pass", "503: 1.0% of 100,000 against 0.5% of 100,000, more beyond chance"),
    ],
)
def test_what_is_said_of_a_difference(counts: tuple[int, int, int, int], kind: str, said: str) -> None:
    verdict = differs(*counts, 0.1, what="503")
    assert (verdict.kind, verdict.reason) == (kind, said)


@pytest.mark.parametrize("counts", [(5, 4, 0, 9), (-1, 4, 0, 9), (0, 4, 10, 9), (0, 4, -1, 9)])
def test_counts_that_make_no_sense_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="are no counts"):
        no_worse(*counts, 0.05)
    with pytest.raises(ValueError, match="are no counts"):
        differs(*counts, 0.05)


def test_a_margin_is_a_share() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, not 5"):
        no_worse(0, 10, 0, 10, 5)
    with pytest.raises(ValueError, match="no margin of 0"):
        requests_needed(0)
