"""What a run would change, from the same chains and the same checks, changing nothing.

A check answers from what is there now; what an earlier step of the plan will create is not there yet, and checks
are written to answer then, too. Only where an earlier step will move the very object that a check looks at does the
plan know better than the check: the later stages of a timeline, and other labs' timelines of the same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workshop.runbook.chain import Chain, Look, Undo, Unit, unfold
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.model import Check, Difference, Explanation, Lab, Runbook, Timeline
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Listener, Run
from workshop.runbook.steps import only_cause
from workshop.runbook.unproved import remembering


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


async def plan(
    runbook: Runbook, request: Request, toolbox: Mapping[type, object], listener: Listener, *, target: str
) -> Plan:
    """Raises UsageError where a run would refuse."""
    request.validate(runbook)
    facts = Facts()
    try:
        planner = Planner(runbook, request, remembering(toolbox), facts, listener)
        labs = planner.labs()
        chains = {lab.name: planner.unfold(lab) for lab in labs}
        await planner.refuse_unless_ready(chains)
        return Plan(target, tuple([await planner.lab(lab, chains[lab.name]) for lab in labs]))
    finally:
        await facts.close()


class Planner:
    """The looking half of a run, also used by the runner for what must have converged before."""

    def __init__(
        self,
        runbook: Runbook,
        request: Request,
        toolbox: Mapping[type, object],
        facts: Facts,
        listener: Listener,
    ) -> None:
        self._runbook, self._request = runbook, request
        self._toolbox, self._facts, self._listener = toolbox, facts, listener
        self._moved: dict[str, str] = {}
        """Where the plan will have moved a timeline's object, by the lab that holds it now: that tells labs which
        move the same object."""
        self._named: set[tuple[str, str]] = set()
        """What was added by hand, as far as it has been told: several steps may be about an object."""

        self.answered = False
        """Whether anything was looked at with success."""

    def labs(self) -> tuple[Lab, ...]:
        return self._request.taking_part(self._runbook)

    def unfold(self, lab: Lab) -> Chain:
        return unfold(self._runbook, lab, self._request, self.run(lab, 0, lab))

    def run(self, owner: Lab, number: int, shown_as: Lab, **about: Any) -> Run:
        """For a look at a step, with what a Run is told `about` it beyond that."""
        return Run(
            owner.name,
            self._toolbox,
            self._facts,
            self._request.options_of(owner),
            self._listener,
            step=number,
            shown_as=shown_as.name,
            program=self._request.program,
            **about,
        )

    async def lab(self, lab: Lab, chain: Chain) -> LabPlan:
        units = [unit for group in chain for unit in group if self._request.step in (None, unit.number)]
        steps = tuple([await self._step(unit, lab) for unit in units])
        return LabPlan(lab.name, lab.title, steps, lab.name in self._request.labs)

    async def _step(self, unit: Unit, lab: Lab) -> StepPlan:
        run = self.run(unit.lab, unit.number, lab)
        try:
            look = await self._look(unit, run)
        except Exception as error:
            self.refuse_if_nothing_answers(error)
            return StepPlan(unit.number, unit.title, Check(), Explanation(), unit.undoes, error)
        self.answered = True
        explanation = Explanation() if look.check.converged else unit.step.explain(run)
        check = self.once(look.check)
        return StepPlan(unit.number, unit.title, check, explanation, unit.undoes, unproved=look.unproved)

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

    async def _look(self, unit: Unit, run: Run) -> Look:
        """What the check says now, or will say after what the plan has before it."""
        timeline = unit.course.timeline if unit.course else unit.step.part if isinstance(unit.step, Undo) else None
        if not isinstance(timeline, Timeline):
            return await unit.look(run)
        holder = (await timeline.position(run)).holder
        if unit.course and holder in self._moved:
            unit.course.moved = True
        look = await unit.look(run)
        if not unit.course and look.check.converged and self._moved.get(holder) in timeline.stages:
            look = Look(Check((Difference(timeline.title, "", timeline.start, self._moved[holder]),)))
        if not look.check.converged:
            if unit.course:
                unit.course.moved = True
            if holder:
                self._moved[holder] = timeline.stages[unit.stage] if unit.course else timeline.start
        return look

    async def refuse_unless_ready(self, chains: Mapping[str, Chain]) -> None:
        """For --only and --step, which converge nothing else: raises UsageError naming what to run first."""
        if not self._request.only and self._request.step is None:
            return
        await self._refuse_unless_needs_converged()
        if self._request.step is not None:
            await self._refuse_unless_at_step(self._runbook.lab(self._request.labs[0]), chains, self._request.step)

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
        for group in unfold(self._runbook, lab, self._request, self.run(lab, 0, lab)):
            for unit in group:
                if not (await unit.look(self.run(unit.lab, unit.number, lab))).converged:
                    return False
        return True

    async def _refuse_unless_at_step(self, lab: Lab, chains: Mapping[str, Chain], number: int) -> None:
        for group in chains[lab.name]:
            if any(unit.number == number for unit in group):
                return
            for unit in group:
                if not (await unit.look(self.run(unit.lab, unit.number, lab))).converged:
                    raise UsageError(
                        f"run only step {number} of {lab.name}",
                        f"step {unit.number} ({unit.title}) has not converged, and it comes before",
                        next_command=self._request.retyped({"--step": str(unit.number)}),
                    )
