"""Mirrors, through real Envoy: a copy is sent, and nobody who asked notices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .rule_world import RuleWorld, to
from .world import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
async def test_a_share_of_requests(shop: RuleWorld, share: dict[str, Any]) -> None:
    """200 of 400 on average; fewer than 110 or more than 290 are 9 standard deviations away."""
    await shop.rules(to("v1", mirror={"host": "other"}, **share))
    await ask(shop, 400)
    await mirrored(shop, "other", 111)
    assert len(shop.received("other")) < 290
    assert len(shop.received("reviews-v1")) == 400


async def test_none_of_them(shop: RuleWorld) -> None:
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
