"""Quantiles of classic histograms: counters by the upper bound of what they count, in the label `le`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable

_SAME = 1e-12
"""How little two counts may differ, as a share of their sum, to be one that was added up in another order."""
_LEAST = 2.2250738585072014e-308


def quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float:
    """Of pairs of an upper bound and a count, by a straight line within the bucket where it is."""
    if share != share:
        return math.nan
    if not 0 <= share <= 1:
        return math.inf if share > 1 else -math.inf
    by_bound: dict[float, float] = {}
    for bound, count in sorted(buckets):
        by_bound[bound] = by_bound.get(bound, 0) + count
    bounds = list(by_bound)
    if not bounds or bounds[-1] != math.inf or len(bounds) < 2:
        return math.nan
    counts = _rising(list(by_bound.values()))
    if not counts[-1]:
        return math.nan
    rank = share * counts[-1]
    place = _first_with(counts, rank)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    below, counted = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    inside = counts[place] - counted
    return below + (bounds[place] - below) * ((rank - counted) / inside if inside else math.nan)


def _first_with(counts: list[float], rank: float) -> int:
    """Where at least so many are counted; the last place if nowhere before it."""
    return bisect_left(counts, rank, hi=len(counts) - 1) if rank == rank else len(counts) - 1


def _rising(counts: list[float]) -> list[float]:
    """Each at least what is before it: buckets are not all scraped at the same moment."""
    found = counts[:1]
    for count in counts[1:]:
        before = found[-1]
        found.append(before if count < before or _same(before, count) else count)
    return found


def _same(a: float, b: float) -> bool:
    if a == b or (a != a and b != b):
        return True
    together = abs(a) + abs(b)
    if not a or not b or together < _LEAST:
        return abs(a - b) < _SAME * _LEAST
    return abs(a - b) / min(together, 1.7976931348623157e308) < _SAME
