from __future__ import annotations

from typing import Any

import pytest

from workshop.kubernetes.compare import appended, differences
from workshop.runbook.results import ABSENT, Difference


def deployment(**container: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "web", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "template": {"spec": pod}},
    }


def found(wanted: dict[str, Any], live: dict[str, Any] | None) -> list[tuple[str, Any, Any]]:
    return [(d.path, d.wanted, d.found) for d in differences("it", wanted, live)]


def test_what_the_cluster_adds_is_no_difference() -> None:
    live = deployment(image="a", terminationMessagePath="/dev/termination-log")
    live["metadata"] |= {"uid": "1", "labels": {"app": "web", "more": "x"}}
    live["spec"] |= {"strategy": {"type": "RollingUpdate"}}
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "b"})
    live["status"] = {"replicas": 1}
    assert found(deployment(image="a"), live) == []


def test_an_object_that_is_not_there() -> None:
    assert found(deployment(), None) == [("", "present", ABSENT)]


def test_fields_are_named_by_their_path() -> None:
    live = deployment(image="b")
    live["spec"]["replicas"] = 3
    live["metadata"]["labels"] = {}
    assert found(deployment(image="a"), live) == [
        ("metadata.labels.app", "web", ABSENT),
        ("spec.replicas", 1, 3),
        ("spec.template.spec.containers[web].image", "a", "b"),
    ]


def test_keys_with_dots_are_in_brackets() -> None:
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": {"workshop/lab": "a", "x.y": "b"}}}
    live: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    assert [path for path, _, _ in found(wanted, live)] == ["metadata.labels"]
    live["metadata"]["labels"] = {}
    assert [path for path, _, _ in found(wanted, live)] == [
        "metadata.labels[workshop/lab]",
        "metadata.labels[x.y]",
    ]


@pytest.mark.parametrize(
    ("wanted", "live"),
    [("100m", "0.1"), (0.1, "100m"), ("1", 1), ("64Mi", "67108864"), ("1G", "1000M"), ("1e3", "1k")],
)
def test_equal_quantities(wanted: object, live: object) -> None:
    resources = {"limits": {"cpu": wanted}}
    assert found(deployment(resources=resources), deployment(resources={"limits": {"cpu": live}})) == []


@pytest.mark.parametrize(("wanted", "live"), [("100m", "0.2"), ("64Mi", "64M"), ("lots", "many")])
def test_other_quantities(wanted: object, live: object) -> None:
    resources = {"limits": {"cpu": wanted}}
    assert found(deployment(resources=resources), deployment(resources={"limits": {"cpu": live}})) == [
        ("spec.template.spec.containers[web].resources.limits.cpu", wanted, live)
    ]


def test_quantities_are_only_that_where_resources_are() -> None:
    args = deployment(args=["1000m"])
    assert found(args, deployment(args=["1"])) == [("spec.template.spec.containers[web].args[0]", "1000m", "1")]


def test_a_port_is_the_same_as_number_and_as_text() -> None:
    wanted = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
    live = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": "8080"}]}}
    assert found(wanted, live) == []


def test_ports_are_told_apart_by_their_protocol() -> None:
    def service(*ports: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Service", "spec": {"ports": list(ports)}}

    udp, tcp = {"port": 53, "protocol": "UDP", "name": "dns"}, {"port": 53, "name": "dns-tcp"}
    assert found(service(udp, tcp), service({**tcp, "protocol": "TCP"}, udp)) == []
    assert found(service(tcp), service(udp)) == [("spec.ports[53]", tcp, ABSENT)]


def test_a_list_without_keys_has_one_length() -> None:
    assert found(deployment(args=["a"]), deployment(args=["a", "b"])) == [
        ("spec.template.spec.containers[web].args[1]", ABSENT, "b")
    ]
    assert found(deployment(args=["a", "b"]), deployment(args=["a"])) == [
        ("spec.template.spec.containers[web].args[1]", "b", ABSENT)
    ]


def test_what_is_empty_may_be_missing() -> None:
    assert found(deployment(env=[], securityContext={}), deployment()) == []


def test_true_is_not_one() -> None:
    assert found(deployment(stdin=True), deployment(stdin=1)) != []


def virtual_service(*http: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews"},
        "spec": {"hosts": ["reviews"], "http": list(http), **spec},
    }


def test_istio_specs_have_nothing_more() -> None:
    plain = {"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}
    delayed = {**plain, "fault": {"delay": {"fixedDelay": "7s"}}}
    assert found(virtual_service(plain), virtual_service(plain)) == []
    assert found(virtual_service(plain), virtual_service(delayed)) == [
        ("spec.http[0].fault", ABSENT, {"delay": {"fixedDelay": "7s"}})
    ]
    assert found(virtual_service(plain), virtual_service(delayed, plain)) == [
        ("spec.http[0].fault", ABSENT, {"delay": {"fixedDelay": "7s"}}),
        ("spec.http[1]", ABSENT, plain),
    ]
    assert found(virtual_service(plain), virtual_service(plain, gateways=["g"])) == [
        ("spec.gateways", ABSENT, ["g"])
    ]


def test_what_stands_behind_all_that_is_wanted_is_by_hand_and_no_difference() -> None:
    plain, more = {"route": [{"destination": {"host": "reviews"}}]}, {"directResponse": {"status": 418}}
    there = virtual_service(plain, more)
    assert found(virtual_service(plain), there) == []
    assert appended("V", virtual_service(plain), there) == (Difference("V", "spec.http[1]", ABSENT, more),)
    assert found(virtual_service(plain), virtual_service(more, plain)) != []
    assert appended("V", virtual_service(plain), virtual_service(more, plain)) == ()


def split(**weights: int) -> dict[str, Any]:
    return {"route": [{"destination": {"host": "reviews", "subset": s}, "weight": w} for s, w in weights.items()]}


def test_a_changed_split_is_told_by_subset() -> None:
    assert found(virtual_service(split(v1=50, v3=50)), virtual_service(split(v1=60, v3=40))) == [
        ("spec.http[0].route[v1].weight", 50, 60),
        ("spec.http[0].route[v3].weight", 50, 40),
    ]
    assert found(virtual_service(split(v1=50, v3=50)), virtual_service(split(v3=50, v2=50))) == [
        ("spec.http[0].route[v1]", split(v1=50)["route"][0], ABSENT),
        ("spec.http[0].route[v2]", ABSENT, split(v2=50)["route"][0]),
    ]


def test_destinations_that_subsets_do_not_tell_apart_are_told_by_position() -> None:
    twice = {"route": [*split(v1=50)["route"], *split(v1=50)["route"]]}
    assert [path for path, _, _ in found(virtual_service(split(v1=50)), virtual_service(twice))] == [
        "spec.http[0].route[1]"
    ]
    whole = {"route": [{"destination": {"host": "reviews"}, "weight": 100}]}
    assert [path for path, _, _ in found(virtual_service(split(v1=100)), virtual_service(whole))] == [
        "spec.http[0].route[0].destination.subset"
    ]
