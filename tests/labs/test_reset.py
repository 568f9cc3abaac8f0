"""`invoke reset` from half-states: labs begun and killed, edited by hand, stuck, and with what others have made.

What a state is by definition is a dump of the cluster that a reset from nothing has led to. It is compared without
what another run may write differently: addresses, revisions, the time of a restart.
"""

from __future__ import annotations

import asyncio
import json
import random
import shlex
from typing import Any

import pytest

from labs import RUNBOOK
from tests.kit.in_process import LABS, at_its_end, here, kubectl_here, run_of
from tests.kit.workshop import Ran, Workshop
from workshop import command
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError
from workshop.kubernetes.lease import Lease
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.other_clusters import OtherClusters
from workshop.runbook import schedule
from workshop.runbook.assembly import assembled
from workshop.runbook.model import Lab

KINDS = "namespaces,deployments,services,serviceaccounts,configmaps,poddisruptionbudgets"
MESH = "gateways.networking.istio.io,virtualservices.networking.istio.io,destinationrules.networking.istio.io"
PASSING = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/restartedAt")

EDITS = (
    "delete deployment -n bookinfo details-v1",
    "scale deployment -n bookinfo ratings-v1 --replicas=3",
    "label namespace bookinfo istio-injection-",
    "label service -n bookinfo reviews workshop/lab-",
    "delete namespace primary --wait=false",
    "delete namespace ratingsapp",
    "delete mutatingwebhookconfiguration istio-sidecar-injector",
    "delete service -n istio-system istiod",
    "delete virtualservice -n bookinfo reviews",
    "delete namespace istio-system",
    """patch virtualservice -n bookinfo reviews --type=merge -p '{"spec":{"http":[{"route":[{"destination":
    {"host":"reviews","subset":"v2"}}]}]}}'""",
    """patch service -n bookinfo productpage --type=merge -p '{"spec":{"selector":{"app":"nobody"}}}'""",
    "annotate gateways.networking.istio.io -n bookinfo bookinfo-gateway mine=too",
    "create configmap -n bookinfo mine",
    "create configmap -n primary mine",
    "create deployment -n primary mine --image=docker.io/stefanprodan/podinfo:6.7.1",
)
"""What somebody types, each as far as it can be done there."""

HELD = """patch service -n bookinfo ratings --type=merge -p '{"metadata":{"finalizers":["example.com/held"]}}'"""
LET_GO = """patch service -n bookinfo ratings --type=merge -p '{"metadata":{"finalizers":null}}'"""
STATES = ("clean", *(lab.name for lab in LABS))


def reset(workshop: Workshop, **asked: Any) -> Ran:
    return here(workshop, lambda config: command.reset(config, RUNBOOK, yes=True, **asked))


def typed(workshop: Workshop, line: str) -> str:
    """What kubectl says; nothing where it could not do it."""
    try:
        return kubectl_here(workshop, " ".join(line.split()))
    except KubectlError:
        return ""


def dump(workshop: Workshop) -> dict[str, Any]:
    kinds = f"{KINDS},{MESH}" if "istio.io" in typed(workshop, "api-resources -o name") else KINDS
    items = json.loads(typed(workshop, f"get {kinds} -A -o json"))["items"]
    return {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": as_defined(item)
        for item in items
        if "istio-ca-" not in item["metadata"]["name"]
    }


def as_defined(item: dict[str, Any]) -> dict[str, Any]:
    metadata = item["metadata"]
    spec = {key: value for key, value in item.get("spec", {}).items() if not key.startswith("clusterIP")}
    if "template" in spec:
        spec["template"]["metadata"].get("annotations", {}).pop(PASSING[1], None)
        if not spec["template"]["metadata"].get("annotations", {1: 1}):
            del spec["template"]["metadata"]["annotations"]
    for port in spec.get("ports", ()) if item["kind"] == "Service" else ():
        port.pop("nodePort", None)
    spec.pop("healthCheckNodePort", None)
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key not in PASSING}
    return {"labels": metadata.get("labels", {}), "annotations": annotations, "spec": spec}


async def begin(workshop: Workshop, drawn: random.Random) -> None:
    """Some labs as a run leaves them that is killed at any step."""
    to = drawn.choice(LABS)
    steps = [
        (lab, step) for lab in RUNBOOK.with_needs((to.name,)) for step in at_its_end(lab, run_of(workshop, lab))
    ]
    for lab, step in steps[: drawn.randint(1, len(steps))]:
        run = run_of(workshop, lab)
        async with run.use(OtherClusters).hold():
            await step.apply(run)


@pytest.fixture(scope="module")
def sandbox(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    return workshop


@pytest.fixture(scope="module")
def definitions() -> dict[str, dict[str, Any]]:
    return {}


def defined(sandbox: Workshop, definitions: dict[str, dict[str, Any]], state: str) -> dict[str, Any]:
    """The state as a reset from nothing makes it, which a plain run calls converged."""
    if state not in definitions:
        assert reset(sandbox, to="clean", foreign=True).status == 0
        ran = reset(sandbox, to=state, proof=False)
        assert ran.status == 0, ran.said
        definitions[state] = dump(sandbox)
    return definitions[state]


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(2, 40))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_half_state_is_brought_back(
    sandbox: Workshop,
    definitions: dict[str, dict[str, Any]],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = random.Random(seed)  # noqa: S311 - the same half-state in every run
    state = drawn.choice(STATES)
    wanted = defined(sandbox, definitions, state)
    asyncio.run(begin(sandbox, drawn))
    edits = drawn.sample(EDITS, 4)
    for line in edits:
        typed(sandbox, line)
    held = drawn.random() < 0.3 and typed(sandbox, HELD)
    told = f"{state} after {edits}{' held' if held else ''}"
    if held:
        with monkeypatch.context() as patched:
            patched.setattr(schedule, "UNDO_LIMIT", 2.0)
            stuck = reset(sandbox, to=state, foreign=True, proof=False)
        typed(sandbox, LET_GO)
        if stuck.status:
            assert "example.com/held" in stuck.said, f"{told}\n{stuck.said}"
    ran = reset(sandbox, to=state, foreign=True, proof=False)
    assert ran.status == 0, f"{told}\n{ran.said}"
    assert dump(sandbox) == wanted, told


def test_it_ends_measured_and_a_plan_then_finds_nothing(sandbox: Workshop) -> None:
    there = reset(sandbox, to="istio.gateway")
    assert there.status == 0, there.said
    assert "Just after istio.gateway" in there.said
    assert "Titles seen from outside" in there.said
    planned = reset(sandbox, to="istio.gateway", plan=True)
    assert planned.status == 0
    assert planned.said.count("a run would change nothing") == 2
    assert here(sandbox, lambda config: command.status(config, RUNBOOK, "table")).status == 0


@pytest.mark.slow
def test_what_others_have_made_is_listed_and_goes_only_with_foreign(sandbox: Workshop) -> None:
    assert reset(sandbox, to="istio.inject", foreign=True, proof=False).status == 0
    kubectl_here(sandbox, "create configmap -n primary mine")
    for kept in (reset(sandbox, to="istio.inject", plan=True), reset(sandbox, to="istio.inject", proof=False)):
        assert kept.status == 0
        assert "ConfigMap primary/mine  made by somebody else" in kept.said
    refused = reset(sandbox, before="istio.inject")
    assert refused.status == 1
    assert "--before istio.inject --foreign" in refused.said or "--to istio.adopt --foreign" in refused.said
    assert "configmap/mine" in kubectl_here(sandbox, "get configmap -n primary -o name")
    assert reset(sandbox, before="istio.inject", foreign=True, proof=False).status == 0
    assert typed(sandbox, "get namespace primary -o name") == ""


def test_who_holds_what_does_not_go_is_named(sandbox: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reset(sandbox, to="istio.inject", foreign=True, proof=False).status == 0
    kubectl_here(sandbox, "create configmap -n primary old")
    kubectl_here(sandbox, "label configmap -n primary old app.kubernetes.io/part-of=mesh-workshop")
    held = """patch configmap -n primary old --type=merge -p '{"metadata":{"finalizers":%s}}'"""
    kubectl_here(sandbox, held % '["example.com/held"]')
    with monkeypatch.context() as patched:
        patched.setattr(schedule, "UNDO_LIMIT", 1.0)
        stuck = reset(sandbox, to="istio.inject", proof=False)
    kubectl_here(sandbox, held % "null")
    assert stuck.status == 1
    assert "example.com/held" in stuck.said, stuck.said


def test_the_lock_is_taken_once_for_all_of_a_reset(sandbox: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run must not come in between the clean-up and what puts right the rest."""
    assert reset(sandbox, to="istio.inject", foreign=True, proof=False).status == 0
    kubectl_here(sandbox, "create configmap -n primary old")
    kubectl_here(sandbox, "label configmap -n primary old app.kubernetes.io/part-of=mesh-workshop")
    kubectl_here(sandbox, "delete deployment -n primary --all")
    taken: list[Lease] = []
    acquire = Lease.acquire

    async def counted(lease: Lease) -> None:
        taken.append(lease)
        await acquire(lease)

    monkeypatch.setattr(Lease, "acquire", counted)
    ran = reset(sandbox, to="istio.inject")
    assert ran.status == 0, ran.said
    assert ran.said.count("changed") >= 2, "both of its runs had something to do"
    assert len(taken) == 1
    assert reset(sandbox, to="istio.inject", proof=False).status == 0
    assert len(taken) == 1


ADDED = {
    "set env -n ratingsapp deployment/ratings-web MINE=too": "spec.template.spec.containers[web].env[MINE]",
    "annotate gateways.networking.istio.io -n ratingsapp ratings-gateway mine=too": "metadata.annotations.mine",
    "label namespace primary istio.io/rev=mine": "metadata.labels[istio.io/rev]",
}


@pytest.mark.slow
def test_what_was_added_to_the_workshop_s_objects_is_listed_and_goes_only_with_foreign(sandbox: Workshop) -> None:
    assert reset(sandbox, to="istio.inject", foreign=True, proof=False).status == 0
    wanted = dump(sandbox)
    for line in ADDED:
        kubectl_here(sandbox, line)
    for kept in (reset(sandbox, to="istio.inject", plan=True), reset(sandbox, to="istio.inject", proof=False)):
        assert kept.status == 0, kept.said
        assert [path for path in ADDED.values() if path not in kept.unfolded] == []
    assert dump(sandbox) != wanted
    ended = reset(sandbox, to="istio.inject", foreign=True, proof=False)
    assert ended.status == 0, ended.said
    assert dump(sandbox) == wanted


def test_what_is_to_be_typed_instead(sandbox: Workshop) -> None:
    explained = reset(sandbox, to="istio.gateway", explain=True)
    assert explained.status == 0
    assert "kubectl delete" in explained.said
    assert "istioctl install" in explained.said


def test_usage(sandbox: Workshop) -> None:
    for words, following in (
        (["reset"], "invoke reset --to istio.install"),
        (["reset", "--to", "istio.gatway"], "invoke reset --to istio.gateway"),
    ):
        ran = sandbox.run(*words)
        assert ran.status == 2
        assert following in ran.said


@pytest.mark.parametrize(
    "wrong",
    [
        Lab("mine.last", "Needs what there is not", "", needs=("istio.nothing",)),
        Lab("mine.last", "Has lost its manifest", "", parts=(apply("Put it there", "absent.yaml"),)),
    ],
    ids=lambda lab: lab.title,
)
def test_a_lab_that_cannot_be_run_is_refused_before_anything_is_taken_back(sandbox: Workshop, wrong: Lab) -> None:
    runbook = assembled((*RUNBOOK.labs, wrong))
    ran = here(sandbox, lambda config: command.reset(config, runbook, to="mine.last", yes=True))
    assert ran.status == 2
    assert "there is no" in ran.said
    assert "part 1 of" not in ran.said


def test_a_cluster_that_is_not_the_workshops_is_refused(sandbox: Workshop) -> None:
    """Without the mark nothing is taken back."""
    assert reset(sandbox, to="istio.inject", foreign=True, proof=False).status == 0
    run = run_of(sandbox, LABS[0])
    asyncio.run(Kubectl.of(run).call(*shlex.split("delete configmap -n workshop-system workshop-mark")))
    refused = reset(sandbox, to="clean")
    assert refused.status == 2, refused.said
    assert "adopt" in refused.said or "sandbox.up" in refused.said
    assert "namespace/primary" in kubectl_here(sandbox, "get namespaces -o name")
