"""What others do to a cluster while a step runs, waits or is taken back: the step names it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.kit.runs import DEPLOYMENT, Recorded, config_map, manifests
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.object_steps import apply, label_namespaces
from workshop.kubernetes.stages import Stages, stage
from workshop.kubernetes.tool_process import Finished
from workshop.mesh.install import install
from workshop.mesh.istioctl import Istioctl
from workshop.runbook import schedule
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import Waiting
from workshop.runbook.model import Step
from workshop.runbook.results import Verdict
from workshop.runbook.run import Facts, Run
from workshop.runbook.schedule import Undo


@dataclass
class Disturbed:
    """A proof during which `command` is typed, and which then comes to `verdict`, or to an error."""

    command: str
    verdict: Verdict | None = None

    async def prove(self, run: Run) -> Verdict:
        if self.command:
            await run.use(Kubectl).call(*self.command.split())
        if self.verdict is None:
            raise WorkshopError("count stars", "HTTP 404")
        return self.verdict

    def commands(self, run: Run) -> tuple[str, ...]:
        return ()


FEW = Verdict("inconclusive", "0 of 1,365 answers, 1,365 errors: too few to tell; HTTP 404")
WRONG = Verdict("fail", "v3, red stars: 0.0%, accepted 40.0% to 60.0%")


@pytest.fixture
def run(kubectl: Kubectl, istioctl: Istioctl, namespace: str, tmp_path: Path) -> Recorded:
    texts = {
        "map": config_map("one"),
        "later": config_map("one", "there"),
        "workload": DEPLOYMENT,
        "own": "apiVersion: v1\nkind: Namespace\nmetadata: {name: own-NAMESPACE}\n",
    }
    files = {name: text.replace("NAMESPACE", namespace) for name, text in texts.items()}
    return Recorded(kubectl, istioctl, manifests(tmp_path, **files), lab="istio.canary")


def kinds_of_steps(namespace: str, proof: Disturbed) -> dict[str, Step]:
    moved = stage("later", "Move it", "later.yaml", proofs=(proof,))
    timeline = Stages("Move it", moved, start=stage("none", "Back"))
    return {
        "apply": apply("Put it", "map.yaml", proofs=(proof,)),
        "label": label_namespaces("Label it", namespace, labels={"a": "b"}, proofs=(proof,)),
        "stage": timeline.step("later", Run("istio.canary", {}, Facts(), {}, lambda event: None)),
    }


@pytest.mark.parametrize(
    ("kind", "verdict"), [("apply", FEW), ("apply", WRONG), ("apply", None), ("label", WRONG), ("stage", None)]
)
async def test_a_namespace_deleted_while_a_probe_runs(
    run: Recorded, namespace: str, kind: str, verdict: Verdict | None
) -> None:
    step = kinds_of_steps(namespace, Disturbed(f"delete namespace {namespace}", verdict))[kind]
    await step.apply(run)
    with pytest.raises(WorkshopError) as failed:
        await step.verify(run)
    assert failed.value.came_back == f"Namespace {namespace} was deleted meanwhile"
    assert (verdict.reason if verdict else "HTTP 404") in failed.value.cause
    assert failed.value.next_command == "invoke lab.istio.canary"


async def test_an_object_deleted_or_changed_while_a_probe_runs(run: Recorded, namespace: str) -> None:
    where = f"one -n {namespace}"
    step = kinds_of_steps(namespace, Disturbed(f"delete configmap {where}", FEW))["apply"]
    await step.apply(run)
    with pytest.raises(WorkshopError, match=f"ConfigMap {namespace}/one was deleted meanwhile"):
        await step.verify(run)
    patch = json.dumps({"data": {"at": "elsewhere"}}, separators=(",", ":"))
    step = kinds_of_steps(namespace, Disturbed(f"patch configmap {where} --type=merge -p {patch}", WRONG))["apply"]
    run.facts.forget()
    await step.apply(run)
    with pytest.raises(WorkshopError, match=rf"ConfigMap {namespace}/one was changed meanwhile \(data.at\)"):
        await step.verify(run)


async def test_nothing_deleted_leaves_the_verdict_as_it_is(run: Recorded, namespace: str) -> None:
    for verdict in (FEW, WRONG):
        step = kinds_of_steps(namespace, Disturbed("", verdict))["apply"]
        await step.apply(run)
        assert await step.verify(run) == verdict
    with pytest.raises(WorkshopError, match="HTTP 404"):
        await kinds_of_steps(namespace, Disturbed("", None))["apply"].verify(run)


async def test_istio_system_deleted_while_a_proof_runs(run: Recorded, istioctl: Istioctl) -> None:
    step = install("Install Istio", proofs=(Disturbed("delete namespace istio-system", FEW),))
    run = Recorded(run.use(Kubectl), replace(istioctl, profile="minimal"), lab="istio.install")
    await step.apply(run)
    with pytest.raises(WorkshopError, match="Namespace istio-system was deleted meanwhile"):
        await step.verify(run)
    await run.take_back(step)


HELD = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
SAID = (
    "Terminating: Some resources are remaining: configmaps. has 1 resource instances; Some content in the "
    "namespace has finalizers remaining: example.com/hold in 1 resource instances"
)


@pytest.fixture
async def held(run: Recorded, kubectl: Kubectl, namespace: str) -> AsyncIterator[str]:
    """A namespace of a step's own, with something in it that a finalizer keeps."""
    name = f"own-{namespace}"
    await apply("Make it", "own.yaml").apply(run)
    run.facts.forget()
    await kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", **_in(HELD, name)}])
    yield name
    release = '{"metadata":{"finalizers":null}}'
    found = await kubectl.call("get", "configmap", "held", "-n", name, "--ignore-not-found", "-o", "name")
    if found:
        await kubectl.call("patch", "configmap", "held", "-n", name, "--type=merge", "-p", release)
    await kubectl.call("delete", "namespace", name, "--ignore-not-found")


def _in(obj: dict[str, Any], name: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "namespace": name}}


def release(kubectl: Kubectl, name: str) -> str:
    patch = """-p '{"metadata":{"finalizers":null}}'"""
    return kubectl.typed(f"kubectl patch configmap held -n {name} --type=merge {patch}")


async def test_a_finalizer_keeps_a_namespace_terminating_when_it_is_taken_back(
    run: Recorded, kubectl: Kubectl, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "UNDO_LIMIT", 1.5)
    with pytest.raises(WorkshopError) as failed:
        await Undo(apply("Make it", "own.yaml")).apply(run)
    error = failed.value
    assert error.tried == "waited 1.5 s for what was deleted to be gone"
    assert error.came_back == f"still there: Namespace {held} ({SAID})"
    assert error.cause == (
        f"ConfigMap {held}/held has the finalizer example.com/hold: whoever put it there has not cleaned up yet, "
        "or is not there any more"
    )
    assert error.next_command == release(kubectl, held)
    # What the person was shown while it was waited for.
    shown = [event.missing for event in run.of(Waiting)]
    assert any(SAID in still for still in shown)


async def test_a_finalizer_keeps_a_namespace_terminating_when_it_is_to_be_made_again(
    run: Recorded, kubectl: Kubectl, held: str
) -> None:
    await kubectl.call("delete", "namespace", held, "--wait=false")
    run.facts.forget()
    with pytest.raises(WorkshopError) as failed:
        await apply("Make it", "own.yaml", seconds=1.5).apply(run)
    assert failed.value.came_back == f"still there after 1.5 s: Namespace {held} ({SAID})"
    assert failed.value.cause.startswith(f"ConfigMap {held}/held has the finalizer example.com/hold")
    assert failed.value.next_command == release(kubectl, held)


@pytest.fixture
async def injected(run: Recorded, kubectl: Kubectl, istioctl: Istioctl, namespace: str) -> AsyncIterator[str]:
    """A namespace whose pods get sidecars."""
    step = install("Install Istio")
    minimal = Recorded(kubectl, replace(istioctl, profile="minimal"), lab="istio.install")
    await minimal.converge(step)
    await kubectl.call("label", "namespace", namespace, "istio-injection=enabled")
    run.facts.forget()
    yield namespace
    await minimal.take_back(step)


async def test_the_injector_deleted_before_pods_are_created(run: Recorded, kubectl: Kubectl, injected: str) -> None:
    """Instead of 300 s without a cause: the wait names what is missing, and ends: these pods stay as they are."""
    await kubectl.call("delete", "mutatingwebhookconfigurations", "-l", "operator.istio.io/component")
    step = apply("Deploy ratings", "workload.yaml", ready="2/2")
    with pytest.raises(WorkshopError) as failed:
        await step.apply(run)
    assert "READY 1/1 instead of 2/2" in failed.value.came_back
    assert failed.value.cause.startswith(
        f"the injector is missing: no MutatingWebhookConfiguration asks for new pods of namespace {injected}"
    )
    assert "get mutatingwebhookconfigurations" in failed.value.next_command
    shown = [event.missing for event in run.of(Waiting)]
    assert any("the injector is missing" in still for still in shown)
    # Once Istio is repaired, the same step replaces the pods.
    istio = Recorded(kubectl, replace(run.use(Istioctl), profile="minimal"), lab="istio.install")
    assert (await istio.converge(install("Install Istio")))[0] == "changed"
    assert (await run.converge(step))[0] == "changed"


class Refusing(Kubectl):
    """A cluster whose validating webhook asks an istiod that is gone, in the real API server's words."""

    async def apply(self, objects: Any, *, seconds: float = 60.0) -> None:
        raise self._error(
            ("apply", "-f", "-"),
            Finished(
                1,
                "",
                "Error from server (InternalError): Internal error occurred: failed calling webhook "
                '"validation.istio.io": failed to call webhook: Post '
                '"https://istiod.istio-system.svc:443/validate?timeout=10s": service "istiod" not found',
            ),
        )


async def test_istiod_deleted_and_a_stage_taken_back(run: Recorded, kubectl: Kubectl, namespace: str) -> None:
    """Back to another lab's stage needs a write, which is refused. When that lab is taken back in the same
    clean-up, the object goes; else the refusal is said."""
    first = Stages("Move it", stage("here", "Put it", "map.yaml"), start=stage("none", "Delete it"))
    start = first.at("here", lab="istio.canary")
    second = Stages("Move it on", stage("there", "Move it", "later.yaml"), start=start)
    moving = Recorded(kubectl, run.use(Manifests), lab="istio.identity")
    await moving.converge(second.step("there", moving))
    refusing = Refusing(**{name: getattr(kubectl, name) for name in ("binary", "kubeconfig", "context", "cache")})
    tools = {Kubectl: refusing, Manifests: run.use(Manifests)}
    alone = Run("istio.identity", tools, Facts(), {}, lambda event: None, undoing=("istio.identity",))
    with pytest.raises(KubectlError) as failed:
        await second.undo(alone)
    assert failed.value.reason is Reason.WEBHOOK_FAILED
    assert failed.value.next_command.endswith("get services,pods -n istio-system")
    both = Run("istio.identity", tools, Facts(), {}, lambda event: None, undoing=("istio.canary", "istio.identity"))
    await second.undo(both)
    both.facts.forget()
    assert (await second.check_undo(both)).converged
    assert "one" not in await kubectl.call("get", "configmaps", "-n", namespace, "-o", "name")
