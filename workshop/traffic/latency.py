"""Histograms of latencies: of times that were measured one by one, and of counts that another tool has made.

Bounds are 1, 2 and 5 times a power of ten, of which a dozen reach from 1 ms to 10 s: so histograms of different
measurements have the same bounds and can be compared by eye. Counts from elsewhere (fortio, a proxy's statistics)
keep the bounds they came with, as nothing is known about where between them the answers are; only when there are
too many, neighbours are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from workshop.runbook.results import Latencies

MOST_BUCKETS = 12

_SHORTEST = 1e-6
"""Seconds; what is shorter counts as this long."""

_Bucket = tuple[float, float, int]
"""More than the first bound, at most the second, and how many."""


def of_samples(seconds: Iterable[float]) -> Latencies | None:
    """The histogram of these times; None when there are none. P50 and P99 are times that were measured."""
    times = sorted(seconds)
    if not times:
        return None
    bounds = [rung(times[0])]
    while bounds[-1] < times[-1]:
        bounds.append(rung(bounds[-1] * 1.5))
    counts = [0] * len(bounds)
    place = 0
    for time in times:
        while time > bounds[place]:
            place += 1
        counts[place] += 1
    lows = [_below(bounds[0]), *bounds]
    buckets = list(zip(lows, bounds, counts, strict=False))
    return _latencies(buckets, _rank(times, 0.5), _rank(times, 0.99))


def of_buckets(
    buckets: Iterable[tuple[float, int]], *, p50: float | None = None, p99: float | None = None
) -> Latencies | None:
    """The histogram of (upper bound in seconds, count) pairs in ascending order; None when all counts are 0.

    Counts are of each bucket, not cumulative. The last bound may be infinite. Where a percentile is not given, it
    is interpolated within its bucket, as fortio and Prometheus do; in a bucket without end it is the lower bound.

    Raises ValueError for bounds that do not ascend.
    """
    given = list(buckets)
    lows = [0.0, *(bound for bound, _ in given)]
    whole = [(low, high, count) for low, (high, count) in zip(lows, given, strict=False) if high > low or count]
    if not any(count for _, _, count in whole):
        return None
    return _latencies(
        whole,
        _interpolated(whole, 0.5) if p50 is None else p50,
        _interpolated(whole, 0.99) if p99 is None else p99,
    )


def rung(seconds: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `seconds`."""
    seconds = max(seconds, _SHORTEST)
    power = math.floor(math.log10(seconds)) - 1  # one less, as the logarithm may be rounded up
    steps = (float(f"{step}e{power + more}") for more in range(3) for step in (1, 2, 5))
    return next(step for step in steps if step >= seconds)


def _below(bound: float) -> float:
    """The rung before, 0 below the lowest."""
    return rung(bound / 2.6) if bound > _SHORTEST else 0.0


def _rank(times: Sequence[float], share: float) -> float:
    return times[max(0, math.ceil(share * len(times)) - 1)]


def _interpolated(buckets: Sequence[_Bucket], share: float) -> float:
    left = share * sum(count for _, _, count in buckets)
    for low, high, count in buckets:
        if count and left <= count:
            return low if math.isinf(high) else low + (high - low) * left / count
        left -= count
    return buckets[-1][1]  # rounding


def _latencies(buckets: list[_Bucket], p50: float, p99: float) -> Latencies:
    used = [place for place, (_, _, count) in enumerate(buckets) if count]
    buckets = buckets[used[0] : used[-1] + 1]
    if len(buckets) > MOST_BUCKETS:
        buckets = [_joined(list(group)) for _, group in groupby(buckets, key=_rung_of)]
    if len(buckets) > MOST_BUCKETS:
        # The slow ones are of interest: the fast ones are lumped together.
        fast = len(buckets) - MOST_BUCKETS + 1
        buckets = [_joined(buckets[:fast]), *buckets[fast:]]
    bounds = (buckets[0][0], *(high for _, high, _ in buckets))
    return Latencies(bounds, tuple(count for _, _, count in buckets), p50, p99)


def _rung_of(bucket: _Bucket) -> float:
    return bucket[1] if math.isinf(bucket[1]) else rung(bucket[1])


def _joined(buckets: Sequence[_Bucket]) -> _Bucket:
    return buckets[0][0], buckets[-1][1], sum(count for _, _, count in buckets)
