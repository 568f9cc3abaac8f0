"""README's quick start: what a person types first."""

from __future__ import annotations

import re
import shlex

import pytest

from workshop.settings import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(
    r"^```sh\n(.*?)^```", README.partition("\n## Quick start\n")[2].partition("\n## ")[0], re.M | re.S
)


@pytest.mark.parametrize(("place", "task", "locked"), [(0, "lab", "requirements"), (1, "test", "requirements-dev")])
def test_each_command_is_one_line_that_shows_its_progress(place: int, task: str, locked: str) -> None:
    """Seen: pip, told to be quiet, said nothing for up to 100 s."""
    (line,) = BLOCKS[place].splitlines()
    venv, pip, invoke = (shlex.split(command) for command in line.split(" && "))
    assert venv == ["python3", "-m", "venv", ".venv"]
    assert pip[:2] == [".venv/bin/pip", "install"]
    assert not [word for word in pip if word == "--quiet" or re.match(r"-\w*q|--progress-bar", word)]
    assert pip[-1] == f"{locked}.lock"
    assert {"--no-deps", "--require-hashes"} < set(pip)
    assert invoke == [".venv/bin/invoke", task]
