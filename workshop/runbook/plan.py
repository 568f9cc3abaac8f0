"""What a run would change, from the same schedules and the same checks, changing nothing; and what a person would
type instead.

A check answers from what is there now; what an earlier step of the plan will create is not there yet, and checks
are written to answer then, too. Only where an earlier step will move the very object that a check looks at does the
plan know better than the check: the later stages of a timeline, and other labs' timelines of the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Lab, Runbook, Timeline
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation
from workshop.runbook.run import Run, unheard
from workshop.runbook.schedule import Job, Schedule, ScheduledStep, StepState, TimelineRun, Undo
from workshop.runbook.stop import only_cause


@dataclass(frozen=True, slots=True)
class StepPlan:
    """`explanation` says how a person would make the change. With `error`, a run would fail here: its check raises.
    `unproved`: a run would change nothing, but prove what an earlier one has applied."""

    number: int
    title: str
    check: Check
    explanation: Explanation
    destroys: bool = False
    error: Exception | None = None
    unproved: bool = False

    @property
    def changes(self) -> bool:
        return not self.check.converged


@dataclass(frozen=True, slots=True)
class LabPlan:
    """`asked`: for itself, and not because another lab needs it."""

    name: str
    title: str
    steps: tuple[StepPlan, ...]
    asked: bool = True

    @property
    def changes(self) -> bool:
        return any(step.changes or step.error for step in self.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    target: str
    labs: tuple[LabPlan, ...]

    @property
    def steps(self) -> tuple[StepPlan, ...]:
        return tuple(step for lab in self.labs for step in lab.steps)

    @property
    def exit_status(self) -> int:
        """0, or what a run would end with where a check raised: 2 when all of it is wrong usage, else 1."""
        errors = [step.error for step in self.steps if step.error]
        usage = errors and all(isinstance(error, UsageError) for error in errors)
        return UsageError.exit_status if usage else int(bool(errors))


async def plan(job: Job) -> Plan:
    """Raises UsageError where a run would refuse."""
    job.request.validate(job.runbook)
    try:
        planner = Planner(job)
        labs = planner.labs()
        schedules = {lab.name: job.schedule(lab) for lab in labs}
        await planner.refuse_unless_ready(schedules)
        return Plan(job.target, tuple([await planner.lab(lab, schedules[lab.name]) for lab in labs]))
    finally:
        await job.facts.close()


def _removed(steps: Iterable[StepPlan]) -> Iterator[str]:
    """The subjects that these steps will have deleted."""
    for step in steps:
        for item in step.check.differences if step.destroys else ():
            if not item.path and item.wanted is ABSENT:
                yield item.subject


def _without(state: StepState, step: ScheduledStep, removed: Set[str]) -> StepState:
    """As it will be once these subjects are deleted, where the step takes something back."""
    if not (step.undoes and removed):
        return state
    left = [it for it in state.check.differences if removed.isdisjoint((it.subject, it.goes_with))]
    return replace(state, check=replace(state.check, differences=tuple(left)))


class Planner:
    """The looking half of a run, also used by the runner for what must have converged before."""

    def __init__(self, job: Job) -> None:
        self._job, self._runbook, self._request = job, job.runbook, job.request
        self._moved: dict[str, str] = {}
        """Where the plan will have moved a timeline's object, by the lab that has moved it last: that tells labs
        which move the same object."""
        self._moved_runs: set[TimelineRun] = set()
        """Those whose object the plan will have moved before."""
        self._named: set[tuple[str, str]] = set()
        """What was added by hand, as far as it has been told: several steps may be about an object."""
        self.answered = False
        """Whether anything was looked at with success."""

    def labs(self) -> tuple[Lab, ...]:
        return self._request.taking_part(self._runbook)

    async def lab(self, lab: Lab, schedule: Schedule) -> LabPlan:
        steps: list[StepPlan] = []
        removed: set[str] = set()
        for group in schedule:
            planned = [await self._step(step, lab, removed) for step in self._job.taking_part((group,))]
            removed.update(_removed(planned))
            steps += planned
        return LabPlan(lab.name, lab.title, tuple(steps), lab.name in self._request.labs)

    async def _step(self, step: ScheduledStep, lab: Lab, removed: Set[str]) -> StepPlan:
        """What earlier steps will have `removed` need not be taken back once more."""
        run = self._job.run_of(step, lab)
        try:
            state = await self._state(step, run, removed)
        except Exception as error:
            self.refuse_if_nothing_answers(error)
            return StepPlan(step.number, step.title, Check(), Explanation(), step.undoes, error)
        self.answered = True
        explanation = Explanation() if state.check.converged else step.step.explain(run)
        check = self.once(state.check)
        return StepPlan(step.number, step.title, check, explanation, step.undoes, unproved=state.unproved)

    def refuse_if_nothing_answers(self, error: Exception) -> None:
        """Raises an error that each of the steps would end with: it is told once."""
        cause = only_cause(error)
        if isinstance(cause, WorkshopError) and cause.everywhere and not self.answered:
            raise cause

    def once(self, check: Check) -> Check:
        """The check without what was added by hand and was told before."""
        new = [item for item in check.added if (item.subject, item.path) not in self._named]
        self._named.update((item.subject, item.path) for item in new)
        return replace(check, added=tuple(new))

    async def _state(self, step: ScheduledStep, run: Run, removed: Set[str]) -> StepState:
        """What the check says now, or will say after what the plan has before it."""
        timeline_run = step.timeline_run
        timeline = (
            timeline_run.timeline if timeline_run else step.step.part if isinstance(step.step, Undo) else None
        )
        if not isinstance(timeline, Timeline):
            return _without(await step.state(run), step, removed)
        mover = (await timeline.position(run)).moved_by
        if timeline_run and mover in self._moved:
            self._moved_runs.add(timeline_run)
        state = _without(await step.state(run, moved=timeline_run in self._moved_runs), step, removed)
        if not timeline_run and state.check.converged and self._moved.get(mover) in timeline.stages:
            state = StepState(Check((Difference(timeline.title, "", timeline.start, self._moved[mover]),)))
        if not state.check.converged:
            if timeline_run:
                self._moved_runs.add(timeline_run)
            if mover:
                self._moved[mover] = timeline.stages[step.stage] if timeline_run else timeline.start
        return state

    async def refuse_unless_ready(self, schedules: Mapping[str, Schedule]) -> None:
        """For --only and --step, which converge nothing else: raises UsageError naming what to run first."""
        if not self._request.only and self._request.step is None:
            return
        await self._refuse_unless_needs_converged()
        if self._request.step is not None:
            lab = self._runbook.lab(self._request.labs[0])
            await self._refuse_unless_at_step(lab, schedules[lab.name], self._request.step)

    async def _refuse_unless_needs_converged(self) -> None:
        needs = [lab for lab in self._runbook.with_needs(self._request.labs) if lab.name not in self._request.labs]
        missing = [lab.name for lab in needs if not await self._converged(lab)]
        if not missing:
            return
        brought = {need for name in missing for need in self._needs_of(name)}
        first = [name for name in missing if name not in brought]
        raise UsageError(
            f"run only {' '.join(self._request.labs)}",
            f"{', '.join(missing)} must have converged before, and {'has' if len(missing) == 1 else 'have'} not",
            next_command=" ".join([self._request.program, *(f"lab.{name}" for name in first)]),
        )

    def _needs_of(self, name: str) -> set[str]:
        return {lab.name for lab in self._runbook.with_needs((name,))} - {name}

    async def _converged(self, lab: Lab) -> bool:
        for group in self._job.schedule(lab):
            for step in group:
                if not (await step.state(self._job.run_of(step, lab))).converged:
                    return False
        return True

    async def _refuse_unless_at_step(self, lab: Lab, schedule: Schedule, number: int) -> None:
        for group in schedule:
            if any(step.number == number for step in group):
                return
            for step in group:
                if not (await step.state(self._job.run_of(step, lab))).converged:
                    raise UsageError(
                        f"run only step {number} of {lab.name}",
                        f"step {step.number} ({step.title}) has not converged, and it comes before",
                        next_command=self._request.retyped({"--step": str(step.number)}),
                    )


@dataclass(frozen=True, slots=True)
class StepExplanation:
    number: int
    title: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class LabExplanation:
    lab: Lab
    steps: tuple[StepExplanation, ...]


def explain(
    runbook: Runbook, request: Request, toolbox: Mapping[type, object] | None = None
) -> tuple[LabExplanation, ...]:
    """The labs asked for (what they need is named in `lab.all_needs`). `toolbox` is for explanations that name what
    the target configures; nothing in it is run. Raises UsageError as a run would."""
    request.validate(runbook)
    job = Job(runbook, request, toolbox or {}, unheard)
    labs = [runbook.lab(name) for name in sorted(set(request.labs), key=runbook.position)]
    return tuple(LabExplanation(lab, tuple(_explained(job, lab))) for lab in labs)


def _explained(job: Job, lab: Lab) -> Iterator[StepExplanation]:
    for step in job.taking_part(job.schedule(lab)):
        yield StepExplanation(step.number, step.title, step.step.explain(job.run_of(step, lab)))
