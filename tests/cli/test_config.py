"""The files and variables that Invoke reads by itself: what is wrong with them is wrong usage, in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from tests.broken.test_nested_beyond_measure import DEEP, LAUGHS
from workshop.cli.config import Config
from workshop.runbook.errors import UsageError
from workshop.settings import load


def read(folder: Path, name: str, text: str) -> Config:
    """With that file beside tasks.py."""
    (folder / name).write_text(text)
    config = Config(project_location=str(folder))
    config.load_project()
    config.load_shell_env()
    return config


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("invoke.yaml", "a: [1", "invoke.yaml, line 2, column 1"),
        ("invoke.yml", "- a", "it is not a mapping of settings"),
        ("invoke.yaml", "target: sandbox\n1: 3", "invoke.yaml, line 2"),
        ("invoke.yaml", LAUGHS, "its anchors stand for more than 10,000 values"),
        ("invoke.json", f'{{"images": {DEEP}}}', "nested more than 50 levels deep"),
        ("invoke.json", '{"target": }', "JSONDecodeError"),
        ("invoke.json", "[]", "it is not a mapping of settings"),
        ("invoke.py", "1 / 0", "ZeroDivisionError"),
        ("invoke.yaml", "run: 3", "one of Invoke's own"),
    ],
)
def test_a_project_s_file_is_guarded_as_a_profile_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    with pytest.raises(Exit) as refused:
        read(tmp_path, name, text)
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_in_it_is_a_setting(tmp_path: Path) -> None:
    config = read(tmp_path, "invoke.yaml", "istio: {ingress: private}\nrun: {echo: true}")
    assert load(config).istio.ingress == "private"
    assert config.run.echo is True
    with pytest.raises(UsageError, match="no setting istio"):
        load(read(tmp_path, "invoke.yaml", "istio: {ingres: private}"))
