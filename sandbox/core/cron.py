"""Schedules of CronJobs: five fields, the names for the usual ones (`@hourly`), and `@every 90s`.

As Kubernetes reads them (github.com/robfig/cron, its standard parser), to the wording of what it refuses: a day
counts when the day of the month or that of the week fits, if both are limited, and else when both do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from sandbox.core.durations import nanoseconds

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
"""Of minute, hour, day of the month, month and day of the week: least, most and names."""

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_HORIZON = timedelta(days=5 * 366)
"""A schedule that has no time until then has none: `0 0 31 2 *`."""


class Schedule(Protocol):
    def next(self, after: datetime) -> datetime | None:
        """The first time later than `after`; None when there is none. Both are in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class _Interval:
    length: timedelta

    def next(self, after: datetime) -> datetime | None:
        return (after + self.length).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class _Fields:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    """Whether the day of the month or that of the week is not limited."""
    zone: ZoneInfo

    def next(self, after: datetime) -> datetime | None:
        """By real time: an hour that the clock on the wall leaves out is left out, one it has twice is twice."""
        last = after + _HORIZON
        now = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while now <= last:
            wall = now.astimezone(self.zone)
            if wall.month not in self.months or not self._on(wall):
                now = _later(now, wall, timedelta(days=1), hour=0, minute=0)
            elif wall.hour not in self.hours:
                now += timedelta(minutes=60 - wall.minute)
            elif wall.minute not in self.minutes:
                now += timedelta(minutes=1)
            else:
                return now
        return None

    def _on(self, wall: datetime) -> bool:
        of_month, of_week = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.any_day else (of_month or of_week)


def _later(now: datetime, wall: datetime, by: timedelta, **fields: int) -> datetime:
    """The start of a later day, by the wall; never earlier than `now`."""
    then = (wall.replace(tzinfo=None) + by).replace(**fields).replace(tzinfo=wall.tzinfo)  # type: ignore[arg-type]
    return max(then.astimezone(UTC), now + timedelta(minutes=1))


@lru_cache(maxsize=512)
def parse(text: str, zone: str = "UTC") -> Schedule:
    """Raises ValueError in the words of Kubernetes, ZoneInfoNotFoundError (a KeyError) for an unknown zone."""
    if not text:
        raise ValueError("empty spec string")
    if text.startswith(_EVERY):
        try:
            length = nanoseconds(text.removeprefix(_EVERY))
        except ValueError:
            said = f'time: invalid duration "{text.removeprefix(_EVERY)}"'
            raise ValueError(f"failed to parse duration {text}: {said}") from None
        return _Interval(timedelta(seconds=max(1, length // 10**9)))
    if text.startswith("@") and text not in _NAMED:
        raise ValueError(f"unrecognized descriptor: {text}")
    fields = _NAMED.get(text, text).split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    found = [_field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)]
    minutes, hours, days, months, weekdays = (frozenset(values) for values, _ in found)
    return _Fields(minutes, hours, days, months, weekdays, found[2][1] or found[4][1], ZoneInfo(zone))


def _field(text: str, least: int, most: int, names: dict[str, int]) -> tuple[set[int], bool]:
    """The values of a field, and whether it is not limited at all."""
    values: set[int] = set()
    unlimited = False
    for part in filter(None, text.split(",")):
        found, star = _range(part, least, most, names)
        values |= found
        unlimited |= star
    return values, unlimited


def _range(text: str, least: int, most: int, names: dict[str, int]) -> tuple[set[int], bool]:
    whole, *steps = text.split("/")
    ends = whole.split("-")
    star = ends[0] in ("*", "?")
    if star:
        start, end = least, most
    else:
        if len(ends) > 2:
            raise ValueError(f"too many hyphens: {text}")
        start = end = _number(ends[0], names)
        if len(ends) == 2:
            end = _number(ends[1], names)
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = 1
    if steps:
        step = _number(steps[0], {})
        end = most if len(ends) == 1 else end
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {text}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if (named := names.get(text.lower())) is not None:
        return named
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if (number := int(text)) < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
