"""Where the wall has it from: each member's folder, read again when something in it has changed; and looks at the
members' clusters, in slow rounds.

Nothing here writes, and nothing here is in the way of who works: files are looked at by their time and size, of a
journal only the runs are read that may have changed, in a thread, and few clusters are looked at at the same time,
with a pause after each look as long as the look itself. A member that is being worked on is not looked at: its
journal tells all of it, and the run measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workshop.classroom import member_record
from workshop.classroom.member_record import MemberRecord
from workshop.classroom.wall import Cell, Look, Past, Wall, WallRow, after_run, row_of, wall_of
from workshop.kubernetes.lease import Holder
from workshop.runbook.errors import WorkshopError
from workshop.runbook.journal import Journal
from workshop.runbook.model import Runbook
from workshop.runbook.past_runs import runs_of
from workshop.runbook.record import RunRecord
from workshop.runbook.status import LabStatus, Status
from workshop.runbook.stop import only_cause

_FILES = ("journal.sqlite", "journal.sqlite-wal", member_record.FILE)

LOOKS_AT_ONCE = 2
LOOK_SECONDS = 20.0
"""Several times what a look takes on a busy machine; a cluster that hangs holds up one of two."""
ROUND_SECONDS = 60.0
"""A round of looks takes that long at least."""

Looking = Callable[[], Awaitable[Status]]


@dataclass(frozen=True, slots=True)
class Watched:
    """A member by name and folder. `look` looks at its cluster, and starts nothing: None for one that is not to be
    looked at. `sleeps`: the first look would wake the cluster, so there is none before something was done."""

    name: str
    folder: Path
    look: Looking | None = None
    sleeps: bool = False


class MemberSource:
    """What is known of one member."""

    def __init__(self, watched: Watched, runbook: Runbook) -> None:
        self.watched, self._runbook = watched, runbook
        self._read: tuple[object, ...] = ()
        """The files' times and sizes when they were read last."""
        self._settled = Past()
        self._open: tuple[RunRecord, ...] = ()
        """The runs after the settled ones: the first of them may still be under way."""
        self._unproved: frozenset[str] = frozenset()
        self._record: MemberRecord | None = None
        self._error = ""
        self.seen: Look | None = None

    @property
    def at_work(self) -> bool:
        under_way = any(_under_way(run) for run in self._open)
        return under_way or (self._record is not None and self._record.under_way)

    @property
    def to_look_at(self) -> bool:
        begun = bool(self._settled.number or self._open or self._record)
        return self.watched.look is not None and not self.at_work and (begun or not self.watched.sleeps)

    def read(self) -> None:
        """Again, where something has changed. What cannot be read is said, and what was known stays."""
        files = tuple(_state_of(self.watched.folder / name) for name in _FILES)
        if files == self._read:
            return
        self._record = member_record.read(self.watched.folder)
        journal = Journal(self.watched.folder / _FILES[0])
        try:
            self._unproved = frozenset(part.lab for part in journal.unproved())
            self._open = runs_of(journal, after=self._settled.number)
            self._read, self._error = files, ""
        except WorkshopError as error:
            self._error = str(error)
        finally:
            journal.close()
        while self._open and not _under_way(self._open[0]):
            self._settled = after_run(self._settled, self._open[0], self._runbook, self._unproved)
            self._open = self._open[1:]

    def row(self, labs: Sequence[str], now: float) -> WallRow:
        past = self._settled
        for run in self._open:
            past = after_run(past, replace(run, under_way=_under_way(run)), self._runbook, self._unproved)
        return row_of(self.watched.name, labs, past, self._record, self.seen, now=now, error=self._error)

    async def look(self, seconds: float = LOOK_SECONDS) -> None:
        """At the cluster; what cannot be reached in that time is said, and what was seen before stays."""
        if self.watched.look is None:
            return
        before, now = self.seen or Look(None), time.time()
        try:
            async with asyncio.timeout(seconds):
                found = await self.watched.look()
        except TimeoutError:
            self.seen = replace(before, tried=now, error=f"no answer within {seconds:.0f} s")
        except Exception as error:
            self.seen = replace(before, tried=now, error=" ".join(str(only_cause(error)).split()))
        else:
            cells = {lab.name: _cell_of(lab, before.cells.get(lab.name), now) for lab in found.labs}
            self.seen = Look(now, cells)


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _under_way(run: RunRecord) -> bool:
    holder = Holder.parse(run.origin.holder)
    return run.exit_status is None and holder is not None and not holder.is_gone()


def _cell_of(lab: LabStatus, before: Cell | None, now: float) -> Cell:
    """Since the first look that has seen it so, or since a run: what is not there is so since ever."""
    subjects = ", ".join(dict.fromkeys(item.subject for item in lab.differences))
    note = lab.note or subjects or (" ".join(str(lab.error).split()) if lab.error else "")
    if lab.state == "not there":
        return Cell(note=note)
    if before and before.state == lab.state:
        return Cell(lab.state, before.since, note)
    return Cell(lab.state, lab.last.started if lab.last and lab.state == "converged" else now, note)


class Sources:
    """Of all members, in order. `labs` are names and titles of what the wall is of."""

    def __init__(
        self, title: str, labs: Sequence[tuple[str, str]], members: Sequence[Watched], runbook: Runbook
    ) -> None:
        self.title, self.labs = title, tuple(labs)
        self.members = tuple(MemberSource(watched, runbook) for watched in members)

    def wall(self, now: float | None = None) -> Wall:
        """As it is now."""
        now = time.time() if now is None else now
        names = [name for name, _ in self.labs]
        for member in self.members:
            member.read()
        return wall_of(self.title, self.labs, [member.row(names, now) for member in self.members], now=now)

    async def looks(self, seconds: float = ROUND_SECONDS) -> None:
        """Round after round, each of so many seconds at least, until it is cancelled."""
        while True:
            began = time.monotonic()
            await self.look_round()
            await asyncio.sleep(max(seconds - (time.monotonic() - began), 0.0))

    async def look_round(self, *, at_once: int = LOOKS_AT_ONCE, seconds: float = LOOK_SECONDS) -> None:
        waiting: Iterator[MemberSource] = iter(self.members)

        async def some() -> None:
            for member in waiting:
                if member.to_look_at:
                    began = time.monotonic()
                    await member.look(seconds)
                    await asyncio.sleep(time.monotonic() - began)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(some())
