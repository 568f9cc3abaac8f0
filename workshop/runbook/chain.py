"""A lab as the chain of steps a run goes through: numbered, with timelines unfolded to one step for each stage.

Runner, plan and explain all walk this same chain, which is why a plan is truthful. A timeline's steps share a
`Course`, which reads once where the object is and from that decides which stages are behind it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from workshop.runbook.errors import UsageError, WorkshopError, WrongFlags
from workshop.runbook.model import (
    ABSENT,
    Check,
    Difference,
    Explanation,
    Lab,
    Position,
    Runbook,
    Step,
    Timeline,
    Together,
)
from workshop.runbook.request import Request
from workshop.runbook.run import Run
from workshop.runbook.unproved import Unproved

UNDO_LIMIT = 120.0
"""Seconds until something that was deleted must be gone; a namespace with finalizers takes tens of seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a step's check came to. `verifiable`: the object is at this step, so its effect can be measured.
    `unproved`: it is as wanted, and an earlier run that applied it has not seen it proved."""

    check: Check
    verifiable: bool = True
    unproved: bool = False

    @property
    def converged(self) -> bool:
        return self.check.converged and not self.unproved


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One step of a chain. `lab` is whose options and labels it runs with (a clean-up's steps are other labs').
    `part` is the title of the lab's part that it is of, `after` are labs it waits for that its own lab has not
    waited for."""

    number: int
    step: Step
    lab: Lab
    part: str
    course: Course | None = None
    stage: int = 0
    after: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.step.title

    @property
    def undoes(self) -> bool:
        return isinstance(self.step, Undo)

    async def look(self, run: Run) -> Look:
        if self.course is None:
            check = await self.step.check(run)
            look = Look(check, not check.left_out)
        else:
            look = await self.course.look(self.stage, self.step, run)
        if look.check.converged and look.verifiable and self.step.has_proof(run):
            return replace(look, unproved=await run.use(Unproved).has(run, self.part))
        return look


Chain = tuple[tuple[Unit, ...], ...]
"""Groups in order; the steps in a group run at the same time."""


class Course:
    """A timeline's way through its stages in one run.

    `later` are the labs after this one: when one of them moved the object last, its position stands, unless
    `by_name` (the lab was asked for alone) makes it begin again at the first stage. `again` makes it do so anyway.
    """

    def __init__(self, timeline: Timeline, *, later: frozenset[str], again: bool, by_name: bool) -> None:
        self.timeline = timeline
        self.moved = False
        """Set by a plan when something before will have moved the object: where it is now decides no more."""
        self._later, self._again, self._by_name = later, again, by_name
        self._position: Position | None = None
        self._subjects: tuple[str, ...] = (timeline.title,)
        """What the timeline moves, as far as checks have told."""
        self._without: frozenset[str] = frozenset()
        """What the stage looked at last does not have, and so removes."""
        self._left_out: set[int] = set()

    async def position(self, run: Run) -> Position:
        if self._position is None:
            self._position = await self.timeline.position(run)
        return self._position

    def forget(self) -> None:
        self._position = None

    def superseded(self, position: Position) -> bool:
        """Whether a later lab has moved the object last."""
        return position.holder in self._later

    async def look(self, stage: int, step: Step, run: Run) -> Look:
        position = await self.position(run)
        stages = self.timeline.stages
        again = self._again or self.moved
        if self.superseded(position) and not again:
            if not self._by_name:
                return Look(Check(note=f"superseded by {position.holder}"), verifiable=False)
            again = True
        behind = stages.index(position.stage) if position.stage in stages and not again else -1
        if stage < behind:
            return Look(Check(), verifiable=False)
        check = await step.check(run)
        if check.left_out:
            self._left_out.add(stage)
            return Look(check, verifiable=False)
        if stage == behind:
            return Look(Check(note="the cluster is here" if behind < len(stages) - 1 else "", added=check.added))
        self._learn(check)
        if self.moved:
            check = self._from_before(stage, check)
        if position.off_path and stage == 0:
            check = replace(check, note=f"off the path: {position.off_path}")
        return Look(check)

    def _learn(self, check: Check) -> None:
        """Subjects from a stage's check, but for what neither this stage nor the one before has: that is gone by
        then."""
        without = frozenset(item.subject for item in check.differences if not item.path and item.wanted is ABSENT)
        named = dict.fromkeys(item.subject for item in check.differences)
        for subjects in (named, self._subjects):
            if left := tuple(subject for subject in subjects if subject not in without & self._without):
                self._subjects = left
                break
        self._without = without

    def _from_before(self, stage: int, check: Check) -> Check:
        """What a check says of an object that will have been moved before: it compares with what is there now, so
        of its differences only the subjects hold."""
        stages = self.timeline.stages
        if stage == 0 and check.differences:
            return check
        before = next((stages[at] for at in reversed(range(stage)) if at not in self._left_out), "moved")
        return Check(tuple(Difference(subject, "", stages[stage], before) for subject in self._subjects))


class Undo(Step):
    """A part's undo, as a step."""

    def __init__(self, part: Step | Timeline) -> None:
        self.title = part.undo_title or f"Undo: {part.title}"
        self.part = part

    async def check(self, run: Run) -> Check:
        return await self.part.check_undo(run)

    async def settle(self, run: Run) -> None:
        if isinstance(self.part, Step):
            await self.part.settle(run)

    async def apply(self, run: Run) -> None:
        await self.part.undo(run)

        async def still_there() -> str:
            run.facts.forget()
            left = (await self.check(run)).differences
            return ", ".join(sorted({difference.subject + _reason(difference) for difference in left}))

        try:
            # The observation that finds nothing left serves the next step's check.
            await run.wait("what was deleted to be gone", still_there, seconds=UNDO_LIMIT, found="still there")
        except WorkshopError as error:
            raise await self._held_up(run, error) from None

    async def _held_up(self, run: Run, error: WorkshopError) -> WorkshopError:
        """The error with who holds what is still there, as far as that can be found out."""
        with contextlib.suppress(WorkshopError):
            held = await run.cuttable(self.part.held_up(run))
            error.cause, error.next_command = error.cause or held.cause, error.next_command or held.next_command
        return error

    def explain(self, run: Run) -> Explanation:
        return self.part.explain_undo(run)


def _reason(left: Difference) -> str:
    """What is there waits for something, where its check says so in words."""
    return f" ({left.found})" if isinstance(left.found, str) and " " in left.found else ""


def unfold(runbook: Runbook, lab: Lab, request: Request, run: Run) -> Chain:
    """The lab's chain for this request. `run` gives the options; nothing is looked at.

    Raises UsageError for options that make no stage, or that contradict the request.
    """
    return tuple(_undo_groups(runbook, lab) if lab.undoes else _groups(runbook, lab, request, run))


def _undo_groups(runbook: Runbook, lab: Lab) -> Iterator[tuple[Unit, ...]]:
    """Last first. Labs beside each other, of which none needs another, are undone at the same time."""
    number = 0
    for together in _beside(runbook, sorted(lab.undoes, key=runbook.position, reverse=True)):
        parts = [reversed(undone.parts) for undone in together]
        for row in itertools.zip_longest(*parts):
            steps = [
                (step, undone)
                for part, undone in zip(row, together, strict=True)
                if part is not None
                for step in (part.steps if isinstance(part, Together) else (part,))
            ]
            yield tuple(
                Unit(number + place, Undo(step), undone, step.title)
                for place, (step, undone) in enumerate(steps, 1)
            )
            number += len(steps)


def _beside(runbook: Runbook, names: list[str]) -> Iterator[list[Lab]]:
    """The labs in this order, with those that do not depend on each other side by side. A timeline's object may be
    another lab's as well, so a lab with one stays alone."""
    batch: list[Lab] = []
    for name in names:
        lab = runbook.lab(name)
        alone = any(isinstance(part, Timeline) for undone in (lab, *batch) for part in undone.parts)
        if batch and (alone or any(name in _before(runbook, other) for other in batch)):
            yield batch
            batch = []
        batch.append(lab)
    if batch:
        yield batch


def _before(runbook: Runbook, lab: Lab) -> set[str]:
    """What must have converged before the lab, or a part of it."""
    after = [name for part in lab.parts if isinstance(part, Together) for name in part.after]
    return {other.name for other in runbook.with_needs((*lab.needs, *after))}


def _groups(runbook: Runbook, lab: Lab, request: Request, run: Run) -> Iterator[tuple[Unit, ...]]:
    asked_for = lab.name in request.labs
    by_name = request.labs == (lab.name,)
    number = 1
    for part in lab.parts:
        if isinstance(part, Step):
            yield (Unit(number, part, lab, part.title),)
            number += 1
        elif isinstance(part, Together):
            yield tuple(
                Unit(number + place, step, lab, step.title, after=part.after)
                for place, step in enumerate(part.steps)
            )
            number += len(part.steps)
        else:
            if asked_for and (stage := _stage_asked(part, request, run)) is not None:
                yield (Unit(number, part.step(stage, run), lab, part.title),)
                if stage == request.to:
                    return  # what comes after the stage asked for is not touched
            else:
                way = course(runbook, lab, part, again=asked_for and request.restart, by_name=by_name)
                for index, stage in enumerate(part.stages):
                    yield (Unit(number + index, part.step(stage, run), lab, part.title, way, index),)
            number += len(part.stages)


def course(runbook: Runbook, lab: Lab, timeline: Timeline, *, again: bool, by_name: bool) -> Course:
    later = frozenset(other.name for other in runbook.labs[runbook.position(lab.name) + 1 :])
    return Course(timeline, later=later, again=again, by_name=by_name)


def _stage_asked(timeline: Timeline, request: Request, run: Run) -> str | None:
    try:
        asked = timeline.asked(run)
    except WrongFlags as error:
        error.next_command = request.retyped(error.instead, run.lab)
        raise
    if asked is None:
        return request.to if request.to in (timeline.start, *timeline.stages) else None
    for flag in (given := request.beginnings()):
        raise UsageError(
            f"use {flag} with a stage of your own ({asked})",
            "each says where to go",
            next_command=request.retyped(dict.fromkeys(given), run.lab),
        )
    return asked
