"""The same work for all members of a class at the same time: within a limit, and one's failure stops nobody.

All of it happens on one event loop. What waits for a cluster waits for all of them at once, and what takes the
processor takes it once for code that is shared: a hundred members are no hundred processes. Ctrl-C asks every
member's run to stop at its next safe point, and members whose turn had not come are not begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from workshop.classroom import member_record
from workshop.classroom.member_record import MemberRecord
from workshop.classroom.members import Seat
from workshop.console import words
from workshop.console.class_view import MemberRow, State
from workshop.kubernetes.lease import Holder
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.record import Trouble
from workshop.runbook.results import Outcome, Verdict
from workshop.runbook.run import Listener
from workshop.runbook.stop import INTERRUPTED, Stop, Stopped, only_cause

Work = Callable[[Seat, Listener, Stop], Awaitable[int]]
"""What is done for a member; the exit status that it comes to. What it raises is a failure of that member alone."""

_STILL = 1.0
"""Seconds between two looks whether something is to be said."""

_STATES: dict[int, State] = {0: "done", 3: "inconclusive", INTERRUPTED: "cut off"}


@dataclass(slots=True)
class _Place:
    """Where a member is in the work: what is shown, what is kept for who watches, and the last that went wrong."""

    seat: Seat
    row: MemberRow
    record: MemberRecord
    trouble: Trouble | None = None
    told: str = ""
    """What the last run said that it came to."""
    counts: dict[Outcome, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Telling:
    """Who hears how the members get on."""

    ended: Callable[[MemberRow], None]
    stop: Callable[[bool], None]
    still: Callable[[], None]


SILENT = Telling(lambda row: None, lambda at_once: None, lambda: None)


async def together(
    seats: Sequence[Seat],
    rows: Sequence[MemberRow],
    work: Work,
    telling: Telling,
    *,
    task: str,
    command: str,
    at_once: int,
) -> None:
    """`rows` are the seats', and tell in the end what came of each. What has no `task` is not kept as a member's
    last one."""
    stop, turns = Stop(), asyncio.Semaphore(at_once)
    holder = Holder.me().identity
    places = [_Place(seat, row, MemberRecord(task, command, holder)) for seat, row in zip(seats, rows, strict=True)]

    async def one(place: _Place) -> None:
        async with turns:
            if stop.asked:
                place.row.state = "not begun"
                return
            await _one(place, work, stop)
            telling.ended(place.row)

    async def speak() -> None:
        while True:
            await asyncio.sleep(_STILL)
            telling.still()

    with stop.signals(lambda: None, telling.stop):
        speaking = asyncio.create_task(speak())
        try:
            async with asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(one(place))
        finally:
            speaking.cancel()


async def _one(place: _Place, work: Work, stop: Stop) -> None:
    row, record = place.row, place.record
    row.state, row.begun = "under way", time.monotonic()
    record.begun = record.since = time.time()
    _keep(place)
    try:
        status = await work(place.seat, lambda event: _hear(place, event), Stop(within=stop))
    except Stopped:
        status = INTERRUPTED
    except Exception as error:
        cause = only_cause(error)
        status = cause.exit_status if isinstance(cause, WorkshopError) else 1
        place.trouble = trouble_of(cause)
    row.ended, record.ended, record.status = time.monotonic(), time.time(), status
    row.state, row.refused = _STATES.get(status, "failed"), status == 2
    if status:
        place.trouble = place.trouble or Trouble("interrupted" if status == INTERRUPTED else f"status {status}")
    row.trouble = record.trouble = place.trouble if status else None
    row.note = " ".join(row.trouble.said.split()) if row.trouble else place.told
    record.lab = record.step = record.doing = ""
    _keep(place)


def trouble_of(error: Exception) -> Trouble:
    """Its sentences."""
    if isinstance(error, WorkshopError):
        return Trouble(str(error), error.cause, error.next_command)
    return Trouble(f"{type(error).__name__}: {error}", "a defect in the workshop")


def _hear(place: _Place, event: events.Event) -> None:
    row, record = place.row, place.record
    match event:
        case events.StepStarted():
            record.lab, record.step, record.doing = event.lab, f"{event.step} {event.title}", "checking"
        case events.StepPhase():
            record.doing = words.PHASES.get(event.phase, event.phase)
        case events.Measured():
            record.measured = f"{event.lab}: {event.title}, {_said(event.verdict)}"
        case events.StepFinished():
            place.counts[event.outcome] = place.counts.get(event.outcome, 0) + 1
            if event.verdict and event.verdict.measurements:
                record.measured = f"{event.lab}: {_said(event.verdict)}"
            _note_failure(place, event)
            return
        case events.Told() if not event.lab:
            place.told = event.text
            return
        case events.RunFinished():
            if event.error:
                place.trouble = trouble_of(event.error)
            place.told = ", ".join(
                f"{count} {outcome}" for outcome, count in sorted(place.counts.items(), key=_order)
            )
            return
        case _:
            return
    row.where, row.doing = f"{record.lab} {record.step}", record.doing
    record.since = time.time()
    _keep(place)


def _note_failure(place: _Place, event: events.StepFinished) -> None:
    """The first one of a run: what comes after it often comes of it."""
    if place.trouble or event.outcome in ("changed", "unchanged", "skipped", "proved"):
        return
    what = f"{event.lab}, step {event.step} ({event.title})"
    if event.error:
        found = trouble_of(event.error)
        place.trouble = Trouble(f"{what}: {found.said}", found.cause, found.next_command)
    elif event.verdict:
        place.trouble = Trouble(f"{what}: {event.verdict.reason}")
    else:
        differences = event.check.differences if event.check else ()
        said = [event.note or event.outcome, *(" ".join(filter(None, (it.subject, it.path))) for it in differences)]
        place.trouble = Trouble(f"{what}: {', '.join(dict.fromkeys(said))}")


def _order(counted: tuple[Outcome, int]) -> int:
    """A check's outcomes first."""
    return words.ORDER.index(counted[0]) if counted[0] in words.ORDER else -1


def _said(verdict: Verdict) -> str:
    return " ".join(verdict.reason.split()) or verdict.kind


def _keep(place: _Place) -> None:
    """For who watches: a full disk is no failure of the member's."""
    if not place.record.task:
        return
    with contextlib.suppress(OSError):
        member_record.write(place.seat.folder, place.record)


def alike(seats: Iterable[Seat]) -> Callable[[MemberRow], str]:
    """What is the same of two members' causes: without what is the member's own (its names, numbers, addresses)."""
    own = {seat.name: sorted(set(_own_words(seat)), key=len, reverse=True) for seat in seats}

    def cause(row: MemberRow) -> str:
        trouble = row.trouble or Trouble("")
        text = f"{row.state} {trouble.said} {trouble.cause}"
        for word in own.get(row.name, ()):
            text = text.replace(word, "*")
        return re.sub(r"[0-9a-f]{8,}|\d+(\.\d+)*", "#", text)

    return cause


def _own_words(seat: Seat) -> Iterator[str]:
    settings, azure = seat.settings, seat.settings.azure
    yield str(seat.folder)
    if seat.member.kubeconfig:
        yield seat.member.kubeconfig
    if settings.target == "cluster":
        yield settings.cluster.context
    if settings.target == "azure":
        yield from (azure.registry, azure.subscription)
        for place in (azure.primary, azure.secondary):
            yield from (place.group, place.cluster)
    yield seat.name
