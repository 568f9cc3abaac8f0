"""`--check` on the account: it only looks, and what was deleted or changed by hand is named."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

from tests.azure.world import Arm, Session
from tests.runbook.world import FakeGuard
from workshop.runbook.checking import check
from workshop.runbook.events import NeedsConverged
from workshop.runbook.request import Request

DELETED = {
    "azure.vnet": "/virtualnetworks/aks-vnet",
    "azure.acr": "/registries/",
    "azure.aks": "/managedclusters/primary",
    "azure.aks-secondary": "/managedclusters/secondary",
}


async def checked(session: Session, arm: Arm, *labs: str) -> tuple[int, set[str]]:
    """The exit status, and what is missing or left."""
    session.events.clear()
    arm.clear()
    status = await check(session.job(Request(labs)), FakeGuard(disposable=True))
    assert {each["method"] for each in arm.requests()} == {"GET"}
    found = [it.check.differences for it in session.steps if it.check and it.outcome in ("missing", "left")]
    return status, {item.subject for differences in found for item in differences}


def written(session: Session) -> list[str]:
    """All that the journal says: the file itself may still be put together by the run that wrote it."""
    with contextlib.closing(sqlite3.connect(session.journal.path)) as journal:
        return list(journal.iterdump())


def taken(arm: Arm, part: str) -> dict[str, Any]:
    """What somebody deletes: the first of these, and its roles."""
    found = [key for key in arm.cloud.resources if part in key]
    return {key: arm.cloud.resources.pop(key) for key in found if key.startswith(found[0])}


async def test_each_lab_before_at_its_end_and_with_something_deleted(arm: Arm, session: Session) -> None:
    labs = [lab.name for lab in session.runbook.labs if not lab.undoes]
    status, missing = await checked(session, arm, *labs)
    assert status == 1
    assert "AKS cluster mesh-workshop/primary" in missing
    assert await checked(session, arm, "azure.cleanup") == (0, set())
    await session.converge()
    journal = written(session)
    assert await checked(session, arm, *labs) == (0, set())
    assert "proved" in session.outcomes
    assert written(session) == journal
    for lab, part in DELETED.items():
        assert await checked(session, arm, lab) == (0, set())
        assert [event.labs for event in session.events if isinstance(event, NeedsConverged)]
        there = taken(arm, part)
        status, missing = await checked(session, arm, lab)
        name = next(iter(there.values())).name
        assert status == 1
        assert any(subject.endswith(f"/{name}") for subject in missing)
        arm.cloud.resources |= there
    status, left = await checked(session, arm, "azure.cleanup")
    assert status == 1
    assert {"AKS cluster mesh-workshop/primary", "resource group mesh-workshop"} <= left


async def test_a_group_that_lost_its_tag_is_no_more_the_workshop_s(arm: Arm, session: Session) -> None:
    await session.converge("azure.group")
    arm.cloud.groups["mesh-workshop"].tags.clear()
    assert await checked(session, arm, "azure.group") == (1, set())
    assert [step.outcome for step in session.steps] == ["failed", "proved"]
    assert "has no tag" in str(session.errors[0])
