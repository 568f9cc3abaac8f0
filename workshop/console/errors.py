"""An error in words: what was tried, what came back, the likeliest cause and the next command, in this order."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workshop.console.commands import unbroken
from workshop.runbook.errors import WorkshopError

_LABEL = len("came back")
_DEFECT = "a defect in the workshop, not something you did; -d shows where"


def error_lines(error: BaseException, *, debug: bool) -> RenderableType:
    """A traceback only with `debug`."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=_LABEL)
    table.add_column(overflow="fold")
    for label, text, style in _rows(error):
        table.add_row(label, Text(text, style))
    lines: list[RenderableType] = [table]
    if isinstance(error, WorkshopError) and (following := error.next_command.strip()):
        lines.append(unbroken((f"{'next':{_LABEL}}  ", "dim"), (following, "bold cyan")))
    if not debug:
        return Group(*lines)
    return Group(*lines, Padding(Text(_trace(error), "dim"), (1, 0)))


def _rows(error: BaseException) -> list[tuple[str, str, str]]:
    if isinstance(error, WorkshopError):
        rows = [
            ("tried", error.tried, ""),
            ("came back", error.came_back, "red"),
            ("likely", error.cause, ""),
        ]
    else:
        said = str(error)
        rows = [
            ("came back", f"{type(error).__name__}{': ' if said else ''}{said}", "red"),
            ("likely", _DEFECT, ""),
        ]
    return [(label, text.strip(), style) for label, text, style in rows if text.strip()]


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()
