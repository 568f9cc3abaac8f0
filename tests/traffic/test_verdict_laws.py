"""Both error rates of a verdict, exactly, for whatever split is expected and whatever split there is."""

from __future__ import annotations

import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.kit.laws import LAW
from workshop.traffic.binomial import probability
from workshop.traffic.verdict import ERROR, FALSE_ALARM, Plan, judge, plan

ROUNDING = 1e-9
PERCENT = st.integers(0, 100).map(lambda share: share / 100)
DEVIATIONS = st.integers(5, 30).map(lambda share: share / 100)
TRIES = st.sampled_from([1, 3])


def two(share: float, deviation: float, tries: int = 1) -> Plan:
    return plan({"a": share, "b": 1 - share}, deviation, tries)


def likely(planned: Plan, true: float) -> dict[str, float]:
    """How likely each verdict is when a share `true` of the requests goes to a."""
    found = {"pass": 0.0, "fail": 0.0, "inconclusive": 0.0}
    for count in range(planned.n + 1):
        chance = probability(count, planned.n, true)
        if chance > 1e-15:
            found[judge(planned, {"a": count, "b": planned.n - count}).kind] += chance
    return found


@settings(LAW, max_examples=60)
@given(PERCENT, DEVIATIONS, TRIES)
def test_a_right_split_is_rejected_once_in_a_hundred_thousand_at_most(
    share: float, deviation: float, tries: int
) -> None:
    planned = two(share, deviation, tries)
    found = likely(planned, share)
    assert tries * found["fail"] <= FALSE_ALARM + ROUNDING
    assert planned.rejects_right <= FALSE_ALARM
    assert math.isclose(found["pass"] + found["fail"], 1.0, abs_tol=1e-6), (
        "with all answers there is nothing to doubt"
    )


@settings(LAW, max_examples=60)
@given(PERCENT, DEVIATIONS, TRIES, PERCENT)
def test_a_split_that_is_off_by_the_deviation_is_accepted_once_in_a_thousand_at_most(
    share: float, deviation: float, tries: int, true: float
) -> None:
    assume(abs(true - share) >= deviation - 1e-12)
    planned = two(share, deviation, tries)
    assert tries * likely(planned, true)["pass"] <= ERROR + ROUNDING
    assert planned.accepts_wrong <= ERROR


SHARES = (
    st.lists(st.integers(0, 10), min_size=2, max_size=4)
    .filter(any)
    .map(lambda parts: [part / sum(parts) for part in parts])
)


def counted(data: st.DataObject, planned: Plan) -> dict[str, int]:
    """Counts that add up to the plan's number, mostly at the edges of what is accepted."""
    left, counts = planned.n, {}
    *first, last = planned.ranges
    for label in first:
        it = planned.ranges[label]
        edges = st.sampled_from([max(0, it.low - 1), it.low, it.high, it.high + 1])
        counts[label] = min(left, data.draw(edges | st.integers(0, planned.n)))
        left -= counts[label]
    return {**counts, last: left}


@settings(LAW, max_examples=100)
@given(SHARES, DEVIATIONS, st.data())
def test_with_all_answers_a_verdict_is_whether_every_count_is_in_its_range(
    shares: list[float], deviation: float, data: st.DataObject
) -> None:
    planned = plan({f"v{place}": share for place, share in enumerate(shares)}, deviation)
    counts = counted(data, planned)
    right = all(it.low <= counts[label] <= it.high for label, it in planned.ranges.items())
    assert judge(planned, counts).kind == ("pass" if right else "fail")


@settings(LAW, max_examples=100)
@given(SHARES, DEVIATIONS, TRIES, st.data())
def test_answers_that_are_missing_never_turn_a_verdict_round(
    shares: list[float], deviation: float, tries: int, data: st.DataObject
) -> None:
    """Whatever the missing ones would have been, a pass stays one and a fail stays one. Of what a plan for several
    tries may lose (`spare`) the error rates speak, and not each case."""
    planned = plan({f"v{place}": share for place, share in enumerate(shares)}, deviation, tries)
    complete = counted(data, planned)
    gone = st.sampled_from([0, 0, 1, 2, 40])
    seen = {label: count - min(count, data.draw(gone)) for label, count in complete.items()}
    missing = planned.n - sum(seen.values())
    lost = data.draw(st.integers(0, missing))
    said = judge(planned, seen, missing - lost, lost).kind
    whole = judge(planned, complete).kind
    if tries == 1:
        assert said in ("inconclusive", whole)
    else:
        assert (said, whole) != ("fail", "pass")
