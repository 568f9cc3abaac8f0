"""DestinationRules that have the endpoint depend on the request: by routes of rules, and without any."""

from __future__ import annotations

import json

import pytest

from .rule_world import RuleWorld, to
from .world import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_USER = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}


async def who_answers(shop: RuleWorld, user: str) -> set[str]:
    return {json.loads((await shop.client.get("/", "reviews", x_user=user))[2])["version"] for _ in range(6)}


async def faithful(shop: RuleWorld) -> bool:
    """Each of 20 users is always answered by the same version, and not all by one."""
    found = [await who_answers(shop, f"user-{number}") for number in range(20)]
    return all(len(versions) == 1 for versions in found) and len(set.union(*found)) == 2


async def test_a_rules_route_and_that_of_a_service_without_rules(shop: RuleWorld) -> None:
    await shop.rules({"route": [{"destination": {"host": "reviews"}}]})
    assert not await faithful(shop)
    shop.world.apply("destinationrules", "reviews", {"host": "reviews", "trafficPolicy": BY_USER})
    await eventually(lambda: faithful(shop))
    shop.world.cluster.delete("virtualservices.networking.istio.io", "default", "reviews")

    async def without_rule() -> bool:
        return (await shop.client.get("/applied/1", "reviews"))[0] == 200

    await eventually(without_rule)
    assert await faithful(shop)


async def test_a_subsets_own(shop: RuleWorld) -> None:
    """The subset holds both versions."""
    subset = {"name": "all", "labels": {"app": "reviews"}, "trafficPolicy": BY_USER}
    shop.world.apply("destinationrules", "reviews", {"host": "reviews", "subsets": [subset]})
    await shop.rules(to("all"))
    await eventually(lambda: faithful(shop))
    shop.world.apply(
        "destinationrules", "reviews", {"host": "reviews", "subsets": [{**subset, "trafficPolicy": {}}]}
    )

    async def in_turn() -> bool:
        return not await faithful(shop)

    await eventually(in_turn)
