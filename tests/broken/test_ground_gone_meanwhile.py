"""What a lab stands on, deleted or scaled to nothing by somebody while its proof runs. Seen: `v3: 0.0 %`, which
calls a right rule wrong; `too few to tell; unrecognised answer: 1040`. It is named instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.kit.engine import Bench, bench
from tests.kit.runs import DEPLOYMENT, SERVICE, Recorded, config_map, manifests
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.stages import Stages, stage
from workshop.mesh.install import install
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import Command
from workshop.runbook.model import Lab, Runbook
from workshop.runbook.results import Verdict
from workshop.runbook.run import Run

LAB, NEEDED = "istio.canary", "istio.bookinfo"
PASS = Verdict("pass", "every share is as expected")
FEW = Verdict("inconclusive", "too few to tell; unrecognised answer: 1040")
WRONG = Verdict("fail", "v3, red stars: 0.0%, accepted 27.7% to 39.8%")


@dataclass
class Proof:
    """During which `typed` is, and which comes to `verdict`, or to an error."""

    verdict: Verdict | None = PASS
    typed: tuple[str, ...] = ()

    async def prove(self, run: Run) -> Verdict:
        for command in self.typed:
            await run.use(Kubectl).call(*command.split())
        if self.verdict is None:
            raise WorkshopError("count stars", "HTTP 404")
        return self.verdict

    def commands(self, run: Run) -> tuple[str, ...]:
        return ()


@pytest.fixture
def labs(kubectl: Kubectl, istioctl: Istioctl, namespace: str, tmp_path: Path) -> Bench:
    """Two labs on a real cluster: the second one stands on the first one's workload."""
    texts = {
        "ground": f"{SERVICE}---{DEPLOYMENT}",
        "early": config_map("early"),
        "here": config_map("one"),
    }
    files = {name: text.replace("NAMESPACE", namespace) for name, text in texts.items()}
    proof = Proof()
    moved = Stages(
        "Move it", stage("here", "Move it here", "here.yaml", proofs=(proof,)), start=stage("none", "Back")
    )
    lab = Lab(LAB, "Move", "", (apply("Put something", "early.yaml"), moved), needs=(NEEDED,))
    found = bench(Lab(NEEDED, "Deploy", "", (apply("Deploy ratings", "ground.yaml"),)), lab)
    tools = (kubectl, istioctl, manifests(tmp_path, **files), proof)
    return replace(found, tools={type(tool): tool for tool in tools})


async def disturbed(labs: Bench, verdict: Verdict | None, *commands: str, lab: str = LAB) -> WorkshopError:
    """What the run says, whose last proof runs while `commands` are typed."""
    proof = labs.tools[Proof]
    assert isinstance(proof, Proof)
    proof.verdict, proof.typed = PASS, ()
    assert await labs.run(lab) == 0, [step.error for step in labs.steps()]
    proof.verdict, proof.typed = verdict, commands
    assert await labs.run(lab, verify=True) == 1
    error = labs.steps()[-1].error
    assert isinstance(error, WorkshopError)
    assert error.tried == "see the effect of what was applied"
    assert (
        f"what was measured means nothing ({verdict.reason if verdict else 'count stars; HTTP 404'})" in error.cause
    )
    return error


async def test_a_service_or_a_workload_of_a_needed_lab_deleted(labs: Bench, namespace: str) -> None:
    for verdict, gone in (
        (WRONG, f"Deployment {namespace}/ratings-v1"),
        (FEW, f"Service {namespace}/ratings"),
        (None, f"Service {namespace}/ratings"),
    ):
        typed = f"delete {gone.replace(f'{namespace}/', '')} -n {namespace}"
        error = await disturbed(labs, verdict, typed)
        assert error.came_back == f"{gone} is gone (of {NEEDED})"
        assert error.next_command == f"invoke lab.{LAB}"


async def test_what_an_earlier_step_of_the_lab_has_made_deleted(labs: Bench, namespace: str) -> None:
    error = await disturbed(labs, FEW, f"delete configmap early -n {namespace}")
    assert error.came_back == f"ConfigMap {namespace}/early is gone (of {LAB})"


async def test_a_workload_scaled_to_0(labs: Bench, kubectl: Kubectl, namespace: str) -> None:
    """Its manifest does not say how many there are to be: a run would leave it so."""
    error = await disturbed(labs, WRONG, f"scale deployment ratings-v1 -n {namespace} --replicas=0")
    assert error.came_back == f"Deployment {namespace}/ratings-v1 has spec.replicas 0, not at least 1 (of {NEEDED})"
    assert error.next_command == kubectl.typed(f"kubectl scale deployment ratings-v1 -n {namespace} --replicas=1")


@pytest.fixture
async def nodes(kubectl: Kubectl) -> AsyncIterator[tuple[str, ...]]:
    names = tuple(node["metadata"]["name"] for node in await kubectl.get_items("nodes"))
    yield names
    await kubectl.call("uncordon", *names)


async def test_a_pod_that_is_not_ready(
    labs: Bench, kubectl: Kubectl, namespace: str, nodes: tuple[str, ...]
) -> None:
    """It was deleted, and finds no node."""
    error = await disturbed(
        labs,
        FEW,
        f"cordon {' '.join(nodes)}",
        f"delete pod -l app=ratings -n {namespace}",
        f"wait deployment/ratings-v1 -n {namespace} --for=condition=Available=False",
    )
    assert (
        error.came_back == f"Deployment {namespace}/ratings-v1 has status.availableReplicas 0, not 1 (of {NEEDED})"
    )
    assert error.cause.startswith("a pod that is not ready answers nothing")
    assert error.next_command == kubectl.typed(f"kubectl describe pods -n {namespace}")


async def test_the_namespace_of_a_needed_lab_deleted(labs: Bench, kubectl: Kubectl, namespace: str) -> None:
    """What goes with it is not named as well."""
    made = apply("Make a namespace", "own.yaml")
    manifests = labs.tools[Manifests]
    assert isinstance(manifests, Manifests)
    own = f"own-{namespace}"
    texts = (f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}}}\n", config_map("in"))
    text = "---".join(texts).replace("NAMESPACE", own)
    (manifests.root / "istio" / "own.yaml").write_text(text)
    needed, lab = labs.runbook.labs
    wider = replace(labs, runbook=Runbook((replace(needed, parts=(*needed.parts, made)), lab)))
    error = await disturbed(wider, FEW, f"delete namespace {own}")
    assert error.came_back == f"Namespace {own} is gone (of {NEEDED})"


async def test_istiod_scaled_to_0_or_its_service_deleted(labs: Bench, kubectl: Kubectl, istioctl: Istioctl) -> None:
    minimal = replace(istioctl, profile="minimal")
    installed = Lab("istio.install", "Install", "", (install("Install Istio"),))
    needed, lab = labs.runbook.labs
    runbook = Runbook((installed, replace(needed, needs=("istio.install",)), lab))
    mesh = replace(labs, runbook=runbook, tools={**labs.tools, Istioctl: minimal})
    error = await disturbed(mesh, WRONG, "scale deployment istiod -n istio-system --replicas=0")
    assert (
        error.came_back == "Deployment istio-system/istiod has spec.replicas 0, not at least 1 (of istio.install)"
    )
    scale = "kubectl scale deployment istiod -n istio-system --replicas=1"
    assert error.next_command == kubectl.typed(scale)
    await kubectl.call(*scale.split()[1:])
    await kubectl.call("rollout", "status", "deployment/istiod", "-n", "istio-system")
    error = await disturbed(mesh, FEW, "delete service istiod -n istio-system")
    assert error.came_back == "Service istio-system/istiod is gone (of istio.install)"
    assert error.next_command == f"invoke lab.{LAB}"
    await Recorded(kubectl, minimal, lab="istio.install").take_back(install("Install Istio"))


async def test_nothing_is_looked_at_when_a_proof_passes_and_once_when_it_does_not(labs: Bench) -> None:
    proof = labs.tools[Proof]
    assert isinstance(proof, Proof)
    assert await labs.run(LAB) == 0
    assert await labs.run(LAB) == 0
    look = [command.argv for command in labs.of(Command)]
    for verdict, status in ((PASS, 0), (WRONG, 1), (FEW, 3)):
        proof.verdict = verdict
        assert await labs.run(LAB, verify=True) == status
        assert labs.steps()[-1].verdict == verdict
        looked = [command.argv for command in labs.of(Command)]
        again = looked[len(look) :]
        assert looked[: len(look)] == look
        assert len(again) == len(set(again))
        assert bool(again) == (verdict is not PASS)
