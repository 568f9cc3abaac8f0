"""The workshop's own images in its registry: built once by ACR Tasks, or copied where those are not allowed."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any

import msgspec
import pytest

from tests.kit.azure import SUBSCRIPTION, Arm, Session, lab_of, profile
from workshop import settings
from workshop.azure import azure_steps as steps
from workshop.azure.rules import validate
from workshop.runbook.errors import UsageError
from workshop.runbook.events import Told, Waiting
from workshop.runbook.plan import explain
from workshop.runbook.request import Request
from workshop.settings import OwnImage

GIT = "https://github.com/a/{}.git#c0ffee"
NAMES = ("ratings-api", "ratings-web")
OWN = {name: OwnImage(GIT.format(name), "ghcr.io/stefanprodan/podinfo:6.9.2") for name in NAMES}
RUNS = "Microsoft.ContainerRegistry/registries/runs"


def wanting(session: Session, **changed: Any) -> None:
    session.settings = msgspec.structs.replace(session.settings, **changed)


@pytest.fixture
def session(session: Session) -> Session:
    wanting(session, own_images=OWN, images="auto")
    session.runbook = lab_of(steps.group("Group"), steps.registry("Registry"), steps.own_images("Own images"))
    return session


def scheduled(arm: Arm) -> int:
    return len([each for each in arm.sent("POST") if each.endswith("/scheduleRun")])


def imported(arm: Arm) -> int:
    return len([each for each in arm.sent("POST") if each.endswith("/importImage")])


def in_registry(arm: Arm) -> set[str]:
    (images,) = arm._server.state.images.values()
    return images


def told(session: Session) -> str:
    return "\n".join(each.text for each in session.of(Told))


async def test_images_are_built_once_and_again_when_their_source_changes(arm: Arm, session: Session) -> None:
    await session.converge("azure.one")
    assert (scheduled(arm), imported(arm)) == (2, 0)
    assert in_registry(arm) == set(session.settings.own_targets.values())
    arm.clear()
    assert set(await session.converge("azure.one")) == {"unchanged"}
    assert {each["method"] for each in arm.requests()} == {"GET"}
    wanting(session, own_images={**OWN, "ratings-web": OwnImage(GIT.format("ratings-web") + "2")})
    await session.converge("azure.one")
    assert scheduled(arm) == 1


async def test_where_tasks_are_not_allowed_auto_copies_and_says_so(arm: Arm, session: Session) -> None:
    arm.set(tasks=False)
    await session.converge("azure.one")
    assert "ACR Tasks are not allowed here" in told(session)
    assert imported(arm) == 2
    assert in_registry(arm) == set(session.settings.own_targets.values())
    assert set(await session.converge("azure.one")) == {"unchanged"}


async def test_where_tasks_are_not_allowed_build_is_an_error_that_says_what_to_type(
    arm: Arm, session: Session
) -> None:
    wanting(session, images="build")
    arm.set(tasks=False)
    assert await session.run("azure.one") == 1
    (error,) = session.errors
    assert "free credits" in error.cause  # type: ignore[attr-defined]
    wanted = "INVOKE_AZURE_IMAGES=import invoke -f here.yaml lab.azure.one"
    assert error.next_command == wanted  # type: ignore[attr-defined]
    assert not imported(arm)


async def test_with_nothing_to_stand_in_auto_is_as_build(arm: Arm, session: Session) -> None:
    wanting(session, own_images={"ratings-api": OwnImage(GIT.format("ratings-api"))})
    arm.set(tasks=False)
    assert await session.run("azure.one") == 1


async def test_import_asks_for_no_build(arm: Arm, session: Session) -> None:
    wanting(session, images="import")
    await session.converge("azure.one")
    assert (scheduled(arm), imported(arm)) == (0, 2)


async def test_a_failed_build_tells_how_to_see_its_log_and_is_begun_anew(arm: Arm, session: Session) -> None:
    error = {"code": "Failed", "message": "no Dockerfile"}
    arm.set(failures=[{"type": RUNS, "error": error}])
    assert await session.run("azure.one") == 1
    failed: Any = session.errors[0]
    assert "ended as Failed: no Dockerfile" in failed.came_back
    assert "http" not in failed.cause  # a link to the log lets anybody read it
    assert "az acr task logs --registry" in failed.next_command
    await session.converge("azure.one")
    assert scheduled(arm) == 3


async def held(arm: Arm, session: Session, count: int) -> None:
    """A run that is cut off when so many builds have been begun, while Azure builds."""
    arm.set(durations={"builds": 600.0})
    running = asyncio.create_task(session.run("azure.one"))
    while scheduled(arm) < count or not session.of(Waiting):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_cut_off_and_begun_again_it_waits_for_that_very_run(arm: Arm, session: Session) -> None:
    await held(arm, session, 2)
    await session.converge_held("image ratings-api", "azure.one")
    assert "waiting for that very run" in told(session)
    assert scheduled(arm) == 2
    assert not session.journal.under_way()


async def test_cut_off_before_its_id_was_written_down_the_registry_tells(arm: Arm, session: Session) -> None:
    await held(arm, session, 2)
    session.forget()
    await session.converge_held("run cb", "azure.one")
    assert scheduled(arm) == 2


async def test_a_lost_answer_begins_no_second_build(arm: Arm, session: Session) -> None:
    arm.set(faults=[{"method": "POST", "path": "scheduleRun", "reset": True, "acts": True}])
    await session.converge("azure.one")
    assert scheduled(arm) == 2
    assert in_registry(arm) == set(session.settings.own_targets.values())


def typed(session: Session) -> tuple[str, ...]:
    (explained,) = explain(session.runbook, Request(("azure.one",)), session.toolbox)
    return explained.steps[-1].explanation.commands


@pytest.mark.parametrize(
    ("way", "beginnings"), [("build", ["build"]), ("import", ["import"]), ("auto", ["build", "import"])]
)
def test_it_is_explained_as_a_person_would_type_it(session: Session, way: Any, beginnings: list[str]) -> None:
    wanting(session, images=way)
    first, _, tag = typed(session)
    parts = [shlex.split(part) for part in first.split(" || ")]
    assert [words[:3] for words in parts] == [["az", "acr", each] for each in beginnings]
    for words in parts:
        assert words[words.index("--image") + 1] == session.settings.own_targets["ratings-api"]
        assert words[words.index("--subscription") + 1] == SUBSCRIPTION
    if way != "import":
        assert parts[0][-1] == GIT.format("ratings-api")
    assert "--operation Merge --tags workshop-own-images=" in tag


async def test_a_plan_says_both_ways(arm: Arm, session: Session) -> None:
    planned = str(await session.plan("azure.one"))
    assert f"built from {GIT.format('ratings-api')}" in planned
    assert "where ACR Tasks are not allowed" in planned
    assert not arm.sent("POST")


def test_pods_on_azure_pull_them_and_no_image_has_the_tag_of_another(session: Session) -> None:
    everything = settings.from_config(settings.read_profile(settings.DEFAULT_PROFILE))
    own = profile(own_images=OWN, subscription=SUBSCRIPTION)
    on_azure = msgspec.structs.replace(everything, target="azure", azure=own)
    registry = own.registry_in(session.azure.subscription)
    assert on_azure.pins["ratings-api"] == f"{registry}.azurecr.io/{own.own_targets['ratings-api']}"
    assert on_azure.pins["mongo"] == everything.images["mongo"]
    on_sandbox = msgspec.structs.replace(everything, azure=own)
    assert on_sandbox.pins == everything.pins
    ways = ("auto", "build", "import")
    assert len({msgspec.structs.replace(own, images=way).own_targets["ratings-api"] for way in ways}) == 3


@pytest.mark.parametrize(
    ("own", "way", "key"),
    [
        ({"a": OwnImage("https://github.com/a/b.git")}, "auto", "azure.own_images.a.git"),
        ({"a": OwnImage("git@github.com:a/b.git#c")}, "auto", "azure.own_images.a.git"),
        ({"A": OwnImage(GIT)}, "auto", "azure.own_images.A"),
        ({"a": OwnImage("https://github.com/a/b.git#c")}, "import", "azure.own_images.a.copy"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(own: dict[str, OwnImage], way: Any, key: str) -> None:
    with pytest.raises(UsageError) as refused:
        validate(profile(own_images=own, images=way))
    assert key in f"{refused.value.came_back} {refused.value.cause}"
