"""What somebody has added by hand and a run leaves alone, as a plan and a check name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.contrast import flow
from workshop.console.lines import Lines
from workshop.runbook.results import Difference


def added_lines(added: Sequence[Difference], lines: Lines) -> Iterator[RenderableType]:
    """Object by object, and field by field with the whole value that is there: nothing else shows it."""
    for subject, group in words.by_subject(added).items():
        yield Text.assemble((f"{lines.glyphs.dot} {subject}", "cyan"), ("  by hand, left alone", "dim"))
        for item in group:
            if item.path:
                value = Text.assemble(item.path, "  ", (flow(item.found), "cyan"))
                yield Padding(value, (0, 0, 0, 4), expand=False)
