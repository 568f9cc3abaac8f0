"""Only what carries the workshop's tag is changed or deleted."""

from __future__ import annotations

import msgspec
import pytest

from tests.azure.world import SUBSCRIPTION, Arm, Session
from workshop.azure.network import Network
from workshop.runbook.errors import UsageError, WorkshopError

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


@pytest.mark.parametrize(
    ("free", "advised"),
    [
        (False, f"az aks delete --resource-group {GROUP} --subscription {SUBSCRIPTION} --name primary"),
        (True, "invoke -f here.yaml lab.azure.aks --undo"),
    ],
)
async def test_a_property_that_cannot_be_changed_is_refused_with_what_to_do(
    free: bool, advised: str, arm: Arm, session: Session
) -> None:
    """In the sandbox nothing of `az`: it would delete what has the same names at the real Azure."""
    await session.converge()
    arm.clear()
    nodes = msgspec.structs.replace(session.settings.nodes, size="Standard_DS3_v2")
    session.settings = msgspec.structs.replace(session.settings, nodes=nodes)
    session.free = free
    assert await session.run("azure.aks") in (1, 2)
    (error,) = session.errors
    assert isinstance(error, UsageError)
    assert "vmSize" in error.tried
    assert error.next_command == advised
    assert {each["method"] for each in arm.requests()} == {"GET"}


@pytest.mark.parametrize(
    ("lab", "changed", "said"),
    [
        ("azure.group", {"location": "northeurop"}, "no location northeurop; did you mean northeurope?"),
        ("azure.vnet", {"location": "northeurop"}, "no location northeurop; did you mean northeurope?"),
        ("azure.aks", {"size": "Standard_DS2_v9"}, "offers no machines of size Standard_DS2_v9"),
    ],
)
async def test_what_there_is_not_is_said_before_that_something_else_is_there(
    lab: str, changed: dict[str, str], said: str, session: Session
) -> None:
    await session.converge()
    replace, settings = msgspec.structs.replace, session.settings
    size = changed.get("size", settings.nodes.size)
    location = changed.get("location", settings.location)
    session.settings = replace(settings, location=location, nodes=replace(settings.nodes, size=size))
    plan = await session.plan(lab)
    (first, *_) = [step.error for step in plan.steps if step.error]
    assert isinstance(first, WorkshopError)
    assert said in first.came_back
    assert "cleanup" not in first.next_command
    assert " delete " not in first.next_command


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
