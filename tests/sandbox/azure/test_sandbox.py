"""Azure as a part of the sandbox: where it is said to be, its settings at the start, and its end."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher

from .world import LOCATION, Arm, cluster_body


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    launcher.stop(tmp_path / "state")


def test_the_environment_sets_it_and_it_ends_with_all_its_clusters(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_ = {"durations": {"managedClusters": 0}, "providers": {"Microsoft.Network": "NotRegistered"}}
    monkeypatch.setenv("WORKSHOP_SANDBOX_AZURE", json.dumps(set_))
    launcher.ensure(folder)
    arm = Arm.of(folder)
    assert stat.S_IMODE((folder / "azure.json").stat().st_mode) == 0o600
    assert arm.resources.providers.get("Microsoft.Network").registration_state == "NotRegistered"
    arm.resources.resource_groups.create_or_update("g", {"location": LOCATION})
    made = arm.clusters.managed_clusters.begin_create_or_update("g", "one", cluster_body()).result()
    assert made.properties.provisioning_state == "Succeeded"
    assert list((folder / "clusters").iterdir())
    assert launcher.stop(folder)
    assert "Traceback" not in (folder / "log").read_text()

    launcher.ensure(folder)
    again = Arm.of(folder)
    assert (again.subscription, again.url) == (arm.subscription, arm.url), "a folder keeps its subscription"
    assert again.token != arm.token
    assert not (folder / "clusters").exists()
    assert list(again.resources.resource_groups.list()) == []


def test_settings_that_make_no_sense_are_said_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SANDBOX_AZURE", '{"speed": 1}')
    with pytest.raises(launcher.SandboxError, match="ended with status 1") as failure:
        launcher.ensure(folder)
    assert "speed: not a setting" in failure.value.log


def test_an_operation_under_way_keeps_it_awake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SANDBOX_AZURE", '{"durations": {"registries": 600}}')
    launcher.ensure(folder, idle_seconds=1)
    arm = Arm.of(folder)
    arm.resources.resource_groups.create_or_update("g", {"location": LOCATION})
    body = {"location": LOCATION, "sku": {"name": "Basic"}}
    arm.registries.registries.begin_create("g", "keepsawake", body, polling=False)
    time.sleep(2.2)  # twice as long as it stays without
    assert launcher.status(folder)
