"""Every setting has a variable that a shell can export; a variable that names no setting is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import to_builtins

from tests.cli.conftest import Type
from workshop.mistakes import Mistake, locate, variable_of
from workshop.runbook.errors import UsageError
from workshop.settings import DEFAULT_PROFILE, collected, read_profile


def leaves(content: dict[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, *path, key)
        else:
            yield (*path, key), value


SETTINGS = dict(leaves(read_profile(DEFAULT_PROFILE)))
OTHERS = {int: ("7", 7), bool: ("true", True), list: ("a:1, b:2 c", ("a:1", "b:2", "c")), str: ("other", "other")}


def read(path: tuple[str, ...]) -> Any:
    """The setting's value; or what is told to be wrong, where it is one of a few words and that is none."""
    try:
        found = to_builtins(collected({}))
    except Mistake as mistake:
        locate(mistake)
        return mistake.tried
    for key in path:
        found = found[key]
    return found


def test_no_two_settings_share_a_variable() -> None:
    assert len({variable_of(*path) for path in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_every_setting_has_a_variable(monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]) -> None:
    variable = variable_of(*path)
    assert re.fullmatch(r"INVOKE_[A-Z0-9_]+", variable)
    written, meant = OTHERS[type(SETTINGS[path])]
    monkeypatch.setenv(variable, written)
    assert read(path) in (meant, f"read the variable {variable}")


def test_a_list_of_the_profile_gives_way_to_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_AZURE_IMPORT_IMAGES", "")
    assert collected({"azure": {"import_images": ["a"]}}).azure.import_images == ()


@pytest.mark.parametrize(
    ("variable", "likely", "following"),
    [
        ("INVOKE_ISTIO_INGRES", "INVOKE_ISTIO_INGRESS?", "; export INVOKE_ISTIO_INGRESS='a b'"),
        ("INVOKE_IMAGES_HTTPBINN", "INVOKE_IMAGES_HTTPBIN?", "; export INVOKE_IMAGES_HTTPBIN='a b'"),
        ("INVOKE_RUN_DRI", "INVOKE_RUN_DRY?", "; export INVOKE_RUN_DRY='a b'"),
        ("INVOKE_AZURE_PRIMARY", "INVOKE_AZURE_PRIMARY_CLUSTER or INVOKE_AZURE_PRIMARY_GROUP?", ""),
        ("INVOKE_QQQQ", "of the workshop's or of Invoke's own", ""),
    ],
)
def test_one_that_names_no_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, likely: str, following: str
) -> None:
    monkeypatch.setenv(variable, "a b")
    with pytest.raises(UsageError) as refused:
        collected({})
    assert refused.value.tried == f"read the variable {variable}"
    assert likely in refused.value.cause
    assert refused.value.next_command == f"unset {variable}{following}"


def test_invoke_s_own_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUN_ECHO", "SUDO_PASSWORD", "TASKS_DEDUPE", "TIMEOUTS_COMMAND", "RUNTIME_CONFIG", "DEBUG"):
        monkeypatch.setenv(f"INVOKE_{name}", "")
    monkeypatch.setenv("INVOKE_RUN_ENV_PAGER", "cat")
    assert collected({"run": {"env": {"PAGER": "less"}}}).target == "sandbox"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("lab.istio.install --explain", 2),
        ("doctor", 2),
        ("sandbox.status", 2),
        ("--list", 0),
        ("--help lab.istio", 0),
    ],
)
def test_whatever_reads_settings_refuses_it(
    typed: Type, monkeypatch: pytest.MonkeyPatch, line: str, status: int
) -> None:
    """Seen: a gateway stayed public."""
    monkeypatch.setenv("INVOKE_ISTIO_INGRES", "private")
    assert typed(line).status == status
