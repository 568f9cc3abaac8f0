"""Istio into the sandbox and out of it again, by the step a lab declares."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from labs.istio.install import LAB
from sandbox.server import launcher
from tests.kit.runs import Recorded
from tests.labs.test_walk import Cluster
from workshop.kubernetes import tool_process
from workshop.kubernetes.cluster_facts import look_at_installation
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.install import INTERNAL, Install, _tag, remove_config_maps
from workshop.mesh.istioctl import Istioctl, Program
from workshop.runbook.results import ABSENT

(STEP,) = LAB.parts
assert isinstance(STEP, Install)


def everything(kubectl: Kubectl) -> set[str]:
    """All objects by kind and name; not events and leases, nor what goes with the namespace of an earlier test."""
    cluster = Cluster(kubectl.kubeconfig, kubectl.context)
    spaces = [item["metadata"] for _, item in cluster.items("Namespace".__eq__)]
    going = {space["name"] for space in spaces if "deletionTimestamp" in space}
    return {name for name, _ in cluster.versions(aside=("Event", "Lease")) if going.isdisjoint(name.split("/"))}


async def uninstall(kubectl: Kubectl, istioctl: Istioctl) -> None:
    """One that is not the workshop's, by hand."""
    await istioctl.uninstall()
    await remove_config_maps(kubectl, "istio-system")
    await kubectl.call("delete", "namespace", "istio-system")


async def test_installed_once_and_gone_without_a_trace(kubectl: Kubectl, istioctl: Istioctl) -> None:
    """What it is made of: one object of each kind that a real installation has
    (shared/real/kubectl/names-of-all-objects.txt), deleted, is found by name, and there again after a run."""
    before = everything(kubectl)
    run = Recorded(kubectl, istioctl, lab="istio.install")
    outcome, verdict = await run.converge(STEP)
    assert outcome == "changed"
    assert verdict
    assert verdict.kind == "pass"
    assert "istioctl 1.31.1-sandbox, control plane 1.31.1" in verdict.reason
    pods, services = run.told
    assert re.findall(r"(?m)^(istio\S*?)-\w+-\w+ +1/1 +Running ", pods) == ["istio-ingressgateway", "istiod"]
    assert (
        re.findall(r"(?m)^(istio\S+) +LoadBalancer .* (127\.\S+) +15021:", services)[0][0] == "istio-ingressgateway"
    )
    assert (await run.converge(STEP))[0] == "unchanged"
    assert not run.processes

    named = {
        "Deployment istio-system/istio-ingressgateway": "deployment/istio-ingressgateway",
        "Service istio-system/istiod": "service/istiod",
        "Service istio-system/istiod-revision-tag-default": "service/istiod-revision-tag-default",
        "ServiceAccount istio-system/istiod": "serviceaccount/istiod",
        "ConfigMap istio-system/istio-sidecar-injector": "configmap/istio-sidecar-injector",
        "ConfigMap istio-system/values": "configmap/values",
        "HorizontalPodAutoscaler istio-system/istiod": "hpa/istiod",
        "Role istio-system/istiod": "role/istiod",
        "RoleBinding istio-system/istiod": "rolebinding/istiod",
        "ClusterRole istiod-gateway-controller-istio-system": "clusterrole/istiod-gateway-controller-istio-system",
        "ClusterRoleBinding istiod-clusterrole-istio-system": "clusterrolebinding/istiod-clusterrole-istio-system",
        "MutatingWebhookConfiguration istio-sidecar-injector": (
            "mutatingwebhookconfiguration/istio-sidecar-injector"
        ),
        "ValidatingWebhookConfiguration istio-validator-istio-system": (
            "validatingwebhookconfiguration/istio-validator-istio-system"
        ),
        "CustomResourceDefinition serviceentries.networking.istio.io": "crd/serviceentries.networking.istio.io",
    }
    await kubectl.call("delete", "-n", "istio-system", *named.values())
    run.facts.forget()
    assert set(named) <= {d.subject for d in (await STEP.check(run)).differences if d.found is ABSENT}
    assert (await run.converge(STEP))[0] == "changed"

    await kubectl.call("scale", "deployment/istiod", "-n", "istio-system", "--replicas=0")
    await kubectl.call("delete", "deployment/istio-ingressgateway", "-n", "istio-system")
    run.facts.forget()
    drifted = [(d.subject, d.found) for d in (await STEP.check(run)).differences]
    assert ("Deployment istio-system/istio-ingressgateway", ABSENT) in drifted

    assert await run.take_back(STEP) == "changed"
    assert await run.take_back(STEP) == "unchanged"
    assert everything(kubectl) == before


async def test_a_private_ingress(
    sandbox: launcher.Running, kubectl: Kubectl, istioctl: Istioctl, namespace: str
) -> None:
    """And away again typed as it is explained: what istiod has written into namespaces goes, what is others' stays.
    The names and the label are those of shared/real/objects/ca-configmaps-in-default.yaml."""
    others = ("configmap", "istio-ca-root-cert"), ("configmap", "settings")
    for kind, name in others:
        await kubectl.call("create", kind, name, "-n", namespace, "--from-literal=a=b")
    await kubectl.call("label", "configmap", "settings", "-n", namespace, "istio.io/config=true")
    before = everything(kubectl)
    run = Recorded(kubectl, replace(istioctl, private_ingress=True), lab="istio.install")
    typed = "\n".join(STEP.explain(run).commands).replace("'", '"')
    assert 'azure-load-balancer-internal: "true"' in typed
    assert (await run.converge(STEP))[0] == "changed"
    service = (await look_at_installation(run)).get("Service", "istio-system", "istio-ingressgateway")
    assert service
    assert service["metadata"]["annotations"][INTERNAL] == "true"
    public = Recorded(kubectl, istioctl, lab="istio.install")
    (difference,) = (await STEP.check(public)).differences
    assert difference.path == f"metadata.annotations[{INTERNAL}]"

    run.facts.forget()
    doomed = [difference.subject for difference in (await STEP.check_undo(run)).differences]
    homes = [
        one["metadata"]["name"] for one in await kubectl.get_items("namespaces") if "Active" in str(one["status"])
    ]
    count = len(set(homes) - {"kube-public", "kube-node-lease"})
    assert doomed[0] == "Namespace istio-system, with Istio"
    assert doomed[-2:] == [
        f"ConfigMap istio-ca-root-cert in {count - 1} namespaces",
        f"ConfigMap istio-ca-crl in {count} namespaces",
    ]
    typed = "\n".join(("set -e", *STEP.explain_undo(run).commands))
    path = f"{sandbox.bin}{os.pathsep}{os.environ['PATH']}"
    done = await tool_process.run(
        ("bash", "-c", typed), environment={"PATH": path, "KUBECONFIG": str(sandbox.kubeconfig)}, seconds=60
    )
    assert done.status == 0, done.stderr
    assert everything(kubectl) == before


@pytest.mark.slow
async def test_an_istio_that_was_there_is_not_uninstalled(kubectl: Kubectl, istioctl: Istioctl) -> None:
    """Nor what is left of it after somebody deleted istio-system, also not when a run has repaired it. Another
    version of it is a difference."""
    await istioctl.install("--set", "profile=minimal")
    run = Recorded(kubectl, replace(istioctl, profile="minimal"), lab="istio.install")
    assert (await run.converge(STEP))[0] == "unchanged"
    check = await STEP.check_undo(run)
    assert check.converged
    assert check.note == "Istio was there before the workshop"
    newer = replace(istioctl, profile="minimal", program=Program("1.32.0", istioctl.program.release))
    other = Recorded(kubectl, newer, lab="istio.install")
    (difference,) = (await STEP.check(other)).differences
    assert (difference.wanted, difference.found) == ("1.32.0", "1.31.1")

    await kubectl.call("delete", "namespace", "istio-system")
    run.facts.forget()
    assert (await STEP.check_undo(run)).note == "Istio was there before the workshop"
    assert (await run.converge(STEP))[0] == "changed"
    assert await run.take_back(STEP) == "unchanged"
    labels = (await kubectl.get_json("namespace", "istio-system"))["metadata"]["labels"]
    assert "workshop/lab" not in labels
    assert "No resources" in await _stderr(kubectl, "get", "crds,clusterroles", "-l", "workshop/lab")
    await uninstall(kubectl, istioctl)


@pytest.mark.slow
async def test_killed_before_it_was_marked_it_is_marked_by_the_next_run(
    kubectl: Kubectl, istioctl: Istioctl
) -> None:
    """And is known by its marks where somebody has deleted istio-system."""
    before = everything(kubectl)
    run = Recorded(kubectl, replace(istioctl, profile="minimal"), lab="istio.install")
    await run.converge(STEP)
    await kubectl.call("label", "clusterroles", "-l", "workshop/lab", "workshop/lab-")
    run.facts.forget()
    paths = {difference.path for difference in (await STEP.check(run)).differences}
    assert paths == {"metadata.labels[workshop/lab]"}
    assert (await run.converge(STEP))[0] == "changed"

    await kubectl.call("delete", "namespace", "istio-system")
    run.facts.forget()
    left = {difference.subject for difference in (await STEP.check_undo(run)).differences}
    assert "CustomResourceDefinition virtualservices.networking.istio.io" in left
    assert "ClusterRole istiod-clusterrole-istio-system" in left
    assert await run.take_back(STEP) == "changed"
    assert everything(kubectl) == before


async def _stderr(kubectl: Kubectl, *words: str) -> str:
    return (
        await tool_process.run((str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", *words), seconds=20)
    ).stderr


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
