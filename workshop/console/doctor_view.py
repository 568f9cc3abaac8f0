"""What `invoke doctor` found: a line for each thing looked at, and below what is not well, what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.commands import unbroken
from workshop.console.lines import Lines
from workshop.runbook.results import Finding

_SIGN, _STATE, _GAP = 3, 4, 2
"""Columns of a finding's sign, of its state, and between all of them."""

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor_lines(target: str, findings: Sequence[Finding], lines: Lines) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("What a run would find", "bold"), (f"  {target} {lines.glyphs.dot} nothing is changed", "dim")
    )
    yield Text()
    signs = {"ok": lines.glyphs.changed, "warn": lines.glyphs.inconclusive, "fail": lines.glyphs.failed}
    names = max(cell_len(finding.name) for finding in findings)
    for finding in findings:
        yield _row(finding, signs[finding.state], names, lines.row_width)
        if finding.next_command and finding.state != "ok":
            # Outside the table, which would break it in a log as well: it is for copying.
            indent = " " * (_SIGN + _STATE + names + 3 * _GAP)
            yield unbroken(indent, (finding.next_command, "bold cyan"))
    yield Text()
    yield _summary(findings, signs)


def _row(finding: Finding, sign: str, names: int, width: int) -> RenderableType:
    style = _STYLES[finding.state]
    table = Table.grid(padding=(0, _GAP))
    table.width = width
    table.add_column(width=_SIGN, justify="right")
    table.add_column(width=_STATE)
    table.add_column(width=names, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text(sign, style), Text(finding.state, style), finding.name, Text(finding.what))
    return table


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
