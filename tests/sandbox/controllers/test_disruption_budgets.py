from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import Object

from .conftest import World

RESOURCE = "poddisruptionbudgets.policy"


def budget(world: World, **spec: Any) -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, **spec}
    world.create(RESOURCE, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


def status(world: World) -> Object:
    found: Object = world.cluster.get(RESOURCE, "default", "web").get("status") or {}
    return found


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"minAvailable": 1}, 3),
        ({"minAvailable": 4}, 0),
        ({"minAvailable": "50%"}, 2),
        ({"maxUnavailable": 1}, 1),
        ({"maxUnavailable": "30%"}, 2),
    ],
)
async def test_how_many_may_go(world: World, spec: dict[str, Any], allowed: int) -> None:
    world.deploy(replicas=4)
    await world.until(world.is_complete)
    budget(world, **spec)
    await world.until(lambda: status(world).get("expectedPods") == 4)
    assert status(world)["currentHealthy"] == 4
    assert status(world)["disruptionsAllowed"] == allowed
    condition = status(world)["conditions"][0]
    assert condition["status"] == ("True" if allowed else "False")


async def test_pods_that_are_not_ready_count_as_gone(world: World) -> None:
    budget(world, maxUnavailable=1)
    world.deploy(replicas=3)
    await world.until(lambda: status(world).get("disruptionsAllowed") == 1)
    world.kubelet.tell("default", world.pods()[0]["metadata"]["name"], ready=False)
    await world.until(lambda: status(world)["disruptionsAllowed"] == 0)
    assert (status(world)["currentHealthy"], status(world)["desiredHealthy"]) == (2, 2)
