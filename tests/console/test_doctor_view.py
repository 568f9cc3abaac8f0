"""The doctor's table: what is well in one line each, what is not with the command that helps."""

from __future__ import annotations

import io

from tests.console.rendering import bare, rendered
from workshop.console.doctor_view import doctor_lines
from workshop.console.lines import Lines
from workshop.console.plain import PlainScreen
from workshop.console.words import ASCII, UNICODE
from workshop.runbook.results import Finding

WELL = Finding("kubectl", "ok", "1.37.1", "never shown")
TIGHT = Finding("region's versions", "warn", "1.36 is a preview in westeurope", "invoke lab.azure --plan")
SHORT = Finding("vCPU quota", "fail", "12 of 10 wanted, 4 free (DSv2 family, westeurope)", "az vm list-usage")


def shown(*findings: Finding, lines: Lines | None = None) -> list[str]:
    text = bare(rendered(doctor_lines("mesh-workshop", findings, lines or Lines(100, UNICODE)), 100))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_each_finding_has_a_line_and_each_problem_a_command() -> None:
    assert shown(WELL, TIGHT, SHORT) == [
        "What a run would find mesh-workshop · nothing is changed",
        "✓ ok kubectl 1.37.1",
        "? warn region's versions 1.36 is a preview in westeurope",
        "invoke lab.azure --plan",
        "✗ fail vCPU quota 12 of 10 wanted, 4 free (DSv2 family, westeurope)",
        "az vm list-usage",
        "✗ 1 problem would make a run fail 1 thing to look at",
    ]


def test_when_all_is_well_it_says_so() -> None:
    assert shown(WELL)[-1] == "✓ Nothing would make a run fail"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = "\n".join(shown(WELL, SHORT, lines=Lines(100, ASCII)))
    assert text.isascii()
    assert "+ ok" in text
    assert "x fail" in text


def test_a_long_finding_is_folded_not_cut() -> None:
    long = Finding("quota", "fail", "word " * 60, "")
    text = " ".join(shown(long, lines=Lines(80, UNICODE)))
    assert text.count("word") == 60


def test_a_log_does_not_break_a_command_so_that_it_can_be_copied() -> None:
    command = "mv " + "/a/long/path" * 12
    file = io.StringIO()
    with PlainScreen(file, debug=False, echo=False, glyphs=UNICODE) as screen:
        screen.show_findings("sandbox", [Finding("journal", "fail", "broken", command)])
    assert command in file.getvalue()
