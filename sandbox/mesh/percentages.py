"""Percentages of rules as Envoy's fractions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fraction(percentage: Mapping[str, Any]) -> dict[str, Any]:
    """Of Istio's `percentage`, which is exact to a ten-thousandth of a percent."""
    return {"numerator": int(percentage.get("value", 0) * 10_000), "denominator": "MILLION"}


def whole(percent: int) -> dict[str, Any]:
    """Of the older fields, which are whole numbers."""
    return {"numerator": percent, "denominator": "HUNDRED"}
