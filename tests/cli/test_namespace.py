"""A tasks.py of somebody else's: four lines, and a runbook of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from invoke.parser.argument import Argument

from tests.cli.conftest import Type
from tests.kit.workshop import BIN
from workshop.cli.lab_tasks import LabTask
from workshop.settings import ROOT

LABS = """
from workshop.runbook import Lab, Runbook

RUNBOOK = Runbook((
    Lab("mine.second", "Do this first", "What it teaches.", ()),
    Lab("mine.first", "And then this", "What that teaches.", ()),
))
"""
TASKS = """
import workshop.cli
from my_labs import RUNBOOK
from workshop.cli.namespace import namespace

ns = namespace(RUNBOOK)
"""


def test_four_lines_are_enough(tmp_path: Path) -> None:
    (tmp_path / "my_labs.py").write_text(LABS)
    (tmp_path / "tasks.py").write_text(TASKS)
    listed = subprocess.run(
        [BIN / "invoke", "--list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )
    names = [line.split()[0] for line in listed.stdout.splitlines()[2:] if line[:3].strip()]
    assert names == [
        *(
            "adopt",
            "bundle",
            "doctor",
            "handout",
            "history",
            "observe",
            "report",
            "reset",
            "resume",
            "shell",
            "status",
            "watch",
        ),
        *(
            f"class.{task}"
            for task in ("adopt", "check", "doctor", "down", "kubeconfigs", "reset", "run", "status", "up")
        ),
        *("lab.all", "lab.mine.all", "lab.mine.second", "lab.mine.first"),
        *("sandbox.down", "sandbox.load", "sandbox.save", "sandbox.shell", "sandbox.status", "sandbox.up"),
    ], "labs in their own order"


@pytest.mark.parametrize(
    ("line", "named"), [("--list", []), ("--complete -- invoke lab.istio.canary --", ["canary"])]
)
def test_to_list_or_complete_only_the_task_named_tells_its_flags(
    typed: Type, monkeypatch: pytest.MonkeyPatch, line: str, named: list[str]
) -> None:
    """Those of all tasks take longer to put together than the list."""
    asked: list[str] = []

    def arguments(task: LabTask, ignore_unknown_help: bool | None = None) -> list[Argument]:
        asked.append(task.name)
        return [Argument("flag", kind=bool, default=False)]

    monkeypatch.setattr("workshop.cli.lab_tasks.LabTask.get_arguments", arguments)
    ran = typed(line)
    assert (ran.status, sorted(set(asked))) == (0, named)
    assert ("--flag" in ran.out) == bool(named)
