"""What decides a stage of a promotion, from figures as a proxy counts them."""

from __future__ import annotations

import math
import random

import pytest

from workshop.mesh.promotion_verdict import Counted, Figures, PromotionStage, Tolerance
from workshop.mesh.proxy_stats import Buckets, Destination
from workshop.runbook.results import Verdict

BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, math.inf)
LIMITS = Tolerance(errors=0.05, latency=2.0)


def times(*spread: tuple[int, float]) -> Buckets:
    """So many calls, each group in the bucket that ends at its bound."""
    counts = {bound: count for count, bound in spread}
    return tuple((bound, counts.get(bound, 0)) for bound in BOUNDS)


def calls(number: int, *, errors: int = 0, slow: int = 0, bound: float = 0.005, slow_bound: float = 0.5) -> Counted:
    return Counted(number, number, errors, times((number - slow, bound), (slow, slow_bound)))


def stage(percent: int, limits: Tolerance = LIMITS, before: Figures | None = None) -> PromotionStage:
    return PromotionStage(percent, "v1", "v3", limits, before or Figures())


def judged(percent: int, candidate: Counted, stable: Counted, **more: Tolerance) -> Verdict:
    return stage(percent, **more).judge(Figures(stable, candidate))


STABLE = calls(3580)


@pytest.mark.parametrize(
    ("percent", "candidate", "stable"), [(5, 260, 4980), (25, 280, 848), (50, 697, 697), (90, 2000, 230)]
)
def test_a_good_version_passes_with_what_was_measured(percent: int, candidate: int, stable: int) -> None:
    verdict = judged(percent, calls(candidate), calls(stable))
    assert verdict.kind == "pass", verdict.reason
    split, old, new = verdict.measurements
    assert [bar.label for bar in split.bars] == ["v1", "v3"]
    assert split.bars[1].expected == percent / 100
    assert (old.title, old.samples, old.errors, new.title, new.samples) == ("v1", stable, 0, "v3", candidate)
    assert new.latencies
    assert 0.001 < new.latencies.p99 <= 0.005


def test_at_100_percent_the_stage_before_is_compared_with() -> None:
    before = Figures(calls(697), calls(697), seconds=1.5, control=calls(1394))
    verdict = stage(100, before=before).judge(Figures(Counted(), calls(215)))
    assert verdict.kind == "pass"
    assert verdict.reason.endswith("compared with v1 at the stage before")
    assert verdict.measurements[1].title == "v1, at the stage before"
    assert verdict.measurements[1].seconds == 1.5
    worse = stage(100, before=before).judge(Figures(Counted(), calls(215, errors=20), control=calls(215)))
    assert worse.kind == "fail"


@pytest.mark.parametrize(
    ("candidate", "decides"), [(calls(215, errors=60), "errors: "), (calls(215, slow=150), "P99: ")]
)
def test_at_100_percent_a_machine_that_became_slower_is_not_the_new_version_s_fault(
    candidate: Counted, decides: str
) -> None:
    before = Figures(calls(697), calls(697), control=calls(1394))
    judge = stage(100, before=before).judge
    alone = judge(Figures(Counted(), candidate, control=calls(215)))
    assert alone.kind == "fail"
    for slow in (calls(215, errors=60, slow=100), Counted()):
        verdict = judge(Figures(Counted(), candidate, control=slow))
        assert verdict.kind == "inconclusive"
        assert verdict.reason.startswith(decides)
        assert "; but the machine may be slower now: " in verdict.reason
    # Beside the stable version, at the same time, both are as slow.
    assert judged(50, calls(697, slow=500), calls(697)).kind == "fail"


def test_calls_to_several_subsets_of_a_service_are_added_up() -> None:
    both = calls(3, errors=1, bound=0.001) + calls(4, slow=2)
    assert (both.calls, both.answers, both.errors, both.timed, both.slower_than(0.1)) == (7, 7, 1, 7, 2)
    assert sum([both], Counted()) == both


def test_errors_decide() -> None:
    verdict = judged(5, calls(190, errors=60), STABLE)
    assert verdict.kind == "fail"
    assert verdict.reason.startswith("errors: calls to v3 that failed: 31.6% of 190 against")
    assert verdict.measurements[2].errors == 60


def test_as_many_errors_of_the_stable_version_are_no_reason() -> None:
    assert judged(50, calls(697, errors=10), calls(697, errors=10)).kind == "pass"
    assert judged(50, calls(697, errors=10), calls(697)).kind == "pass"
    assert judged(50, calls(697, errors=60), calls(697, errors=10)).kind == "fail"


def test_more_errors_may_be_allowed() -> None:
    assert judged(50, calls(697, errors=60), calls(697), limits=Tolerance(0.20, 2.0)).kind == "pass"


def test_a_p99_decides() -> None:
    verdict = judged(5, calls(190, slow=150), STABLE)
    assert verdict.kind == "fail"
    assert verdict.reason.startswith("P99: calls to v3 slower than 100 ms: 78.9% of 190 against")


def test_errors_are_named_first_and_a_fail_before_what_is_not_known_yet() -> None:
    assert judged(5, calls(190, errors=60, slow=150), STABLE).reason.startswith("errors")
    few = judged(5, calls(106, slow=106), calls(2017))  # after the first look: too few to call errors good
    assert few.kind == "fail"
    assert few.reason.startswith("P99")


def test_what_nobody_notices_is_not_slow() -> None:
    assert judged(50, calls(697, bound=0.1), calls(697, bound=0.001)).kind == "pass"
    assert judged(50, calls(697, bound=0.25), calls(697, bound=0.001)).kind == "fail"


def test_the_bound_is_the_stable_p99_times_the_factor_up_to_the_next_bucket() -> None:
    stable, candidate = calls(697, bound=0.25), calls(697, slow=697, slow_bound=1.0)
    figures = Figures(stable, candidate)
    assert stage(50).bound(figures) == 0.5
    assert stage(50).judge(figures).kind == "fail"
    loose = stage(50, Tolerance(0.05, 4.0))
    assert loose.bound(figures) == 1.0
    assert loose.judge(figures).kind == "pass"
    assert stage(50, Tolerance(0.05, 40.0)).bound(figures) == math.inf
    assert stage(50).bound(Figures()) is None


@pytest.mark.parametrize(
    ("percent", "candidate", "stable"), [(5, 0, 5239), (5, 524, 4715), (25, 110, 1018), (50, 1394, 0)]
)
def test_a_wrong_split_fails(percent: int, candidate: int, stable: int) -> None:
    verdict = judged(percent, calls(candidate), calls(stable))
    assert verdict.kind == "fail"
    assert verdict.reason.startswith("split: v3 got ")
    assert f"instead of {percent} %" in verdict.reason


def test_stable_calls_at_100_percent_are_a_wrong_split() -> None:
    verdict = stage(100, before=Figures(calls(697))).judge(Figures(calls(3), calls(212)))
    assert verdict.reason == "split: v3 got 98.6% of the calls instead of 100 %"


def test_calls_to_other_versions_are_a_wrong_split() -> None:
    verdict = stage(50).judge(Figures(calls(697), calls(697), elsewhere=4))
    assert (verdict.kind, verdict.reason) == ("fail", "4 calls went to neither v1 nor v3")


def test_what_a_proxy_tries_again_is_no_split_but_an_error() -> None:
    """Each of 50 calls was tried three times, and answered with an error once."""
    tried = Counted.of(Destination("reviews", 9080, "v3", 150, {"5xx": 50}, latency=times((50, 0.005))))
    assert (tried.calls, tried.answers, tried.errors) == (150, 50, 150)
    assert judged(5, tried, calls(1045 * 2)).reason.startswith("errors")


def test_calls_that_were_given_up_are_errors() -> None:
    hanging = Counted.of(Destination("reviews", 9080, "v3", 100, {"2xx": 0}))
    assert hanging.errors == 100
    verdict = judged(5, hanging, calls(2090))
    assert verdict.kind == "fail"
    assert verdict.reason.startswith("errors")


@pytest.mark.parametrize(
    ("candidate", "stable", "reason"),
    [
        (Counted(), Counted(), "no data: 0 calls were counted, 2123 are needed"),
        (calls(50), calls(950), "no data: 1000 calls were counted, 2123 are needed"),
        (Counted(190, 190), STABLE, "no data: there are no latencies"),
        (calls(190), Counted(3580, 3580), "no data: there are no latencies"),
        (calls(110), calls(2040), "errors: calls to v3 that failed: 0.0% of 110 against"),
    ],
)
def test_missing_or_too_few_data_are_inconclusive(candidate: Counted, stable: Counted, reason: str) -> None:
    verdict = judged(5, candidate, stable)
    assert verdict.kind == "inconclusive"
    assert verdict.reason.startswith(reason)


def test_stages_with_few_calls_are_looked_at_twice() -> None:
    assert stage(5).loads == (2123, 3116)
    assert [stage(percent).loads for percent in (25, 50, 100)] == [(1128,), (1394,), (215,)]


def test_a_good_version_is_not_stopped_by_chance() -> None:
    """As far as 90 stages can tell: a false alarm in a thousand shows in none or one of them."""
    rng = random.Random(4)  # noqa: S311 - the same numbers in each run
    kinds = []
    for percent in (5, 25, 50):
        number = stage(percent).requests
        for _ in range(30):
            new = sum(rng.random() < percent / 100 for _ in range(number))
            slow = sum(rng.random() < 0.01 for _ in range(new))
            kinds.append(judged(percent, calls(new, slow=slow), calls(number - new)).kind)
    assert kinds.count("pass") >= 89


def test_a_version_that_is_worse_by_more_than_allowed_never_passes() -> None:
    rng = random.Random(5)  # noqa: S311
    for _ in range(30):
        errors = sum(rng.random() < 0.06 for _ in range(190))
        assert judged(5, calls(190, errors=errors), STABLE).kind != "pass"
        slow = sum(rng.random() < 0.2 for _ in range(190))
        assert judged(5, calls(190, slow=slow), STABLE).kind != "pass"
