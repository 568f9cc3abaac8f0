from __future__ import annotations

from typing import Any

import pytest

from workshop.kubernetes import rollout

COMPLETE = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {**COMPLETE, **status},
    }


def pod(*ready: bool, **more: Any) -> dict[str, Any]:
    names = [f"c{number}" for number in range(len(ready))]
    return {
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "hash": "1"}},
        "spec": {"containers": [{"name": name} for name in names], **more.pop("spec", {})},
        "status": {
            "containerStatuses": [{"name": n, "ready": r} for n, r in zip(names, ready, strict=True)],
            **more,
        },
    }


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 1},
        {"updatedReplicas": 0},
        {"availableReplicas": 0},
        {"replicas": 2},
    ],
)
def test_not_complete(status: dict[str, int]) -> None:
    assert rollout.is_complete(deployment())
    assert not rollout.is_complete(deployment(**status))


def test_pods_of_a_deployment() -> None:
    other, leaving = pod(True), pod(True)
    other["metadata"]["labels"] = {"app": "other"}
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    own = pod(True)
    assert rollout.pods_of(deployment(), [other, leaving, own]) == [own]


def test_ready_counts_native_sidecars() -> None:
    init = [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]
    states = [{"name": "setup", "ready": True}, {"name": "proxy", "ready": True}]
    sidecar = pod(True, spec={"initContainers": init}, initContainerStatuses=states)
    assert rollout.ready_of(sidecar) == "2/2"
    assert rollout.ready_of(pod(True, False)) == "1/2"
    assert rollout.has_containers(pod(True, False), "2/2")
    assert not rollout.has_containers(pod(True), "2/2")


def test_what_is_missing_is_said_with_the_reason() -> None:
    wanted = {("shop", "web"): "2/2", ("shop", "db"): ""}
    pulling = pod(False)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pulling["status"]["containerStatuses"][0]["state"] = waiting
    said = rollout.missing(wanted, [deployment(availableReplicas=0)], [pulling])
    assert said == "web 0/1 (ImagePullBackOff: no such image), db (not there)"


def test_pods_without_their_sidecar_are_missing_something() -> None:
    wanted = {("shop", "web"): "2/2"}
    assert rollout.missing(wanted, [deployment()], [pod(True)]) == "web-1 READY 1/1 instead of 2/2"
    assert rollout.missing(wanted, [deployment()], [pod(True, True)]) == ""


def test_pods_that_have_not_been_seen_yet_are_not_taken_for_right() -> None:
    """Deployments and pods are watched apart: a Deployment may be seen complete before any of its pods is, and
    what they are like decides."""
    assert rollout.missing({("shop", "web"): "2/2"}, [deployment()], []) == "web 0/1 pods seen"
    assert rollout.missing({("shop", "web"): ""}, [deployment()], []) == ""


def test_trouble_of_a_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert rollout.trouble({"status": {"conditions": [condition]}}) == "Unschedulable: 0/3 nodes"
    assert rollout.trouble(pod(True)) == ""


def test_pods_that_a_deployment_left() -> None:
    gone, other, bare = pod(True), pod(True), pod(True)
    gone["metadata"] |= {
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7f9c"}],
        "deletionTimestamp": "now",
    }
    other["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web-v2-7f9c"}]
    assert rollout.left_by("shop", "web", [gone, other, bare]) == [gone]
