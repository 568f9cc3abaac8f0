"""Which VirtualService is for whom, and what becomes of several: as data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.istio_exports import ByAge, by_age
from sandbox.mesh import route_tables, rules
from sandbox.mesh.registry import Proxy, Registry
from sandbox.mesh.rules import gateway_key, mesh_rules
from tests.kit.laws import LAW

from . import inputs

OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
HOST = "one.shop.svc.cluster.local"
PROXY = Proxy("sidecar", "p", "shop", "127.64.16.1", {"app": "p"})
GATEWAY = {
    "metadata": {"name": "gate", "namespace": "ways"},
    "spec": {"servers": [{"port": {"number": 80}, "hosts": ["*/*"]}]},
}


def rule(name: str, created: str = OLD, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": {"hosts": ["one"], **spec},
    }


def to(subset: str, **match: Any) -> dict[str, Any]:
    return {"match": [match or {}], "route": [{"destination": {"host": HOST, "subset": subset}}]}


def service(name: str, namespace: str = "shop", port: int = 80) -> dict[str, Any]:
    ports = [{"port": port, "name": "http"}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": "None", "ports": ports}}


def known(*services: dict[str, Any]) -> Registry:
    return inputs.known(services or [service("one")])


def chosen(found: list[dict[str, Any]], namespace: str = "shop", host: str = HOST) -> list[str]:
    in_age = inputs.rules(virtual_services=found).virtual_services
    return [each["metadata"]["name"] for each in mesh_rules(in_age, namespace).candidates(host)]


def routed(
    found: list[dict[str, Any]], name: str = HOST, services: Registry | None = None, port: int = 80
) -> list[str] | None:
    """Where a sidecar sends requests for a host's name: subsets, or None where it does not know the name."""
    made = route_tables.sidecar_tables(PROXY, services or known(), inputs.rules(virtual_services=found))
    (table,) = (table for table in made if table["name"].endswith(f"/{port}"))
    for virtual_host in table["virtual_hosts"]:
        if name in virtual_host["domains"]:
            return [route["route"]["cluster"].split("|")[2] for route in virtual_host["routes"]]
    return None


def at_gateway(found: list[dict[str, Any]], namespace: str = "ways") -> dict[str, list[str]]:
    """Subsets by the host's name."""
    proxy = Proxy("gateway", "g", namespace, "127.64.16.2", {})
    servers = [(GATEWAY, server) for server in GATEWAY["spec"]["servers"]]
    table = route_tables.gateway_table(proxy, 8080, servers, known(), inputs.rules([GATEWAY], found))
    return {
        host["domains"][0]: [route["route"]["cluster"].split("|")[2] for route in host["routes"]]
        for host in table["virtual_hosts"]
    }


def test_of_two_for_a_host_the_older_counts() -> None:
    young, old = rule("a", YOUNG, http=[to("young")]), rule("b", http=[to("old")])
    assert routed([young, old]) == ["old"]


def test_of_two_of_the_same_second_the_name_decides() -> None:
    assert chosen([rule("b"), rule("a")]) == ["a", "b"]


@pytest.mark.parametrize(
    ("exported", "seen_by"),
    [
        (None, {"shop", "other", "third"}),
        (["*"], {"shop", "other", "third"}),
        (["."], {"shop"}),
        (["other"], {"other"}),
        ([".", "other"], {"shop", "other"}),
    ],
)
def test_who_sees_a_rule(exported: list[str] | None, seen_by: set[str]) -> None:
    found = [rule("a", **({} if exported is None else {"exportTo": exported}))]
    assert {namespace for namespace in ("shop", "other", "third") if chosen(found, namespace)} == seen_by


def test_a_rule_for_a_namespace_by_name_comes_before_an_older_one_for_all() -> None:
    found = [
        rule("public"),
        rule("exported", YOUNG, "elsewhere", hosts=[HOST], exportTo=["shop"]),
        rule("own", YOUNG, exportTo=["."]),
    ]
    assert chosen(found) == ["own", "exported", "public"]


def test_an_exact_host_comes_before_wildcards_and_the_narrower_of_these_first() -> None:
    wide = rule("wide", hosts=["*.local"])
    narrow = rule("narrow", YOUNG, hosts=["*.shop.svc.cluster.local"])
    assert chosen([wide]) == ["wide"]
    assert chosen([wide, narrow]) == ["narrow"]
    assert chosen([wide, narrow, rule("exact", YOUNG)]) == ["exact"]


def test_a_rule_without_a_word_for_this_sidecar_leaves_the_host_to_the_next_and_then_to_the_service() -> None:
    mute = rule("mute", http=[to("mute", sourceLabels={"app": "q"})])
    assert routed([mute, rule("next", YOUNG, http=[to("next")])]) == ["next"]
    assert routed([mute]) == [""]


def test_a_rule_of_a_third_namespace_leaves_traffic_between_two_others_alone() -> None:
    """As a real 1.31.1 has it: a client in the service's own namespace got the service's answer all the time, one
    in the rule's namespace the rule's; nothing said `exportTo`."""
    found = [rule("third", namespace="third", hosts=[HOST])]
    assert chosen(found, "third") == ["third"]
    assert chosen(found, "shop") == chosen(found, "other") == []
    assert chosen([*found, rule("own", YOUNG)]) == ["own"]
    wide = [rule("wide", namespace="third", hosts=["*.shop.svc.cluster.local"])]
    assert (chosen(wide, "third"), chosen(wide, "shop")) == (["wide"], [])
    outside = [rule("out", namespace="third", hosts=["out.example"])]
    assert chosen(outside, host="out.example") == ["out"]


def test_a_short_host_is_one_of_the_rules_own_namespace() -> None:
    services = known(service("one"), service("one", "other"))
    found = [rule("a", http=[to("v1")])]
    assert routed(found, services=services) == ["v1"]
    assert routed(found, "one.other.svc.cluster.local", services) == [""]
    assert routed([rule("a", namespace="other", http=[to("v1")])], services=services) == [""]


@pytest.mark.parametrize("name", [HOST, "one.shop.svc", "one.shop", "one"])
def test_a_service_has_all_its_names(name: str) -> None:
    assert routed([rule("a", http=[to("v1")])], name) == ["v1"]


def test_a_host_that_is_no_service_counts_on_port_80_or_where_the_rules_services_are() -> None:
    services = known(service("one", port=9080), service("two"))
    alone = rule("a", hosts=["out.example"], http=[to("v1")])
    beside = rule("a", hosts=["out.example", "one"], http=[to("v1")])
    assert [routed([alone], "out.example", services, port) for port in (80, 9080)] == [["v1"], None]
    assert [routed([beside], "out.example", services, port) for port in (80, 9080)] == [None, ["v1"]]


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("*", "b.example", True),
        ("*.example", "b.example", True),
        ("*.example", "example", False),
        ("*.example", "bexample", False),
        ("*.example", "*.b.example", True),
        ("*.b.example", "*.example", False),
        ("b.example", "b.example", True),
        ("b.example", "a.b.example", False),
    ],
)
def test_which_names_a_pattern_stands_for(pattern: str, host: str, covered: bool) -> None:
    assert rules.covers(pattern, host) == covered


@pytest.mark.parametrize(
    ("pattern", "of_the_service", "by_itself"),
    [("*.shop.svc.cluster.local", ["v1"], None), ("*.example", [""], ["v1"])],
)
def test_a_wildcard_is_for_services_or_else_a_host_by_itself(
    pattern: str, of_the_service: list[str], by_itself: list[str] | None
) -> None:
    found = [rule("a", hosts=[pattern], http=[to("v1")])]
    assert (routed(found), routed(found, pattern)) == (of_the_service, by_itself)


def test_a_direct_answer_may_be_as_long_as_in_the_real_mesh() -> None:
    """`maxDirectResponseBodySizeBytes` in `shared/real/proxies/productpage-routes-9080.json`."""
    (table,) = route_tables.sidecar_tables(PROXY, known(), inputs.rules())
    assert table["max_direct_response_body_size_bytes"] == 1_048_576


def test_no_name_is_there_twice() -> None:
    """A rule's literal `one.shop` is also a name of the service."""
    found = [rule("a", hosts=["one.shop"], http=[to("literal")]), rule("b", http=[to("v1")])]
    assert (routed(found, "one.shop"), routed(found)) == (["literal"], ["v1"])
    (table,) = route_tables.sidecar_tables(PROXY, known(), inputs.rules(virtual_services=found))
    domains = [domain for host in table["virtual_hosts"] for domain in host["domains"]]
    assert len(domains) == len(set(domains))


def test_at_a_gateway_all_rules_for_a_host_count_the_older_first_and_what_takes_all_last() -> None:
    found = [
        rule("c", YOUNG, gateways=["ways/gate"], hosts=["a.example"], http=[to("young", uri={"prefix": "/y"})]),
        rule("a", gateways=["ways/gate"], hosts=["a.example"], http=[to("first", uri={"exact": "/f"}), to("all")]),
        rule("b", YOUNG, gateways=["ways/gate"], hosts=["b.example"], http=[to("b")]),
    ]
    assert at_gateway(found) == {"a.example": ["first", "young", "all"], "b.example": ["b"]}


def test_at_a_gateway_the_namespace_of_its_pods_must_see_the_rule() -> None:
    found = [rule("a", gateways=["ways/gate"], hosts=["*"], exportTo=["pods"], http=[to("v1")])]
    assert at_gateway(found, "pods") == {"*": ["v1"]}
    assert at_gateway(found, "ways") == {}


def test_one_rule_for_sidecars_and_gateways_with_matches_for_either() -> None:
    http = [to("mesh", gateways=["mesh"]), to("gate", gateways=["ways/gate"]), to("both")]
    found = [rule("a", gateways=["mesh", "ways/gate", "ways/other"], http=http)]
    assert routed(found) == ["mesh"]
    assert at_gateway(found) == {HOST: ["gate"]}


def test_a_match_that_names_gateways_does_not_ask_for_labels() -> None:
    http = [to("v1", gateways=["mesh"], sourceLabels={"app": "q"})]
    assert routed([rule("a", http=http)]) == ["v1"]


@pytest.mark.parametrize(("port", "there"), [({}, {}), ({"https_port": 8443}, {"port_redirect": 8443})])
def test_a_server_that_redirects_sends_whoever_comes_to_where_it_is_encrypted(
    port: dict[str, int], there: dict[str, int]
) -> None:
    """Without a port in the address where that is the usual one."""
    proxy = Proxy("gateway", "g", "ways", "127.64.16.2", {})
    server = {"port": {"number": 80}, "hosts": ["*/*.example"], "tls": {"httpsRedirect": True}}
    in_force = inputs.rules(
        virtual_services=[rule("a", gateways=["ways/gate"], hosts=["a.example"], http=[to("v1")])]
    )
    table = route_tables.gateway_table(proxy, 8080, [(GATEWAY, server)], known(), in_force, **port)
    made = {host["domains"][0]: [each["redirect"] for each in host["routes"]] for host in table["virtual_hosts"]}
    assert made == {
        "a.example": [{"https_redirect": True, **there}],
        "*.example": [{"https_redirect": True, **there}],
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mesh", "mesh"),
        ("gate", "shop/gate"),
        ("ways/gate", "ways/gate"),
        ("./gate", "shop/gate"),
        ("gate.ways.svc.cluster.local", "ways/gate"),
    ],
)
def test_names_of_gateways(written: str, meant: str) -> None:
    assert gateway_key(written, "shop") == meant


AGED = st.tuples(st.sampled_from(("one", "two")), st.sampled_from("abc"), st.sampled_from("123"), st.booleans())


@settings(LAW, max_examples=100)
@given(st.lists(AGED, max_size=12))
def test_kept_by_age_is_sorted_by_age(changes: list[tuple[str, str, str, bool]]) -> None:
    kept, there = ByAge(), {}
    for namespace, name, created, stays in changes:
        old = there.pop((namespace, name), None)
        new = {"metadata": {"namespace": namespace, "name": name, "creationTimestamp": created}}
        if stays:
            there[namespace, name] = new
        if stays or old is not None:
            kept(old, new if stays else None)
        assert list(kept.all()) == by_age(there.values())
