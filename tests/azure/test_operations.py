"""Operations of an earlier run: waited for by their token, or by what the resource tells when there is none."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.azure import HELD, QUICK, Arm, Session, twice
from workshop.azure.cluster import Cluster
from workshop.azure.connection import PLACES
from workshop.azure.operations import Accepted
from workshop.azure.registry import Registry
from workshop.runbook.events import Waiting

CLUSTER = "PUT mesh-workshop/primary"


async def cut_off(arm: Arm, session: Session) -> None:
    """A run that is cancelled while both clusters are made, as SIGTERM does."""
    arm.set(durations={**QUICK, "managedClusters": HELD})
    run = asyncio.create_task(session.run())
    clusters = [Cluster(session.azure, place).id for place in PLACES]
    begun = False
    while not begun:
        await asyncio.sleep(0.01)
        begun = all(session.journal.operation(cluster) for cluster in clusters)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_the_very_operation_is_waited_for(arm: Arm, session: Session) -> None:
    await cut_off(arm, session)
    await session.converge_held("AKS cluster")
    assert any("waiting for that very operation" in text for text in session.told)
    assert not twice(arm.sent("PUT"))
    assert not session.journal.under_way()


async def test_a_record_of_version_0_1_is_read(arm: Arm, session: Session) -> None:
    """Endpoint and token with a blank between."""
    await cut_off(arm, session)
    for known in session.journal.under_way():
        accepted = Accepted.read(known.token)
        session.journal.begin(known.resource_id, known.kind, f"{accepted.endpoint} {accepted.token}")
    await session.converge_held("AKS cluster")
    assert any("waiting for that very operation" in text for text in session.told)
    assert not any("of no use any more" in text for text in session.told)
    assert not twice(arm.sent("PUT"))


@pytest.mark.parametrize("token", ["", "not a token", "https://elsewhere abc", '{"endpoint": "https://elsewhere"}'])
async def test_without_a_token_the_resource_tells(token: str, arm: Arm, session: Session) -> None:
    await cut_off(arm, session)
    identifier = Cluster(session.azure).id
    if token:
        session.journal.begin(identifier, "create AKS cluster", token)
    else:
        session.forget()
    await session.converge_held("AKS cluster")
    assert not twice(arm.sent("PUT"))


async def test_an_operation_that_azure_has_forgotten_is_looked_up_by_its_resource(
    arm: Arm, session: Session
) -> None:
    await cut_off(arm, session)
    lost = {"status": 404, "body": {"error": {"code": "NotFound", "message": "The operation was not found"}}}
    arm.set(faults=[{"method": "GET", "path": "/operations/", "times": 2, **lost}])
    await session.converge_held("AKS cluster")
    assert not twice(arm.sent("PUT"))


async def test_one_that_has_failed_meanwhile_is_begun_again(arm: Arm, session: Session) -> None:
    error = {"code": "InternalServerError", "message": "the control plane did not come up"}
    arm.set(failures=[{"type": Cluster.namespace + "/managedClusters", "times": 2, "error": error}])
    await cut_off(arm, session)
    await session.converge_held("AKS cluster")
    assert any("did not come up" in text for text in session.told)
    assert arm.sent("PUT").count(CLUSTER) == 2


@pytest.mark.parametrize("known", [True, False], ids=["by its token", "by its state"])
async def test_a_deletion_that_is_under_way_is_told_as_one(known: bool, arm: Arm, session: Session) -> None:
    await session.converge("azure.acr")
    arm.set(durations={**QUICK, "registries": HELD})
    registry = Registry(session.azure)
    run = asyncio.create_task(session.run("azure.cleanup"))
    begun = False
    while not begun:
        await asyncio.sleep(0.01)
        begun = session.journal.operation(registry.id) is not None
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    if not known:
        session.forget()
    await session.converge_held("registry", "azure.acr")
    begun = [text for text in session.told if "an earlier run has begun" in text]
    assert begun == ["an earlier run has begun to delete it; waiting for that very operation"] * known
    waits = [each.what for each in session.of(Waiting) if "registry" in each.what]
    assert waits[0] == f"delete the {registry.title}"
    assert waits[-1] == registry.title


async def test_a_wait_shows_the_state_and_how_long_it_usually_takes(arm: Arm, session: Session) -> None:
    arm.set(durations={"managedClusters": 0.5})  # a busy machine's first poll is to see it under way
    await session.converge()
    waits = [each for each in session.of(Waiting) if "AKS cluster" in each.what]
    assert "usually 5 min" in waits[0].missing
    assert session.journal.usual("create AKS cluster")
    arm.reset()
    arm.set(durations={"managedClusters": 0.5})
    await session.converge()
    waits = [each for each in session.of(Waiting) if "AKS cluster" in each.what]
    assert "usually" in waits[0].missing
    assert "5 min" not in waits[0].missing, "it knows better now, however long it took"
