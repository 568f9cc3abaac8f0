from __future__ import annotations

from typing import Any

from sandbox.core.cluster import Object

from .conftest import World

RESOURCE = "horizontalpodautoscalers.autoscaling"


def autoscale(world: World, **spec: Any) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = {"scaleTargetRef": target, "metrics": [{"type": "Resource", "resource": metric}], **spec}
    world.create(RESOURCE, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


def status(world: World) -> Object:
    found: Object = world.cluster.get(RESOURCE, "default", "web").get("status") or {}
    return found


def told(world: World) -> dict[str, str]:
    return {one["type"]: one["reason"] for one in status(world).get("conditions", ())}


async def test_without_metrics_it_says_so_and_leaves_the_size(world: World) -> None:
    world.deploy(replicas=2)
    autoscale(world, minReplicas=1, maxReplicas=5)
    await world.until(lambda: status(world).get("currentReplicas") == 2)
    assert status(world)["desiredReplicas"] == 2
    assert told(world) == {"AbleToScale": "SucceededGetScale", "ScalingActive": "FailedGetResourceMetric"}


async def test_the_size_is_kept_within_its_limits(world: World) -> None:
    world.deploy(replicas=1)
    autoscale(world, minReplicas=3, maxReplicas=5)
    await world.until(lambda: world.deployment()["spec"]["replicas"] == 3)
    assert world.messages("SuccessfulRescale") == [
        "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
    ]
    world.edit("deployments.apps", "web", lambda changed: changed["spec"].update(replicas=9))
    await world.until(lambda: world.deployment()["spec"]["replicas"] == 5)
    await world.until(lambda: status(world)["desiredReplicas"] == 5)


async def test_none_means_off(world: World) -> None:
    world.deploy(replicas=0)
    autoscale(world, maxReplicas=5)
    await world.until(lambda: told(world).get("ScalingActive") == "ScalingDisabled")
    assert world.deployment()["spec"]["replicas"] == 0


async def test_a_target_may_come_later(world: World) -> None:
    autoscale(world, maxReplicas=5)
    await world.until(lambda: told(world).get("AbleToScale") == "FailedGetScale")
    world.deploy()
    await world.until(lambda: told(world).get("AbleToScale") == "SucceededGetScale")
