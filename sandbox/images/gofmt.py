"""Durations as Go writes and reads them: in the flags, queries and output of programs written in it."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def duration(text: str) -> int:
    """`1.5s`, `1m30s`, `0` in nanoseconds. Raises ValueError, as time.ParseDuration refuses it."""
    if text in ("0", "+0", "-0"):
        return 0
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"invalid duration {text!r}")
    whole = sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(found[2]))
    return int(-whole if found[1] == "-" else whole)


def written(nanoseconds: int) -> str:
    """A duration as Go prints it: `5s`, `1m30s`, `104.470781ms`."""
    if nanoseconds < 0:
        return f"-{written(-nanoseconds)}"
    for unit, limit in (("ns", 1_000), ("µs", 10**6), ("ms", 10**9)):
        if 0 < nanoseconds < limit:
            return f"{_plain(nanoseconds, _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_plain(rest, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _plain(nanoseconds: int, unit: int) -> str:
    text = format(Decimal(nanoseconds) / unit, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
