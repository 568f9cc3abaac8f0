"""Kubernetes quantities ("250m", "128Mi") as numbers."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_SUFFIXES = {
    **{
        name: Fraction(1000) ** power
        for name, power in zip(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), range(-3, 7), strict=True)
    },
    **{
        name: Fraction(1024) ** power
        for name, power in zip(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), range(1, 7), strict=True)
    },
}
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")


def parse(text: str | int | float) -> Fraction:
    """Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if not found or found[2] not in _SUFFIXES:
        raise ValueError(f"not a quantity: {text}")
    return Fraction(found[1]) * _SUFFIXES[found[2]]


def divided(text: str | int | float, divisor: str) -> int:
    """How often `divisor` goes into the quantity, rounded up: what resourceFieldRef gives."""
    by = parse(divisor)
    return math.ceil(parse(text) / (by or 1))
