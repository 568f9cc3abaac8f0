"""Labs brought to their end without their proofs, which take time and change nothing."""

from __future__ import annotations

from collections.abc import Iterator

from labs import RUNBOOK
from tests.labs.conftest import Workshop
from workshop.kubernetes.elsewhere import Others
from workshop.runbook import events
from workshop.runbook.model import Lab, Step, Timeline, Together
from workshop.runbook.run import Facts, Run
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import describe

LABS = tuple(lab for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes)


def run_of(workshop: Workshop, lab: Lab) -> Run:
    seen: list[events.Event] = []
    content = {**read_profile(DEFAULT_PROFILE), "state": str(workshop.state)}
    return Run(lab.name, describe(from_config(content)).toolbox, Facts(), {}, seen.append)


async def bring_to_its_end(lab: Lab, run: Run) -> None:
    async with run.use(Others).hold():
        for step in at_its_end(lab, run):
            run.facts.forget()
            await step.apply(run)


def at_its_end(lab: Lab, run: Run) -> Iterator[Step]:
    """Of what moves through stages only the last one."""
    for part in lab.parts:
        if isinstance(part, Together):
            yield from part.steps
        else:
            yield part.step(part.stages[-1], run) if isinstance(part, Timeline) else part
