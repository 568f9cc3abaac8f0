"""`--help` and `--list` are wrapped at words, in as many columns as the terminal has."""

from __future__ import annotations

import pytest

import tasks
from tests.cli.conftest import Type
from workshop.cli.program import Program

SAYS = {
    "--list": [],
    "--help lab.istio": ["holds for all labs"],
    "--help sandbox.down": ["Stop the sandbox;"],
    **{
        f"--help lab.{lab.name}": [lab.title, lab.text, *(option.help for option in lab.options)]
        for lab in tasks.RUNBOOK.labs
    },
}


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_no_word_is_broken(typed: Type, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Seen at 80 columns: `names t` and `he`, as the labs' texts are written in lines of up to 92."""
    monkeypatch.setattr("workshop.cli.program.pty_size", lambda: (columns, 24))
    for line, texts in SAYS.items():
        ran = typed(line)
        assert (ran.status, ran.err) == (0, "")
        assert max(map(len, ran.out.splitlines())) <= columns
        assert set(" ".join(texts).split()) <= set(ran.out.split()), line


def test_a_flag_s_name_is_not_broken_at_its_dashes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workshop.cli.program.pty_size", lambda: (40, 24))
    Program().print_columns([("--promote", "As far as --promote-stages and --max-errors let it go.")])
    assert {"--promote-stages", "--max-errors"} < set(capsys.readouterr().out.split())
