from __future__ import annotations

from typing import Any

from sandbox.core.cluster import Object

from .conftest import World

TAINT = {"key": "team", "value": "red", "effect": "NoExecute"}


def pod(world: World, name: str, *tolerations: Object) -> None:
    containers, selector = [{"name": "c", "image": "web:1"}], {"kubernetes.io/hostname": "node-0"}
    world.create(
        "pods",
        {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": containers, "nodeSelector": selector, "tolerations": list(tolerations)},
        },
    )


def taint(world: World, *taints: Object, node: str = "node-0") -> None:
    def change(changed: Object) -> None:
        changed["spec"] = {"taints": list(taints)}

    assert world.cluster.edit("nodes", None, node, change, manager="test")


def names(world: World) -> set[Any]:
    return {one["metadata"]["name"] for one in world.pods()}


async def test_pods_that_do_not_tolerate_no_execute_go(world: World) -> None:
    pod(world, "plain")
    pod(world, "other", {"key": "team", "value": "blue", "effect": "NoExecute"})
    pod(world, "elsewhere", {"operator": "Exists", "effect": "NoSchedule"})
    pod(world, "steadfast", {"key": "team", "operator": "Exists"})
    await world.settled()
    taint(world, {**TAINT, "effect": "NoSchedule"})
    await world.settled()
    assert names(world) == {"plain", "other", "elsewhere", "steadfast"}
    taint(world, TAINT)
    await world.until(lambda: names(world) == {"steadfast"})
    assert "Marking for deletion Pod default/plain" in world.messages("TaintManagerEviction")


async def test_owners_make_others_on_other_nodes(world: World) -> None:
    world.deploy(replicas=3)
    await world.until(world.is_complete)
    taint(world, TAINT)
    await world.until(lambda: world.is_complete() and "node-0" not in {p["spec"]["nodeName"] for p in world.pods()})


async def test_a_toleration_may_end(world: World) -> None:
    pod(world, "patient", {"key": "team", "operator": "Exists", "tolerationSeconds": 3600})
    pod(world, "hasty", {**TAINT, "tolerationSeconds": 1})
    await world.settled()
    taint(world, TAINT)
    await world.settled()
    assert names(world) == {"patient", "hasty"}
    await world.until(lambda: names(world) == {"patient"})
