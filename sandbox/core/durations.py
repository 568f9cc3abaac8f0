"""Durations as Istio's rules and flags of Go programs write them, and as Envoy reads them."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|ns|h|m|s))+")
_DURATION_PART = re.compile(r"([\d.]+)([a-z]+)")


def seconds(text: str) -> float:
    """A duration as Istio's rules write it ("1.5s", "1m30s", "100ms"). Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def duration(text: str) -> str:
    """The same in Envoy's JSON: seconds with a fraction."""
    return f"{seconds(text):.9f}".rstrip("0").rstrip(".") + "s"
