"""A lab as the schedule of steps a run goes through: numbered, with timelines unfolded to one step for each stage.

Runner, plan, check and explain all walk this same schedule, which is why a plan is truthful. A timeline's steps
share a `TimelineRun`, which reads once where the object is and from that decides which stages are behind it. What
all four need to know of the command they serve is their `Job`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from workshop.runbook.errors import UsageError, WorkshopError, WrongFlags
from workshop.runbook.journal import ProofRecord
from workshop.runbook.model import CustomStage, Lab, Part, Position, Runbook, Step, Timeline, Together
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation
from workshop.runbook.run import Facts, Listener, Prerequisites, Run
from workshop.runbook.stop import Stop

UNDO_LIMIT = 120.0
"""Seconds until something that was deleted must be gone; a namespace with finalizers takes tens of seconds."""


@dataclass(frozen=True, slots=True)
class StepState:
    """What a step's check came to. `verifiable`: the object is at this step, so its effect can be measured.
    `unproved`: it is as wanted, and an earlier run that applied it has not seen it proved."""

    check: Check
    verifiable: bool = True
    unproved: bool = False

    @property
    def converged(self) -> bool:
        return self.check.converged and not self.unproved


@dataclass(frozen=True, slots=True, eq=False)
class ScheduledStep:
    """One step of a schedule. `lab` is whose options and labels it runs with (a clean-up's steps are other labs').
    `part` is the title of the lab's part that it is of; where that is a timeline, `timeline_run` is its way in this
    run and `stage` the number of this step's. `after` are labs it waits for that its own lab has not waited for."""

    number: int
    step: Step
    lab: Lab
    part: str
    timeline_run: TimelineRun | None = None
    stage: int = 0
    after: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.step.title

    @property
    def undoes(self) -> bool:
        return isinstance(self.step, Undo)

    async def state(self, run: Run, *, moved: bool = False) -> StepState:
        """`moved` is for plans: as it will be once something before has moved the timeline's object."""
        if self.timeline_run is None:
            check = await self.step.check(run)
            state = StepState(check, not check.left_out)
        else:
            state = await self.timeline_run.state(self.stage, self.step, run, moved=moved)
        if state.check.converged and state.verifiable and self.step.has_proof(run):
            return replace(state, unproved=await run.use(ProofRecord).unproved(run, self.part))
        return state


Schedule = tuple[tuple[ScheduledStep, ...], ...]
"""Groups in order; the steps in a group run at the same time."""


class TimelineRun:
    """A timeline's way through its stages in one run.

    `later` are the labs after this one: when one of them moved the object last, its position stands, unless
    `by_name` (the lab was asked for alone) makes it begin again at the first stage. `again` makes it do so anyway.
    `straight` goes to its one step wherever the object is.
    """

    def __init__(
        self, timeline: Timeline, *, later: frozenset[str], again: bool, by_name: bool, straight: bool = False
    ) -> None:
        self.timeline = timeline
        self._later, self._again, self._by_name, self._straight = later, again, by_name, straight
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
        return position.moved_by in self._later

    async def state(self, stage: int, step: Step, run: Run, *, moved: bool = False) -> StepState:
        """Of the step to that stage. Where the object will have been `moved` before, where it is now decides no
        more."""
        position = await self.position(run)
        stages = self.timeline.stages
        again = self._again or moved
        if self.superseded(position) and not again:
            if not self._by_name:
                return StepState(Check(note=f"superseded by {position.moved_by}"), verifiable=False)
            again = True
        if self._straight:
            return StepState(await step.check(run))
        behind = stages.index(position.stage) if position.stage in stages and not again else -1
        if stage < behind:
            return StepState(Check(), verifiable=False)
        check = await step.check(run)
        if check.left_out:
            self._left_out.add(stage)
            return StepState(check, verifiable=False)
        if stage == behind:
            note = "the cluster is here" if behind < len(stages) - 1 else ""
            return StepState(Check(position.differences, note, added=check.added))
        self._learn(check)
        if moved:
            check = self._from_before(stage, check)
        if position.off_path and stage == 0:
            check = replace(check, note=f"off the path: {position.off_path}")
        return StepState(check)

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


@dataclass(frozen=True)
class Job:
    """What one command asks of the engine, and with which means: the labs of `runbook` that `request` names, at the
    target of that name, whose tools are in `toolbox`. Events go to `listener`. All of it shares the `facts`, and
    ends when `stop` is asked to. `patience` and `only_looks` are those of its runs."""

    runbook: Runbook
    request: Request
    toolbox: Mapping[type, object]
    listener: Listener
    target: str = ""
    facts: Facts = field(default_factory=Facts)
    stop: Stop = field(default_factory=Stop)
    patience: float = math.inf
    only_looks: bool = False

    def run(self, owner: Lab, shown_as: Lab, number: int = 0, *, prerequisites: Prerequisites | None = None) -> Run:
        """For the step of that number of the lab it is shown as. `owner` is whose step it is."""
        return Run(
            owner.name,
            {ProofRecord: ProofRecord(), **self.toolbox},
            self.facts,
            self.request.options_of(owner),
            self.listener,
            step=number,
            shown_as=shown_as.name,
            stop=self.stop,
            undoing=shown_as.undoes,
            program=self.request.program,
            patience=self.patience,
            only_looks=self.only_looks,
            prerequisites=prerequisites,
        )

    def run_of(self, step: ScheduledStep, lab: Lab) -> Run:
        """For a look at the step."""
        return self.run(step.lab, lab, step.number)

    def schedule(self, lab: Lab) -> Schedule:
        """Raises UsageError as `unfold` does."""
        return unfold(self.runbook, lab, self.request, self.run(lab, lab))

    def taking_part(self, schedule: Schedule) -> tuple[ScheduledStep, ...]:
        """All steps, or the one that was asked for."""
        wanted = self.request.step
        return tuple(step for group in schedule for step in group if wanted in (None, step.number))


def unfold(runbook: Runbook, lab: Lab, request: Request, run: Run) -> Schedule:
    """The lab's schedule for this request. `run` gives the options; nothing is looked at.

    Raises UsageError for options that make no stage, or that contradict the request.
    """
    return tuple(_undo_groups(runbook, lab) if lab.undoes else _groups(runbook, lab, request, run))


def _undo_groups(runbook: Runbook, lab: Lab) -> Iterator[tuple[ScheduledStep, ...]]:
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
                ScheduledStep(number + place, Undo(step), undone, step.title)
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


def _groups(runbook: Runbook, lab: Lab, request: Request, run: Run) -> Iterator[tuple[ScheduledStep, ...]]:
    asked_for = lab.name in request.labs
    by_name = request.labs == (lab.name,)
    number = 1
    for part in lab.parts:
        if isinstance(part, Step):
            yield (ScheduledStep(number, part, lab, part.title),)
            number += 1
        elif isinstance(part, Together):
            yield tuple(
                ScheduledStep(number + place, step, lab, step.title, after=part.after)
                for place, step in enumerate(part.steps)
            )
            number += len(part.steps)
        else:
            if asked_for and (custom := _custom_stage(part, request, run)):
                yield (ScheduledStep(number, custom.step, lab, part.title),)
            elif asked_for and request.to in (part.start, *part.stages):
                yield (ScheduledStep(number, part.step(request.to, run), lab, part.title),)
                return  # what comes after the stage asked for is not touched
            else:
                moving = _timeline_run(
                    runbook,
                    lab,
                    part,
                    again=asked_for and request.restart,
                    by_name=by_name,
                    straight_among=request.labs if request.straight else None,
                )
                stages = list(enumerate(part.stages))
                for index, stage in stages[-1:] if request.straight else stages:
                    yield (ScheduledStep(number + index, part.step(stage, run), lab, part.title, moving, index),)
            number += len(part.stages)


def _timeline_run(
    runbook: Runbook,
    lab: Lab,
    timeline: Timeline,
    *,
    again: bool,
    by_name: bool,
    straight_among: tuple[str, ...] | None = None,
) -> TimelineRun:
    """With `straight_among`, only those labs may have moved the object on."""
    later = frozenset(other.name for other in runbook.labs[runbook.position(lab.name) + 1 :])
    straight = straight_among is not None
    later = later.intersection(straight_among or ()) if straight else later
    return TimelineRun(timeline, later=later, again=again, by_name=by_name and not straight, straight=straight)


def _custom_stage(timeline: Timeline, request: Request, run: Run) -> CustomStage | None:
    try:
        custom = timeline.custom_stage(run)
    except WrongFlags as error:
        error.next_command = request.retyped(error.instead, run.lab)
        raise
    if custom is None:
        return None
    for flag in (given := request.beginnings()):
        raise UsageError(
            f"use {flag} with a stage of your own ({custom.name})",
            "each says where to go",
            next_command=request.retyped(dict.fromkeys(given), run.lab),
        )
    return custom


@dataclass(frozen=True, slots=True)
class StepPrerequisites:
    """What a step stands on: what the labs that its lab needs, and its lab's earlier steps, have made.

    It was converged when the step began, and somebody may delete a piece of it while a proof runs. What is then
    measured says nothing about the step; so it is looked at when a proof does not pass, by the checks of those
    steps.
    """

    runbook: Runbook
    step: ScheduledStep

    async def deviations(self, run: Run) -> tuple[tuple[str, Difference], ...]:
        """See `Prerequisites`. The step itself counts as well, but not the timeline that it moves: how far that is
        decides a step for itself. What cannot be looked at is left out."""
        found: dict[str, tuple[str, Difference]] = {}
        for lab, part in self._parts(run):
            there = run if lab is self.step.lab else run.of_lab(lab.name)
            for step in _steps(part):
                for difference in (await self._check(lab, step, there)).differences:
                    found.setdefault(f"{difference.subject} {difference.path}", (lab.name, difference))
        return tuple(found.values())

    async def _check(self, lab: Lab, step: Step | Timeline, run: Run) -> Check:
        try:
            if isinstance(step, Step):
                return await step.check_readiness(run)
            last = len(step.stages) - 1
            moving = _timeline_run(self.runbook, lab, step, again=False, by_name=False)
            return (await moving.state(last, step.step(step.stages[last], run), run)).check
        except WorkshopError:
            return Check()

    def _parts(self, run: Run) -> Iterator[tuple[Lab, Part]]:
        own = self.step.lab
        for lab in self.runbook.with_needs(own.all_needs):
            yield from ((lab, part) for part in lab.parts)
        for part in own.parts:
            if isinstance(part, Timeline):
                if part.title == self.step.part:
                    return
            elif self.step.step in _steps(part):
                if not run.undone:
                    yield own, self.step.step
                return
            else:
                yield own, part


def _steps(part: Part) -> tuple[Step | Timeline, ...]:
    return part.steps if isinstance(part, Together) else (part,)
