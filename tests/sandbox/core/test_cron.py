"""Times of schedules, as the parser that Kubernetes uses has them (robfig/cron: its tests and its reference)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from sandbox.core import cron

NEXT = [
    ("*/15 * * * *", "2026-07-09T14:59:59", "2026-07-09T15:00:00"),
    ("20-35/15 * * * *", "2026-07-09T15:45:00", "2026-07-09T16:20:00"),
    ("*/15 14-16 * * *", "2026-07-09T16:45:00", "2026-07-10T14:00:00"),
    ("30 8 1 * *", "2026-02-01T08:30:00", "2026-03-01T08:30:00"),
    ("0 0 * * MON-FRI", "2026-11-27T00:00:00", "2026-11-30T00:00:00"),
    ("0 0 29 FEB ?", "2026-07-09T00:00:00", "2028-02-29T00:00:00"),
    ("0 0 13 * 5", "2026-11-01T00:00:00", "2026-11-06T00:00:00"),  # the 13th, or a Friday
    ("0 0 */2 * 1", "2026-11-02T00:00:00", "2026-11-03T00:00:00"),  # a step is a limit
    ("0 0 13 * *", "2026-11-14T00:00:00", "2026-12-13T00:00:00"),
    ("@weekly", "2026-11-29T02:00:00", "2026-12-06T00:00:00"),
    ("@every 90s", "2026-11-29T02:00:00", "2026-11-29T02:01:30"),
    ("0 0 31 2 *", "2026-11-29T02:00:00", None),
]
IN_A_ZONE = [
    # Berlin has no 02:30 on 2026-03-29, and two of them on 2026-10-25.
    ("30 2 * * *", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),
    ("30 2 * * *", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),
    ("0 9 * * *", "2026-07-01T07:00:00", "2026-07-02T07:00:00"),
]
REFUSED = [
    ("", "empty spec string"),
    ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
    ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
    ("60 * * * *", "end of range (60) above maximum (59): 60"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("* * * * 7", "end of range (7) above maximum (6): 7"),
    ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ("@never", "unrecognized descriptor: @never"),
    ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("schedule", "after", "then"), NEXT)
def test_the_next_time(schedule: str, after: str, then: str | None) -> None:
    assert cron.parse(schedule).next(at(after)) == (at(then) if then else None)


@pytest.mark.parametrize(("schedule", "after", "then"), IN_A_ZONE)
def test_the_next_time_by_the_clock_on_a_wall(schedule: str, after: str, then: str) -> None:
    assert cron.parse(schedule, "Europe/Berlin").next(at(after)) == at(then)


@pytest.mark.parametrize(("schedule", "why"), REFUSED)
def test_what_is_no_schedule(schedule: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        cron.parse(schedule)
