"""What carries the workshop's tag goes, also what the profile does not name (any more)."""

from __future__ import annotations

import asyncio

import msgspec

from tests.kit.azure import HELD, QUICK, Arm, Session
from workshop.azure.cluster import Cluster
from workshop.settings import AzureSettings

GROUP = "mesh-workshop"


def blue(settings: AzureSettings) -> AzureSettings:
    """A profile with another name for the primary cluster."""
    return msgspec.structs.replace(settings, primary=msgspec.structs.replace(settings.primary, cluster="blue"))


def placed(kind: str, name: str, **tags: str) -> dict[str, object]:
    return {"group": GROUP, "type": kind, "name": name, "tags": tags}


async def test_a_cluster_of_another_profile_goes_before_the_network_it_uses(arm: Arm, session: Session) -> None:
    await session.start_converged()
    session.settings = blue(session.settings)
    await session.converge("azure.aks")
    assert sum(resource.name in ("primary", "blue") for resource in arm.cloud.resources.values()) == 2
    arm.clear()
    await session.converge("azure.cleanup")
    assert not arm.cloud.resources
    assert not arm.cloud.groups
    deleted = arm.sent("DELETE", accepted=True)
    assert deleted.index(f"DELETE {GROUP}/primary") < deleted.index(f"DELETE {GROUP}/primary-identity")
    assert deleted.index(f"DELETE {GROUP}/primary-identity") < deleted.index(f"DELETE {GROUP}/aks-vnet")
    assert set(await session.converge("azure.cleanup")) == {"unchanged"}


async def test_the_clean_up_cut_off_in_a_stray_cluster_goes_on_with_that_deletion(
    arm: Arm, session: Session
) -> None:
    await session.start_converged()
    session.settings = blue(session.settings)
    stray = Cluster(Session(arm, session.folder).azure).id
    arm.set(durations={**QUICK, "managedClusters": HELD})
    run = asyncio.create_task(session.run("azure.cleanup"))
    begun = False
    while not begun and not run.done():
        await asyncio.sleep(0.01)
        begun = session.journal.operation(stray) is not None
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await session.converge_held("cluster", "azure.cleanup")
    assert any("waiting for that very operation" in text for text in session.told)
    assert arm.sent("DELETE").count(f"DELETE {GROUP}/primary") == 1
    assert not session.journal.under_way()


async def test_a_deletion_that_ended_after_the_kill_is_not_under_way_any_more(arm: Arm, session: Session) -> None:
    await session.converge("azure.group")
    gone = f"{Cluster(session.azure).id}-older"
    session.journal.begin(gone, "delete AKS cluster", f"{session.azure.endpoint} token")
    await session.converge("azure.cleanup")
    assert not session.journal.under_way()


async def test_what_carries_the_tag_goes_also_where_the_group_stays_and_is_planned(
    arm: Arm, session: Session
) -> None:
    await session.start_converged()
    ours = placed("Microsoft.Storage/storageAccounts", "ours", workshop="mesh-workshop")
    arm.set(foreign=[ours, placed("Microsoft.Storage/storageAccounts", "theirs", workshop="another")])
    planned = await session.plan("azure.cleanup")
    subjects = [each.subject for step in planned.steps for each in step.check.differences]
    assert f"Microsoft.Storage/storageAccounts {GROUP}/ours" in subjects
    assert not any("theirs" in subject for subject in subjects)
    await session.converge("azure.cleanup")
    assert [resource.name for resource in arm.cloud.resources.values()] == ["theirs"]
    assert list(arm.cloud.groups) == [GROUP]
    (looked,) = [each for each in arm.requests() if each["method"] == "DELETE" and each["path"].endswith("/ours")]
    assert looked["query"] == "api-version=2025-06-01"


async def test_strays_that_need_each_other_go_in_the_order_that_azure_allows(arm: Arm, session: Session) -> None:
    await session.converge("azure.group")
    kind = "Microsoft.Compute/disks"
    arm.set(foreign=[placed(kind, name, workshop="mesh-workshop") for name in ("base", "snapshot")])
    used = {"error": {"code": "OperationNotAllowed", "message": "Disk base is used by snapshot"}}
    arm.set(faults=[{"method": "DELETE", "path": "/base", "status": 400, "body": used}])
    await session.converge("azure.cleanup")
    deleted = arm.sent("DELETE")
    assert deleted.count(f"DELETE {GROUP}/base") == 2
    assert not arm.cloud.resources


async def test_what_a_person_would_type_spares_what_the_other_steps_delete(arm: Arm, session: Session) -> None:
    await session.start_converged()
    typed = [line for step in (await session.plan("azure.cleanup")).steps for line in step.explanation.commands]
    (strays,) = [line for line in typed if f"resource list --resource-group {GROUP} --" in line]
    assert "tags.workshop=='mesh-workshop' && !contains(['workshop" in strays
    assert "'primary', 'primary-identity', 'aks-vnet'], name)" in strays
