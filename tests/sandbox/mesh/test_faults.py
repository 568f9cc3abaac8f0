"""Delays and aborts, through real Envoy."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from sandbox.mesh import http_routes

from .rule_world import RuleWorld, to

pytestmark = pytest.mark.asyncio(loop_scope="module")

JASON = {"match": [{"headers": {"end-user": {"exact": "jason"}}}]}
ALWAYS = {"percentage": {"value": 100}}


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


async def test_a_share_of_requests(shop: RuleWorld) -> None:
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


async def test_the_older_percent(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"delay": {"fixedDelay": "100ms", "percent": 100}}))
    assert (await timed(shop))[1] >= 0.1


@pytest.mark.parametrize("share", [{}, {"percentage": {"value": 0}}, {"percentage": {}}])
async def test_without_a_percentage_there_is_no_fault(shop: RuleWorld, share: dict[str, Any]) -> None:
    await shop.rules(to(fault={"abort": {"httpStatus": 500, **share}}))
    assert await statuses(shop, 20) == {200: 20}


async def test_a_grpc_status(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"abort": {"grpcStatus": "NOT_FOUND", **ALWAYS}}))
    status, headers, _ = await shop.client.get("/", "reviews", content_type="application/grpc")
    assert (status, headers["grpc-status"]) == (200, "5")


async def test_the_fault_goes_with_the_rule(shop: RuleWorld) -> None:
    await shop.rules(to(fault={"abort": {"httpStatus": 500, **ALWAYS}}))
    assert await statuses(shop, 5) == {500: 5}
    await shop.rules(to())
    assert await statuses(shop, 5) == {200: 5}


async def test_percentages_are_exact_to_a_ten_thousandth() -> None:
    made = http_routes.fault_config({"abort": {"httpStatus": 500, "percentage": {"value": 0.0001}}})
    assert made is not None
    assert made["abort"]["percentage"] == {"numerator": 1, "denominator": "MILLION"}
