"""VirtualServices in, Envoy's routes out: as data."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.mesh import http_routes, registry
from sandbox.mesh.http_routes import Context
from sandbox.mesh.registry import Proxy

PROXY = Proxy("sidecar", "p", "shop", "127.64.16.1", {"app": "p"})


def service(name: str, *ports: int) -> dict:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "127.64.128.1", "ports": [{"port": p, "name": f"http-{p}"} for p in ports]},
    }


REGISTRY = registry.build([service("one", 80), service("two", 80, 90)], [], [])


def translated(*http: dict[str, Any], port: int = 80, gateway: str = "mesh", proxy: Proxy = PROXY) -> list[dict]:
    rule = {"metadata": {"name": "r", "namespace": "shop"}, "spec": {"hosts": ["one"], "http": list(http)}}
    return http_routes.translate(rule, Context(proxy, port, gateway, REGISTRY))


def to(host: str, **more: Any) -> dict:
    return {"destination": {"host": host, **more}}


def cluster(host: str, port: int = 80, subset: str = "") -> str:
    return f"p.shop/outbound|{port}|{subset}|{host}"


ONE = {"route": [to("one")]}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, {"prefix": "/"}),
        ({"uri": {"exact": "/a"}}, {"path": "/a"}),
        ({"uri": {"prefix": "/a"}}, {"prefix": "/a"}),
        ({"uri": {"regex": "/a.*"}}, {"safe_regex": {"regex": "/a.*"}}),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"prefix": "/a", "case_sensitive": False}),
        (
            {"headers": {"end-user": {"exact": "jason"}}},
            {"prefix": "/", "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]},
        ),
        ({"headers": {"x": {}}}, {"prefix": "/", "headers": [{"name": "x", "present_match": True}]}),
        (
            {"withoutHeaders": {"x": {"prefix": "y"}}},
            {
                "prefix": "/",
                "headers": [
                    {
                        "name": "x",
                        "string_match": {"prefix": "y"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    }
                ],
            },
        ),
        (
            {"method": {"exact": "GET"}},
            {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
        ),
        (
            {"queryParams": {"q": {"regex": "a|b"}}},
            {"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"safe_regex": {"regex": "a|b"}}}]},
        ),
    ],
)
def test_matches(match: dict, expected: dict) -> None:
    assert translated({"match": [match], **ONE})[0]["match"] == expected


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"port": 80}, True),
        ({"port": 90}, False),
        ({"gateways": ["mesh"]}, True),
        ({"gateways": ["gate"]}, False),
        ({"sourceLabels": {"app": "p"}}, True),
        ({"sourceLabels": {"app": "q"}}, False),
        ({"sourceNamespace": "shop"}, True),
        ({"sourceNamespace": "other"}, False),
    ],
)
def test_matches_that_are_about_the_proxy_are_decided_beforehand(match: dict, applies: bool) -> None:
    assert bool(translated({"match": [match], **ONE})) == applies


def test_several_matches_of_one_rule_are_several_routes_and_the_first_that_takes_all_ends_them() -> None:
    matches = [{"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}]
    found = translated({"match": matches, **ONE}, {"route": [to("two")]}, {"route": [to("one")]})
    assert [route["match"] for route in found] == [{"path": "/a"}, {"path": "/b"}, {"prefix": "/"}]


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (to("one"), cluster("one.shop.svc.cluster.local")),
        (to("one", subset="v1"), cluster("one.shop.svc.cluster.local", subset="v1")),
        (to("two"), cluster("two.shop.svc.cluster.local", 70)),
        (to("two", port={"number": 90}), cluster("two.shop.svc.cluster.local", 90)),
        (to("one.other.svc.cluster.local"), cluster("one.other.svc.cluster.local", 70)),
    ],
)
def test_destinations(destination: dict, expected: str) -> None:
    """The only port of a service is meant when none is said, else the port the request came to."""
    assert translated({"route": [destination]}, port=70)[0]["route"]["cluster"] == expected


def test_weights_and_a_weight_of_nothing() -> None:
    destinations = [{**to("one", subset=s), "weight": w} for s, w in (("v1", 50), ("v2", 0), ("v3", 50))]
    found = translated({"route": destinations})[0]["route"]["weighted_clusters"]["clusters"]
    assert [(c["name"].split("|")[2], c["weight"]) for c in found] == [("v1", 50), ("v3", 50)]


def test_without_a_word_about_it_there_is_no_time_limit_and_two_more_attempts() -> None:
    action = translated(ONE)[0]["route"]
    assert action["timeout"] == "0s"
    assert action["retry_policy"]["num_retries"] == 2
    assert action["retry_policy"]["retry_on"] == "connect-failure,refused-stream,unavailable,cancelled"


def test_time_limits_and_attempts() -> None:
    retries = {"attempts": 3, "perTryTimeout": "250ms", "retryOn": "5xx"}
    action = translated({**ONE, "timeout": "1m1.5s", "retries": retries})[0]["route"]
    assert action["timeout"] == "61.5s"
    policy = action["retry_policy"]
    assert (policy["num_retries"], policy["per_try_timeout"], policy["retry_on"]) == (3, "0.25s", "5xx")
    assert "retry_policy" not in translated({**ONE, "retries": {"attempts": 0}})[0]["route"]


def test_rewrites_redirects_and_direct_responses() -> None:
    match = {"match": [{"uri": {"prefix": "/a"}}]}
    found = translated({**match, **ONE, "rewrite": {"uri": "/b", "authority": "c"}})[0]["route"]
    assert (found["prefix_rewrite"], found["host_rewrite_literal"]) == ("/b", "c")
    redirect = translated({**match, "redirect": {"uri": "/b", "authority": "c", "redirectCode": 302}})[0]
    expected = {"path_redirect": "/b", "host_redirect": "c", "response_code": "FOUND"}
    assert redirect["redirect"] == expected
    direct = translated({**match, "directResponse": {"status": 418, "body": {"string": "teapot"}}})[0]
    assert direct["direct_response"] == {"status": 418, "body": {"inline_string": "teapot"}}


def test_headers_are_set_added_and_removed() -> None:
    change = {"request": {"set": {"a": "1"}, "add": {"b": "2"}, "remove": ["c"]}}
    found = translated({**ONE, "headers": change})[0]
    assert found["request_headers_to_add"] == [
        {"header": {"key": "a", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        {"header": {"key": "b", "value": "2"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"},
    ]
    assert found["request_headers_to_remove"] == ["c"]


def test_percentages_are_exact_to_a_ten_thousandth() -> None:
    made = http_routes.fault_config({"abort": {"httpStatus": 500, "percentage": {"value": 0.0001}}})
    assert made is not None
    assert made["abort"]["percentage"] == {"numerator": 1, "denominator": "MILLION"}
