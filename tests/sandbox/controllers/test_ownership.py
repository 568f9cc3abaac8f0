from __future__ import annotations

import pytest

from sandbox.core.cluster import Object

from .conftest import World

CRD = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def config_map(world: World, name: str, *owners: Object, block: bool = False, finalizer: str = "") -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({"blockOwnerDeletion": True} if block else {}),
        }
        for owner in owners
    ]
    metadata = {"name": name, "namespace": "default", "ownerReferences": references}
    if finalizer:
        metadata["finalizers"] = [finalizer]
    return world.create("configmaps", {"metadata": metadata})


def there(world: World, *names: str) -> list[str]:
    return [name for name in names if world.cluster.find("configmaps", "default", name)]


async def test_what_is_owned_goes_with_its_owner(world: World) -> None:
    top = config_map(world, "top")
    middle = config_map(world, "middle", top)
    config_map(world, "bottom", middle)
    await world.settled()
    assert there(world, "top", "middle", "bottom") == ["top", "middle", "bottom"]
    world.cluster.delete("configmaps", "default", "top")
    await world.until(lambda: not there(world, "top", "middle", "bottom"))


async def test_an_owner_that_never_was_is_gone_too(world: World) -> None:
    top = config_map(world, "top")
    top = {**top, "metadata": {**top["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    config_map(world, "orphan", top)
    await world.until(lambda: not there(world, "orphan"))
    assert there(world, "top")


async def test_with_two_owners_the_last_one_decides(world: World) -> None:
    one, two = config_map(world, "one"), config_map(world, "two")
    config_map(world, "both", one, two)
    world.cluster.delete("configmaps", "default", "one")
    await world.settled()
    assert [
        reference["name"]
        for reference in world.cluster.get("configmaps", "default", "both")["metadata"]["ownerReferences"]
    ] == ["two"]
    world.cluster.delete("configmaps", "default", "two")
    await world.until(lambda: not there(world, "both"))


async def test_in_the_foreground_dependents_go_first(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    world.kubelet.lets_go = lambda pod: False
    world.cluster.delete("deployments.apps", "default", "web", propagation="Foreground")
    await world.until(lambda: not world.pods())
    await world.settled()
    assert world.deployment()["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert len(world.replica_sets()) == 1
    world.kubelet.lets_go = lambda pod: True
    world.kubelet.look_again()
    await world.until(lambda: world.cluster.find("deployments.apps", "default", "web") is None)
    assert not world.cluster.list("pods")
    assert not world.replica_sets()


async def test_in_the_background_the_owner_goes_at_once(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    world.cluster.delete("deployments.apps", "default", "web")
    assert world.cluster.find("deployments.apps", "default", "web") is None
    await world.until(lambda: not world.cluster.list("pods") and not world.replica_sets())


@pytest.mark.parametrize("propagation", ["Orphan", "Foreground"])
async def test_without_dependents_an_owner_just_goes(world: World, propagation: str) -> None:
    config_map(world, "alone")
    world.cluster.delete("configmaps", "default", "alone", propagation=propagation)  # type: ignore[arg-type]
    await world.until(lambda: not there(world, "alone"))


async def test_a_dependent_that_does_not_block_is_not_waited_for(world: World) -> None:
    top = config_map(world, "top")
    config_map(world, "held", top, finalizer="example.com/hold")
    await world.settled()
    world.cluster.delete("configmaps", "default", "top", propagation="Foreground")
    await world.until(lambda: there(world, "top", "held") == ["held"])
    assert world.cluster.get("configmaps", "default", "held")["metadata"]["deletionTimestamp"]


async def test_custom_objects_own_and_are_owned(world: World) -> None:
    world.create("customresourcedefinitions.apiextensions.k8s.io", CRD)
    await world.settled()
    top = config_map(world, "top")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "top", "uid": top["metadata"]["uid"]}
    widget = world.create(
        "widgets.example.com",
        {"metadata": {"name": "w", "namespace": "default", "ownerReferences": [reference]}},
    )
    config_map(world, "bottom", widget)
    await world.settled()
    assert there(world, "top", "bottom") == ["top", "bottom"]
    world.cluster.delete("configmaps", "default", "top")
    await world.until(lambda: not there(world, "bottom") and not world.cluster.list("widgets.example.com"))
