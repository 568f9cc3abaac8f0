"""A lab that spans two clusters, run by the engine on a real sandbox: Istio on the secondary, an application there,
and what the primary is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.kit.engine import FakeGate
from tests.kit.heard import Heard
from tests.mesh.test_install import everything
from workshop.guards import LockedCluster
from workshop.kubernetes.cluster_guard import LOCK, NAMESPACE, ClusterGuard, kept
from workshop.kubernetes.ingress import IngressOf, has_ingress
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.lease import Held, Holder, Lease, Lost
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.object_steps import apply
from workshop.kubernetes.other_clusters import (
    OtherCluster,
    OtherClusters,
    if_cluster,
    on_cluster,
)
from workshop.kubernetes.stages import Stage, StagesAcross, stage
from workshop.mesh.install import install
from workshop.mesh.istioctl import Istioctl
from workshop.runbook import events
from workshop.runbook.model import Lab, Runbook, Step, Together
from workshop.runbook.plan import Plan, explain, plan
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation
from workshop.runbook.run import Listener, Run, unheard
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.runbook.state_folder import FolderLock

HELLO = """
apiVersion: v1
kind: Namespace
metadata: {name: hello}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hello, namespace: hello}
data: {from: afar}
"""
GATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: far-gateway, namespace: default}
data: {at: "${secondary-host}:${secondary-port}"}
"""
SPAN = Lab(
    "istio.span",
    "Span two clusters",
    "",
    (
        on_cluster("secondary", install("Install Istio there too", proofs=(has_ingress(),))),
        Together((on_cluster("secondary", apply("Say hello there", "hello.yaml")),)),
        if_cluster("secondary", apply("Tell where it is", "gate.yaml", values=(IngressOf("secondary"),))),
    ),
)


class Stuck(Step):
    """Changes for as long as a test wants."""

    title = "Take long"

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    async def check(self, run: Run) -> Check:
        return Check() if self.end.is_set() else Check((Difference("thing", "", "present", ABSENT),))

    async def apply(self, run: Run) -> None:
        self.begun.set()
        await run.cuttable(self.end.wait())

    def explain(self, run: Run) -> Explanation:
        return Explanation()


class Watchful(ClusterGuard):
    """Finds out soon when its lock is lost."""

    @contextlib.asynccontextmanager
    async def hold(self, emit: Listener = unheard) -> AsyncIterator[None]:
        lease = Lease(self.kubectl, NAMESPACE, LOCK, Holder.me(), renewed_every=0.05)
        await lease.acquire()
        async with kept(lease):
            yield


@dataclass
class Workbench(Heard):
    primary: Kubectl
    secondary: Kubectl
    toolbox: dict[type, object]
    guard: LockedCluster
    events: list[events.Event] = field(default_factory=list)

    async def run(self, *labs: Lab, **asked: Any) -> int:
        """The exit status of running the last one."""
        self.events.clear()
        request = Request((labs[-1].name,), yes=True, **asked)
        job = Job(Runbook(labs), request, self.toolbox, self.events.append, "primary")
        return await execute(job, self.guard, FakeGate())

    async def plan(self) -> Plan:
        return await plan(Job(Runbook((SPAN,)), Request((SPAN.name,)), self.toolbox, self.events.append))

    @property
    def other(self) -> OtherCluster:
        others = self.toolbox[OtherClusters]
        assert isinstance(others, OtherClusters)
        return others.clusters["secondary"]

    def protect(self, guard: ClusterGuard) -> None:
        """Have another guard for the secondary."""
        others = OtherClusters({"secondary": replace(self.other, guard=guard)})
        self.toolbox[OtherClusters], self.guard = others, replace(self.guard, others=others)

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.of(events.StepFinished)]

    @property
    def asked(self) -> list[str]:
        """The contexts of all commands that change something."""
        changing = {"apply", "delete", "install", "uninstall", "patch", "label", "create", "replace"}
        found = [e.argv for e in self.of(events.Command) if changing & set(e.argv)]
        return [next(arg for arg in argv if arg.startswith("--context=")) for argv in found]


def bench(primary: Kubectl, secondary: Kubectl | None, istioctl: Istioctl, folder: Path) -> Workbench:
    clusters: dict[str, OtherCluster] = {}
    if secondary:
        there = replace(istioctl, context=secondary.context)
        guard = ClusterGuard(secondary, "secondary", disposable=True)
        clusters["secondary"] = OtherCluster(secondary.context, {Kubectl: secondary, Istioctl: there}, guard)
    (folder / "istio").mkdir(parents=True, exist_ok=True)
    (folder / "istio" / "hello.yaml").write_text(HELLO)
    (folder / "istio" / "gate.yaml").write_text(GATE)
    others = OtherClusters(clusters)
    toolbox: dict[type, object] = {
        Kubectl: primary,
        Istioctl: istioctl,
        Manifests: Manifests(folder, {}),
        OtherClusters: others,
    }
    lock = FolderLock(folder / "state", "me")
    locked = LockedCluster(ClusterGuard(primary, "primary", disposable=True), lock, others)
    return Workbench(primary, secondary or primary, toolbox, locked)


@pytest.fixture
async def two(kubectl: Kubectl, istioctl: Istioctl, tmp_path: Path) -> AsyncIterator[Workbench]:
    made = bench(kubectl, replace(kubectl, context="secondary"), istioctl, tmp_path)
    yield made
    for one in (made.primary, made.secondary):
        await one.call("delete", "namespace", NAMESPACE, "--ignore-not-found")


async def leases(kubectl: Kubectl) -> str:
    return await kubectl.call("get", "leases", "-n", NAMESPACE, "-o", "name")


async def test_converged_once_and_gone_without_a_trace(two: Workbench) -> None:
    before = [everything(one) for one in (two.primary, two.secondary)]
    planned = await two.plan()
    assert not planned.exit_status
    subjects = [d.subject for step in planned.steps for d in step.check.differences]
    assert "secondary: Deployment istio-system/istiod" in subjects
    assert "secondary: ConfigMap hello/hello" in subjects
    assert "ConfigMap default/far-gateway" in subjects

    assert await two.run(SPAN) == 0, two.events
    assert two.outcomes == ["changed"] * 3
    installed, *_ = two.of(events.StepFinished)
    assert "control plane 1.31.1" in installed.verdict.reason
    assert {"--context=primary", "--context=secondary"} == set(two.asked)
    assert {(e.lab, e.step) for e in two.of(events.Command)} == {(SPAN.name, n) for n in (1, 2, 3)}
    told = two.told
    said = await two.primary.call("get", "configmap", "far-gateway", "-o", "jsonpath={.data.at}")
    assert told == [f"the ingress gateway is at {said.removesuffix(':80')}"]
    assert "hello" not in await two.primary.call("get", "namespaces", "-o", "name")
    for one in (two.primary, two.secondary):
        assert LOCK not in await leases(one)

    assert await two.run(SPAN) == 0
    assert two.outcomes == ["unchanged"] * 3
    assert not two.asked
    asked = [event.argv for event in two.of(events.Command) if not event.process]
    assert len(asked) == len(set(asked)), "facts of either cluster are observed once"
    assert len(asked) == len(two.of(events.Command)), "over the kubectl that is there"

    cleanup = Lab("istio.cleanup", "Clean up", "", undoes=(SPAN.name,))
    assert await two.run(SPAN, cleanup) == 0, two.events
    assert two.outcomes == ["changed"] * 3
    assert await two.run(SPAN, cleanup) == 0
    assert two.outcomes == ["unchanged"] * 3
    for one, was in zip((two.primary, two.secondary), before, strict=True):
        added = everything(one) - was
        assert all(f"/{NAMESPACE}/" in f"{name}/" for name in added), added
        assert was <= everything(one)


async def test_a_target_without_a_secondary_leaves_it_out(
    kubectl: Kubectl, istioctl: Istioctl, tmp_path: Path
) -> None:
    alone = bench(kubectl, None, istioctl, tmp_path)
    assert await alone.run(SPAN, verify=True) == 0
    assert alone.outcomes == ["unchanged"] * 3
    notes = {event.note for event in alone.of(events.StepFinished)}
    assert notes == {"left out: this target has no secondary cluster"}
    assert await alone.run(SPAN, Lab("istio.cleanup", "Clean up", "", undoes=(SPAN.name,))) == 0
    assert not alone.of(events.Command)


@pytest.mark.parametrize("words", [{}, {"to": "far"}])
async def test_a_stage_for_a_secondary_that_is_not_there_is_left_out_by_the_plan_as_well(
    kubectl: Kubectl, istioctl: Istioctl, tmp_path: Path, words: dict[str, str]
) -> None:
    """Seen: `lab.istio.mirror --plan` counted that stage, and the run then left it out."""
    alone = bench(kubectl, None, istioctl, tmp_path)
    for name in ("near", "far"):
        content = HELLO.partition("---")[2].replace("namespace: hello", "namespace: default")
        (tmp_path / "istio" / f"{name}.yaml").write_text(content.replace("afar", name))
    moved = StagesAcross(
        "Move hello",
        stage("near", "Near", "near.yaml"),
        stage("far", "Far", "far.yaml"),
        start=Stage("none", "Away"),
        across={"far": "secondary"},
    )
    lab = Lab("istio.move", "Move hello", "", (moved,))
    runbook, request = Runbook((lab,)), Request((lab.name,), **words)
    planned = await plan(Job(runbook, request, alone.toolbox, alone.events.append, "primary"))
    assert await alone.run(lab, **words) == 0
    ended = alone.of(events.StepFinished)
    assert [(step.number, step.changes, step.check.note) for step in planned.steps] == [
        (event.step, event.outcome == "changed", event.note) for event in ended
    ]
    assert planned.steps[-1].check.note == "left out: this target has no secondary cluster"
    assert [step.changes for step in planned.steps] == ([False] if words else [True, False])
    await kubectl.call("delete", "configmap", "hello", "--ignore-not-found")
    await kubectl.call("delete", "namespace", NAMESPACE, "--ignore-not-found")


async def test_a_secondary_yet_to_be_made_is_planned_as_an_empty_one(two: Workbench) -> None:
    absent = replace(two.other, tools={**two.other.tools, Kubectl: replace(two.secondary, absent=True)})
    two.toolbox[OtherClusters] = OtherClusters({"secondary": absent})
    assert [step.changes for step in (await two.plan()).steps] == [True] * 3
    assert "secondary" not in {event.argv[2] for event in two.of(events.Command)}


async def test_explanations_name_the_context(two: Workbench) -> None:
    (lab,) = explain(Runbook((SPAN,)), Request((SPAN.name,)), two.toolbox)
    first, second, third = [step.explanation for step in lab.steps]
    assert "istioctl --context secondary x precheck" in first.commands
    assert second.commands[0].startswith("kubectl --context secondary apply -f - <<'EOF'\n")
    host, port, apply = third.commands
    assert host.startswith("SECONDARY_HOST=$(kubectl --context secondary get service ")
    assert port.startswith("SECONDARY_PORT=$(kubectl --context secondary get service ")
    assert apply.startswith("kubectl apply -f - <<EOF\n")
    assert "at: $SECONDARY_HOST:$SECONDARY_PORT" in apply


async def test_a_secondary_that_another_run_holds_is_refused(two: Workbench) -> None:
    await ClusterGuard(two.secondary, "secondary").adopt()
    other = Lease(two.secondary, NAMESPACE, LOCK, Holder("another-host", 4711, "ada", "99@elsewhere"))
    await other.acquire()
    only = dataclasses.replace(SPAN, parts=SPAN.parts[1:2])
    assert await two.run(only) == 2
    (failed,) = two.of(events.StepFinished)
    assert isinstance(failed.error, Held)
    assert "ada on another-host" in failed.error.came_back
    assert "cluster secondary" in failed.error.tried
    assert "hello" not in await two.secondary.call("get", "namespaces", "-o", "name")
    await other.release()


async def test_its_lock_is_held_to_the_end_of_the_run(two: Workbench) -> None:
    stuck = Stuck()
    lab = Lab("istio.stuck", "Take long", "", (on_cluster("secondary", stuck), SPAN.parts[1]))
    running = asyncio.create_task(two.run(lab))
    await stuck.begun.wait()
    second = Lease(two.secondary, NAMESPACE, LOCK, Holder("another-host", 1, "ada", "1@elsewhere"))
    with pytest.raises(Held, match=str(Holder.me().pid)):
        await second.acquire()
    stuck.end.set()
    assert await running == 0
    assert LOCK not in await leases(two.secondary)
    await two.secondary.call("delete", "namespace", "hello")


async def test_interrupted_a_run_frees_both(two: Workbench) -> None:
    stuck = Stuck()
    running = asyncio.create_task(two.run(Lab("istio.stuck", "Take long", "", (on_cluster("secondary", stuck),))))
    await stuck.begun.wait()
    assert [LOCK in await leases(one) for one in (two.primary, two.secondary)] == [True, True]
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 130
    assert [LOCK in await leases(one) for one in (two.primary, two.secondary)] == [False, False]


async def test_a_lock_that_is_lost_ends_the_run(two: Workbench) -> None:
    stuck = Stuck()
    two.protect(Watchful(two.secondary, "secondary", disposable=True))
    lab = Lab("istio.stuck", "Take long", "", (on_cluster("secondary", stuck), SPAN.parts[1]))
    running = asyncio.create_task(two.run(lab))
    await stuck.begun.wait()
    await two.secondary.call("delete", "lease", LOCK, "-n", NAMESPACE)
    assert await running == 1
    (finished,) = two.of(events.RunFinished)
    assert isinstance(finished.error, Lost)
    assert two.outcomes == ["inconclusive", "skipped"]
    assert LOCK not in await leases(two.primary)


async def test_nothing_is_changed_or_deleted_where_the_mark_is_missing(two: Workbench) -> None:
    two.protect(ClusterGuard(two.secondary, "secondary"))
    only = dataclasses.replace(SPAN, parts=SPAN.parts[1:2])
    assert await two.run(only) == 2
    (failed,) = two.of(events.StepFinished)
    assert "lacks the workshop's mark" in str(failed.error)

    await ClusterGuard(two.secondary, "secondary").adopt()
    assert await two.run(only) == 0
    await two.secondary.call("delete", "namespace", NAMESPACE)
    assert await two.run(only, Lab("istio.cleanup", "Clean up", "", undoes=(only.name,))) == 2
    assert "hello" in await two.secondary.call("get", "namespaces", "-o", "name")
    await two.secondary.call("delete", "namespace", "hello")
