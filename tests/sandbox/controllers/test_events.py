from __future__ import annotations

import pytest

from sandbox.controllers import events

from .conftest import World


def told(world: World, namespace: str = "default") -> list[tuple[str, int]]:
    return [(one["message"], one["count"]) for one in world.cluster.list("events", namespace)]


async def test_the_same_again_is_counted(world: World) -> None:
    node = world.cluster.get("nodes", None, "node-0")
    for message in ("went up", "went down", "went up"):
        events.record(world.cluster, node, "Moved", message, source="me", host="here")
    assert told(world) == [("went up", 2), ("went down", 1)]
    event = world.cluster.list("events", "default")[0]
    assert event["involvedObject"]["uid"] == node["metadata"]["uid"]
    assert event["source"] == {"component": "me", "host": "here"}


async def test_events_about_parts_say_which(world: World) -> None:
    node = world.cluster.get("nodes", None, "node-0")
    events.record(world.cluster, node, "Pulled", "done", field_path="spec.containers{web}")
    assert world.cluster.list("events", "default")[0]["involvedObject"]["fieldPath"] == "spec.containers{web}"


async def test_where_nothing_can_be_told_nothing_is(world: World) -> None:
    world.create("namespaces", {"metadata": {"name": "shop"}})
    held = {"name": "held", "namespace": "shop", "finalizers": ["example.com/hold"]}
    obj = world.create("configmaps", {"metadata": held})
    world.cluster.delete("namespaces", None, "shop")
    events.record(world.cluster, obj, "Late", "too late")
    assert told(world, "shop") == []


async def test_events_are_forgotten_after_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.cluster.get("nodes", None, "node-0")
    events.record(world.cluster, node, "Moved", "recently")
    await world.settled()
    assert told(world) == [("recently", 1)]
    monkeypatch.setattr(events, "seconds_since", lambda timestamp: 3600.0)
    events.record(world.cluster, node, "Moved", "recently")
    await world.until(lambda: not told(world))
