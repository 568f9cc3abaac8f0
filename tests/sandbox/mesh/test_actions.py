"""What rules do with requests and answers, through real Envoy."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Any

import pytest

from .rule_world import RuleWorld, to

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def seen(shop: RuleWorld, path: str = "/", host: str = "reviews", **headers: str) -> dict[str, Any]:
    """What v1 saw of a request."""
    status, _, body = await shop.client.get(path, host, **headers)
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize(
    ("match", "rewrite", "path", "expected"),
    [
        ({"prefix": "/a"}, {"uri": "/b"}, "/a/c?d=e", "/b/c?d=e"),
        ({"prefix": "/a/"}, {"uri": "/"}, "/a/c", "/c"),
        ({"exact": "/a"}, {"uri": "/b"}, "/a?d=e", "/b?d=e"),
        ({"regex": "/a/.*"}, {"uri": "/b"}, "/a/c?d=e", "/b?d=e"),
        (
            {"prefix": "/a"},
            {"uriRegexRewrite": {"match": "^/a/([^/]+)(/.*)$", "rewrite": r"\2/of/\1"}},
            "/a/b/c",
            "/c/of/b",
        ),
    ],
)
async def test_rewriting_the_path(
    shop: RuleWorld, match: dict[str, str], rewrite: dict[str, Any], path: str, expected: str
) -> None:
    await shop.rules(to(match=[{"uri": match}], rewrite=rewrite))
    assert (await seen(shop, path))["path"] == expected


@pytest.mark.parametrize(
    "rule",
    [
        to(rewrite={"authority": "other.example"}),
        to(headers={"request": {"set": {"Host": "other.example"}}}),
        {"route": [{**to()["route"][0], "headers": {"request": {"set": {":authority": "other.example"}}}}]},
        {
            "route": [
                {**to()["route"][0], "weight": 1, "headers": {"request": {"set": {"host": "other.example"}}}},
                {**to("v2")["route"][0], "weight": 0},
            ]
        },
    ],
)
async def test_rewriting_the_host(shop: RuleWorld, rule: dict[str, Any]) -> None:
    await shop.rules(rule)
    assert (await seen(shop))["headers"]["Host"] == "other.example"


@pytest.mark.parametrize(
    ("redirect", "status", "location"),
    [
        ({"uri": "/b"}, 301, "http://reviews/b?d=e"),
        ({"uri": "/b", "redirectCode": 302}, 302, "http://reviews/b?d=e"),
        ({"prefixRewrite": "/b", "redirectCode": 307}, 307, "http://reviews/b/c?d=e"),
        ({"authority": "other.example"}, 301, "http://other.example/a/c?d=e"),
        ({"scheme": "https"}, 301, "https://reviews/a/c?d=e"),
        ({"port": 8080, "redirectCode": 308}, 308, "http://reviews:8080/a/c?d=e"),
        ({"port": 443, "scheme": "https", "redirectCode": 303}, 303, "https://reviews/a/c?d=e"),
        ({"derivePort": "FROM_REQUEST_PORT"}, 301, "http://reviews:9080/a/c?d=e"),
        ({"derivePort": "FROM_PROTOCOL_DEFAULT", "uri": "/b"}, 301, "http://reviews/b?d=e"),
    ],
)
async def test_redirects(shop: RuleWorld, redirect: dict[str, Any], status: int, location: str) -> None:
    await shop.rules({"match": [{"uri": {"prefix": "/a"}}], "redirect": redirect})
    got, headers, _ = await shop.client.get("/a/c?d=e", "reviews")
    assert (got, headers["location"]) == (status, location)


async def test_direct_responses(shop: RuleWorld) -> None:
    text = {"status": 418, "body": {"string": "teapot"}}
    data = {"status": 200, "body": {"bytes": b64encode(b"bytes").decode()}}
    await shop.rules(
        {"match": [{"uri": {"exact": "/text"}}], "directResponse": text},
        {"match": [{"uri": {"exact": "/data"}}], "directResponse": data},
        {"directResponse": {"status": 403}},
    )
    found = [await shop.client.get(path, "reviews") for path in ("/text", "/data", "/")]
    assert [(status, body) for status, _, body in found] == [(418, "teapot"), (200, "bytes"), (403, "")]


async def test_headers_of_requests_and_answers(shop: RuleWorld) -> None:
    change = {
        "request": {"set": {"x-set": "rule"}, "add": {"x-add": "rule"}, "remove": ["x-gone"]},
        "response": {"set": {"date": "rule"}, "add": {"x-more": "rule"}, "remove": ["content-type"]},
    }
    await shop.rules(to(headers=change))
    sent = {"x_set": "mine", "x_gone": "mine"}
    status, headers, body = await shop.client.get("/", "reviews", **sent)
    found = json.loads(body)["headers"]
    assert status == 200
    assert (found["x-set"], found["x-add"]) == ("rule", "rule")
    assert "x-gone" not in found
    assert (headers["date"], headers["x-more"]) == ("rule", "rule")
    assert "content-type" not in headers


async def test_headers_of_the_rule_and_of_its_destinations(shop: RuleWorld) -> None:
    own = {"response": {"set": {"x-to": "v1"}}, "request": {"set": {"x-own": "v1"}}}
    whole = {"response": {"set": {"x-rule": "yes"}}}
    destination = {**to()["route"][0], "headers": own}
    await shop.rules({"route": [destination], "headers": whole})
    _, headers, body = await shop.client.get("/", "reviews")
    assert (headers["x-rule"], headers["x-to"], json.loads(body)["headers"]["x-own"]) == ("yes", "v1", "v1")
    other = {**to("v2")["route"][0], "weight": 50}
    await shop.rules({"route": [{**destination, "weight": 50}, other], "headers": whole})
    for _ in range(20):
        _, headers, body = await shop.client.get("/", "reviews")
        assert headers["x-rule"] == "yes"
        assert headers.get("x-to") == ("v1" if json.loads(body)["version"] == "v1" else None)


async def test_a_time_limit(shop: RuleWorld) -> None:
    await shop.rules(to(timeout="100ms"))
    began = time.monotonic()
    status, _, body = await shop.client.get("/", "reviews", x_after="0.4")
    assert (status, body) == (504, "upstream request timeout")
    assert time.monotonic() - began < 0.35
    assert (await shop.client.get("/", "reviews"))[0] == 200


@pytest.mark.parametrize(
    ("retries", "answer", "tries"),
    [
        ({}, "503", 1),
        ({"retries": {"attempts": 3, "retryOn": "5xx"}}, "500", 4),
        ({"retries": {"attempts": 2, "retryOn": "gateway-error"}}, "500", 1),
        ({"retries": {"attempts": 2, "retryOn": "418"}}, "418", 3),
        ({"retries": {"attempts": 0}}, "503", 1),
    ],
)
async def test_attempts(shop: RuleWorld, retries: dict[str, Any], answer: str, tries: int) -> None:
    await shop.rules(to(**retries))
    assert (await shop.client.get("/", "reviews", x_answer=answer))[0] == int(answer)
    assert len(shop.received("reviews-v1")) == tries


async def test_a_time_limit_for_each_attempt(shop: RuleWorld) -> None:
    await shop.rules(to(retries={"attempts": 2, "perTryTimeout": "50ms", "retryOn": "reset,gateway-error"}))
    assert (await shop.client.get("/", "reviews", x_after="0.3"))[0] == 504
    assert len(shop.received("reviews-v1")) == 3


async def test_another_attempt_is_made_at_another_pod_unless_told_otherwise(shop: RuleWorld) -> None:
    """Of two attempts both would be for the same pod half of the time if it were left to chance."""
    both = {"route": [{"destination": {"host": "reviews"}}]}
    await shop.rules({**both, "retries": {"attempts": 1, "retryOn": "5xx"}})
    for _ in range(12):
        await shop.client.get("/", "reviews", x_answer="500")
    assert [len(shop.received(f"reviews-{version}")) for version in ("v1", "v2")] == [12, 12]


async def test_time_between_attempts(shop: RuleWorld) -> None:
    """Envoy waits a random part of twice the base and more each time: 5 attempts take 0.5 s and more on average."""
    await shop.rules(to(retries={"attempts": 5, "retryOn": "5xx", "backoff": "1ms"}))
    began = time.monotonic()
    await shop.client.get("/", "reviews", x_answer="500")
    assert time.monotonic() - began < 0.1
    assert len(shop.received("reviews-v1")) == 6


async def test_cors(shop: RuleWorld) -> None:
    policy = {
        "allowOrigins": [{"exact": "http://shop.example"}, {"prefix": "http://a."}, {"regex": "http://b[0-9]"}],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["x-a", "x-b"],
        "exposeHeaders": ["x-c"],
        "maxAge": "24h",
        "allowCredentials": True,
    }
    await shop.rules(to(corsPolicy=policy))

    async def preflight(origin: str) -> tuple[int, dict[str, str]]:
        asking = {"origin": origin, "access_control_request_method": "GET"}
        status, headers, _ = await shop.client.request("OPTIONS", "/", "reviews", **asking)
        return status, {k.removeprefix("access-control-"): v for k, v in headers.items() if k.startswith("access-")}

    status, headers = await preflight("http://shop.example")
    assert status == 200
    assert headers == {
        "allow-origin": "http://shop.example",
        "allow-methods": "GET,POST",
        "allow-headers": "x-a,x-b",
        "max-age": "86400",
        "allow-credentials": "true",
        "expose-headers": "x-c",
    }
    assert shop.received("reviews-v1") == []
    assert (await preflight("http://a.example"))[1]["allow-origin"] == "http://a.example"
    assert (await preflight("http://b7"))[1]["allow-origin"] == "http://b7"
    assert (await preflight("http://elsewhere"))[1] == {}
    assert len(shop.received("reviews-v1")) == 1
    _, headers, _ = await shop.client.get("/", "reviews", origin="http://shop.example")
    assert headers["access-control-expose-headers"] == "x-c"
    await shop.rules(to(corsPolicy={**policy, "unmatchedPreflights": "IGNORE"}))
    assert (await preflight("http://elsewhere"))[0] == 200
    assert shop.received("reviews-v1") == []
    older = {"allowOrigin": ["http://old.example"], "allowMethods": ["GET"]}
    await shop.rules(to(corsPolicy=older))
    assert (await preflight("http://old.example"))[1]["allow-origin"] == "http://old.example"
