"""Services, endpoints, hosts and which rule is for whom: as data."""

from __future__ import annotations

import pytest

from sandbox.mesh import envoy_clusters, gateways, registry, rules
from sandbox.mesh.envoy_clusters import selected
from sandbox.mesh.registry import Proxy

from . import inputs


def service(name: str = "one", namespace: str = "shop", **spec: object) -> dict:
    ports = [{"port": 80, "name": "http", "targetPort": 8080}]
    made = {"clusterIP": "127.64.128.1", "selector": {"app": name}, "ports": ports, **spec}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": made}


def piece(*endpoints: dict, name: str = "one", port: str = "http") -> dict:
    return {
        "metadata": {"name": f"{name}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": port, "port": 8080}],
        "endpoints": list(endpoints),
    }


def endpoint(address: str, pod: str, *, ready: bool = True) -> dict:
    return {"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": pod}}


def pod(name: str, **labels: str) -> dict:
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}}


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80, "name": "http"}, "http"),
        ({"port": 80, "name": "http-web"}, "http"),
        ({"port": 80, "name": "grpc-x"}, "http2"),
        ({"port": 80, "name": "http2"}, "http2"),
        ({"port": 80, "name": "tcp-x"}, "tcp"),
        ({"port": 443, "name": "https"}, "tcp"),
        ({"port": 80, "name": "web"}, "auto"),
        ({"port": 80}, "auto"),
        ({"port": 27017, "name": "db"}, "tcp"),
        ({"port": 80, "name": "web", "appProtocol": "http"}, "http"),
    ],
)
def test_protocols_by_name(port: dict, expected: str) -> None:
    assert registry.protocol(port) == expected


def test_ready_endpoints_have_their_pods_labels() -> None:
    slices = [
        piece(endpoint("127.64.16.1", "a"), endpoint("127.64.16.2", "b"), endpoint("127.64.16.3", "c", ready=False))
    ]
    pods = [pod("a", version="v1"), pod("b", version="v2"), pod("c", version="v1")]
    found = inputs.known([service()], slices, pods).services[0].endpoints[80]
    assert [(e.address, e.port) for e in found] == [("127.64.16.1", 8080), ("127.64.16.2", 8080)]
    assert [e.address for e in selected(found, {"version": "v2"})] == ["127.64.16.2"]


def test_endpoints_come_and_go_without_changing_what_a_registry_is() -> None:
    one, other = (
        inputs.known([service()]),
        inputs.known([service()], [piece(endpoint("127.64.16.1", "a"))]),
    )
    assert one == other
    assert one.services[0].endpoints != other.services[0].endpoints


def test_external_names_and_udp_are_not_the_meshs() -> None:
    udp = service("udp", ports=[{"port": 53, "protocol": "UDP"}])
    found = inputs.known([service("out", type="ExternalName"), udp])
    assert [(s.name, s.ports) for s in found.services] == [("udp", ())]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("one", "one.shop.svc.cluster.local"), ("one.other", "one.other"), ("*.example", "*.example")],
)
def test_short_names(host: str, expected: str) -> None:
    assert rules.full_host(host, "shop") == expected


def test_the_most_specific_host_wins() -> None:
    candidates = [("*", 1), ("*.example", 2), ("*.a.example", 3), ("b.a.example", 4)]
    assert [rules.most_specific(candidates, host) for host in ("b.a.example", "c.a.example", "x.example", "y")] == [
        4,
        3,
        2,
        1,
    ]


def rule(name: str, created: str = "2026-01-01T00:00:00Z", namespace: str = "shop", **spec: object) -> dict:
    return {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": created}, "spec": spec}


def test_destination_rules_merge_and_the_clients_namespace_comes_first() -> None:
    v1, v2 = {"name": "v1", "labels": {"version": "1"}}, {"name": "v2"}
    policy = {"loadBalancer": {"simple": "RANDOM"}}
    found = inputs.rules(
        destination_rules=[
            rule("a", host="one", subsets=[v1], trafficPolicy=policy),
            rule("b", "2026-02-01T00:00:00Z", host="one", subsets=[{"name": "v1"}, v2]),
            rule("c", namespace="client", host="one.shop.svc.cluster.local"),
        ],
    )
    host = "one.shop.svc.cluster.local"
    assert found.policy(host, "shop", "other").subsets == {"v1": v1, "v2": v2}
    assert found.policy(host, "shop", "other").traffic == policy
    assert found.policy(host, "shop", "client").subsets == {}


def test_load_balancing_of_a_subset_is_its_own_else_the_hosts_else_least_requests() -> None:
    (known,) = inputs.known([service()]).services
    policy = {"loadBalancer": {"simple": "RANDOM"}}
    own = {"loadBalancer": {"simple": "LEAST_REQUEST"}}
    subsets = [{"name": "v1"}, {"name": "v2", "trafficPolicy": own}]
    with_rule = inputs.rules(destination_rules=[rule("a", host="one", subsets=subsets, trafficPolicy=policy)])
    for in_force, expected in (
        (with_rule, {"": "RANDOM", "v1": "RANDOM", "v2": "LEAST_REQUEST"}),
        (rules.Rules(), {"": "LEAST_REQUEST"}),
    ):
        found = {
            t.subset: envoy_clusters.cluster(Proxy("sidecar", "p", "shop", "127.64.16.8", {}), t)
            for t in envoy_clusters.destinations_of(known, in_force.policy(known.host, "shop", "shop"))
        }
        assert {subset: made["lb_policy"] for subset, made in found.items()} == expected


@pytest.mark.parametrize(
    ("target", "number", "expected"), [(8080, 80, 8080), ("web", 80, 8081), (8080, 8443, 8443)]
)
def test_a_gateways_port_is_its_services_target_port(target: int | str, number: int, expected: int) -> None:
    proxy = Proxy("gateway", "g", "shop", "127.64.16.9", {"app": "gate"})
    ports = [{"port": 80, "name": "http", "targetPort": target}]
    slices = [{**piece(endpoint("127.64.16.9", "g"), name="gate"), "ports": [{"name": "http", "port": 8081}]}]
    assert gateways.pod_port(proxy, number, inputs.known([service("gate", ports=ports)], slices)) == expected
