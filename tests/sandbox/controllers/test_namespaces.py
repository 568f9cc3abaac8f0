from __future__ import annotations

import itertools

import pytest

from sandbox.core.cluster import ApiError, Object

from .conftest import World
from .test_ownership import CRD
from .test_service_addresses import service


def gone(world: World, name: str = "shop") -> bool:
    return world.cluster.find("namespaces", None, name) is None


def make(world: World, name: str = "shop") -> None:
    world.create("namespaces", {"metadata": {"name": name}})


async def test_every_namespace_has_an_account_and_certificates(world: World) -> None:
    make(world)
    await world.until(lambda: world.cluster.find("configmaps", "shop", "kube-root-ca.crt"))
    assert world.cluster.find("serviceaccounts", "shop", "default")
    world.cluster.delete("serviceaccounts", "shop", "default")
    await world.until(lambda: world.cluster.find("serviceaccounts", "shop", "default"))


async def test_a_namespace_goes_with_all_that_is_in_it(world: World) -> None:
    world.create("customresourcedefinitions.apiextensions.k8s.io", CRD)
    make(world)
    world.deploy(namespace="shop", replicas=2)
    world.create("services", service(namespace="shop"))
    world.create("widgets.example.com", {"metadata": {"name": "w", "namespace": "shop"}})
    await world.until(lambda: len(world.pods("shop")) == 2)
    world.cluster.delete("namespaces", None, "shop")
    assert world.cluster.get("namespaces", None, "shop")["status"]["phase"] == "Terminating"
    await world.until(lambda: gone(world))
    await world.settled()
    kinds = {resource.key for resource in world.cluster.resources()}
    assert [kind for kind in kinds if world.cluster.list(kind, "shop")] == []
    assert gone(world)


async def test_a_namespace_says_what_it_waits_for(world: World) -> None:
    make(world)
    metadata = {"name": "held", "namespace": "shop", "finalizers": ["example.com/hold"]}
    world.create("configmaps", {"metadata": metadata})
    await world.settled()
    world.cluster.delete("namespaces", None, "shop")
    await world.settled()
    conditions = world.cluster.get("namespaces", None, "shop")["status"]["conditions"]
    told = [(one["type"], one["status"], one["reason"], one["message"]) for one in conditions]
    # The texts are those of kubernetes, pkg/controller/namespace/deletion/status_condition_utils.go.
    assert told == [
        (
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 1 resource instances",
        ),
        (
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
        ),
    ]

    def let_go(changed: Object) -> None:
        del changed["metadata"]["finalizers"]

    world.cluster.edit("configmaps", "shop", "held", let_go, manager="test")
    await world.until(lambda: gone(world))


async def test_pods_are_waited_for(world: World) -> None:
    make(world)
    world.deploy(namespace="shop", replicas=1)
    await world.until(lambda: world.pods("shop") and "podIP" in world.pods("shop")[0]["status"])
    world.kubelet.lets_go = lambda pod: False
    world.cluster.delete("namespaces", None, "shop")
    await world.settled()
    assert [kind for kind in ("deployments.apps", "services", "pods") if world.cluster.list(kind, "shop")] == [
        "pods"
    ]
    world.kubelet.lets_go = lambda pod: True
    world.kubelet.look_again()
    await world.until(lambda: gone(world))


async def test_the_api_servers_service_is_put_back(world: World) -> None:
    spec = world.cluster.get("services", "default", "kubernetes")["spec"]
    assert spec["clusterIP"] == "127.64.128.1"
    (piece,) = world.cluster.list(
        "endpointslices.discovery.k8s.io", "default", {"kubernetes.io/service-name": "kubernetes"}
    )
    assert piece["endpoints"][0]["addresses"] == ["127.64.0.1"]
    assert piece["ports"][0]["port"] == 6443
    world.cluster.delete("services", "default", "kubernetes")
    again = await world.until(lambda: world.cluster.find("services", "default", "kubernetes"))
    assert again["spec"]["clusterIP"] == "127.64.128.1"


async def test_the_first_namespaces_stay(world: World) -> None:
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        world.cluster.delete("namespaces", None, "default")


async def test_a_namespace_is_emptied_in_pieces(world: World) -> None:
    """Nothing else would have its turn for as long as thousands of objects go."""
    make(world)
    await world.settled()
    for number in range(40):
        world.create("secrets", {"metadata": {"name": f"s{number}", "namespace": "shop"}})
    world.cluster.delete("namespaces", None, "shop")
    seen = []

    def look() -> bool:
        seen.append(len(world.cluster.list("secrets", "shop")))
        return gone(world)

    await world.until(look)
    assert max(before - after for before, after in itertools.pairwise(seen)) <= 16
