"""What `invoke watch` shows, as values: a wall of members by labs, made of what each member's folder tells, and of
what was seen of their clusters.

A cell is where a member is with a lab, in the words of `invoke status`, or that it failed or is stuck there. The
journal tells it at once, and only of what was done with the workshop from this machine; a look at the cluster tells
what is there, whoever did it, and is as old as it is. So a look that is newer than what the journal has decides,
except that a failure stands until the lab is seen done.

Who is stuck is what the wall is for. That is a member whose last task failed, could not be proved or was cut off;
at whose task nothing has come forward for PATIENCE; or who has done nothing for that long while half of the class
is further. That many are idle at the same time is a break, and no trouble.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from workshop.classroom.member_record import MemberRecord
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Runbook
from workshop.runbook.record import LabRecord, RunRecord, StepRecord, Trouble
from workshop.runbook.request import clean_up_of
from workshop.runbook.reset import state_of
from workshop.runbook.results import Bar
from workshop.runbook.status import DONE, State
from workshop.runbook.stop import INTERRUPTED

PATIENCE = 600.0
"""Seconds without anything new after which a member is stuck. What takes longest in one step, an AKS cluster, takes
some five minutes."""

CellState = State | Literal["failed", "stuck"]
Condition = Literal["stuck", "under way", "idle", "not begun", "done"]
"""Of a member. `idle`: has begun, and nothing is being done."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A member's lab. `since` is when it came to be so as far as is known, in seconds since the epoch."""

    state: CellState = "not there"
    since: float | None = None
    note: str = ""

    @property
    def done(self) -> bool:
        return self.state in DONE


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured last: of which lab, what came of it (a verdict's kind, or empty where that is not known),
    and shares where there are some."""

    lab: str
    said: str
    at: float
    kind: str = ""
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What the last look at a member's cluster told, at `at`; `tried` and `error` say when and why one since then
    came to nothing. `at` is None where none has come to anything yet."""

    at: float | None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    tried: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """What the runs up to `number` came to: of each lab that one took part in, and of the last one. `moved` is when
    something last came forward."""

    number: int = 0
    cells: Mapping[str, Cell] = field(default_factory=dict)
    last: RunRecord | None = None
    moved: float = 0.0
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class WallRow:
    """A member. `why` it is stuck is in words, and `since` when it has been in that condition. `lab`, `step` and
    `doing` are where it is while something is being done; `typed` is what was done last. `error` is why the journal
    cannot be read, or the cluster not looked at."""

    name: str
    condition: Condition
    cells: tuple[Cell, ...]
    since: float | None = None
    why: str = ""
    lab: str = ""
    step: str = ""
    doing: str = ""
    typed: str = ""
    trouble: Trouble | None = None
    measured: Measured | None = None
    looked: float | None = None
    tried: float | None = None
    error: str = ""

    @property
    def come_to(self) -> int:
        """How many labs it has come to the end of; also those whose proof is yet to come, as it is of members that
        are not measured."""
        return sum(cell.done or cell.state == "not proved" for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Wall:
    """`labs` are names and titles, in order; `rows` in the order of the roster, which no row ever leaves: people
    look for their own where it was."""

    title: str
    labs: tuple[tuple[str, str], ...]
    rows: tuple[WallRow, ...]

    @property
    def stuck(self) -> tuple[WallRow, ...]:
        """Who has waited longest first."""
        stuck = [row for row in self.rows if row.condition == "stuck"]
        return tuple(sorted(stuck, key=lambda row: row.since or 0.0))


def after_run(past: Past, run: RunRecord, runbook: Runbook, unproved: frozenset[str] = frozenset()) -> Past:
    """With one run more. `unproved` are the labs of which the journal has something that was not proved since."""
    cells = dict(past.cells)
    for lab in run.labs:
        if (gone := _taken_back(lab.name, runbook)) is not None:
            if _whole(lab, run):
                cells |= dict.fromkeys(gone, Cell())
        elif cell := _cell(lab, run, unproved):
            before = cells.get(lab.name)
            same = before is not None and before.state == cell.state and cell.state == "converged"
            cells[lab.name] = before if before and same else cell
    ended = [step.ended for step in run.steps]
    over = [run.started + run.seconds] if run.seconds is not None else []
    return Past(
        run.number, cells, run, max((past.moved, run.started, *ended, *over)), _measured(run.steps) or past.measured
    )


def _taken_back(name: str, runbook: Runbook) -> tuple[str, ...] | None:
    """The labs that a clean-up of that name takes back; None where it is none."""
    known = {lab.name: lab for lab in runbook.labs}
    if name in known:
        return known[name].undoes or None
    words = name.split()
    if words[:1] == ["reset"]:
        labs = [lab.name for lab in runbook.labs if not lab.undoes and not lab.name.startswith("azure.")]
        to, before = ("", words[2]) if words[1:2] == ["--before"] else (words[-1], "")
        with contextlib.suppress(UsageError):
            return state_of(runbook, labs, to=to, before=before).others
    if words[-1:] == ["--undo"]:
        return clean_up_of(runbook, *words[:-1])[0].labs[-1].undoes
    return ()


def _whole(lab: LabRecord, run: RunRecord) -> bool:
    """Whether all of it has come to its end, and well."""
    outcomes = {step.outcome for step in lab.steps}
    return outcomes <= {"changed", "unchanged"} and (lab.seconds is not None or run.exit_status == 0)


def _cell(lab: LabRecord, run: RunRecord, unproved: frozenset[str]) -> Cell | None:
    """None where the run tells nothing of it."""
    since = max((step.ended for step in lab.steps), default=run.started)
    worst = (step for outcome in ("failed", "inconclusive") for step in lab.steps if step.outcome == outcome)
    if bad := next(worst, None):
        return Cell("failed" if bad.outcome == "failed" else "not proved", since, _why(bad))
    if lab.steps and _whole(lab, run):
        if by := next((step.note for step in lab.steps if step.note.startswith("superseded by ")), ""):
            return Cell("superseded", since, by.removeprefix("superseded "))
        changed = any(step.outcome == "changed" for step in lab.steps)
        if changed and lab.name in unproved and not any(step.verdicts for step in lab.steps):
            return Cell("not proved", since, "applied, and a run proves it")
        return Cell("converged", since)
    if not lab.steps and run.exit_status == 0:
        return Cell("converged", run.started)  # what others need is there already: no step of it was begun
    if any(step.outcome != "skipped" for step in lab.steps) or (lab.title and lab.seconds is None):
        done = sum(step.outcome in ("changed", "unchanged") for step in lab.steps)
        note = f"{done} {'step' if done == 1 else 'steps'} done"
        return Cell("under way" if run.under_way else "stuck", since, note)
    return None


def _why(step: StepRecord) -> str:
    said = step.trouble.said if step.trouble else step.verdicts[-1].verdict.reason if step.verdicts else step.note
    return f"{step.title}: {said}" if said else step.title


def _measured(steps: Iterable[StepRecord]) -> Measured | None:
    """The last of them."""
    for step in sorted(steps, key=lambda step: step.ended, reverse=True):
        for kept in reversed(step.verdicts):
            if found := kept.verdict.measurements:
                said = ": ".join(filter(None, (kept.title or found[-1].title, kept.verdict.reason)))
                return Measured(step.lab, said, step.ended, kept.verdict.kind, found[-1].bars)
    return None


def row_of(
    name: str,
    labs: Sequence[str],
    past: Past,
    record: MemberRecord | None,
    look: Look | None,
    *,
    now: float,
    error: str = "",
) -> WallRow:
    """Of a member alone: whether it is behind is for `wall_of` to say."""
    run = past.last
    if record and run and record.ended is not None and run.started > record.ended:
        record = None  # what the member has done since counts
    cells = {lab: past.cells.get(lab, Cell()) for lab in labs}
    at_work = (record.under_way if record else False) or (run.under_way if run else False)
    if look and look.at is not None:
        cells = {lab: _seen(cell, look.cells.get(lab), look.at) for lab, cell in cells.items()}
    row = WallRow(
        name,
        "not begun",
        (),
        typed=(record.command if record else "") or (run.origin.command if run else ""),
        measured=_last_measured(past, record),
        looked=look.at if look else None,
        tried=look.tried if look and look.error else None,
        error=error or (look.error if look else ""),
    )
    if at_work:
        row, cells = _at_work(row, cells, past, record, now)
    else:
        row, cells = _at_rest(row, cells, past, record)
    return replace(row, cells=tuple(cells[lab] for lab in labs))


def _seen(cell: Cell, seen: Cell | None, at: float) -> Cell:
    """What is known of a lab, once its cluster has been looked at."""
    if seen is None or (cell.since is not None and cell.since > at):
        return cell
    if seen.state == cell.state:
        return replace(cell, note=seen.note or cell.note)
    if cell.state in ("failed", "stuck") and not seen.done:
        return cell
    return seen


def _last_measured(past: Past, record: MemberRecord | None) -> Measured | None:
    """A check is no run: what it measures is in the record alone."""
    if record and record.measured and record.since > (past.measured.at if past.measured else 0.0):
        lab, _, said = record.measured.partition(": ")
        if not (past.measured and past.measured.lab == lab and said in past.measured.said):
            return Measured(lab, said, record.since)
    return past.measured


def _at_work(
    row: WallRow, cells: dict[str, Cell], past: Past, record: MemberRecord | None, now: float
) -> tuple[WallRow, dict[str, Cell]]:
    under_way = record if record and record.under_way else None
    moved = max(past.moved, under_way.since or under_way.begun if under_way else 0.0)
    lab = (
        under_way.lab if under_way else next((lab for lab, cell in cells.items() if cell.state == "under way"), "")
    )
    still = now - moved > PATIENCE
    if lab in cells:
        before = cells[lab]
        note = before.note if before.state == "under way" else ""
        cells[lab] = Cell("stuck" if still else "under way", moved, note)
    row = replace(
        row,
        condition="stuck" if still else "under way",
        why="no progress" if still else "",
        since=moved,
        lab=lab,
        step=under_way.step if under_way else "",
        doing=under_way.doing if under_way else "",
    )
    return row, cells


def _at_rest(
    row: WallRow, cells: dict[str, Cell], past: Past, record: MemberRecord | None
) -> tuple[WallRow, dict[str, Cell]]:
    run = past.last
    ended = record.ended or record.since or record.begun if record else past.moved
    status, trouble = (record.status, record.trouble) if record else (run.exit_status if run else 0, None)
    trouble = trouble or (_trouble(run) if run else None)
    asked = [lab for lab in (run.asked if run else ()) if lab in cells]
    settled = (
        bool(asked) and row.looked is not None and row.looked > ended and all(cells[lab].done for lab in asked)
    )
    if status != 0 and not settled:
        why = "cut off" if status in (None, INTERRUPTED) else "not proved" if status == 3 else "failed"
        at = next((lab for lab, cell in cells.items() if cell.state in ("failed", "stuck", "not proved")), "")
        return replace(row, condition="stuck", why=why, since=ended, lab=at, trouble=trouble), cells
    # A lab that was cut off, and that nothing was done at since, is only begun.
    cells = {
        lab: replace(cell, state="under way") if cell.state == "stuck" else cell for lab, cell in cells.items()
    }
    seen = any(cell.state != "not there" for cell in cells.values())
    if all(cell.done for cell in cells.values()):
        return replace(row, condition="done", since=max((cell.since or 0.0) for cell in cells.values())), cells
    if not (run or seen):
        return row, cells
    since = max(past.moved, *(cell.since or 0.0 for cell in cells.values()), record.ended or 0.0 if record else 0.0)
    return replace(row, condition="idle", since=since or None), cells


def _trouble(run: RunRecord) -> Trouble | None:
    """The first of it: what comes after it often comes of it."""
    for step in run.steps:
        if step.trouble:
            return replace(step.trouble, said=f"{step.lab}, {step.title}: {step.trouble.said}")
        if step.outcome in ("failed", "inconclusive"):
            return Trouble(f"{step.lab}, {_why(step)}", next_command=run.resume)
    if run.trouble:
        return run.trouble
    if run.cut_off:
        said = "interrupted" if run.exit_status == INTERRUPTED else "ended from outside, before its end"
        return Trouble(said, next_command=run.resume or run.origin.command)
    return None


def wall_of(title: str, labs: Sequence[tuple[str, str]], rows: Sequence[WallRow], *, now: float) -> Wall:
    """Those who have done nothing for long and are behind half of the class are stuck as well."""
    half = statistics.median(row.come_to for row in rows) if rows else 0
    return Wall(title, tuple(labs), tuple(_or_behind(row, half, now) for row in rows))


def _or_behind(row: WallRow, half: float, now: float) -> WallRow:
    if row.condition != "idle" or row.since is None or row.come_to >= half or now - row.since <= PATIENCE:
        return row
    return replace(row, condition="stuck", why="nothing new, and behind half of the class")
