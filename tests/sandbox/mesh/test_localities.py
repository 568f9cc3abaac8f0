"""Where endpoints are, and which a proxy is told to ask first: as istiod has it, in its package
pilot/pkg/networking/core/loadbalancer. What comes of it with Envoy is in tests/conformance/cases/traffic.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.api.local_cluster import LocalCluster
from sandbox.mesh import localities, places
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.places import LABELS
from sandbox.mesh.registry import Endpoint

HERE = places.labels_of("mars/a/1")
WATCHED: dict[str, Any] = {"outlierDetection": {}}


def seen(traffic: dict[str, Any], *where: str, proxy: dict[str, str] | None = None) -> dict[str, tuple[int, int]]:
    """Priority and weight of each place in which there is something."""
    endpoints = [Endpoint(f"127.0.0.{n}", 80, places.labels_of(place)) for n, place in enumerate(where)]
    told = localities.grouped(endpoints, lambda one: {"at": one.address}).seen_from(proxy or HERE, traffic)
    return {
        "/".join(group.get("locality", {}).values()): (
            group.get("priority", 0),
            group.get("load_balancing_weight", 0),
        )
        for group in told
        if group["lb_endpoints"]
    }


def setting(**said: Any) -> dict[str, Any]:
    return {"loadBalancer": {"localityLbSetting": said}}


ALL = ("mars/a/1", "mars/a/2", "mars/b/1", "venus/a/1", "earth/a/1")


@pytest.mark.parametrize(
    ("traffic", "priorities"),
    [
        ({}, [0, 0, 0, 0, 0]),
        (WATCHED, [0, 1, 2, 3, 3]),
        (WATCHED | setting(failover=[{"from": "mars", "to": "earth"}]), [0, 1, 2, 4, 3]),
        (WATCHED | setting(failover=[{"from": "earth", "to": "venus"}]), [0, 1, 2, 3, 3]),
        (WATCHED | setting(enabled=False), [0, 0, 0, 0, 0]),
        (setting(failover=[{"from": "mars", "to": "earth"}]), [0, 0, 0, 0, 0]),
        (WATCHED | setting(failoverPriority=[LABELS[0], LABELS[1]]), [0, 0, 1, 2, 2]),
        (WATCHED | setting(failoverPriority=[f"{LABELS[0]}=venus"]), [1, 1, 1, 0, 1]),
    ],
)
def test_priorities(traffic: dict[str, Any], priorities: list[int]) -> None:
    found = seen(traffic, *ALL)
    assert [found[place][0] for place in ALL] == priorities


def test_priorities_begin_with_the_nearest_that_are_there() -> None:
    assert seen(WATCHED, "venus/a/1", "mars/b/1") == {"mars/b/1": (0, 1), "venus/a/1": (1, 1)}


def test_shares_are_divided_among_the_places_of_one_pattern() -> None:
    distribute = [{"from": "mars/*", "to": {"mars/a": 60, "venus": 40}}]
    found = seen(setting(distribute=distribute), "mars/a/1", "mars/a/1", "mars/a/2", "venus/a", "earth/a")
    assert found == {"mars/a/1": (0, 40), "mars/a/2": (0, 20), "venus/a": (0, 40)}


def test_shares_for_others_are_none_of_a_proxys_own() -> None:
    distribute = setting(distribute=[{"from": "venus/*", "to": {"venus/*": 100}}])
    assert seen(distribute, "mars/a", "venus/a") == {"mars/a": (0, 1), "venus/a": (0, 1)}
    assert seen(distribute, "mars/a", proxy={LABELS[0]: "venus"}) == {}


@pytest.mark.parametrize(
    ("pod", "where"),
    [
        ({}, ("mars", "a", "")),
        ({"istio-locality": "venus.b.2"}, ("venus", "b", "2")),
        ({"istio-locality": "venus", "topology.istio.io/locality": "earth.c"}, ("earth", "c", "")),
    ],
)
def test_a_pod_is_where_its_node_is_unless_it_says_otherwise(pod: dict[str, str], where: tuple[str, ...]) -> None:
    found = places.labels_of_pod(pod, "node", {LABELS[0]: "mars", LABELS[1]: "a", "other": "b"})
    assert places.place(found) == where
    assert found["kubernetes.io/hostname"] == "node"
    assert "other" not in found


def test_a_node_that_is_moved_moves_its_endpoints() -> None:
    cluster = LocalCluster()
    metadata = {"name": "one", "namespace": "shop"}
    ports = [{"name": "http", "port": 80}]
    target = [{"addresses": ["127.64.1.9"], "conditions": {"ready": True}, "targetRef": {"name": "one"}}]
    labels = {"kubernetes.io/service-name": "one"}
    slices = {"metadata": {**metadata, "labels": labels}, "endpoints": target, "ports": ports}
    known = KnownServices(cluster)
    cluster.store.put("nodes", {"metadata": {"name": "node", "labels": {LABELS[1]: "a"}}})
    cluster.store.put("pods", {"metadata": metadata, "spec": {"nodeName": "node"}})
    cluster.store.put("services", {"metadata": metadata, "spec": {"selector": {"app": "one"}, "ports": ports}})
    cluster.store.put("endpointslices.discovery.k8s.io", slices)

    def zone() -> str:
        (endpoint,) = known.registry().services[0].endpoints[80]
        return endpoint.labels[LABELS[1]]

    assert zone() == "a"
    cluster.store.put("nodes", {"metadata": {"name": "node", "labels": {LABELS[1]: "b"}}})
    assert zone() == "b"
