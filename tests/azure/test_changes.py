"""What changes when the profile does: one PUT that keeps everything else, or a refusal of what cannot change."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.azure.world import Arm, Session
from workshop.azure.cluster import Cluster
from workshop.runbook.errors import UsageError

WORKSPACE = (
    "/subscriptions/0ba4e8a4-4a5c-4f3e-9a0e-5d6c3c1f8e11/resourceGroups/logs"
    "/providers/Microsoft.OperationalInsights/workspaces/w"
)


def change(session: Session, **changed: Any) -> None:
    """Parts of the settings are given as their own changes: `nodes={"count": 2}`."""
    for name, value in changed.items():
        if isinstance(value, dict):
            changed[name] = msgspec.structs.replace(getattr(session.settings, name), **value)
    session.settings = msgspec.structs.replace(session.settings, **changed)


def cluster(arm: Arm, session: Session) -> dict[str, Any]:
    body: dict[str, Any] = arm.cloud.resources[Cluster(session.azure).id.lower()].body
    return body


async def test_a_change_keeps_the_tags_of_others_whatever_their_names(arm: Arm, session: Session) -> None:
    await session.converge()
    theirs = {"status": "prod", "clientId": "42", "owner": "me"}
    cluster(arm, session)["tags"] |= theirs
    change(session, nodes={"count": 2})
    await session.converge("azure.aks")
    assert theirs.items() <= cluster(arm, session)["tags"].items()


@pytest.mark.parametrize(
    ("lab", "changed", "said"),
    [
        ("azure.aks", {"pods": {"mode": "node-subnet"}}, "it is 'overlay', wanted is 'node-subnet'"),
        ("azure.aks", {"kubernetes": "1.35"}, "wanted is '1.35'"),
        ("azure.aks", {"nodes": {"pool": "other"}}, "it is 'akssyspool', wanted is 'other'"),
        ("azure.vnet", {"network": {"subnet": "other"}}, "it is 'aks-subnet', wanted is 'other'"),
    ],
)
async def test_what_azure_would_reject_is_refused_before_it_is_asked(
    arm: Arm, session: Session, lab: str, changed: dict[str, Any], said: str
) -> None:
    await session.converge()
    change(session, **changed)
    arm.clear()
    assert await session.run(lab) == 2
    error = session.errors[0]
    assert isinstance(error, UsageError)
    assert said in error.came_back
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_a_subnet_with_addresses_of_its_own_is_added(arm: Arm, session: Session) -> None:
    change(session, network={"subnet_prefix": "10.240.0.0/24"})
    await session.converge("azure.vnet")
    change(session, network={"subnet": "other", "subnet_prefix": "10.240.1.0/24"})
    arm.clear()
    await session.converge("azure.vnet")
    assert sorted(arm.sent("PUT")) == ["PUT mesh-workshop-secondary/aks-vnet", "PUT mesh-workshop/aks-vnet"]


async def test_monitoring_goes_on_and_off_with_one_put_each(arm: Arm, session: Session) -> None:
    await session.converge()
    for on in (True, False):
        change(session, monitoring=on, workspace=WORKSPACE)
        arm.clear()
        await session.converge("azure.aks")
        assert arm.sent("PUT") == ["PUT mesh-workshop/primary"]
        assert cluster(arm, session)["properties"]["addonProfiles"]["omsagent"]["enabled"] is on
        assert set(await session.converge("azure.aks")) == {"unchanged"}


async def test_what_is_being_deleted_is_planned_as_made_anew(arm: Arm, session: Session) -> None:
    await session.converge()
    arm.set(durations={"managedClusters": 600.0})
    azure = session.azure
    azure.clusters().managed_clusters.begin_delete("mesh-workshop", "primary")
    planned = await session.plan("azure.aks")
    (step,) = [each for lab in planned.labs for each in lab.steps if each.title == "Cluster"]
    (difference,) = step.check.differences  # type: ignore[union-attr]
    assert (difference.path, difference.wanted) == ("", "present")
