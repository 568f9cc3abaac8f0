"""A mistake is told with the line of the profile, or the variable, that it stands in, as it is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from workshop import settings
from workshop.mistakes import Mistake, locate


def mistake_in(profile: Path, text: str) -> Mistake:
    profile.write_text(text)
    with pytest.raises(Mistake) as found:
        settings.collected(settings.read_profile(profile))
    locate(found.value, str(profile))
    return found.value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("azure:\n  nodes: 3\n", 2),
        ("azure:\n  nodes:\n    size: Standard_D4s_v5\n    cuont: 3\n", 4),
        ("azure: {nodes: {count: many}}\n", 1),
        ("azure:\n  import_images:\n  - a\n  - [b]\n", 4),
        ("images:\n  curl: []\n", 2),
    ],
)
def test_the_line_is_named(tmp_path: Path, text: str, line: int) -> None:
    assert mistake_in(tmp_path / "my.yaml", text).tried == f"read {tmp_path}/my.yaml, line {line}"


@pytest.mark.parametrize(
    ("key", "written"),
    [("kubernetes", "1.30"), ("subscription", "1234"), ("tag", "yes"), ("tag", "2026-01-02"), ("tag", "007")],
)
def test_a_text_without_quotes_is_shown_as_written_and_quoted(tmp_path: Path, key: str, written: str) -> None:
    mistake = mistake_in(tmp_path / "my.yaml", f"azure:\n  {key}: {written}\n")
    assert mistake.came_back == f"azure.{key} is {written}; it has to be text"
    assert mistake.cause.endswith(f'write it in quotes: "{written}"')


def test_the_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_AZURE_NODES_COUNT", "abc")
    mistake = mistake_in(tmp_path / "my.yaml", "azure: {nodes: {count: 3}}\n")
    assert mistake.tried == "read the variable INVOKE_AZURE_NODES_COUNT"
    assert mistake.came_back == "azure.nodes.count is 'abc'; it has to be a whole number"


def test_what_stands_in_neither_is_told_without_a_place(tmp_path: Path) -> None:
    mistake = Mistake("azure.tag", "azure.tag is odd")
    for profile in ("", str(tmp_path / "none.yaml")):
        locate(mistake, profile)
    assert mistake.tried == "read the settings"
