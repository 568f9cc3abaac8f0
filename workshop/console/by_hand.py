"""What somebody has added by hand and a run leaves alone, as a plan and a check name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from workshop.console import words
from workshop.console.lines import INDENT, Lines
from workshop.runbook.model import Difference


def added_lines(added: Sequence[Difference], lines: Lines) -> Iterator[Text]:
    """Object by object, and field by field with the value that is there."""
    for subject, group in words.by_subject(added).items():
        yield Text.assemble((f"{lines.glyphs.dot} {subject}", "cyan"), ("  by hand, left alone", "dim"))
        for item in group:
            if item.path:
                room = lines.width - INDENT - 6 - cell_len(item.path)
                value = words.value(item.found, max(room, 12))
                yield Text.assemble("    ", item.path, "  ", (value, "cyan"))
