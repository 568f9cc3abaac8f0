"""Lines as `invoke` reads them, in this process: the stock Program of Invoke, which loads tasks.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.main import program

from sandbox.server import launcher
from workshop.settings import ROOT


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, str]:
        """The lines of an error, by what stands before them."""
        return {line[:9].rstrip(): line[9:].strip() for line in self.err.splitlines()}


Type = Callable[[str], Ran]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Type]:
    """What a line ends with, and what it says."""
    for name, value in {"INVOKE_STATE": str(tmp_path / "state"), "COLUMNS": "300", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)

    def run(line: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["invoke", *line.split()])
        status = 0
        try:
            program.run()
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return Ran(status, said.out, said.err)

    yield run
    launcher.stop(tmp_path / "state" / "sandbox")  # which a line that is refused late has started
