from __future__ import annotations

from typing import Any

from sandbox.core.cluster import Object

from .conftest import World
from .test_service_addresses import service

SLICES = "endpointslices.discovery.k8s.io"


def slices(world: World, name: str = "web") -> list[Object]:
    return world.cluster.list(SLICES, "default", {"kubernetes.io/service-name": name})


def told(world: World, name: str = "web") -> dict[str, tuple[bool, bool, bool]]:
    """(ready, serving, terminating) by pod."""
    return {
        endpoint["targetRef"]["name"]: tuple(
            endpoint["conditions"][it] for it in ("ready", "serving", "terminating")
        )
        for piece in slices(world, name)
        for endpoint in piece["endpoints"]
    }


def ready(world: World, name: str = "web") -> list[str]:
    endpoints = world.cluster.find("endpoints", "default", name) or {}
    return [one["ip"] for subset in endpoints.get("subsets", ()) for one in subset.get("addresses", ())]


async def test_ready_pods_are_told_in_slices_and_endpoints(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=2)
    await world.until(lambda: len(ready(world)) == 2)
    (piece,) = slices(world)
    assert piece["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert piece["addressType"] == "IPv4"
    assert (
        piece["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    )
    assert piece["metadata"]["ownerReferences"][0]["kind"] == "Service"
    pods = {pod["metadata"]["name"]: pod for pod in world.pods()}
    for endpoint in piece["endpoints"]:
        pod = pods[endpoint["targetRef"]["name"]]
        assert endpoint["addresses"] == [pod["status"]["podIP"]]
        assert endpoint["nodeName"] == pod["spec"]["nodeName"]
    assert set(told(world).values()) == {(True, True, False)}


async def test_a_pod_that_is_not_ready_is_told_as_such(world: World) -> None:
    world.create("services", service())
    world.kubelet.becomes_ready = lambda pod: False
    world.deploy(replicas=1)
    await world.until(lambda: told(world))
    assert list(told(world).values()) == [(False, False, False)]
    assert ready(world) == []
    endpoints = world.cluster.get("endpoints", "default", "web")
    assert len(endpoints["subsets"][0]["notReadyAddresses"]) == 1


async def test_a_pod_on_its_way_out_gets_nothing_new_but_still_serves(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=2)
    await world.until(lambda: len(ready(world)) == 2)
    world.kubelet.lets_go = lambda pod: False
    leaving = world.pods()[0]["metadata"]["name"]
    world.cluster.delete("pods", "default", leaving)
    await world.until(lambda: told(world).get(leaving) == (False, True, True))
    assert world.cluster.get("pods", "default", leaving)["status"]["podIP"] not in ready(world)


async def test_pods_that_start_or_stop_matching_come_and_go(world: World) -> None:
    world.create("services", service())
    world.deploy("other", replicas=1)
    (pod,) = await world.until(world.pods)
    assert told(world) == {}
    name = pod["metadata"]["name"]
    world.edit("pods", name, lambda changed: changed["metadata"]["labels"].update(app="web"))
    await world.until(lambda: name in told(world))
    world.edit("pods", name, lambda changed: changed["metadata"]["labels"].update(app="else"))
    await world.until(lambda: name not in told(world))


async def test_a_changed_selector_or_port_is_followed(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=1)
    await world.until(lambda: told(world))

    def by_number(changed: Object) -> None:
        changed["spec"]["ports"][0]["targetPort"] = 9999

    world.edit("services", "web", by_number)
    await world.until(lambda: [piece["ports"][0]["port"] for piece in slices(world)] == [9999])
    world.edit("services", "web", lambda changed: changed["spec"].update(selector={"app": "nobody"}))
    await world.until(lambda: told(world) == {})


async def test_a_named_port_is_each_pods_own(world: World) -> None:
    def pod(name: str, port: int) -> dict[str, Any]:
        container = {"name": "c", "image": "web:1", "ports": [{"name": "http", "containerPort": port}]}
        metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}}
        return {"metadata": metadata, "spec": {"containers": [container]}}

    world.create("services", service())
    world.create("pods", pod("a", 8080))
    world.create("pods", pod("b", 9090))
    await world.until(lambda: len(told(world)) == 2)
    assert sorted(piece["ports"][0]["port"] for piece in slices(world)) == [8080, 9090]
    subsets = world.cluster.get("endpoints", "default", "web")["subsets"]
    assert sorted(subset["ports"][0]["port"] for subset in subsets) == [8080, 9090]


async def test_slices_hold_a_hundred_endpoints_at_most(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=103)
    await world.until(lambda: len(ready(world)) == 103)
    assert sorted(len(piece["endpoints"]) for piece in slices(world)) == [3, 100]


async def test_a_slice_that_is_taken_away_is_put_back(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=1)
    await world.until(lambda: told(world))
    world.cluster.delete(SLICES, "default", slices(world)[0]["metadata"]["name"])
    world.cluster.delete("endpoints", "default", "web")
    await world.until(lambda: told(world) and ready(world))


async def test_all_goes_with_the_service(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=1)
    await world.until(lambda: told(world))
    world.cluster.delete("services", "default", "web")
    await world.until(lambda: not slices(world) and world.cluster.find("endpoints", "default", "web") is None)


async def test_a_service_made_anew_has_slices_of_its_own(world: World) -> None:
    world.create("services", service())
    world.deploy(replicas=1)
    await world.until(lambda: told(world))
    world.cluster.delete("services", "default", "web")
    new = world.create("services", service())
    await world.settled()
    (piece,) = slices(world)
    assert piece["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]
    assert len(ready(world)) == 1


async def test_unready_pods_are_published_where_asked(world: World) -> None:
    world.kubelet.becomes_ready = lambda pod: False
    world.create("services", service(clusterIP="None", publishNotReadyAddresses=True))
    world.deploy(replicas=1)
    await world.until(lambda: told(world))
    assert list(told(world).values()) == [(True, False, False)]
    assert slices(world)[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert len(ready(world)) == 1


async def test_a_service_that_is_being_deleted_gets_no_new_slices(world: World) -> None:
    """They would hold up a foreground deletion, which waits until all of them are gone."""
    leaving = service()
    leaving["metadata"]["finalizers"] = ["test/hold"]
    world.create("services", leaving)
    world.create("services", service("other", selector={"app": "web"}))
    world.deploy(replicas=1)
    await world.until(lambda: len(ready(world)) == len(ready(world, "other")) == 1)
    world.cluster.delete("services", "default", "web", propagation="Foreground")
    held = await world.until(lambda: not slices(world) and world.cluster.get("services", "default", "web"))
    assert "test/hold" in held["metadata"]["finalizers"]
    world.kubelet.becomes_ready = lambda pod: False
    world.kubelet.look_again()
    await world.until(lambda: not ready(world, "other"))
    assert not slices(world)
