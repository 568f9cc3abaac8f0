"""Routing rules, and what requests get by them, through real Envoy: cases/matches.yaml and cases/requests.yaml."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cases import content_of

from .rule_world import RuleWorld, to
from .world import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = Path(__file__).parent / "cases"
MATCHES = content_of(CASES / "matches.yaml")
REQUESTS = content_of(CASES / "requests.yaml")

JASON = {"match": [{"headers": {"end-user": {"exact": "jason"}}}]}
ALWAYS = {"percentage": {"value": 100}}


def short(value: Any) -> str:
    """A test's name: what the rules say."""
    return json.dumps(value).replace('"', "")[:100]


@pytest.mark.parametrize("case", MATCHES, ids=lambda case: short(case["match"]))
async def test_match(shop: RuleWorld, case: dict[str, Any]) -> None:
    await shop.rules(to("v2", match=[case["match"]]), to("v1"))
    for version, asked in (("v2", case.get("meant", [])), ("v1", case.get("others", []))):
        for ask in asked:
            request = {"path": ask} if isinstance(ask, str) else ask
            method, headers = request.get("method", "GET"), {"content-length": "0", **request.get("headers", {})}
            status, _, body = await shop.client.request(
                method, request.get("path", "/"), request.get("host", "reviews"), **headers
            )
            assert (status, json.loads(body)["version"]) == (200, version), ask


def expanded(rule: dict[str, Any]) -> dict[str, Any]:
    """With the route that `to` stands for."""
    more = {field: value for field, value in rule.items() if field != "to"}
    return to(rule["to"], **more) if "to" in rule else more


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: short(case["rules"]))
async def test_request(shop: RuleWorld, case: dict[str, Any]) -> None:
    await shop.rules(*map(expanded, case["rules"]))
    for expected in (each for each in case["requests"] for _ in range(each.get("times", 1))):
        shop.world.received.clear()
        status, answer, body = await shop.client.request(
            expected.get("method", "GET"), expected.get("ask", "/"), "reviews", **expected.get("headers", {})
        )
        seen = json.loads(body) if body.startswith('{"version"') else {}
        assert status == expected.get("status", 200), expected
        got = {
            "answer": {name: answer.get(name) for name in expected.get("answer", {})},
            "body": body,
            "by": seen.get("version"),
            "path": seen.get("path"),
            "seen": {name: seen.get("headers", {}).get(name) for name in expected.get("seen", {})},
            "tries": len(shop.received("reviews-v1")),
        }
        assert {what: got[what] for what in got if what in expected} == {
            what: expected[what] for what in got if what in expected
        }, expected


# Where time or several pods count


async def test_headers_of_one_of_two_destinations(shop: RuleWorld) -> None:
    own = {"response": {"set": {"x-to": "v1"}}}
    v1, v2 = to("v1")["route"][0], to("v2")["route"][0]
    routes = [{**v1, "headers": own, "weight": 50}, {**v2, "weight": 50}]
    await shop.rules({"route": routes, "headers": {"response": {"set": {"x-rule": "yes"}}}})
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


async def test_another_attempt_is_made_at_another_pod_unless_told_otherwise(shop: RuleWorld) -> None:
    """Of two attempts both would be for the same pod half of the time if it were left to chance. Envoy looks for
    another one six times, so once in 64 requests it finds none."""
    both = {"route": [{"destination": {"host": "reviews"}}]}
    await shop.rules({**both, "retries": {"attempts": 1, "retryOn": "5xx"}})
    for n in range(24):
        await shop.client.get(f"/{n}", "reviews", x_answer="500")
    first, second = ({path for path, _ in shop.received(f"reviews-{version}")} for version in ("v1", "v2"))
    assert len(first & second) >= 19


async def test_time_between_attempts(shop: RuleWorld) -> None:
    """Envoy waits a random part of twice the base and more each time: 5 attempts take 0.5 s and more on average."""
    await shop.rules(to(retries={"attempts": 5, "retryOn": "5xx", "backoff": "1ms"}))
    began = time.monotonic()
    await shop.client.get("/", "reviews", x_answer="500")
    assert time.monotonic() - began < 0.1
    assert len(shop.received("reviews-v1")) == 6


# Faults


async def timed(shop: RuleWorld, **headers: str) -> tuple[int, float]:
    """Status and seconds of one request; 5 ms more, for Envoy's timers may go off that early."""
    began = time.monotonic()
    status, _, _ = await shop.client.get("/", "reviews", **headers)
    return status, time.monotonic() - began + 0.005


async def statuses(shop: RuleWorld, count: int, **headers: str) -> Counter[int]:
    return Counter([(await shop.client.get("/", "reviews", **headers))[0] for _ in range(count)])


async def test_a_delay_is_for_those_the_rule_matches(shop: RuleWorld) -> None:
    await shop.rules(to("v2", fault={"delay": {"fixedDelay": "200ms", **ALWAYS}}, **JASON), to("v1"))
    status, taken = await timed(shop, end_user="jason")
    assert (status, taken >= 0.2) == (200, True)
    assert len(shop.received("reviews-v2")) == 1
    assert min([(await timed(shop))[1] for _ in range(5)]) < 0.2


async def test_a_delay_does_not_count_for_the_time_limit(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"delay": {"fixedDelay": "150ms", **ALWAYS}}, timeout="100ms"))
    assert (await timed(shop))[0] == 200


async def test_an_aborted_request_reaches_nobody(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"abort": {"httpStatus": 555, **ALWAYS}}, mirror={"host": "other"}))
    status, headers, body = await shop.client.get("/", "reviews")
    assert (status, body) == (555, "fault filter abort")
    assert "x-envoy-upstream-service-time" not in headers
    assert shop.received("reviews-v1") == shop.received("other") == []


async def test_a_share_is_aborted(shop: RuleWorld) -> None:
    """250 of 500 on average; fewer than 150 or more than 350 are 9 standard deviations away."""
    await shop.rules(to(fault={"abort": {"httpStatus": 503, "percentage": {"value": 50}}}))
    found = await statuses(shop, 500)
    assert found[200] + found[503] == 500
    assert 150 < found[503] < 350
    assert len(shop.received("reviews-v1")) == found[200]


async def test_delay_and_abort_are_drawn_apart(shop: RuleWorld) -> None:
    both = {"delay": {"fixedDelay": "100ms", **ALWAYS}, "abort": {"httpStatus": 500, **ALWAYS}}
    await shop.rules(to(fault=both))
    status, taken = await timed(shop)
    assert (status, taken >= 0.1) == (500, True)


async def test_the_older_percent_of_a_delay(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"delay": {"fixedDelay": "100ms", "percent": 100}}))
    assert (await timed(shop))[1] >= 0.1


async def test_the_fault_goes_with_the_rule(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"abort": {"httpStatus": 500, **ALWAYS}}))
    assert await statuses(shop, 5) == {500: 5}
    await shop.rules(to())
    assert await statuses(shop, 5) == {200: 5}


# Mirrors: a copy is sent, and nobody who asked notices


async def ask(shop: RuleWorld, count: int, path: str = "/", host: str = "reviews:9080") -> None:
    """All are answered by v1."""
    for _ in range(count):
        status, _, body = await shop.client.get(path, host)
        assert (status, json.loads(body)["version"]) == (200, "v1")


async def mirrored(shop: RuleWorld, pod: str, count: int) -> list[tuple[str, str]]:
    """What a mirror received, once it is `count` requests."""

    async def all_there() -> bool:
        return len(shop.received(pod)) >= count

    await eventually(all_there)
    return shop.received(pod)


async def test_without_a_percentage_every_request_is_copied_and_keeps_its_host(shop: RuleWorld) -> None:
    """No `-shadow` behind it since Istio 1.28: `disableShadowHostSuffixAppend` is true in
    `shared/real/proxies/ingressgateway-routes.json`."""
    await shop.rules(to("v1", mirror={"host": "reviews", "subset": "v2"}))
    await ask(shop, 20, "/a?b=c")
    assert await mirrored(shop, "reviews-v2", 20) == [("/a?b=c", "reviews:9080")] * 20
    assert shop.received("reviews-v1") == [("/a?b=c", "reviews:9080")] * 20


@pytest.mark.parametrize("share", [{"mirrorPercentage": {"value": 50}}, {"mirrorPercent": 50}])
async def test_a_share_is_mirrored(shop: RuleWorld, share: dict[str, Any]) -> None:
    """200 of 400 on average; fewer than 110 or more than 290 are 9 standard deviations away."""
    await shop.rules(to("v1", mirror={"host": "other"}, **share))
    await ask(shop, 400)
    await mirrored(shop, "other", 111)
    assert len(shop.received("other")) < 290
    assert len(shop.received("reviews-v1")) == 400


async def test_none_is_mirrored(shop: RuleWorld) -> None:
    await shop.rules(to("v1", mirror={"host": "reviews", "subset": "v2"}, mirrorPercentage={"value": 0}))
    await ask(shop, 20)
    await shop.rules(to("v1", mirror={"host": "other"}))
    await ask(shop, 1)
    await mirrored(shop, "other", 1)
    assert shop.received("reviews-v2") == []


async def test_several_mirrors(shop: RuleWorld) -> None:
    mirrors = [
        {"destination": {"host": "reviews", "subset": "v2"}, "percentage": {"value": 100}},
        {"destination": {"host": "other.default.svc.cluster.local", "port": {"number": 9080}}},
    ]
    await shop.rules(to("v1", mirrors=mirrors))
    await ask(shop, 10)
    assert len(await mirrored(shop, "reviews-v2", 10)) == len(await mirrored(shop, "other", 10)) == 10


async def test_a_mirror_outside_the_cluster_is_known_by_a_service_entry(shop: RuleWorld) -> None:
    """What gets there is for the caller's host: by that name a gateway there can route it."""
    address = shop.world.cluster.get("pods", "default", "other")["status"]["podIP"]
    entry = {
        "hosts": ["far.example"],
        "ports": [{"number": 9080, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": address}],
    }
    shop.world.apply("serviceentries", "far", entry)
    await shop.rules(to("v1", mirror={"host": "far.example"}))
    await ask(shop, 10, host="reviews.default.svc.cluster.local:9080")
    assert set(await mirrored(shop, "other", 10)) == {("/", "reviews.default.svc.cluster.local:9080")}


@pytest.mark.parametrize("mirror", [{"host": "reviews", "subset": "v9"}, {"host": "nobody.example"}])
async def test_a_mirror_that_leads_nowhere_does_no_harm(shop: RuleWorld, mirror: dict[str, Any]) -> None:
    await shop.rules(to("v1", mirror=mirror))
    await ask(shop, 10)
    assert len(shop.received("reviews-v1")) == 10


async def test_what_a_mirror_answers_or_that_it_is_slow_is_not_noticed(shop: RuleWorld) -> None:
    """It answers 503 to the same wish that makes v1 answer 503: only v1's is seen, and nothing is tried again."""
    await shop.rules(to("v1", mirror={"host": "other"}, retries={"attempts": 0}))
    status, _, body = await shop.client.get("/", "reviews", x_answer="503")
    assert (status, json.loads(body)["version"]) == (503, "v1")
    assert len(await mirrored(shop, "other", 1)) == 1
