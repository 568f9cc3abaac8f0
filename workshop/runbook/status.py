"""Where every lab is, from one observation of the target: what is there, what of it is not as it should be, and
which lab is next. Nothing is changed or measured.

The same schedules and checks as a run's decide, so that status, plan and run never say different things. What is
there of a lab that has not converged is told by what its undo would take back: nothing means that the lab is not
there, and is no drift. A lab whose first parts are as wanted and of whose later ones there is nothing has been
begun, unless the journal knows that it had come to its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from workshop.runbook.journal import LastRun
from workshop.runbook.lab_rows import Row, groups, row_of
from workshop.runbook.model import Lab, Together
from workshop.runbook.plan import Planner
from workshop.runbook.results import ABSENT, Check, Difference, Hint
from workshop.runbook.schedule import Job
from workshop.runbook.stop import only_cause

State = Literal["converged", "superseded", "by hand", "under way", "not proved", "drifted", "not there", "unknown"]
"""Of a lab as a whole. `by hand`: as wanted, but somebody has typed it, or added to it. `unknown`: a check could
not tell, and says why."""

DONE: tuple[State, ...] = ("converged", "superseded", "by hand")
"""Of these there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """`note` says where it is, if the state alone does not; `last` is the last run that took part in it, as far as
    the journal knows."""

    name: str
    title: str
    state: State
    note: str = ""
    differences: tuple[Difference, ...] = ()
    added: tuple[Difference, ...] = ()
    error: Exception | None = None
    last: LastRun | None = None

    @property
    def done(self) -> bool:
        return self.state in DONE


@dataclass(frozen=True, slots=True)
class Status:
    """`following` is what to type next: it puts right, or ends, the first lab that is there and not done, else
    begins the first that is not there; None where all are done."""

    target: str
    labs: tuple[LabStatus, ...]
    following: Hint | None = None

    @property
    def exit_status(self) -> int:
        """1 when something is not as it was left, or could not be looked at."""
        return int(any(lab.state in ("drifted", "unknown") for lab in self.labs))


def joined(parts: Sequence[Status]) -> Status:
    """Of several grounds, one after the other: the target is the last one's."""
    return Status(
        parts[-1].target,
        tuple(lab for one in parts for lab in one.labs),
        next((one.following for one in parts if one.following), None),
    )


async def status(job: Job, records: Mapping[str, LastRun]) -> Status:
    """Of the labs that the job asks for. Raises WorkshopError where nothing answers at all."""
    job.request.validate(job.runbook)
    try:
        planner = Planner(job)
        asked = [lab for lab in job.runbook.labs if lab.name in job.request.labs]
        labs = tuple([await _lab(job, planner, lab, records.get(lab.name)) for lab in asked])
    finally:
        await job.facts.close()
    undone = [lab for lab in labs if not lab.done]
    first = min(undone, key=lambda lab: lab.state == "not there", default=None)  # the first of its kind
    following = Hint("next", f"{job.request.program} lab.{first.name}", first.title) if first else None
    return Status(job.target, labs, following)


async def _lab(job: Job, planner: Planner, lab: Lab, last: LastRun | None) -> LabStatus:
    try:
        schedule = job.schedule(lab)
        rows = [await row_of(job, lab, schedule, step) for group in groups(job, schedule) for step in group]
        nothing = not await _anything(job, lab) if any(_missing(row) for row in rows) else False
    except Exception as error:
        planner.refuse_if_nothing_answers(error)
        return LabStatus(lab.name, lab.title, "unknown", error=only_cause(error), last=last)
    planner.answered = True
    state, note = _state(rows, nothing=nothing, last=last)
    differences = tuple(item for row in rows for item in row.state.check.differences)
    by_hand = {(item.subject, item.path): item for row in rows for item in row.state.check.added}
    added = planner.once(Check(added=tuple(by_hand.values()))).added
    if state != "drifted":
        differences = ()
    return LabStatus(lab.name, lab.title, state, note, differences, added, last=last)


async def _anything(job: Job, lab: Lab) -> bool:
    """Whether anything of it is there that taking it back would remove."""
    run = job.run(lab, lab)
    for part in lab.parts:
        for step in part.steps if isinstance(part, Together) else (part,):
            if (await step.check_undo(run)).differences:
                return True
    return False


def _missing(row: Row) -> bool:
    return not row.state.check.converged


def _state(rows: Sequence[Row], *, nothing: bool, last: LastRun | None) -> tuple[State, str]:
    if any(map(_missing, rows)):
        if nothing:
            return "not there", ""
        if off := next((row for row in rows if row.off_path), None):
            return "drifted", off.note
        if not (last and last.converged) and _only_begun(rows, known=last is not None):
            return "under way", _how_far(rows)
        return "drifted", ""
    if any(row.state.unproved for row in rows):
        return "not proved", "applied, and a run proves it"
    if any(0 < row.at < row.stages for row in rows):
        return "under way", _how_far(rows)
    if by := next((row.superseded_by for row in rows if row.superseded_by), ""):
        return "superseded", f"by {by}"
    if any(row.state.check.added for row in rows):
        return "by hand", "more is there than the lab made"
    if last is None or not last.applied:
        return "by hand", "as wanted, and no run from here applied it"
    return "converged", next((row.note for row in rows if row.at), "")


def _only_begun(rows: Sequence[Row], *, known: bool) -> bool:
    """Whether what is there is as wanted, and the rest is not there yet. Where no run is `known` to have been cut
    off, the rest has to come last."""
    first = next(place for place, row in enumerate(rows) if _missing(row))
    return all(_is_ahead(row) if _missing(row) else known or row.state.check.left_out for row in rows[first:])


def _is_ahead(row: Row) -> bool:
    """Whether there is nothing of it yet."""
    if row.stages:
        return row.at == 0 and not row.off_path
    return all(not item.path and item.found is ABSENT for item in row.state.check.differences)


def _how_far(rows: Sequence[Row]) -> str:
    if stage := next((row.note for row in rows if 0 < row.at < row.stages), ""):
        return stage
    done = sum(not _missing(row) for row in rows)
    return f"{done} of {len(rows)} parts"
