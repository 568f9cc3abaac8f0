"""Durations as text: Go's (`1m30s`, in flags, rules and output), Envoy's JSON, and the ages in kubectl's tables."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_GO = re.compile(r"([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)")
_LASTING = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_RULE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|ns|h|m|s))+")


def nanoseconds(text: str) -> int:
    """`1.5s`, `1m30s`, `0`, `-2h`. Raises ValueError for what Go's time.ParseDuration refuses."""
    if text in ("0", "+0", "-0"):
        return 0
    found = _GO.fullmatch(text)
    if not found:
        raise ValueError(f"invalid duration {text!r}")
    whole = sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(found[2]))
    return int(-whole if found[1] == "-" else whole)


def seconds(text: str) -> float:
    """Of a duration in one of Istio's rules: with a unit, never negative. Raises ValueError."""
    if not _RULE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    return float(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)) / 10**9)


def lasting(text: str) -> int:
    """Seconds of a time that a person says: `30m`, `12h`, `2d`. Raises ValueError."""
    if not (found := _LASTING.fullmatch(text)):
        raise ValueError(f"{text!r} is no time as 30m, 12h or 2d")
    return int(found[1]) * {"m": 60, "h": 3600, "d": 86_400}[found[2]]


def duration(text: str) -> str:
    """The same as protobuf's JSON has it, and so Envoy's: seconds with a fraction."""
    return f"{seconds(text):.9f}".rstrip("0").rstrip(".") + "s"


def to_go(nanoseconds: int) -> str:
    """As Go prints it: `5s`, `1m30s`, `104.470781ms`."""
    if nanoseconds < 0:
        return f"-{to_go(-nanoseconds)}"
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


_AGES = (
    # Below so many seconds: the unit, and the smaller unit beside it.
    (120, 1, "s", 0, ""),
    (600, 60, "m", 1, "s"),
    (10_800, 60, "m", 0, ""),
    (28_800, 3600, "h", 60, "m"),
    (172_800, 3600, "h", 0, ""),
    (691_200, 86_400, "d", 3600, "h"),
    (63_072_000, 86_400, "d", 0, ""),
    (252_288_000, 31_536_000, "y", 86_400, "d"),
)


def to_age(seconds: float) -> str:
    """As kubectl writes ages (duration.HumanDuration): two units while they matter, then one."""
    if seconds < 0:
        # Clocks differ by a little; only more than that is worth a remark.
        return "0s" if seconds > -2 else "<invalid>"
    for limit, size, unit, small, small_unit in _AGES:
        if seconds < limit:
            count, rest = divmod(int(seconds), size)
            rest = rest // small if small else 0
            return f"{count}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{int(seconds) // 31_536_000}y"
