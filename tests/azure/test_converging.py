"""From nothing to two clusters, again, changed, and away."""

from __future__ import annotations

import msgspec

from tests.azure.world import Arm, Session, twice


async def test_from_nothing_every_resource_is_put_once(arm: Arm, session: Session) -> None:
    outcomes = await session.converge()
    assert set(outcomes) <= {"changed", "unchanged"}
    puts = arm.sent("PUT")
    assert len(puts) == 13
    assert not twice(puts)
    assert not arm.sent("POST", "DELETE", "PATCH")


async def test_a_second_run_is_all_unchanged_with_only_gets(arm: Arm, session: Session) -> None:
    await session.converge()
    arm.clear()
    assert set(await session.converge()) == {"unchanged"}
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_a_changed_node_count_is_one_put(arm: Arm, session: Session) -> None:
    await session.converge()
    arm.clear()
    nodes = msgspec.structs.replace(session.settings.nodes, count=2)
    session.settings = msgspec.structs.replace(session.settings, nodes=nodes)
    await session.converge("azure.aks")
    assert session.changed == ["Cluster"]
    assert arm.sent("PUT", "POST", "PATCH", "DELETE") == ["PUT mesh-workshop/primary"]
