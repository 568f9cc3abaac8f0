"""Only what carries the workshop's tag is changed or deleted."""

from __future__ import annotations

import msgspec
import pytest

from tests.azure.world import Arm, Session
from workshop.azure.network import Network
from workshop.runbook.errors import UsageError

GROUP = "mesh-workshop"


async def test_a_group_of_somebody_else_is_refused(arm: Arm, session: Session) -> None:
    session.azure.resources().resource_groups.create_or_update(GROUP, {"location": "westeurope"})  # type: ignore[call-overload]
    arm.clear()
    assert await session.run("azure.group") in (1, 2)
    (error,) = session.errors
    assert isinstance(error, UsageError)
    assert "has no tag" in error.came_back
    assert f"PUT {GROUP}" not in arm.sent("PUT")


async def test_a_foreign_resource_survives_with_its_group(arm: Arm, session: Session) -> None:
    await session.converge()
    arm.set(foreign=[{"group": GROUP, "type": "Microsoft.Storage/storageAccounts", "name": "theirs", "tags": {}}])
    arm.clear()
    await session.converge("azure.cleanup")
    deleted = arm.sent("DELETE")
    assert f"DELETE {GROUP}/primary" in deleted
    assert f"DELETE {GROUP}-secondary" in deleted
    assert f"DELETE {GROUP}" not in deleted
    assert any("storageAccounts theirs" in step.note for step in session.steps)
    assert "theirs" in str(list(arm.cloud.resources))


async def test_a_resource_that_lost_its_tag_survives_and_is_not_changed(arm: Arm, session: Session) -> None:
    await session.converge()
    network = arm.cloud.resources[Network(session.azure).id.lower()]
    network.body["tags"] = {}
    arm.clear()
    assert await session.run("azure.vnet") in (1, 2)
    assert not arm.sent("PUT")
    await session.converge("azure.cleanup")
    assert network.id.lower() in arm.cloud.resources
    assert GROUP in arm.cloud.groups


async def test_the_clean_up_of_everything_leaves_nothing(arm: Arm, session: Session) -> None:
    await session.converge()
    await session.converge("azure.cleanup")
    assert not arm.cloud.resources
    assert not arm.cloud.groups
    assert not arm.cloud.assignments
    assert set(await session.converge("azure.cleanup")) == {"unchanged"}


async def test_a_property_that_cannot_be_changed_is_refused_with_what_to_do(arm: Arm, session: Session) -> None:
    await session.converge()
    arm.clear()
    nodes = msgspec.structs.replace(session.settings.nodes, size="Standard_DS3_v2")
    session.settings = msgspec.structs.replace(session.settings, nodes=nodes)
    assert await session.run("azure.aks") in (1, 2)
    (error,) = session.errors
    assert isinstance(error, UsageError)
    assert "vmSize" in error.tried
    assert "az aks delete" in error.next_command
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_another_location_advises_nothing_that_would_delete_what_is_somebody_else_s(
    session: Session,
) -> None:
    await session.converge("azure.group")
    session.settings = msgspec.structs.replace(session.settings, location="northeurope")
    assert await session.run("azure.group") == 2
    for error in session.errors:
        assert isinstance(error, UsageError)
        assert error.tried.startswith("change location of the resource group")
        assert error.next_command == "invoke -f here.yaml lab.azure.cleanup"


@pytest.mark.parametrize("lab", ["azure.group", "azure.vnet", "azure.acr"])
async def test_a_changed_tag_is_one_put_for_each_resource(lab: str, arm: Arm, session: Session) -> None:
    await session.converge()
    for resource in (*arm.cloud.resources.values(),):
        resource.body["tags"]["workshop"] = "other" if lab != "azure.group" else "mesh-workshop"
    if lab == "azure.group":
        arm.cloud.groups[GROUP].tags["workshop"] = "other"
    arm.clear()
    await session.converge(lab, only=True)
    puts = arm.sent("PUT", "PATCH", "POST")
    assert len(puts) == {"azure.group": 1, "azure.vnet": 4, "azure.acr": 1}[lab]


async def test_a_plan_asks_only_and_names_what_will_be_made(arm: Arm, session: Session) -> None:
    plan = await session.plan()
    assert {each["method"] for each in arm.requests()} == {"GET"}
    assert sum(step.changes for step in plan.steps) == 13
    assert all(step.explanation.commands for step in plan.steps if step.changes)
