"""Kubernetes quantities ("250m", "128Mi") as exact numbers.

There is no kept library for these: `kubernetes` (the client) has a function for them and 20 MB of models around it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

_DECIMAL = {unit: Fraction(1000) ** power for power, unit in enumerate(("n", "u", "m", "", *"kMGTPE"), -3)}
_BINARY = {f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", 1)}
_SUFFIXES = _DECIMAL | _BINARY
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?")


@lru_cache(maxsize=1024)
def parse(text: str | int | float) -> Fraction:
    """In the base unit: cores, bytes. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if not found:
        raise ValueError(f"not a quantity: {text}")
    number, suffix = found[1], found[2] or ""
    return Fraction(number) * _SUFFIXES[suffix] if suffix in _SUFFIXES else Fraction(number + suffix)


def divided(text: str | int | float, divisor: str) -> int:
    """How often `divisor` goes into the quantity, rounded up: what resourceFieldRef gives."""
    by = parse(divisor)
    return math.ceil(parse(text) / (by or 1))
