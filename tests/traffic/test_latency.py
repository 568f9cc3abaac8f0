"""Histograms from times and from counts: nothing is lost, and percentiles are where they should be."""

from __future__ import annotations

import math
import random

import pytest

from workshop.runbook.results import Latencies
from workshop.traffic.latency import MOST_BUCKETS, of_buckets, of_samples, rung

# The buckets of Istio's own metrics and Envoy's, in milliseconds.
ENVOY = (
    0.5,
    1,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    30000,
    60000,
    300000,
    600000,
    1800000,
    3600000,
)


def test_times_are_counted_between_1_2_and_5_times_powers_of_ten() -> None:
    assert of_samples([0.012, 0.031, 0.02, 0.0201, 0.1]) == Latencies(
        (0.01, 0.02, 0.05, 0.1), (2, 2, 1), 0.0201, 0.1
    )
    assert of_samples([0.0042]) == Latencies((0.002, 0.005), (1,), 0.0042, 0.0042)
    assert of_samples([]) is None


@pytest.mark.parametrize("most", [0.01, 3.0, 900.0])
def test_every_time_is_in_one_of_a_dozen_buckets_and_percentiles_are_of_the_times(most: float) -> None:
    rng = random.Random(3)  # noqa: S311
    times = [rng.uniform(0, most) ** 3 for _ in range(500)]
    found = of_samples(times)
    assert found is not None
    assert len(found.counts) <= MOST_BUCKETS
    for low, high, count in zip(found.bounds, found.bounds[1:], found.counts, strict=False):
        assert count == sum(low < time <= high for time in times)
    assert sum(found.counts) == 500
    assert (found.p50, found.p99) == (sorted(times)[249], sorted(times)[494])


def test_times_that_no_clock_tells_apart_from_none() -> None:
    found = of_samples([0.0, 0.0])
    assert found is not None
    assert (found.bounds[0], found.counts, found.p99) == (0.0, (2,), 0.0)


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.001, 0.001), (0.00100001, 0.002), (0.002, 0.002), (0.3, 0.5), (0.5, 0.5), (1, 1), (999, 1000), (0, 1e-6)],
)
def test_the_bound_of_a_time(seconds: float, bound: float) -> None:
    assert rung(seconds) == bound


def test_counts_keep_their_bounds() -> None:
    counts = [0, 4, 90, 6, *[0] * 15]
    found = of_buckets(zip((bound / 1000 for bound in ENVOY), counts, strict=True))
    assert found is not None
    assert (found.bounds, found.counts) == ((0.0005, 0.001, 0.005, 0.01), (4, 90, 6))
    # The 50th of 100 is the 46th of 90 between 1 and 5 ms.
    assert found.p50 == pytest.approx(0.001 + 0.004 * 46 / 90)
    assert found.p99 == pytest.approx(0.005 + 0.005 * 5 / 6)


def test_percentiles_that_are_known_are_kept() -> None:
    assert of_buckets([(0.01, 3)], p50=0.004, p99=0.009) == Latencies((0.0, 0.01), (3,), 0.004, 0.009)


def test_a_bucket_without_end() -> None:
    assert of_buckets([(1.0, 1), (math.inf, 9)]) == Latencies((0.0, 1.0, math.inf), (1, 9), 1.0, 1.0)


def test_too_many_buckets_are_added_up() -> None:
    fine = [(number / 1000, 1) for number in range(1, 101)]
    found = of_buckets([*fine, (math.inf, 2)])
    assert found is not None
    assert found.bounds == (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, math.inf)
    assert found.counts == (1, 1, 3, 5, 10, 30, 50, 2)
    assert found.p50 == pytest.approx(0.051)
    many = of_buckets([(10.0**power, 1) for power in range(-6, 9)])
    assert many is not None
    assert (len(many.counts), many.counts[0], many.bounds[-1]) == (MOST_BUCKETS, 4, 1e8)


def test_a_dozen_buckets_keep_their_bounds() -> None:
    found = of_buckets([(bound, 1) for bound in ENVOY[-MOST_BUCKETS:]])
    assert found is not None
    assert found.bounds == (0.0, *ENVOY[-MOST_BUCKETS:])


def test_no_answer_has_no_histogram() -> None:
    assert of_buckets([]) is None
    assert of_buckets([(0.001, 0), (math.inf, 0)]) is None


def test_bounds_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        of_buckets([(0.5, 1), (0.2, 1)])
    with pytest.raises(ValueError, match="one ascending bound more"):
        Latencies((0.1, 0.2), (1, 2), 0.1, 0.2)
