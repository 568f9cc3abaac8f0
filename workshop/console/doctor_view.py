"""What `invoke doctor` found: a line for each thing looked at, and below what is not well, what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.runbook.diagnosis import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor_lines(target: str, findings: Sequence[Finding], lines: Lines) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("What a run would find", "bold"), (f"  {target} {lines.glyphs.dot} nothing is changed", "dim")
    )
    yield Text()
    signs = {"ok": lines.glyphs.changed, "warn": lines.glyphs.inconclusive, "fail": lines.glyphs.failed}
    table = Table.grid(padding=(0, 2))
    table.width = lines.width
    table.add_column(width=3, justify="right")
    table.add_column(width=4)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for finding in findings:
        style = _STYLES[finding.state]
        table.add_row(
            Text(signs[finding.state], style), Text(finding.state, style), finding.name, Text(finding.what)
        )
        if finding.next_command and finding.state != "ok":
            table.add_row("", "", "", Text(finding.next_command, "bold cyan"))
    yield table
    yield Text()
    yield _summary(findings, signs)


def _summary(findings: Sequence[Finding], signs: dict[str, str]) -> Text:
    failing = sum(finding.state == "fail" for finding in findings)
    doubtful = sum(finding.state == "warn" for finding in findings)
    if failing:
        said = f"{signs['fail']} {words.count(failing, 'problem')} would make a run fail"
        style = "bold red"
    else:
        said, style = f"{signs['ok']} Nothing would make a run fail", "bold green"
    text = Text(said, style)
    if doubtful:
        text.append(f"  {words.count(doubtful, 'thing')} to look at", "yellow")
    return text
