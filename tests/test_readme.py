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


@pytest.mark.parametrize(
    ("place", "task", "locked"),
    [(0, "lab", ["requirements.lock"]), (1, "test", ["requirements-uv.lock", "requirements-dev.lock"])],
)
def test_each_command_is_one_line_that_shows_its_progress(place: int, task: str, locked: list[str]) -> None:
    """Seen: pip, told to be quiet, said nothing for up to 100 s."""
    (line,) = BLOCKS[place].splitlines()
    venv, *installs, invoke = (shlex.split(command) for command in line.split(" && "))
    assert venv == ["python3", "-m", "venv", ".venv"]
    for install in installs:
        assert not [word for word in install if word == "--quiet" or re.match(r"-\w*q|--(no-)?progress", word)]
        assert {"--no-deps", "--require-hashes"} < set(install)
    begins = [
        [".venv/bin/pip", "install"],
        [".venv/bin/uv", "pip", "install", "--system-certs", "--python", ".venv/bin/python"],
    ]
    for install, begin in zip(installs, begins, strict=False):
        assert install[: len(begin)] == begin
    assert [install[-1] for install in installs] == locked
    assert invoke == [".venv/bin/invoke", task]


def test_what_ci_runs_after_readme_s_command_is_all_that_it_leaves_out() -> None:
    """But what is exhaustive, which nobody runs unasked."""
    (quick,) = re.findall(r"pytest -m '(.*)'", (ROOT / "tasks.py").read_text())
    (*_, rest) = re.findall(r"pytest -m '(.*)'", (ROOT / ".ci" / "run").read_text())
    assert (quick, rest) == ("not slow and not exhaustive", "slow and not exhaustive")
