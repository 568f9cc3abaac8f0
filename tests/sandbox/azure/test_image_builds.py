"""Builds in registries, by the SDK's own client: Azure's refusal of ACR Tasks is worded as users have reported it
(Azure-Samples/azure-search-openai-demo#2592), statuses and properties are the SDK's."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .test_registries import body
from .world import Arm, refused

BUILD = {
    "type": "DockerBuildRequest",
    "sourceLocation": "https://github.com/a/b.git#c0ffee:web",
    "dockerFilePath": "Dockerfile",
    "imageNames": ["b:c0ffee"],
    "isPushEnabled": True,
    "platform": {"os": "Linux", "architecture": "amd64"},
}


@pytest.fixture
def registry(arm: Arm, group: str) -> str:
    arm.registries.registries.begin_create(group, "builder", body()).result()
    return "builder"


def over(arm: Arm, group: str, registry: str, id_: str) -> Any:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        properties = arm.builds.runs.get(group, registry, id_).properties
        if properties.finish_time:
            return properties
    raise AssertionError(f"{id_} does not end")


def test_a_build_is_queued_runs_and_then_says_what_it_has_made(arm: Arm, group: str, registry: str) -> None:
    arm.set(durations={"builds": 600})
    begun = arm.builds.registries.schedule_run(group, registry, BUILD).properties
    assert begun.status == "Queued"
    running = arm.builds.runs.get(group, registry, begun.run_id).properties
    assert (running.status, running.output_images) == ("Running", None)
    arm.set(durations={"builds": 0})
    ended = over(arm, group, registry, begun.run_id)
    assert ended.status == "Succeeded"
    (image,) = ended.output_images
    assert (image.registry, image.repository, image.tag) == ("builder.azurecr.io", "b", "c0ffee")
    assert begun.run_id in [run.name for run in arm.builds.runs.list(group, registry)]


@pytest.mark.parametrize(("code", "status"), [("Timeout", "Timeout"), ("BuildFailed", "Failed")])
def test_a_build_can_fail_and_its_log_is_somewhere(
    arm: Arm, group: str, registry: str, code: str, status: str
) -> None:
    error = {"code": code, "message": "no Dockerfile"}
    arm.set(failures=[{"type": "Microsoft.ContainerRegistry/registries/runs", "error": error}])
    id_ = arm.builds.registries.schedule_run(group, registry, BUILD).properties.run_id
    ended = over(arm, group, registry, id_)
    assert (ended.status, ended.run_error_message) == (status, "no Dockerfile")
    link = arm.builds.runs.get_log_sas_url(group, registry, id_).log_link
    answered, log, _ = arm.ask("GET", link.removeprefix(arm.url))
    assert answered == 200
    assert "no Dockerfile" in log


def test_tasks_are_refused_as_to_those_on_free_credits(arm: Arm, group: str, registry: str) -> None:
    arm.set(tasks=False)
    error = refused(lambda: arm.builds.registries.schedule_run(group, registry, BUILD))
    assert (error.status_code, error.error.code) == (400, "TasksOperationsNotAllowed")
    assert error.error.message.startswith(f"ACR Tasks requests for the registry builder and {arm.subscription} are")
    assert not list(arm.builds.runs.list(group, registry))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"type": "FileTaskRunRequest"}, "'type': 'FileTaskRunRequest'"),
        ({"sourceLocation": "https://x.blob.core.windows.net/source.tar.gz"}, "sourceLocation"),
        ({"arguments": [{"name": "A", "value": "b"}]}, "arguments"),
        ({"platform": {"os": "Windows"}}, "platform.os"),
        ({"imageNames": []}, "imageNames"),
        ({"isPushEnabled": False}, "isPushEnabled"),
        ({"odd": 1}, "odd"),
    ],
)
def test_what_is_not_built_is_refused_by_name(
    arm: Arm, group: str, registry: str, wanted: dict[str, Any], said: str
) -> None:
    error = refused(lambda: arm.builds.registries.schedule_run(group, registry, {**BUILD, **wanted}))
    assert error.status_code == 400
    assert said in error.error.message


def test_what_is_not_there_is_not_found(arm: Arm, group: str, registry: str) -> None:
    assert refused(lambda: arm.builds.runs.get(group, registry, "cb99")).status_code == 404
    error = refused(lambda: list(arm.builds.runs.list(group, registry, top=1)))
    assert "$top" in error.error.message
