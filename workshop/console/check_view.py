"""A check as it goes: the lines of a run, but what is said of a step is where it is, not what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from rich.console import Group, RenderableType
from rich.text import Text

from workshop.console import words
from workshop.console.bars import verdict_lines
from workshop.console.by_hand import added_lines
from workshop.console.commands import unbroken
from workshop.console.errors import error_lines
from workshop.console.lines import INDENT, Lines
from workshop.console.told import told_blocks
from workshop.runbook import events
from workshop.runbook.results import Outcome

_STYLES: dict[Outcome, tuple[str, str]] = {
    "missing": ("failed", "bold red"),
    "left": ("failed", "bold red"),
    "failed": ("failed", "bold red"),
    "inconclusive": ("inconclusive", "yellow"),
    "proved": ("changed", "green"),
    "unchanged": ("unchanged", "dim"),
    "skipped": ("skipped", "dim"),
}
"""Glyph and style, the worst first."""

_ENDINGS = {
    0: ("changed", "Converged", "bold green"),
    1: ("failed", "Not converged", "bold red"),
    3: ("inconclusive", "Inconclusive", "bold yellow"),
    130: ("skipped", "Interrupted", "bold yellow"),
}


@dataclass(frozen=True, slots=True)
class CheckLines(Lines):
    @classmethod
    def of(cls, lines: Lines) -> CheckLines:
        return cls(**{field.name: getattr(lines, field.name) for field in fields(lines)})

    def start(self, event: events.RunStarted) -> RenderableType:
        facts = (event.target, words.count(len(event.labs) - event.needs, "lab"), "nothing is changed")
        return Text.assemble(
            ("What is there, checked and measured", "bold"), (f"  {f' {self.glyphs.dot} '.join(facts)}", "dim")
        )

    def is_quiet(self, event: events.StepFinished) -> bool:
        return super(CheckLines, self).is_quiet(event) and not (event.check and event.check.added)

    def step_row(self, event: events.StepFinished) -> RenderableType:
        glyph, style = _STYLES[event.outcome]
        body = self.titled(event.title, event.note, style="dim" if event.outcome == "skipped" else "")
        sign, word = Text(getattr(self.glyphs, glyph), style), Text(event.outcome, style)
        return self.row(sign, word, str(event.step), body, event.seconds if event.verdict or event.error else None)

    def step(self, event: events.StepFinished, told: Sequence[str]) -> RenderableType:
        check = event.check
        blocks: list[RenderableType] = [*self.differences(check.differences, whole=True)] if check else []
        blocks += added_lines(check.added, self) if check else []
        blocks += told_blocks(told)
        if event.verdict:
            blocks.append(verdict_lines(event.verdict, self.width - INDENT, self.glyphs))
        if event.error:
            blocks.append(error_lines(event.error, debug=self.debug))
        return Group(self.step_row(event), *map(self.below, blocks))

    def summary(self, event: events.RunFinished, part: tuple[int, int] = (1, 1)) -> RenderableType:
        glyph, word, style = _ENDINGS[event.exit_status]
        counts = [
            Text(f"{event.counts[kind]} {kind}", _STYLES[kind][1]) for kind in _STYLES if event.counts.get(kind)
        ]
        line = Text.assemble((f"{getattr(self.glyphs, glyph)} {word}", style), "  " if counts else "")
        line.append(Text(f" {self.glyphs.dot} ").join(counts))
        line.append(f"  part {part[0]} of {part[1]}" * (part[1] > 1), "dim")
        line.append("  nothing was changed", "dim")
        line.append(f"  {words.duration(event.seconds)}", "bold")
        what = "  a run puts it right  " if event.exit_status == 1 else "  once more  "
        following = unbroken((what, "dim"), (event.resume, "bold cyan"))
        return Group(Text(), line, *([following] if event.resume else []))
