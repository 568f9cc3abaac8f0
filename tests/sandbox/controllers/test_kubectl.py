"""What real kubectl shows and relies on, against a whole sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.fixtures import Wait
from tests.kit.sandbox import Kubectl

IMAGE = "podinfo:6.9.1"


@pytest.fixture
def web(kubectl: Kubectl, namespace: str) -> str:
    """A namespace with deployment `web`, rolled out."""
    kubectl("-n", namespace, "create", "deployment", "web", f"--image={IMAGE}", "--replicas=2", "--port=9898")
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    return namespace


def test_rollouts(kubectl: Kubectl, web: str) -> None:
    said = kubectl("-n", web, "rollout", "status", "deployment/web")
    assert said == 'deployment "web" successfully rolled out\n'
    kubectl("-n", web, "rollout", "restart", "deployment/web")
    kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("-n", web, "set", "image", "deployment/web", "podinfo=podinfo:6.9.2")
    kubectl("-n", web, "annotate", "deployment/web", "kubernetes.io/change-cause=newer")
    kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
    history = kubectl("-n", web, "rollout", "history", "deployment/web").split("\n")
    assert [line.split()[0] for line in history[2:5]] == ["1", "2", "3"]
    assert history[4].endswith("newer")
    kubectl("-n", web, "rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
    template = kubectl.json("-n", web, "get", "deployment", "web")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == IMAGE
    history = kubectl("-n", web, "rollout", "history", "deployment/web").split("\n")
    assert [line.split()[0] for line in history[2:5]] == ["2", "3", "4"]


def test_a_rollout_that_cannot_end_is_reported_and_undone(kubectl: Kubectl, web: str) -> None:
    kubectl("-n", web, "patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":1}}')
    kubectl("-n", web, "set", "image", "deployment/web", "podinfo=nonesuch:1")
    said = kubectl.fails("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
    assert 'deployment "web" exceeded its progress deadline' in said
    assert kubectl.json("-n", web, "get", "deployment", "web")["status"]["availableReplicas"] == 2
    kubectl("-n", web, "rollout", "undo", "deployment/web")
    kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")


def test_scaling_and_waiting(kubectl: Kubectl, web: str) -> None:
    kubectl("-n", web, "scale", "deployment/web", "--replicas=4")
    kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
    assert len(kubectl.json("-n", web, "get", "pods")["items"]) == 4
    assert "condition met" in kubectl("-n", web, "wait", "--for=condition=Available", "deployment/web")
    row = kubectl("-n", web, "get", "deployment", "web", "--no-headers").split()
    assert row[:4] == ["web", "4/4", "4", "4"]


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_deleting(kubectl: Kubectl, web: str, eventually: Wait, cascade: str) -> None:
    kubectl("-n", web, "delete", "deployment", "web", f"--cascade={cascade}", "--timeout=60s")
    kubectl("-n", web, "wait", "--for=delete", "deployment/web", "--timeout=5s")
    if cascade == "orphan":
        assert len(kubectl.json("-n", web, "get", "pods")["items"]) == 2
        assert len(kubectl.json("-n", web, "get", "replicasets")["items"]) == 1
        return
    left = kubectl.json("-n", web, "get", "pods,replicasets")["items"]
    if cascade == "foreground":
        assert left == []
    eventually(lambda: not kubectl.json("-n", web, "get", "pods,replicasets")["items"])


def test_a_namespace_is_empty_when_kubectl_returns(kubectl: Kubectl, web: str) -> None:
    kubectl("-n", web, "expose", "deployment", "web", "--type=LoadBalancer", "--port=8080", "--target-port=9898")
    kubectl("delete", "namespace", web, "--timeout=60s")
    assert "NotFound" in kubectl.fails("get", "namespace", web)
    assert kubectl.json("get", "pods,deployments,services,endpointslices", "-n", web)["items"] == []


def test_services(kubectl: Kubectl, web: str, eventually: Wait) -> None:
    kubectl("-n", web, "expose", "deployment", "web", "--type=LoadBalancer", "--port=8080", "--target-port=9898")
    columns = kubectl("-n", web, "get", "service", "web", "--no-headers").split()
    assert columns[1] == "LoadBalancer"
    assert columns[2].startswith("127.")
    assert columns[4].startswith("8080:3")
    kubectl("-n", web, "wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/web", "--timeout=5s")
    addresses = {pod["status"]["podIP"] for pod in kubectl.json("-n", web, "get", "pods")["items"]}

    def told() -> bool:
        pieces = kubectl.json("-n", web, "get", "endpointslices")["items"]
        return {one["addresses"][0] for piece in pieces for one in piece["endpoints"]} == addresses

    eventually(told)
    said = kubectl("-n", web, "describe", "service", "web")
    assert all(f"{address}:9898" in said for address in addresses)
    assert "EnsuredLoadBalancer" in said


def test_describing(kubectl: Kubectl, web: str) -> None:
    said = kubectl("-n", web, "describe", "deployment", "web")
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in said
    assert "(2/2 replicas created)" in said
    assert "ScalingReplicaSet" in said
    said = kubectl("-n", web, "describe", "replicaset")
    assert "Controlled By:  Deployment/web" in said
    assert "2 Running / 0 Waiting / 0 Succeeded / 0 Failed" in said
    assert said.count("SuccessfulCreate") == 2


def test_a_dry_run_makes_nothing(kubectl: Kubectl, web: str) -> None:
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "try", "namespace": web},
        "spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 32001}]},
    }
    tried = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(service))
    assert json.loads(tried)["spec"]["clusterIP"].startswith("127.")
    assert "NotFound" in kubectl.fails("-n", web, "get", "service", "try")
    kubectl("apply", "-f", "-", stdin=json.dumps(service))


def test_draining_a_node(kubectl: Kubectl, web: str) -> None:
    """Without evictions, which the sandbox refuses, kubectl deletes the node's pods: budgets are not acted on."""
    pod = kubectl.json("-n", web, "get", "pods")["items"][0]
    node = pod["spec"]["nodeName"]
    path = f"/api/v1/namespaces/{web}/pods/{pod['metadata']['name']}/eviction"
    assert "the sandbox has no pods/eviction" in kubectl.fails("create", "--raw", path, "-f", "-", stdin="{}")
    try:
        kubectl("drain", node, "--pod-selector=app=web", "--timeout=60s")
        kubectl("-n", web, "rollout", "status", "deployment/web", "--timeout=60s")
        nodes = {one["spec"]["nodeName"] for one in kubectl.json("-n", web, "get", "pods")["items"]}
        assert node not in nodes
    finally:
        kubectl("uncordon", node)
