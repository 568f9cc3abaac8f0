from __future__ import annotations

from sandbox.controllers.replicasets import by_usefulness
from sandbox.core.cluster import Object

from .conftest import World


def pod(name: str, node: str = "", phase: str = "Running", ready: bool = True, **metadata: object) -> Object:
    conditions = (
        [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}] if ready else []
    )
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", **metadata},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_the_least_useful_pod_goes_first() -> None:
    cheap = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    ranked = by_usefulness(
        [
            pod("alone", "c"),
            pod("crowded", "a"),
            pod("crowded-younger", "a", creationTimestamp="2026-01-01T00:00:09Z"),
            pod("cheap", "d", annotations=cheap),
            pod("unready", "b", ready=False),
            pod("pending", "b", "Pending", ready=False),
            pod("nowhere", "", "Pending", ready=False),
        ]
    )
    names = [one["metadata"]["name"] for one in ranked]
    assert names == ["nowhere", "pending", "unready", "cheap", "crowded-younger", "crowded", "alone"]


async def test_a_lost_pod_is_replaced(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    lost = world.pods()[0]["metadata"]["name"]
    world.cluster.delete("pods", "default", lost)
    await world.until(lambda: len(world.pods()) == 2 and world.is_complete())
    assert lost not in {one["metadata"]["name"] for one in world.pods()}


async def test_a_pod_whose_labels_are_changed_is_released_and_replaced(world: World) -> None:
    world.deploy(replicas=1)
    await world.until(world.is_complete)
    (first,) = world.pods()

    def relabel(changed: Object) -> None:
        changed["metadata"]["labels"]["app"] = "debug"

    world.edit("pods", first["metadata"]["name"], relabel)
    await world.until(lambda: len(world.pods()) == 2)
    released = world.cluster.get("pods", "default", first["metadata"]["name"])
    assert "ownerReferences" not in released["metadata"]


async def test_a_bare_pod_that_fits_is_adopted(world: World) -> None:
    labels = {"app": "web"}
    container = {"name": "web", "image": "web:1"}
    world.create(
        "pods",
        {
            "metadata": {"name": "early", "namespace": "default", "labels": labels},
            "spec": {"containers": [container]},
        },
    )
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    world.create(
        "replicasets.apps",
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        },
    )
    await world.until(
        lambda: world.cluster.get("replicasets.apps", "default", "web")["status"].get("readyReplicas") == 2
    )
    assert len(world.pods()) == 2
    assert {one["metadata"]["ownerReferences"][0]["name"] for one in world.pods()} == {"web"}
    assert len(world.messages("SuccessfulCreate")) == 1


async def test_a_pod_that_is_taken_away_from_its_manager_is_replaced(world: World) -> None:
    world.deploy(replicas=1)
    await world.until(world.is_complete)
    (first,) = world.pods()

    def take(changed: Object) -> None:
        changed["metadata"]["labels"] = {"app": "debug"}
        del changed["metadata"]["ownerReferences"]

    world.edit("pods", first["metadata"]["name"], take)
    await world.until(lambda: len(world.pods()) == 2)
