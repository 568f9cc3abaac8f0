"""What `istioctl analyze -A` says after each of Istio's labs: nothing is wrong, and nothing deprecated.

An attendee learns in `istio.adopt` to trust it. The real one found five errors in what the labs left
(`shared/real/istioctl/analyze-A.txt`), of which the sandbox's knew none. What it may say, as it does there, is that
the namespaces `default` and `workshop-system` are outside of the mesh. Labs are brought to their end without their
proofs, which take time and change nothing that analyze looks at.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs import RUNBOOK
from tests.labs.conftest import Workshop
from workshop.kubernetes.elsewhere import Others, elsewhere
from workshop.mesh.istioctl import Istioctl
from workshop.runbook import events
from workshop.runbook.model import Lab, Step, Timeline, Together
from workshop.runbook.run import Facts, Run
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile
from workshop.target import describe

LABS = tuple(lab for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes)
OUTSIDE = {"Namespace default", "Namespace workshop-system"}


def run_of(workshop: Workshop, lab: Lab) -> Run:
    seen: list[events.Event] = []
    content = {**read_profile(DEFAULT_PROFILE), "state": str(workshop.state)}
    return Run(lab.name, describe(from_config(content)).toolbox, Facts(), {}, seen.append)


def at_its_end(lab: Lab, run: Run) -> Iterator[Step]:
    """Of what moves through stages only the last one."""
    for part in lab.parts:
        if isinstance(part, Together):
            yield from part.steps
        else:
            yield part.step(part.stages[-1], run) if isinstance(part, Timeline) else part


async def nothing_found(run: Run) -> None:
    """In time: a subset's pods may still be on their way. What is outside of the mesh is always found."""

    async def found() -> str:
        messages = await Istioctl.of(run).analyze("-A")
        known = [one for one in messages if one.code == "IST0102" and one.origin in OUTSIDE]
        assert "Namespace default" in {one.origin for one in known}
        return ", ".join(f"{one.code} at {one.origin}" for one in messages if one not in known)

    await run.wait(f"analyze to find nothing after {run.lab}", found, seconds=20.0, every=0.2)


async def test_after_each_lab_it_finds_nothing(workshop: Workshop) -> None:
    workshop.converge("sandbox.up")
    assert {"istio.adopt", "istio.canary", "istio.circuit-breaker", "istio.mirror"} <= {lab.name for lab in LABS}
    for lab in LABS:
        run = run_of(workshop, lab)
        async with run.use(Others).hold():
            for step in at_its_end(lab, run):
                run.facts.forget()
                await step.apply(run)
        await nothing_found(run)
    there = elsewhere(run, "secondary")
    assert there
    await nothing_found(there)
