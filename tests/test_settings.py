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
        (None, "target", "moon", "target is 'moon'", "valid are sandbox, azure, cluster"),
        ("istio", "version", ["1"], "istio.version is ['1']", "Expected str"),
        ("images", "x", 3, "images[...]: Expected str, got int", ""),
        (None, "istio", 3, "istio is 3", "Expected object"),
    ],
)
def test_a_mistake_names_its_key(
    profile: dict[str, Any], section: str | None, key: str, value: object, words: str, cause: str
) -> None:
    (profile[section] if section else profile)[key] = value
    with pytest.raises(UsageError) as refused:
        settings.from_config(profile)
    assert words in refused.value.came_back
    assert cause in refused.value.cause
    assert refused.value.exit_status == 2


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
