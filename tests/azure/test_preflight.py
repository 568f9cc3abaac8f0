"""What Azure would refuse is told by a plan, with the status that its run ends with, and before anything of it is
asked for. What Azure does not tell is left to Azure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.azure import Arm, Session, change
from workshop.runbook.plan import Plan

SMALL = {"cores": 10, "family": 10, "managedClusters": 10}


def failing(plan: Plan) -> dict[str, str]:
    """The steps that would fail, with what came back."""
    return {step.title: step.error.came_back for step in plan.steps if step.error}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("behaviour", "changed", "titles", "said"),
    [
        (
            {},
            {"nodes": {"count": 12}},
            ["Cluster", "Second cluster"],
            "Total Regional vCPUs: 0 of 20 used, 48 more needed (2 x 12 x Standard_DS2_v2)",
        ),
        (
            {"quotas": {"cores": 100, "family": 10}},
            {},
            ["Cluster", "Second cluster"],
            "Standard DSv2 Family vCPUs: 0 of 10 used, 12 more needed",
        ),
        (
            {},
            {"nodes": {"size": "Standard_M8-2ms"}},
            ["Cluster", "Second cluster"],
            "westeurope offers no machines of size Standard_M8-2ms to this subscription",
        ),
        (
            {"quotas": {"managedClusters": 1}},
            {},
            ["Cluster", "Second cluster"],
            "0 of 1 used in westeurope, 2 more needed",
        ),
        ({}, {"kubernetes": "1.20"}, ["Cluster", "Second cluster"], "1.20 is not offered in westeurope"),
        ({}, {"location": "westeuropa"}, ["Group", "Second group"], "did you mean westeurope?"),
        (
            {"not_actions": ["Microsoft.Authorization/*/write"]},
            {},
            ["Role", "Second role", "Pull", "Second pull"],
            "this login may not Microsoft.Authorization/roleAssignments/write on",
        ),
        (
            {"actions": ["*/read"]},
            {},
            ["Group", "Second group", "Network", "Identity", "Registry", "Cluster", "Pull", "Second pull"],
            "this login may not Microsoft.",
        ),
    ],
)
async def test_what_a_run_would_be_refused_its_plan_says(
    arm: Arm,
    session: Session,
    behaviour: dict[str, Any],
    changed: dict[str, Any],
    titles: list[str],
    said: str,
) -> None:
    arm.set(**behaviour)
    change(session, **changed)
    plan = await session.plan()
    found = failing(plan)
    assert set(titles) <= set(found)
    assert said in found[titles[0]]
    assert plan.exit_status == 1
    assert await session.run() == plan.exit_status
    begun = {step.title for step in session.steps if step.outcome == "failed"}
    assert begun
    assert begun <= set(found), "a run fails only where its plan said so"
    refused = [each for each in arm.requests() if each["method"] == "PUT" and not each["accepted"]]
    assert not refused, "and is not refused by Azure"


async def test_two_clusters_need_their_vcpus_together_and_one_of_them_its_own(arm: Arm, session: Session) -> None:
    arm.set(quotas=SMALL)
    assert set(failing(await session.plan())) == {"Cluster", "Second cluster"}
    session.clusters_asked = ("primary",)
    assert (await session.plan("azure.aks")).exit_status == 0
    await session.converge("azure.aks")
    session.clusters_asked = ("primary", "secondary")
    found = failing(await session.plan())
    assert found == {
        "Second cluster": "Total Regional vCPUs: 6 of 10 used, 6 more needed (2 x 3 x Standard_DS2_v2): "
        "set azure.nodes to fewer or smaller ones, or azure.location"
    }


async def test_what_is_there_needs_no_more(arm: Arm, session: Session) -> None:
    await session.start_converged()
    arm.set(quotas={"cores": 12, "family": 12, "managedClusters": 2})
    arm.clear()
    assert not failing(await session.plan())
    assert not [each for each in arm.requests() if "usages" in each["path"] or "permissions" in each["path"]]
    change(session, nodes={"count": 4})
    assert set(failing(await session.plan())) == {"Cluster", "Second cluster"}
    change(session, nodes={"count": 2})
    assert not failing(await session.plan())


async def test_a_registry_of_that_name_in_another_group_or_anywhere(arm: Arm, session: Session) -> None:
    asked: list[str] = []

    def is_host(name: str) -> bool:
        asked.append(name)
        return True

    session.is_host = is_host
    change(session, registry="somebodys")
    (said,) = failing(await session.plan("azure.acr")).values()
    assert said == (
        "the name somebodys is taken: there is a host somebodys.azurecr.io: set azure.registry to another name"
    )
    assert asked == ["somebodys.azurecr.io"]
    session.is_host = None
    await session.converge("azure.acr")
    change(session, primary={"group": "another"})
    (said,) = failing(await session.plan("azure.acr")).values()
    assert (
        said
        == "the name somebodys is that of a registry in the group mesh-workshop: set azure.registry to another name"
    )


async def test_what_a_profile_cannot_change_ends_a_plan_as_it_ends_the_run(arm: Arm, session: Session) -> None:
    await session.converge("azure.group")
    change(session, location="northeurope")
    plan = await session.plan("azure.group")
    assert plan.exit_status == 2
    assert await session.run("azure.group") == 2


@pytest.mark.parametrize(
    "kept",
    [
        "Microsoft.Compute/locations/usages/read",
        "Microsoft.Compute/skus/read",
        "Microsoft.Authorization/permissions/read",
        "Microsoft.ContainerService/locations/kubernetesVersions/read",
    ],
)
async def test_what_azure_does_not_tell_is_left_to_azure(arm: Arm, session: Session, kept: str) -> None:
    arm.set(not_actions=[kept])
    assert not failing(await session.plan())
    await session.converge()


async def test_a_provider_that_a_run_registers_first_is_named(arm: Arm, session: Session) -> None:
    arm.set(providers={"Microsoft.Network": "NotRegistered"})
    notes = {step.title: step.check.note for step in (await session.plan("azure.vnet")).steps}
    assert notes["Network"] == notes["Second network"] == "registers Microsoft.Network first"
    assert not notes["Identity"]
    assert [each["method"] for each in arm.requests() if each["method"] != "GET"] == []
