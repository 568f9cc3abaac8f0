"""A walk through Istio's labs in one cluster: what is said of each at its end, edited by hand, and cut off.

`istioctl analyze -A` finds nothing wrong and nothing deprecated. An attendee learns in `istio.adopt` to trust it.
The real one found five errors in what the labs left (`shared/real/istioctl/analyze-A.txt`), of which the sandbox's
knew none. What it may say, as it does there, is that the namespaces `default` and `workshop-system` are outside of
the mesh.

`--check` says 0 at a lab's end, 1 after a hand edit that breaks it, naming what was edited, and 3 while the traffic
that the lab measures is cut off; and never is anything written. Labs are brought to their end without their proofs:
the check runs them.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pytest

from labs import RUNBOOK
from tests.kit.heard import Heard
from tests.kit.in_process import LABS, WITHOUT_HELM, at_its_end, target_of
from tests.kit.workshop import Cluster, Workshop
from workshop.kubernetes.other_clusters import OtherClusters, run_on
from workshop.mesh import breaker, install
from workshop.mesh.istioctl import Istioctl
from workshop.runbook import events
from workshop.runbook.checking import check
from workshop.runbook.journal import LastRun
from workshop.runbook.model import Lab
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Run
from workshop.runbook.schedule import Job
from workshop.runbook.status import LabStatus, status

pytestmark = pytest.mark.slow

OUTSIDE = {"Namespace default", "Namespace workshop-system"}


@dataclass(frozen=True)
class Typed:
    """A kubectl command, what a check then names, and the command that takes it back: else the lab's step does."""

    command: str
    names: str = ""
    back: str = ""


def patched(what: str, namespace: str, **change: Any) -> str:
    return f"patch {what} -n {namespace} --type=merge -p {shlex.quote(json.dumps(change))}"


def rerouted(host: str, namespace: str, *, edit: str) -> Typed:
    """All requests to a subset that does not get all of them."""
    http = [{"route": [{"destination": {"host": host, "subset": edit}}]}]
    return Typed(
        patched(f"virtualservice/{host}", namespace, spec={"http": http}), f"VirtualService {namespace}/{host}"
    )


INTERNAL = f"annotate service istio-ingressgateway -n istio-system {install.INTERNAL}"
EDITS = {
    "istio.install": Typed(f"{INTERNAL}=true", "Service istio-system/istio-ingressgateway", f"{INTERNAL}-"),
    "istio.adopt": Typed("label namespace ratingsapp istio-injection-", "Namespace ratingsapp"),
    "istio.inject": Typed("label namespace bookinfo istio-injection-", "Namespace bookinfo"),
    "istio.bookinfo": Typed("delete service details -n bookinfo", "Service bookinfo/details"),
    "istio.gateway": Typed("delete virtualservice bookinfo -n bookinfo", "VirtualService bookinfo/bookinfo"),
    "istio.canary": rerouted("reviews", "bookinfo", edit="v2"),
    "istio.identity": rerouted("reviews", "bookinfo", edit="v2"),
    "istio.shift": rerouted("helloworld", "primary", edit="v1"),
    "istio.fault": rerouted("reviews", "bookinfo", edit="v2"),
    "istio.blue-green": rerouted("podinfo", "primary", edit="blue"),
    "istio.circuit-breaker": Typed(
        patched("destinationrule/httpbin", "primary", spec={"trafficPolicy": {"connectionPool": {"http": None}}}),
        "DestinationRule primary/httpbin",
    ),
    "istio.mirror": rerouted("helloworld", "primary", edit="v1"),
    "istio.observe": Typed("delete telemetry mesh-default -n istio-system", "Telemetry istio-system/mesh-default"),
    "istio.ratings": Typed("delete hpa ratings-web -n smoothies", "HorizontalPodAutoscaler smoothies/ratings-web"),
}


def selecting(gateway: str) -> str:
    return patched("service/istio-ingressgateway", "istio-system", spec={"selector": {"istio": gateway}})


FROM_OUTSIDE = Typed(selecting("nobody"), back=selecting("ingressgateway"))
"""Nobody behind the address that requests enter by."""

ABORTED = Typed(
    "create -f -",
    "VirtualService primary/mine",
    "delete virtualservice mine -n primary",
)
RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mine, namespace: primary}
spec:
  hosts: [httpbin]
  http:
    - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: httpbin}}]
"""
"""Somebody's own rule, which answers in httpbin's place."""

CUTS = {
    "istio.adopt": FROM_OUTSIDE,
    **dict.fromkeys(("istio.gateway", "istio.canary", "istio.identity", "istio.shift"), FROM_OUTSIDE),
    **dict.fromkeys(
        ("istio.fault", "istio.blue-green", "istio.mirror", "istio.observe", "istio.ratings"), FROM_OUTSIDE
    ),
    "istio.circuit-breaker": ABORTED,
}
"""The other labs measure nothing: they look at what the cluster, or a page from inside of it, says."""


@dataclass
class Checked(Heard):
    status: int
    events: list[events.Event]

    @property
    def steps(self) -> list[events.StepFinished]:
        return self.of(events.StepFinished)

    @property
    def missing(self) -> set[str]:
        found = [step.check.differences for step in self.steps if step.check and step.outcome == "missing"]
        return {item.subject for differences in found for item in differences}

    @property
    def added(self) -> set[str]:
        return {item.subject for step in self.steps if step.check for item in step.check.added}

    def __str__(self) -> str:
        said = [
            (it.lab, it.step, it.outcome, it.note, it.verdict and it.verdict.reason, it.error) for it in self.steps
        ]
        return "\n".join(map(str, said))


class Walk:
    def __init__(self, workshop: Workshop) -> None:
        self.target = target_of(workshop)
        self.clusters = [Cluster(self.target.kubectl.kubeconfig, name) for name in ("primary", "secondary")]

    def run_of(self, lab: Lab) -> Run:
        return Run(lab.name, self.target.toolbox, Facts(), {}, lambda event: None)

    async def kubectl(self, command: str, stdin: str = "") -> None:
        await self.target.kubectl.call(*shlex.split(command), stdin=stdin)

    async def bring(self, lab: Lab) -> Run:
        """To its end."""
        run = self.run_of(lab)
        async with run.use(OtherClusters).hold():
            for step in at_its_end(lab, run):
                if not (await step.check(run)).converged:
                    await step.apply(run)
                    run.facts.forget()
        return run

    async def check(self, lab: Lab, patience: float = 0.5) -> Checked:
        seen: list[events.Event] = []
        job = Job(RUNBOOK, Request((lab.name,)), self.target.toolbox, seen.append, "sandbox")
        status = await check(job, self.target.guard, patience=patience)
        assert not self.target.journal.path.exists()
        return Checked(status, seen)

    async def status(self, lab: Lab) -> LabStatus:
        """Where the journal knows that the lab had come to its end."""
        job = Job(RUNBOOK, Request((lab.name,)), self.target.toolbox, lambda event: None, "sandbox")
        last = LastRun(lab.name, f"invoke lab.{lab.name}", 0.0, converged=True, applied=True)
        (found,) = (await status(job, {lab.name: last})).labs
        return found

    async def check_writing_nothing(self, lab: Lab, patience: float = 0.5) -> Checked:
        """What controllers still have to do may write: then it is looked at once more."""
        before = self.versions()
        for _ in range(3):
            checked = await self.check(lab, patience)
            after = self.versions()
            if after == before:
                return checked
            written, before = sorted(dict(before.items() ^ after.items())), after
        raise AssertionError(f"written whenever {lab.name} is checked: {', '.join(written)}")

    def versions(self) -> dict[str, str]:
        """The resourceVersion of every object of both clusters."""
        return {name: version for cluster in self.clusters for name, version in cluster.versions()}


async def nothing_found(run: Run) -> None:
    """In time: a subset's pods may still be on their way. What is outside of the mesh is always found."""

    async def found() -> str:
        messages = await Istioctl.of(run).analyze("-A")
        known = [one for one in messages if one.code == "IST0102" and one.origin in OUTSIDE]
        assert "Namespace default" in {one.origin for one in known}
        return ", ".join(f"{one.code} at {one.origin}" for one in messages if one not in known)

    await run.wait(f"analyze to find nothing after {run.lab}", found, seconds=20.0, every=0.2)


async def test_each_lab_at_its_end_edited_by_hand_and_cut_off(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.converge("sandbox.up")
    walk = Walk(workshop)
    cleanup = RUNBOOK.lab("istio.cleanup")
    assert (await walk.check(cleanup)).status == 0
    assert {lab.name for lab in LABS} | WITHOUT_HELM == EDITS.keys()
    for lab in LABS:
        run = await walk.bring(lab)
        await nothing_found(run)
        there = await walk.check_writing_nothing(lab, patience=20.0)  # what has been applied may be on its way
        assert there.status == 0, f"{lab.name}\n{there}"
        assert there.added == set()
        assert (await walk.status(lab)).state == "converged"
        edit = EDITS[lab.name]
        await walk.kubectl(edit.command)
        edited = await walk.check(lab)
        assert edited.status == 1, f"{lab.name}\n{edited}"
        assert edit.names in edited.missing
        drifted = await walk.status(lab)
        assert drifted.state == "drifted", drifted
        assert edit.names in {item.subject for item in drifted.differences}
        if edit.back:
            await walk.kubectl(edit.back)
        await walk.bring(lab)
        if cut := CUTS.get(lab.name):
            await walk.kubectl(cut.command, RULE if cut is ABORTED else "")
            with monkeypatch.context() as patched:
                patched.setattr(breaker, "TIMES", 1)  # what cannot be told is not told by loads of 3 s each either
                cut_off = await walk.check_writing_nothing(lab)
            assert cut_off.status == 3, f"{lab.name}\n{cut_off}"
            assert cut_off.added == ({cut.names} if cut.names else set())
            await walk.kubectl(cut.back)
    beside = run_on(run, "secondary")
    assert beside
    await nothing_found(beside)
    left = await walk.check_writing_nothing(cleanup)
    assert left.status == 1
    assert {"left", "unchanged"} >= {step.outcome for step in left.steps}
    ran = workshop.run("lab.istio.cleanup", "--check")
    assert ran.status == 1
    assert "nothing was changed" in ran.said
