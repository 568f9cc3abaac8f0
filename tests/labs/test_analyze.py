"""What `istioctl analyze -A` says after each of Istio's labs: nothing is wrong, and nothing deprecated.

An attendee learns in `istio.adopt` to trust it. The real one found five errors in what the labs left
(`shared/real/istioctl/analyze-A.txt`), of which the sandbox's knew none. What it may say, as it does there, is that
the namespaces `default` and `workshop-system` are outside of the mesh. Labs are brought to their end without their
proofs, which take time and change nothing that analyze looks at.
"""

from __future__ import annotations

from labs import RUNBOOK
from tests.labs.conftest import Workshop
from tests.labs.ends import bring_to_its_end, run_of
from workshop.kubernetes.elsewhere import elsewhere
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.run import Run

LABS = tuple(lab for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes)
OUTSIDE = {"Namespace default", "Namespace workshop-system"}


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
        await bring_to_its_end(lab, run)
        await nothing_found(run)
    there = elsewhere(run, "secondary")
    assert there
    await nothing_found(there)
