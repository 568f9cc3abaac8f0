"""A profile is checked as a whole; each mistake names its key and what to write instead."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from workshop import settings
from workshop.runbook.errors import UsageError


@pytest.fixture
def profile() -> dict[str, Any]:
    return copy.deepcopy(settings.read_profile(settings.DEFAULT_PROFILE))


def test_the_default_profile_is_valid(profile: dict[str, Any]) -> None:
    assert settings.from_config(profile).target == "sandbox"


def test_invokes_own_keys_are_not_ours(profile: dict[str, Any]) -> None:
    assert settings.from_config({**profile, "run": {}, "tasks": {}, "sudo": {}, "timeouts": {}, "runners": {}})


@pytest.mark.parametrize(
    ("section", "key", "value", "words", "cause"),
    [
        ("istio", "versoin", "1", "there is no setting istio.versoin", "did you mean istio.version?"),
        (None, "targett", "x", "there is no setting targett", "did you mean target?"),
        (None, "qqqqqq", "x", "there is no setting qqqqqq", "valid are target, state"),
        (None, "target", "moon", "target is 'moon'; it has to be sandbox, azure or cluster", ""),
        ("istio", "version", ["1"], "istio.version is a list; it has to be text", ""),
        ("istio", "version", None, "istio.version is empty; it has to be text", "without the key, the default"),
        ("images", "x", "", "images.x is ''; it has to be the name of an image", ""),
        ("images", "x", 3, "images.x is 3; it has to be text", "without quotes"),
        ("azure", "import_images", ["a", 1], "azure.import_images[1] is 1; it has to be text", "without quotes"),
        ("azure", "import_images", 3, "azure.import_images is 3; it has to be a list", ""),
        ("azure", "monitoring", "maybe", "azure.monitoring is 'maybe'; it has to be true or false", ""),
        (None, "istio", 3, "istio is 3; it has to be a mapping", ""),
        ("azure", 1, "x", "there is no setting azure.1", "names of settings are text"),
    ],
)
def test_a_mistake_names_its_key(
    profile: dict[str, Any], section: str | None, key: Any, value: object, words: str, cause: str
) -> None:
    (profile[section] if section else profile)[key] = value
    with pytest.raises(UsageError) as refused:
        settings.from_config(profile)
    assert words in refused.value.came_back
    assert cause in refused.value.cause
    assert refused.value.exit_status == 2


def test_what_is_given_lies_over_the_default_profile_and_variables_over_both(
    profile: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKE_AZURE_NODES_COUNT", "5")
    monkeypatch.setenv("INVOKE_AZURE_MONITORING", "false")
    found = settings.collected({"azure": {"nodes": {"count": 4, "pool": "mine"}}, "run": {"echo": True}})
    assert (found.azure.nodes.count, found.azure.nodes.pool) == (5, "mine")
    assert found.azure.nodes.size == profile["azure"]["nodes"]["size"]
    assert found.azure.monitoring is False


@pytest.mark.parametrize("given", [{"azure": None}, {"azure": {"nodes": None}}, {"azure": {"import_images": None}}])
def test_a_section_whose_keys_are_all_commented_out_gives_none(
    profile: dict[str, Any], given: dict[str, Any]
) -> None:
    assert settings.collected(given) == settings.from_config(profile)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"azure": []},
            "azure is a list; it has to be a mapping of settings (subscription, tenant",
        ),
        (
            {"azure": {"nodes": 3}},
            "azure.nodes is 3; it has to be a mapping of settings (size, count, ",
        ),
        ({"images": 3}, "images is 3; it has to be a mapping"),
    ],
)
def test_a_value_where_settings_are_kept_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings.collected(given)
    assert words in refused.value.came_back


@pytest.mark.parametrize(("idle", "seconds"), [("30m", 1800), ("12h", 43_200), ("2d", 172_800)])
def test_how_long_a_sandbox_is_idle(profile: dict[str, Any], idle: str, seconds: int) -> None:
    assert settings.from_config(profile).sandbox.idle_seconds == 3600
    profile["sandbox"]["idle"] = idle
    assert settings.from_config(profile).sandbox.idle_seconds == seconds


@pytest.mark.parametrize("idle", ["", "0m", "1", "60s", "1h30m", "-1h", "1 h", "²h", "1000000d"])
def test_what_is_no_time_is_refused(profile: dict[str, Any], idle: str) -> None:
    profile["sandbox"]["idle"] = idle
    with pytest.raises(UsageError, match=r"sandbox\.idle is .*; it has to be a time as 30m, 12h or 2d"):
        settings.from_config(profile)


def test_a_cluster_must_be_named(profile: dict[str, Any]) -> None:
    profile["target"] = "cluster"
    with pytest.raises(UsageError, match=r"cluster\.context names no context"):
        settings.from_config(profile)


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    broken = tmp_path / "mine.yaml"
    broken.write_text("target: sandbox\nistio: {version: 1\ntraffic: x\n")
    with pytest.raises(UsageError, match=r"mine\.yaml, line 3"):
        settings.read_profile(broken)


def test_a_missing_profile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        settings.read_profile(tmp_path / "none.yaml")


@pytest.mark.parametrize("target", ["sandbox", "cluster"])
def test_only_the_sandbox_takes_the_images_that_it_alone_has(profile: dict[str, Any], target: str) -> None:
    profile |= {"target": target, "cluster": {**profile["cluster"], "context": "mine"}}
    loaded = settings.from_config(profile)
    own = {"ratings-api", "ratings-web"}
    assert set(loaded.sandbox.images) == own <= set(loaded.images)
    for name, image in loaded.pins.items():
        assert image.startswith("sandbox.invalid/") == (target == "sandbox" and name in own)
