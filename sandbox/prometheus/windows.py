"""What is computed of one series' samples in a range: rates, extrapolated as Prometheus does, `..._over_time`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sandbox.prometheus import numbers


@dataclass(slots=True)
class Window:
    """One series in (start, end]; never empty. All times are milliseconds."""

    times: Sequence[int]
    values: Sequence[float]
    start: int
    end: int
    now: int
    """When the query is evaluated: with an offset it is not the end."""


def _extrapolated(window: Window, counter: bool, rate: bool = False) -> float | None:
    """How much it changed in the whole range, of which the samples do not reach the ends.

    Where a sample is missing at an end, the series is taken to begin or end half an interval away from the last
    one. A counter that is never negative began at zero at the earliest.
    """
    values, times = window.values, window.times
    if len(values) < 2:
        return None
    change = values[-1] - values[0]
    if counter:
        # After a reset it counts from zero again.
        before = values[0]
        for value in values:
            if value < before:
                change += before
            before = value
    to_start = (times[0] - window.start) / 1000
    to_end = (window.end - times[-1]) / 1000
    sampled = (times[-1] - times[0]) / 1000
    interval = sampled / (len(values) - 1)
    threshold = interval * 1.1
    if to_start >= threshold:
        to_start = interval / 2
    if counter and change > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / change))
    if to_end >= threshold:
        to_end = interval / 2
    factor = (sampled + to_start + to_end) / sampled
    return change * (factor / ((window.end - window.start) / 1000) if rate else factor)


def _last_two(window: Window, rate: bool) -> float | None:
    if len(window.values) < 2:
        return None
    first, last = window.values[-2:]
    # A counter that was reset has counted from zero.
    change = last if rate and last < first else last - first
    return change / ((window.times[-1] - window.times[-2]) / 1000) if rate else change


def _line(window: Window, zero: int) -> tuple[float, float]:
    """Slope per second and value at the time `zero` of the line that is nearest to the samples."""
    values = window.values
    if all(value == values[0] for value in values):
        return (math.nan, math.nan) if math.isinf(values[0]) else (0.0, values[0])
    count = len(values)
    at = [(time - zero) / 1000 for time in window.times]
    sum_x, sum_y = numbers.total(at), numbers.total(values)
    covariance = numbers.total([x * y for x, y in zip(at, values, strict=True)]) - sum_x * sum_y / count
    spread = numbers.total([x * x for x in at]) - sum_x * sum_x / count
    slope = numbers.divide(covariance, spread)
    return slope, sum_y / count - slope * sum_x / count


def predict_linear(window: Window, seconds: float) -> float | None:
    if len(window.values) < 2:
        return None
    slope, value = _line(window, window.now)
    return slope * seconds + value


def _deriv(window: Window) -> float | None:
    return _line(window, window.times[0])[0] if len(window.values) > 1 else None


def _pairs(window: Window, differ: Callable[[float, float], bool]) -> float:
    values = window.values
    return float(sum(differ(before, value) for before, value in pairwise(values)))


FUNCTIONS: Mapping[str, Callable[[Window], float | None]] = {
    "avg_over_time": lambda window: numbers.mean(window.values),
    "changes": lambda window: _pairs(window, lambda a, b: a != b and not (a != a and b != b)),
    "count_over_time": lambda window: float(len(window.values)),
    "delta": lambda window: _extrapolated(window, False),
    "deriv": _deriv,
    "idelta": lambda window: _last_two(window, False),
    "increase": lambda window: _extrapolated(window, True),
    "irate": lambda window: _last_two(window, True),
    "last_over_time": lambda window: window.values[-1],
    "max_over_time": lambda window: numbers.largest(window.values),
    "min_over_time": lambda window: numbers.smallest(window.values),
    "present_over_time": lambda window: 1.0,
    "rate": lambda window: _extrapolated(window, True, rate=True),
    "resets": lambda window: _pairs(window, lambda a, b: b < a),
    "stddev_over_time": lambda window: numbers.FUNCTIONS["sqrt"](numbers.variance_over_time(window.values)),
    "stdvar_over_time": lambda window: numbers.variance_over_time(window.values),
    "sum_over_time": lambda window: numbers.total(window.values),
}
"""By name: what they come to; None when that takes more samples than there are."""
