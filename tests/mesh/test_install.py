"""Istio into the sandbox and out of it again, by the step a lab declares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.kubernetes.runs import Recorded
from workshop.kubernetes.facts import ClusterFacts
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.proofs import shows
from workshop.mesh.install import INTERNAL, _tag, install
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.model import ABSENT

STEP = install("Install Istio", proofs=(shows("get all -n istio-system"),))


async def everything(kubectl: Kubectl) -> set[str]:
    """All objects by kind and name, events and what is counted anew in every process aside."""
    kinds = await kubectl.call("api-resources", "--verbs=list", "-o", "name")
    listed = [kind for kind in kinds.split() if not kind.startswith("events")]
    found = await kubectl.get_items(",".join(listed), "-A")
    return {f"{o['kind']} {o['metadata'].get('namespace', '')} {o['metadata']['name']}" for o in found}


async def test_installed_once_and_gone_without_a_trace(kubectl: Kubectl, istioctl: Istioctl) -> None:
    before = await everything(kubectl)
    run = Recorded(kubectl, istioctl, lab="istio.install")
    outcome, verdict = await run.converge(STEP)
    assert outcome == "changed"
    assert verdict
    assert verdict.kind == "pass"
    assert "istioctl 1.31.1-sandbox, control plane 1.31.1" in verdict.reason
    (table,) = run.told
    assert "deployment.apps/istio-ingressgateway" in table
    assert (await run.converge(STEP))[0] == "unchanged"
    assert len(run.commands) == 2

    await kubectl.call("scale", "deployment/istiod", "-n", "istio-system", "--replicas=0")
    await kubectl.call("delete", "deployment/istio-ingressgateway", "-n", "istio-system")
    run.facts.forget()
    drifted = [(d.subject, d.found) for d in (await STEP.check(run)).differences]
    assert ("Deployment istio-system/istio-ingressgateway", ABSENT) in drifted

    assert await run.take_back(STEP) == "changed"
    assert await run.take_back(STEP) == "unchanged"
    assert await everything(kubectl) == before


async def test_an_istio_that_was_there_is_not_uninstalled(kubectl: Kubectl, istioctl: Istioctl) -> None:
    await istioctl.install("--set", "profile=minimal")
    run = Recorded(kubectl, replace(istioctl, profile="minimal"), lab="istio.install")
    assert (await run.converge(STEP))[0] == "unchanged"
    check = await STEP.check_undo(run)
    assert check.converged
    assert check.note == "Istio was there before the workshop"
    await istioctl.uninstall()
    await kubectl.call("delete", "namespace", "istio-system")


async def test_another_version_is_a_difference(kubectl: Kubectl, istioctl: Istioctl) -> None:
    await istioctl.install("--set", "profile=minimal")
    run = Recorded(kubectl, replace(istioctl, profile="minimal", version="1.32.0"), lab="istio.install")
    (difference,) = (await STEP.check(run)).differences
    assert (difference.wanted, difference.found) == ("1.32.0", "1.31.1")
    await istioctl.uninstall()
    await kubectl.call("delete", "namespace", "istio-system")


async def test_a_private_ingress(kubectl: Kubectl, istioctl: Istioctl) -> None:
    run = Recorded(kubectl, replace(istioctl, private_ingress=True), lab="istio.install")
    assert 'azure-load-balancer-internal: "true"' in STEP.explain(run).commands[1].replace("'", '"')
    assert (await run.converge(STEP))[0] == "changed"
    service = (await run.observe(ClusterFacts())).get("Service", "istio-system", "istio-ingressgateway")
    assert service
    assert service["metadata"]["annotations"][INTERNAL] == "true"
    public = Recorded(kubectl, istioctl, lab="istio.install")
    (difference,) = (await STEP.check(public)).differences
    assert difference.path == f"metadata.annotations[{INTERNAL}]"
    assert await run.take_back(STEP) == "changed"


@pytest.mark.parametrize(
    "image",
    [
        "docker.io/istio/pilot:1.31.1",
        "host:5000/istio/pilot:1.31.1-distroless",
        "istio/pilot:1.31.1@sha256:0",
    ],
)
def test_the_version_in_an_image(image: str) -> None:
    assert _tag(image) == "1.31.1"
