from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.controllers.scheduler import Occupancy
from sandbox.core.cluster import Object
from tests.kit.laws import LAW

from .conftest import World, add_node


def pod(world: World, name: str, labels: dict[str, str] | None = None, **spec: Any) -> None:
    container = {"name": "c", "image": "web:1", **spec.pop("container", {})}
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    world.create("pods", {"metadata": metadata, "spec": {"containers": [container], **spec}})


def node_of(world: World, name: str) -> str | None:
    found: str | None = world.cluster.get("pods", "default", name)["spec"].get("nodeName")
    return found


async def placed(world: World, name: str) -> str:
    node: str = await world.until(lambda: node_of(world, name))
    return node


async def waiting(world: World, name: str) -> str:
    """Why it has no node."""
    await world.until(lambda: world.cluster.get("pods", "default", name)["status"].get("conditions"))
    (condition,) = world.cluster.get("pods", "default", name)["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "False")
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] in world.messages("FailedScheduling")
    message: str = condition["message"]
    return message


async def test_replicas_spread_over_nodes(world: World) -> None:
    world.deploy(replicas=6)
    await world.until(world.is_complete)
    assert Counter(one["spec"]["nodeName"] for one in world.pods()) == {"node-0": 2, "node-1": 2, "node-2": 2}
    assert any(message.startswith("Successfully assigned default/web-") for message in world.messages("Scheduled"))
    conditions = world.pods()[0]["status"]["conditions"]
    assert [one["status"] for one in conditions if one["type"] == "PodScheduled"] == ["True"]


async def test_a_node_selector_is_respected_and_a_label_wakes_the_pod(world: World) -> None:
    pod(world, "picky", nodeSelector={"disk": "fast"})
    assert await waiting(world, "picky") == (
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    )

    def label(node: Object) -> None:
        node["metadata"]["labels"]["disk"] = "fast"

    world.cluster.edit("nodes", None, "node-1", label, manager="test")
    assert await placed(world, "picky") == "node-1"


async def test_a_cordoned_node_gets_nothing_new(world: World) -> None:
    def cordon(node: Object) -> None:
        node["spec"] = {"unschedulable": True}

    for index in range(3):
        world.cluster.edit("nodes", None, f"node-{index}", cordon, manager="test")
    pod(world, "plain")
    assert await waiting(world, "plain") == "0/3 nodes are available: 3 node(s) were unschedulable."
    world.cluster.edit("nodes", None, "node-1", lambda node: node.pop("spec"), manager="test")
    assert await placed(world, "plain") == "node-1"


async def test_what_does_not_fit_waits_until_there_is_room(world: World) -> None:
    big = {"container": {"resources": {"requests": {"cpu": "1500m"}}}}
    for index in range(3):
        pod(world, f"big-{index}", **big)
        await placed(world, f"big-{index}")
    pod(world, "late", **big)
    assert await waiting(world, "late") == "0/3 nodes are available: 3 Insufficient cpu."
    world.cluster.delete("pods", "default", "big-1")
    assert await placed(world, "late")


async def test_without_nodes_pods_wait_for_one(world: World) -> None:
    for index in range(3):
        world.cluster.delete("nodes", None, f"node-{index}")
    await world.settled()
    pod(world, "early")
    assert await waiting(world, "early") == "no nodes available to schedule pods"
    add_node(world, 7)
    assert await placed(world, "early") == "node-7"


async def test_another_schedulers_pod_is_left_alone(world: World) -> None:
    pod(world, "theirs", schedulerName="mine")
    await world.settled()
    assert node_of(world, "theirs") is None
    assert world.messages("FailedScheduling") == []


async def test_pods_of_a_deleted_node_are_made_elsewhere(world: World) -> None:
    world.deploy(replicas=3)
    await world.until(world.is_complete)
    world.kubelet.lets_go = lambda pod: False
    world.cluster.delete("nodes", None, "node-1")

    def nodes() -> list[str]:
        return sorted(one["spec"].get("nodeName", "") for one in world.pods())

    await world.until(lambda: nodes() in (["node-0", "node-0", "node-2"], ["node-0", "node-2", "node-2"]))


PODS = st.fixed_dictionaries(
    {
        "node": st.sampled_from((None, "one", "two")),
        "owner": st.sampled_from((None, "u1", "u2")),
        "cpu": st.sampled_from((None, "100m", "1")),
        "phase": st.sampled_from(("Pending", "Running", "Failed")),
        "leaves": st.booleans(),
    }
)


@settings(LAW, max_examples=100)
@given(changes=st.lists(st.tuples(st.sampled_from("abc"), st.none() | PODS), max_size=15))
def test_what_is_counted_on_the_way_is_what_is_there(changes: list[tuple[str, dict[str, Any] | None]]) -> None:
    occupancy = Occupancy()
    there: dict[str, Object] = {}
    for name, drawn in changes:
        old = there.pop(name, None)
        new = _drawn(name, drawn) if drawn else None
        if old or new:
            occupancy(old, new)
        if new:
            there[name] = new
    afresh = Occupancy()
    for one in there.values():
        afresh(None, one)
    assert occupancy.waiting == afresh.waiting
    for node in ("one", "two"):
        counted = occupancy.of(node)
        assert (counted.pods, counted.of_owner) == (afresh.of(node).pods, afresh.of(node).of_owner)
        assert {key: value for key, value in counted.requests.items() if value} == afresh.of(node).requests


def _drawn(name: str, drawn: dict[str, Any]) -> Object:
    metadata: Object = {"namespace": "default", "name": name}
    if drawn["owner"]:
        metadata["ownerReferences"] = [{"uid": drawn["owner"], "controller": True}]
    if drawn["leaves"]:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    requests = {"cpu": drawn["cpu"]} if drawn["cpu"] else {}
    spec: Object = {"containers": [{"name": "c", "resources": {"requests": requests}}]}
    if drawn["node"]:
        spec["nodeName"] = drawn["node"]
    return {"metadata": metadata, "spec": spec, "status": {"phase": drawn["phase"]}}
