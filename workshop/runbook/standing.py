"""What a step stands on: what the labs that its lab needs, and its lab's earlier steps, have made.

It was converged when the step began, and somebody may delete a piece of it while a proof runs. What is then
measured says nothing about the step; so it is looked at when a proof does not pass, by the checks of those steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workshop.runbook.chain import Unit, course
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Check, Difference, Lab, Part, Runbook, Step, Timeline, Together
from workshop.runbook.run import Run


@dataclass(frozen=True, slots=True)
class Standing:
    """`run` is the one that the step `unit` gets."""

    runbook: Runbook
    unit: Unit
    run: Run

    async def unlike(self) -> tuple[tuple[str, Difference], ...]:
        """What of it is not as it should be, with the lab it is of, in the order in which it was made. The step
        itself counts as well, but not the timeline that it moves: how far that is decides a step for itself. What
        cannot be looked at is left out."""
        found: dict[str, tuple[str, Difference]] = {}
        for lab, part in self._parts():
            run = self.run if lab is self.unit.lab else self.run.of_lab(lab.name)
            for step in _steps(part):
                for difference in (await self._check(lab, step, run)).differences:
                    found.setdefault(f"{difference.subject} {difference.path}", (lab.name, difference))
        return tuple(found.values())

    async def _check(self, lab: Lab, step: Step | Timeline, run: Run) -> Check:
        try:
            if isinstance(step, Step):
                return await step.check_standing(run)
            last = len(step.stages) - 1
            way = course(self.runbook, lab, step, again=False, by_name=False)
            return (await way.look(last, step.step(step.stages[last], run), run)).check
        except WorkshopError:
            return Check()

    def _parts(self) -> Iterator[tuple[Lab, Part]]:
        own = self.unit.lab
        for lab in self.runbook.with_needs(own.all_needs):
            yield from ((lab, part) for part in lab.parts)
        for part in own.parts:
            if isinstance(part, Timeline):
                if part.title == self.unit.part:
                    return
            elif self.unit.step in _steps(part):
                if not self.run.undone:
                    yield own, self.unit.step
                return
            else:
                yield own, part


def _steps(part: Part) -> tuple[Step | Timeline, ...]:
    return part.steps if isinstance(part, Together) else (part,)
