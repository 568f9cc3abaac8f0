"""The durable record of runs, steps, measurements and long-running operations: a SQLite file in the state folder.

What a run was told to do elsewhere goes on there when the run is killed. So whoever starts a long-running operation
writes down how to find it again (`begin`) before waiting for it, and a later run goes on waiting for that very
operation. Every entry is committed at once. There are no secrets in it, and nothing decides from it what a cluster
is like: it may be deleted at any time. Operations under way are then looked up by their resource, and what was not
proved is taken for proved.

What was applied and has not been proved since is not converged, whatever its check says. So a step that has a
proof is written down before it is applied (`ProofRecord`), and crossed out when the proof has passed. In between,
anything may end the run: a proof that failed or could not tell, Ctrl-C, kill -9. The next run finds nothing to
apply, and proves it. What is remembered is the part of a lab, not the step: of a timeline only the stage that its
object is at can be proved, and a stage that was reached in another way (a promotion, weights of one's own) is
proved as that stage.

What a run found, changed and measured is kept to be looked at later (`past_runs`; see `record` for what is left
out).

The journal may be used from any thread. Reading changes nothing: there is no file until something is written, and
one of an older version is brought up to date by the first write.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.record import Origin, differences_as_text, kept, measurements_as_text
from workshop.runbook.results import Verdict
from workshop.runbook.timings import Seconds

if TYPE_CHECKING:
    import sqlite3

    from workshop.runbook.run import Run

_BUSY_SECONDS = 10.0

_VERSIONS = (
    """
create table runs (
    id integer primary key, command text not null, target text not null, labs text not null, started real not null,
    seconds real, exit_status integer, error text not null default ''
) strict;
create table steps (
    run integer not null references runs (id), lab text not null, step integer not null, title text not null,
    outcome text not null, seconds real not null, ended real not null, error text not null,
    primary key (run, lab, step)
) strict, without rowid;
create table operations (
    resource_id text primary key, kind text not null, token text not null, started real not null
) strict, without rowid;
create table durations (kind text not null, seconds real not null, ended real not null) strict;
create index durations_by_kind on durations (kind, ended);
""",
    """
create table unproved (
    ground text not null, lab text not null, part text not null, since real not null,
    primary key (ground, lab, part)
) strict, without rowid;
""",
    """
create table timings (
    run integer not null references runs (id), lab text not null, kind text not null, seconds real not null,
    primary key (run, lab, kind)
) strict, without rowid;
""",
    """
alter table runs add column asked text not null default '';
alter table runs add column part text not null default '1/1';
alter table runs add column moved integer not null default 0;
alter table runs add column resume text not null default '';
alter table runs add column cause text not null default '';
alter table runs add column next_command text not null default '';
alter table runs add column folder text not null default '';
alter table runs add column variables text not null default '{}';
alter table runs add column holder text not null default '';
alter table runs add column place text not null default '';
alter table runs add column version text not null default '';
alter table steps add column cause text not null default '';
alter table steps add column next_command text not null default '';
alter table steps add column note text not null default '';
alter table steps add column undone integer not null default 0;
alter table steps add column changes text not null default '[]';
create table labs (
    run integer not null references runs (id), place integer not null, name text not null,
    title text not null default '', seconds real, converged integer not null default 0,
    primary key (run, name)
) strict, without rowid;
create table verdicts (
    run integer not null references runs (id), lab text not null, step integer not null, number integer not null,
    title text not null, kind text not null, reason text not null, measurements text not null,
    primary key (run, lab, step, number)
) strict, without rowid;
create table versions (
    run integer not null references runs (id), name text not null, version text not null,
    primary key (run, name)
) strict, without rowid;
""",
)
"""What each version has more than the one before. `ground` is the place of an AppliedPart. `timings` are a lab's by
kind (see `timings.py`), or the run's, which has no lab."""

_RECENT = 15
"""How many past operations of a kind say how long one usually takes."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation under way. `token` is what its service needs to find it again; `started` is in
    seconds since the epoch."""

    resource_id: str
    kind: str
    token: str
    started: float


class AppliedPart(NamedTuple):
    """A part of a lab, named by its title, as it was applied at a place: on that very cluster, or to that account.
    A record of one cluster says nothing about another one, also not about the next one of the same name; what
    identifies the place is the target's to say."""

    place: str
    lab: str
    part: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run that took part in a lab: what was typed, when it began (seconds since the epoch), whether it
    left the lab converged, and by whom (`user on host`, as far as that is known); and whether any run has `applied`
    something of that lab."""

    lab: str
    command: str
    started: float
    converged: bool
    applied: bool
    who: str = ""


def _who(holder: str) -> str:
    """Of a lock's identity (`kubernetes.lease.Holder`): host, process, user and the process's start."""
    host, _, user, *_ = [*holder.split("/", 3), "", "", ""]
    return f"{user} on {host}" if user else ""


class Journal:
    """`origin` is where the run comes from that `listen` hears of."""

    def __init__(self, path: Path, *, origin: Origin | None = None) -> None:
        self.path, self._origin = path, origin or Origin()
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None
        """To write as well; `_reading` only to read."""
        self._reading: sqlite3.Connection | None = None
        self._run: int | None = None
        self.trouble: WorkshopError | None = None
        """Why a run's entries could not be written any more. The run itself went on."""

    def listen(self, event: events.Event) -> None:
        """Write down what happens in a run. Raises WorkshopError at its start only: a full disk later must not end
        what is under way."""
        if isinstance(event, events.RunStarted):
            self._run = self._start(event)
        elif self._run is not None and not self.trouble:
            try:
                self._note(self._run, event)
            except WorkshopError as error:
                self.trouble = error

    def operation(self, resource_id: str) -> Operation | None:
        """The one under way on this resource, as far as any run knows."""
        found = self.read(
            "select resource_id, kind, token, started from operations where resource_id = ?", (_key(resource_id),)
        )
        return Operation(*found[0]) if found else None

    def under_way(self) -> list[Operation]:
        """All of them, first begun first."""
        found = self.read("select resource_id, kind, token, started from operations order by started", ())
        return [Operation(*row) for row in found]

    def begin(self, resource_id: str, kind: str, token: str) -> Operation:
        """Write an operation down, instead of any that was known of this resource. To be called before waiting."""
        started = time.time()
        self._do("insert or replace into operations values (?, ?, ?, ?)", (_key(resource_id), kind, token, started))
        return Operation(_key(resource_id), kind, token, started)

    def end(self, resource_id: str, *, succeeded: bool = True) -> None:
        """The operation is over, whoever started it; one that succeeded counts for how long its kind takes."""
        with self._lock:
            if succeeded and (operation := self.operation(resource_id)):
                now = time.time()
                self._do("insert into durations values (?, ?, ?)", (operation.kind, now - operation.started, now))
            self._do("delete from operations where resource_id = ?", (_key(resource_id),))

    def usual(self, kind: str) -> float | None:
        """Seconds that such an operation has taken lately (the median); None when none has ended yet."""
        found = self.read(
            "select seconds from durations where kind = ? order by ended desc limit ?", (kind, _RECENT)
        )
        seconds = sorted(row[0] for row in found)
        return seconds[len(seconds) // 2] if seconds else None

    def applied(self, part: AppliedPart) -> None:
        """It is about to be applied, and not proved yet. To be called before."""
        self._do("insert or replace into unproved values (?, ?, ?, ?)", (*part, time.time()))

    def proved(self, part: AppliedPart) -> None:
        """It is proved, or there is nothing to prove any more. Where that cannot be written, it is proved again."""
        try:
            self._do("delete from unproved where (ground, lab, part) = (?, ?, ?)", part)
        except WorkshopError as error:
            self.trouble = self.trouble or error

    def unproved(self) -> frozenset[AppliedPart]:
        """All that was applied and not proved since."""
        found = self.read("select ground, lab, part from unproved", (), since=2)
        return frozenset(AppliedPart(*row) for row in found)

    def put_unproved(self, parts: Iterable[AppliedPart], *, at: Callable[[str], bool]) -> None:
        """Have these parts, and no others of the places that `at` says yes to, as not proved: the places have been
        brought back to a state in which it was so."""
        now, wanted = {part for part in self.unproved() if at(part.place)}, set(parts)
        for part in sorted(now - wanted):
            self._do("delete from unproved where (ground, lab, part) = (?, ?, ?)", part)
        for part in sorted(wanted - now):
            self.applied(part)

    def last_runs(self, target: str) -> dict[str, LastRun]:
        """By the names of their labs: those at the target of that name."""
        found = self.read(
            """
            select lab, command, started, not ended_badly, applied, id from (
                select steps.lab, runs.command, runs.started, runs.id,
                    max(steps.outcome not in ('changed', 'unchanged'))
                        over (partition by steps.lab, steps.run) as ended_badly,
                    max(steps.outcome = 'changed') over (partition by steps.lab) as applied,
                    row_number() over (partition by steps.lab order by steps.run desc) as place
                from steps join runs on runs.id = steps.run where runs.target = ?
            ) where place = 1
            """,
            (target,),
        )
        holders = dict(self.read("select id, holder from runs", (), since=4))
        return {
            lab: LastRun(lab, command, started, bool(converged), bool(applied), _who(holders.get(run, "")))
            for lab, command, started, converged, applied, run in found
        }

    def close(self) -> None:
        with self._lock:
            for connection in (self._opened, self._reading):
                if connection:
                    connection.close()
            self._opened = self._reading = None

    def _start(self, event: events.RunStarted) -> int:
        origin = self._origin
        values = {
            "command": origin.command,
            "target": event.target,
            "labs": " ".join(event.labs),
            "started": time.time(),
            "asked": json.dumps(event.asked),
            "part": "{}/{}".format(*event.part),
            "folder": origin.folder,
            "variables": json.dumps(dict(origin.variables)),
            "holder": origin.holder,
            "place": origin.place,
            "version": origin.version,
        }
        run = int(self._insert("runs", values, " returning id")[0][0])
        for place, name in enumerate(event.labs):
            self._insert("labs", {"run": run, "place": place, "name": name})
        return run

    def _note(self, run: int, event: events.Event) -> None:
        match event:
            case events.LabStarted():
                self._do("update labs set title = ? where (run, name) = (?, ?)", (event.title, run, event.lab))
            case events.LabFinished():
                self._do(
                    "update labs set seconds = ?, converged = ? where (run, name) = (?, ?)",
                    (event.seconds, event.converged, run, event.lab),
                )
                self._spent(run, event.lab, event.spent)
            case events.StepPhase(moves=True):
                self._do("update runs set moved = 1 where id = ?", (run,))
            case events.Measured():
                self._keep_verdict(run, event.lab, event.step, event.title, event.verdict)
            case events.Found():
                self._insert("versions", {"run": run, "name": event.name, "version": event.version})
            case events.StepFinished():
                self._note_step(run, event)
            case events.RunFinished():
                if event.timings:
                    self._spent(run, "", event.timings.seconds)
                error, cause, next_command = _sentences(event.error)
                tries = [hint.what for hint in event.hints if hint.kind == "try"]
                following = next_command or next(iter(tries), "")
                self._do(
                    "update runs set (seconds, exit_status, resume, error, cause, next_command)"
                    " = (?, ?, ?, ?, ?, ?) where id = ?",
                    (event.seconds, event.exit_status, event.resume, error, cause, following, run),
                )

    def _spent(self, run: int, lab: str, spent: Seconds) -> None:
        for kind, seconds in spent.items():
            self._do("insert or replace into timings values (?, ?, ?, ?)", (run, lab, kind, seconds))

    def _note_step(self, run: int, event: events.StepFinished) -> None:
        if event.verdict:
            self._keep_verdict(run, event.lab, event.step, "", event.verdict)
        applied = event.check and event.outcome not in ("unchanged", "skipped")
        changes = kept(event.check.differences) if event.check and applied else ()
        error, cause, next_command = _sentences(event.error)
        values = {
            "run": run,
            "lab": event.lab,
            "step": event.step,
            "title": event.title,
            "outcome": event.outcome,
            "seconds": event.seconds,
            "ended": time.time(),
            "error": error,
            "cause": cause,
            "next_command": next_command,
            "note": event.note,
            "undone": event.undone,
            "changes": differences_as_text(changes),
        }
        self._insert("steps", values)

    def _keep_verdict(self, run: int, lab: str, step: int, title: str, verdict: Verdict) -> None:
        """After those that the step has had before."""
        self._do(
            "insert into verdicts select ?1, ?2, ?3, count(*), ?4, ?5, ?6, ?7 from verdicts"
            " where (run, lab, step) = (?1, ?2, ?3)",
            (run, lab, step, title, verdict.kind, verdict.reason, measurements_as_text(verdict.measurements)),
        )

    def _insert(self, table: str, values: dict[str, Any], then: str = "") -> list[tuple[Any, ...]]:
        """Instead of a row of the same key."""
        names, signs = ", ".join(values), ", ".join("?" * len(values))
        return self._do(
            f"insert or replace into {table} ({names}) values ({signs}){then}",  # noqa: S608
            tuple(values.values()),
        )

    def _do(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Raises WorkshopError for a journal that cannot be used."""
        import sqlite3

        with self._lock:
            try:
                self._opened = self._opened or self._open()
                return self._opened.execute(statement, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def read(self, statement: str, values: tuple[Any, ...], *, since: int = 1) -> list[tuple[Any, ...]]:
        """Nothing, where there is no file or one from before version `since`. Raises WorkshopError for a journal
        that cannot be used."""
        import sqlite3

        with self._lock:
            try:
                if connection := self._opened or self._reading or self._open_to_read():
                    self._refuse_newer(version := self._version(connection))
                    return connection.execute(statement, values).fetchall() if version >= since else []
                return []
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def _open_to_read(self) -> sqlite3.Connection | None:
        """Without making it, nor moving into it what its write-ahead log holds: a look leaves no trace."""
        import sqlite3

        if not self.path.exists():
            return None
        self._reading = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        return self._reading

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.path.chmod(0o600)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # With a write-ahead log a commit survives kill -9 without waiting for the disk.
            self._write_ahead(connection)
            connection.execute("pragma synchronous = normal")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """This one waits for no other process that is opening the file, whatever the timeout."""
        import sqlite3

        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                connection.execute("pragma journal_mode = wal")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables that are missing, unless another process has. Raises UsageError for a journal of a later
        version."""
        if self._version(connection) < len(_VERSIONS):
            connection.execute("begin immediate")
            for version, tables in enumerate(_VERSIONS, 1):
                if self._version(connection) < version:
                    for statement in tables.split(";"):
                        connection.execute(statement)
                    connection.execute(f"pragma user_version = {version}")
            connection.execute("commit")
        self._refuse_newer(self._version(connection))

    def _refuse_newer(self, version: int) -> None:
        if version > len(_VERSIONS):
            raise UsageError(
                f"open the journal {self.path}",
                f"it has version {version}, and this workshop writes version {len(_VERSIONS)}",
                cause="a newer workshop has used this state folder",
                next_command=shlex.join(["mv", str(self.path), f"{self.path}.newer"]),
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("pragma user_version").fetchone()[0])

    def _unusable(self, error: Exception) -> WorkshopError:
        import sqlite3

        tried, said = f"use the journal {self.path}", str(error)
        if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
            return WorkshopError(
                tried,
                said,
                cause="the disk is full, the folder is not writable, or another run holds it for long",
                next_command=shlex.join(["df", str(self.path.parent)]),
            )
        return UsageError(
            tried,
            said,
            cause="the file is broken; without it, operations under way are found a little later, and what was not "
            "proved counts as proved",
            next_command=shlex.join(["mv", str(self.path), f"{self.path}.broken"]),
        )


def _sentences(error: Exception | None) -> tuple[str, str, str]:
    """What is kept of an error: what it says, the likeliest cause, the next command."""
    if isinstance(error, WorkshopError):
        return str(error), error.cause, error.next_command
    return (f"{type(error).__name__}: {error}" if error else "", "", "")


def _key(resource_id: str) -> str:
    """Resource ids of Azure name the same thing in any case."""
    return resource_id.lower()


class ProofRecord:
    """What was applied and not proved, as a run remembers it: this one remembers nothing, and every run begins
    anew. A part is named by its title."""

    async def unproved(self, run: Run, part: str) -> bool:
        return False

    async def applied(self, run: Run, part: str) -> None:
        """To be called before it is applied."""

    async def proved(self, run: Run, part: str) -> None:
        """It is proved, or there is nothing to prove any more."""


class JournalProofRecord(ProofRecord):
    """In the journal. `place` tells what identifies the place that a run works on; empty where there is none."""

    def __init__(self, journal: Journal, place: Callable[[Run], Awaitable[str]]) -> None:
        self._journal, self._identify = journal, place
        self._place = ""
        """Once known, it stays so: a run works on one place."""

    async def unproved(self, run: Run, part: str) -> bool:
        records = self._journal.unproved()
        return bool(records) and await self._applied(run, part) in records

    async def applied(self, run: Run, part: str) -> None:
        self._journal.applied(await self._applied(run, part))

    async def proved(self, run: Run, part: str) -> None:
        if await self.unproved(run, part):
            self._journal.proved(await self._applied(run, part))

    async def _applied(self, run: Run, part: str) -> AppliedPart:
        self._place = self._place or await self._identify(run)
        return AppliedPart(self._place, run.lab, part)
