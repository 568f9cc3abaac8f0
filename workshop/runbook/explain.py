"""What a person would type instead: text, YAML and commands of each step. Needs no cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workshop.runbook.chain import unfold
from workshop.runbook.model import Explanation, Lab, Runbook
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Run


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
    labs = [runbook.lab(name) for name in sorted(set(request.labs), key=runbook.position)]
    return tuple(_lab(runbook, lab, request, toolbox or {}) for lab in labs)


def _lab(runbook: Runbook, lab: Lab, request: Request, toolbox: Mapping[type, object]) -> LabExplanation:
    def run(owner: Lab) -> Run:
        options, program = request.options_of(owner), request.program
        return Run(owner.name, toolbox, Facts(), options, lambda event: None, program=program)

    units = [unit for group in unfold(runbook, lab, request, run(lab)) for unit in group]
    return LabExplanation(
        lab,
        tuple(
            StepExplanation(unit.number, unit.title, unit.step.explain(run(unit.lab)))
            for unit in units
            if request.step in (None, unit.number)
        ),
    )
