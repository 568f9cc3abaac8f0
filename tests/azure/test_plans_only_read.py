"""A record that no plan changed anything: of whichever azure lab, also of taking it back, and whatever is there, a
plan sends only GET. The labs are those that people run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from labs.azure import LABS
from tests.kit.azure import QUICK, Arm, Session
from workshop.runbook import Runbook
from workshop.runbook.request import clean_up_of

LAB_NAMES = tuple(lab.name for lab in LABS if not lab.undoes)


async def nothing(arm: Arm, session: Session) -> None:
    return


async def half(arm: Arm, session: Session) -> None:
    """Without the registry and the secondary cluster, and with a role that was taken away by hand."""
    await session.converge("azure.vnet")
    arm.cloud.assignments.popitem()
    arm.set(providers={"Microsoft.ContainerRegistry": "NotRegistered"})


async def everything(arm: Arm, session: Session) -> None:
    await session.start_converged()


async def under_way(arm: Arm, session: Session) -> None:
    """A cluster is being made, the other deleted."""
    await session.start_converged()
    arm.set(durations={**QUICK, "managedClusters": 60.0})
    clusters = [each for each in arm.cloud.resources.values() if "managedClusters" in each.id]
    clusters[0].properties["provisioningState"] = "Creating"
    clusters[1].properties["provisioningState"] = "Deleting"


async def others_beside(arm: Arm, session: Session) -> None:
    """A stray cluster of another profile, somebody's storage account, a quota that is used up."""
    session.settings = msgspec.structs.replace(session.settings, primary=place(session, cluster="other"))
    await session.converge()
    session.settings = msgspec.structs.replace(session.settings, primary=place(session, cluster="primary"))
    theirs = {"group": "mesh-workshop", "type": "Microsoft.Storage/storageAccounts", "name": "theirs", "tags": {}}
    arm.set(foreign=[theirs], quotas={"cores": 12, "family": 12, "managedClusters": 2})


def place(session: Session, **changed: str) -> Any:
    return msgspec.structs.replace(session.settings.primary, **changed)


@pytest.mark.parametrize("state", [nothing, half, everything, under_way, others_beside])
async def test_a_plan_sends_only_get(
    arm: Arm, session: Session, state: Callable[[Arm, Session], Coroutine[Any, Any, None]]
) -> None:
    await state(arm, session)
    book, arm_was_asked = Runbook(LABS), 0
    before = copy.deepcopy({id_: resource.body for id_, resource in arm.cloud.resources.items()})
    for name in (*LAB_NAMES, "azure.cleanup"):
        session.runbook, taking_back = (book, name) if name == "azure.cleanup" else clean_up_of(book, name)
        for lab in {name, taking_back}:
            arm.clear()
            await session.plan(lab)
            assert {each["method"] for each in arm.requests()} <= {"GET", "HEAD"}, lab
            arm_was_asked += arm.asked
    assert arm_was_asked > 10 * len(LAB_NAMES)
    arm.clear()
    await session.plan(*LAB_NAMES)
    assert {each["method"] for each in arm.requests()} == {"GET"}
    assert {id_: resource.body for id_, resource in arm.cloud.resources.items()} == before
