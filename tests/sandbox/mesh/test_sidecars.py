"""Requests between workloads, through real Envoy."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from .world import Client, World, eventually

DESTINATION_RULE = {
    "host": "reviews",
    "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")],
}


def split(v1: int, v2: int) -> dict:
    destinations = [
        {"destination": {"host": "reviews", "subset": subset}, "weight": weight}
        for subset, weight in (("v1", v1), ("v2", v2))
    ]
    return {"hosts": ["reviews"], "http": [{"route": destinations}]}


async def versions(client: Client, count: int = 20, **headers: str) -> Counter:
    found: Counter = Counter()
    for _ in range(count):
        status, _, body = await client.get("/", "reviews:9080", **headers)
        found[json.loads(body)["version"] if status == 200 else status] += 1
    return found


async def reviews(world: World) -> Client:
    """Service `reviews` with a pod of each version, and a client of it in the mesh."""
    service = world.service("reviews", {"http": 9080})
    await world.pod("reviews-v1", "reviews", "v1")
    await world.pod("reviews-v2", "reviews", "v2")
    proxy = await world.sidecar("client")
    return world.client(proxy, service["spec"]["clusterIP"], 9080)


async def test_without_rules_all_pods_of_a_service_answer(world: World) -> None:
    client = await reviews(world)
    found = await versions(client, 40)
    assert set(found) == {"v1", "v2"}


async def test_a_virtual_service_sends_all_to_one_subset(world: World) -> None:
    client = await reviews(world)
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(100, 0))
    await eventually(lambda: _only(client, "v1"))
    world.apply("virtualservices", "reviews", split(0, 100))
    await eventually(lambda: _only(client, "v2"))


async def _only(client: Client, version: str) -> bool:
    return set(await versions(client)) == {version}


async def test_a_senseless_rule_that_nobody_looked_at_is_in_no_others_way(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It came in while no webhook was asked, as here: what Envoy cannot be told, and what cannot be translated."""
    client = await reviews(world)
    world.service("other", {"http": 9081})
    weights = [{"destination": {"host": "other"}, "weight": -1}, {"destination": {"host": "reviews"}, "weight": 1}]
    world.apply("virtualservices", "other", {"hosts": ["other"], "http": [{"route": weights}]})
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(100, 0))
    await eventually(lambda: _only(client, "v1"))

    async def refused() -> list[str]:
        return [name.rpartition("/")[2] for _, name in world.mesh.data_plane.refused]

    await eventually(refused)  # which Envoy says when it gets to it
    assert await refused() == ["9081"]
    soon = {"timeout": "soon", "route": weights[1:]}
    world.apply("virtualservices", "other", {"hosts": ["other"], "http": [soon]})
    world.apply("virtualservices", "reviews", split(0, 100))
    await eventually(lambda: _only(client, "v2"))
    assert "VirtualService default/other is left out: invalid timeout: invalid duration soon" in caplog.text


async def test_a_pod_of_an_earlier_ones_name_has_its_own_address(world: World) -> None:
    await reviews(world)
    first = world.mesh.data_plane.proxies["client.default"]
    await world.mesh.data_plane.unregister(first)
    world.cluster.delete("pods", "default", "client", grace_seconds=0)
    second = await world.sidecar("client")
    assert second.address != first.address
    address = world.cluster.get("services", "default", "reviews")["spec"]["clusterIP"]
    assert set(await versions(world.client(second, address, 9080), 40)) == {"v1", "v2"}


async def test_weights_change_under_load_and_no_request_is_lost(world: World) -> None:
    first = await reviews(world)
    proxy = world.mesh.data_plane.proxies["client.default"]
    address = world.cluster.get("services", "default", "reviews")["spec"]["clusterIP"]
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(100, 0))
    await eventually(lambda: _only(first, "v1"))
    lost: Counter = Counter()
    running = True

    async def load() -> None:
        client = world.client(proxy, address, 9080)
        while running:
            status, _, _ = await client.get("/", "reviews")
            lost[status] += 1

    tasks = [asyncio.create_task(load()) for _ in range(4)]
    for weights in ((0, 100), (50, 50), (100, 0), (10, 90)):
        world.apply("virtualservices", "reviews", split(*weights))
        if weights[0] in (0, 100):
            await eventually(lambda: _only(first, "v1" if weights[0] else "v2"))  # noqa: B023
        else:
            await eventually(lambda: _both(first))
    for name in ("virtualservices", "destinationrules"):
        world.cluster.delete(f"{name}.networking.istio.io", "default", "reviews")
        await eventually(lambda: _both(first))
    running = False
    await asyncio.gather(*tasks)
    assert set(lost) == {200}


async def test_a_changed_policy_replaces_clusters_under_load_and_no_request_is_lost(world: World) -> None:
    client = await reviews(world)
    plane, lost = world.mesh.data_plane, Counter[int]()
    address = world.cluster.get("services", "default", "reviews")["spec"]["clusterIP"]
    running = True

    async def load() -> None:
        other = world.client(plane.proxies["client.default"], address, 9080)
        while running:
            lost[(await other.get("/", "reviews"))[0]] += 1

    task = asyncio.create_task(load())

    async def policy_is(expected: str) -> bool:
        dump = json.loads(await plane.admin("/config_dump?resource=dynamic_active_clusters"))
        found = [one["cluster"] for one in dump["configs"] if "|9080||reviews" in one["cluster"]["name"]]
        return [one.get("lb_policy") for one in found] == [expected]

    for simple in ("RANDOM", "LEAST_REQUEST", "RANDOM"):
        world.apply(
            "destinationrules",
            "reviews",
            {**DESTINATION_RULE, "trafficPolicy": {"loadBalancer": {"simple": simple}}},
        )
        await eventually(lambda: policy_is(simple))  # noqa: B023
        assert await versions(client)
    running = False
    await task
    assert set(lost) == {200}


async def _both(client: Client) -> bool:
    return set(await versions(client)) == {"v1", "v2"}


async def test_headers_decide(world: World) -> None:
    client = await reviews(world)
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    rule = {
        "hosts": ["reviews"],
        "http": [
            {
                "match": [{"headers": {"end-user": {"exact": "jason"}}}],
                "route": [{"destination": {"host": "reviews", "subset": "v2"}}],
            },
            {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]},
        ],
    }
    world.apply("virtualservices", "reviews", rule)
    await eventually(lambda: _only(client, "v1"))
    assert set(await versions(client, end_user="jason")) == {"v2"}
    assert set(await versions(client, end_user="jasonx")) == {"v1"}


async def test_no_ready_endpoint_and_no_such_subset_are_503(world: World) -> None:
    client = await reviews(world)
    missing = {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v9"}}]}]}
    world.apply("virtualservices", "reviews", missing)
    await eventually(lambda: _answers(client, 503))
    world.cluster.delete("virtualservices.networking.istio.io", "default", "reviews")
    await eventually(lambda: _answers(client, 200))
    world.unready("reviews-v1", "reviews")
    world.unready("reviews-v2", "reviews")
    await eventually(lambda: _answers(client, 503))


async def _answers(client: Client, status: int) -> bool:
    got, _, _ = await client.get("/", "reviews")
    return got == status


async def test_an_unknown_host_is_passed_through(world: World) -> None:
    client = await reviews(world)
    address = world.cluster.get("pods", "default", "reviews-v2")["status"]["podIP"]
    straight = world.client(world.mesh.data_plane.proxies["client.default"], address, 9080)
    assert (await straight.get("/", "elsewhere.example"))[0] == 200
    client.close()


async def test_a_pod_without_a_sidecar_is_not_subject_to_rules(world: World) -> None:
    await reviews(world)
    world.apply("virtualservices", "reviews", split(100, 0))
    address = world.cluster.get("pods", "default", "reviews-v2")["status"]["podIP"]
    status, _, body = await world.outside(address, 9080).get("/", "reviews")
    assert status == 200
    assert json.loads(body)["version"] == "v2"


async def test_tcp_goes_by_the_services_address_and_the_server_may_speak_first(world: World) -> None:
    one = world.service("one", {"tcp": 7000})
    other = world.service("other", {"tcp": 7000})
    await world.serve_tcp("one", "one", 7000, b"one\n")
    await world.serve_tcp("other", "other", 7000, b"other\n")
    proxy = await world.sidecar("client")
    for service, greeting in ((one, b"one\n"), (other, b"other\n")):
        client = world.client(proxy, service["spec"]["clusterIP"], 7000)
        reader, writer = await client._dial()
        assert await reader.readline() == greeting
        writer.write(b"echo\n")
        assert await reader.readline() == b"echo\n"
        writer.close()


async def test_a_port_that_says_nothing_is_told_by_its_first_bytes(world: World) -> None:
    service = world.service("reviews", {"": 9080})
    await world.pod("reviews-v1", "reviews", "v1")
    await world.pod("reviews-v2", "reviews", "v2")
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(0, 100))
    proxy = await world.sidecar("client")
    client = world.client(proxy, service["spec"]["clusterIP"], 9080)
    await eventually(lambda: _only(client, "v2"))


async def test_rules_of_one_namespace_do_not_shadow_another(world: World) -> None:
    world.namespace("other")
    service = world.service("reviews", {"http": 9080}, namespace="other")
    await world.pod("reviews-v1", "reviews", "v1", namespace="other")
    world.service("reviews", {"http": 9080})
    await world.pod("reviews-v2", "reviews", "v2")
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", split(0, 100))
    proxy = await world.sidecar("client", namespace="other")
    client = world.client(proxy, service["spec"]["clusterIP"], 9080)
    assert set(await versions(client)) == {"v1"}
    await eventually(lambda: _host_answers(client, "reviews.default", "v2"))


async def _host_answers(client: Client, host: str, version: str) -> bool:
    status, _, body = await client.get("/", f"{host}:9080")
    return status == 200 and json.loads(body)["version"] == version
