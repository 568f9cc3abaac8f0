"""Arithmetic as Go and Prometheus have it: nothing overflows in words, and sums lose no digits."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal


def divide(a: float, b: float) -> float:
    if b:
        return a / b
    if not a or a != a or b != b:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


def power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0:  # and b < 0
            return math.copysign(math.inf, a) if b % 2 == 1 else math.inf
        return math.nan


def remainder(a: float, b: float) -> float:
    try:
        return math.fmod(a, b)
    except ValueError:
        return math.nan


def _safely(function: Callable[[float], float]) -> Callable[[float], float]:
    """Of what is no number or infinite itself, and NaN where there is no answer."""

    def safe(value: float) -> float:
        try:
            return float(function(value))
        except OverflowError:
            return value if math.isinf(value) else math.inf
        except ValueError:
            return math.nan

    return safe


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: -math.inf if value == 0 else _safely(function)(value)


def _sign(value: float) -> float:
    return value if value != value or value == 0 else math.copysign(1, value)


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    """Keeping the sign of zero, and what is no finite number as it is."""
    return lambda value: math.copysign(function(value), value) if math.isfinite(value) else value


FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _rounded(math.ceil),
    "exp": _safely(math.exp),
    "floor": _rounded(math.floor),
    "ln": _logarithm(math.log),
    "log10": _logarithm(math.log10),
    "log2": _logarithm(math.log2),
    "sgn": _sign,
    "sqrt": _safely(math.sqrt),
}

OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": remainder,
    "^": power,
    "atan2": math.atan2,
}

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def _added(value: float, total: float, lost: float) -> tuple[float, float]:
    """A sum, and what is lost of small summands beside large ones (Kahan, Neumaier)."""
    after = total + value
    if math.isinf(after):
        return after, 0.0
    if abs(total) >= abs(value):
        return after, lost + ((total - after) + value)
    return after, lost + ((value - after) + total)


def total(values: Sequence[float]) -> float:
    found, lost = values[0], 0.0
    for value in values[1:]:
        found, lost = _added(value, found, lost)
    return found + lost


def mean(values: Sequence[float]) -> float:
    found, lost = values[0], 0.0
    for place, value in enumerate(values[1:], 1):
        after, rest = _added(value, found, lost)
        if math.isinf(after):
            return _running_mean(values, place, found / place, lost / place)
        found, lost = after, rest
    return found / len(values) + lost / len(values)


def _running_mean(values: Sequence[float], place: int, found: float, lost: float) -> float:
    """Of those whose sum overflows, or that are not all finite: `found` is the mean of those before `place`."""
    for count, value in enumerate(values[place:], place + 1):
        share = (count - 1) / count
        found, lost = _added(value / count, share * found, share * lost)
    return found + lost


def variance(values: Sequence[float]) -> float:
    """Of several series at one time."""
    middle, found = values[0], 0.0 if math.isfinite(values[0]) else math.nan
    for count, value in enumerate(values[1:], 2):
        away = value - middle
        middle += away / count
        found += away * (value - middle)
    return found / len(values)


def variance_over_time(values: Sequence[float]) -> float:
    middle = lost_of_middle = found = lost = 0.0
    for count, value in enumerate(values, 1):
        away = value - (middle + lost_of_middle)
        middle, lost_of_middle = _added(away / count, middle, lost_of_middle)
        found, lost = _added(away * (value - (middle + lost_of_middle)), found, lost)
    return (found + lost) / len(values)


def smallest(values: Sequence[float]) -> float:
    """NaN only if there is nothing else."""
    return min((value for value in values if value == value), default=math.nan)


def largest(values: Sequence[float]) -> float:
    return max((value for value in values if value == value), default=math.nan)


def quantile(share: float, values: Sequence[float]) -> float:
    if not values or share != share:
        return math.nan
    if not 0 <= share <= 1:
        return math.inf if share > 1 else -math.inf
    # NaN is below all numbers.
    ordered = sorted(values, key=lambda value: (value == value, value))
    rank = share * (len(ordered) - 1)
    below = math.floor(rank)
    weight = rank - below
    if not weight:
        return ordered[below]
    return ordered[below] * (1 - weight) + ordered[min(below + 1, len(ordered) - 1)] * weight


def number(text: str) -> float:
    """As Go reads it. Raises ValueError."""
    if "_" in text or text != text.strip():
        raise ValueError(text)
    return float.fromhex(text) if text[:3].lower().lstrip("+-").startswith("0x") else float(text)


def largest_of_two(a: float, b: float) -> float:
    """As Go's math.Max: NaN where one is, but for infinity."""
    return max(a, b) if a == a and b == b else math.inf if math.inf in (a, b) else math.nan


def smallest_of_two(a: float, b: float) -> float:
    return -largest_of_two(-a, -b)


def without_exponent(value: float) -> str:
    """As Prometheus writes a scalar, and `count_values` a label."""
    written = text(value)
    return format(Decimal(written), "f") if "e" in written else written


def text(value: float) -> str:
    """As Prometheus writes a sample: without an exponent from 1e-6 to 1e21."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value)) if value or math.copysign(1, value) > 0 else "-0"
    written = repr(value)
    if "e" not in written or not 1e-6 <= abs(value) < 1e21:
        return written
    return format(Decimal(written), "f")
