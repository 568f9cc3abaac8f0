"""What the clean-up deletes is shown with since when it has been paid for, before anybody agrees to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.azure.world import Arm, Session
from tests.runbook.world import FakeGuard
from workshop.azure import prices

HOURS = 5


@pytest.fixture
async def paid(arm: Arm, session: Session) -> None:
    """Everything, made five hours ago."""
    await session.converge()
    for resource in arm.cloud.resources.values():
        resource.created = datetime.now(UTC) - timedelta(hours=HOURS)


async def notes(session: Session) -> dict[str, str]:
    plan = await session.plan("azure.cleanup")
    return {each.subject: each.note for step in plan.steps for each in step.check.differences}


@pytest.mark.usefixtures("paid")
async def test_a_plan_says_since_when_and_what_it_has_cost(session: Session) -> None:
    said = await notes(session)
    when = f"{datetime.now(UTC) - timedelta(hours=HOURS):%Y-%m-%d %H:}"
    nodes = prices.from_table("Standard_DS2_v2", "westeurope")
    assert nodes.node
    assert nodes.disk
    cluster = HOURS * (3 * (nodes.node + nodes.disk) + nodes.load_balancer + nodes.address)
    for subject, cost in (
        ("AKS cluster mesh-workshop/primary", cluster),
        ("AKS cluster mesh-workshop-secondary/secondary", cluster),
        (next(subject for subject in said if subject.startswith("registry ")), HOURS * nodes.registry),
    ):
        assert said[subject].startswith(f"paid for since {when}")
        assert said[subject].endswith(f" UTC (5 h), about USD {cost:.2f} so far")
    assert not said["virtual network mesh-workshop/aks-vnet"], "it costs nothing"


@pytest.mark.usefixtures("paid")
async def test_whoever_has_to_agree_to_it_sees_it(session: Session) -> None:
    session.guard, session.gate.typed = FakeGuard("mesh-workshop"), False
    assert await session.run("azure.cleanup") == 2
    (asked,) = session.gate.asked
    assert asked.count("  paid for since ") == 3
    session.gate.asked.clear()
    session.gate.typed = True
    await session.converge("azure.cleanup")


@pytest.mark.usefixtures("paid")
async def test_what_it_has_cost_is_not_guessed_for_a_size_of_unknown_price(arm: Arm, session: Session) -> None:
    for resource in arm.cloud.of_type("Microsoft.ContainerService/managedClusters"):
        resource.properties["agentPoolProfiles"][0]["vmSize"] = "Standard_F2s_v2"
    said = (await notes(session))["AKS cluster mesh-workshop/primary"]
    assert said.startswith("paid for since ")
    assert "USD" not in said


@pytest.mark.usefixtures("paid")
async def test_a_cluster_of_another_profile_too_and_in_the_sandbox_nothing_is_paid(session: Session) -> None:
    other = msgspec.structs.replace(session.settings.primary, cluster="another")
    session.settings = msgspec.structs.replace(session.settings, primary=other)
    assert (await notes(session))["AKS cluster mesh-workshop/primary"].startswith("paid for since ")
    session.free = True
    said = await notes(session)
    assert said["AKS cluster mesh-workshop/primary"].startswith("there since ")
    assert not any("USD" in note or "paid" in note for note in said.values())
