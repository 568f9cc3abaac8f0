"""Claims about one count, against every count there may be."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from workshop.runbook.results import Verdict
from workshop.traffic.binomial import probability
from workshop.traffic.claims import accepted, judge_all, judge_count, judge_least, judge_some
from workshop.traffic.verdict import ERROR, plan

SHARES = [0.0, 0.02, 0.25, 0.5, 0.9, 1.0]
ROUNDING = 1e-12


def copied(n: int, share: float, received: int, deviation: float = 0.1) -> Verdict:
    return judge_count(n, share, deviation, received, title="Mirror", label="copied to v2", seconds=1.5)


def likely(judge: Callable[[int], Verdict], kind: str, n: int, share: float) -> float:
    """How likely a verdict is with this true share."""
    return math.fsum(probability(count, n, share) for count in range(n + 1) if judge(count).kind == kind)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("n", [5, 66, 150, 1394])
def test_a_mirrored_share_is_wrongly_judged_once_in_a_thousand_at_most(n: int, share: float) -> None:
    said = [copied(n, share, count) for count in range(n + 1)]
    assert likely(lambda count: said[count], "fail", n, share) <= ERROR + ROUNDING
    for wrong in (share - 0.1, share + 0.1):
        if 0 <= wrong <= 1:
            assert likely(lambda count: said[count], "pass", n, wrong) <= ERROR + ROUNDING


@pytest.mark.parametrize("share", SHARES)
def test_with_a_plans_number_every_count_is_judged_as_by_the_plan(share: float) -> None:
    whole = plan({"copied": share, "not copied": 1 - share}, 0.1)
    it = whole.ranges["copied"]
    assert accepted(whole.n, share, 0.1) == (it.low, it.high)
    for count in range(whole.n + 1):
        assert copied(whole.n, share, count).kind == ("pass" if it.low <= count <= it.high else "fail")


def test_no_copies_at_all_are_noticed_for_any_share() -> None:
    for share in (0.05, 0.5, 1.0):
        assert copied(300, share, 0).kind == "fail"
    assert copied(300, 0.5, 300).kind == "fail"


def test_what_is_measured_at_a_mirror_is_a_bar() -> None:
    verdict = copied(1394, 0.5, 680)
    assert (verdict.kind, verdict.reason) == ("pass", "copied to v2: 680 of 1,394, as expected")
    (measurement,) = verdict.measurements
    assert (measurement.title, measurement.samples, measurement.seconds) == ("Mirror", 1394, 1.5)
    (bar,) = measurement.bars
    assert (bar.label, bar.expected, bar.accepted) == ("copied to v2", 0.5, (615 / 1394, 779 / 1394))
    assert bar.measured == pytest.approx(680 / 1394)


def test_few_requests_say_nothing_of_a_share_and_have_no_range() -> None:
    verdict = copied(20, 0.5, 8)
    assert (verdict.kind, verdict.reason) == ("inconclusive", "copied to v2: 8 of 20: too few to tell")
    assert verdict.measurements[0].bars[0].accepted is None
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


@pytest.mark.parametrize("n", [10, 40, 200])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_share_of_at_least(n: int, share: float) -> None:
    said = [judge_least(count, n, share) for count in range(n + 1)]
    assert likely(lambda count: said[count], "pass", n, share) <= ERROR
    assert likely(lambda count: said[count], "fail", n, share) <= ERROR
    kinds = [verdict.kind for verdict in said]
    assert kinds == sorted(kinds, key=["fail", "inconclusive", "pass"].index)


def test_what_is_said_of_a_share_of_at_least() -> None:
    assert judge_least(40, 100, 0.2, what="503") == Verdict(
        "pass", "503: 40 of 100 (40.0%), which is more than 20.0%"
    )
    assert judge_least(3, 100, 0.2, what="503") == Verdict("fail", "503: 3 of 100 (3.0%), which is less than 20.0%")
    assert judge_least(20, 100, 0.2).kind == "inconclusive"
    assert judge_least(0, 0, 0.2) == Verdict("inconclusive", "answers: no answer: too few to tell from 20.0%")


@pytest.mark.parametrize(
    "judge",
    [
        lambda: judge_all(5, 4, 0.1),
        lambda: judge_some(-1, 4, 0.1),
        lambda: judge_least(1, 4, 1.0),
        lambda: copied(10, 1.5, 3),
        lambda: copied(10, 0.5, -3),
        lambda: copied(10, 0.5, 3, deviation=0),
    ],
)
def test_what_makes_no_sense_is_refused(judge: Callable[[], Verdict]) -> None:
    with pytest.raises(ValueError, match=r"no count|must be"):
        judge()
