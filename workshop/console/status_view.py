"""What `invoke status` shows: a line a lab, below it what differs, and at the end what to type next.

As JSON (`--format json`) the same for a program: states are the words of the table, times are in ISO 8601.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.differences import added_lines
from workshop.console.lines import Lines, error_lines
from workshop.runbook.journal import LastRun
from workshop.runbook.reset import Comparison
from workshop.runbook.results import ABSENT, Difference
from workshop.runbook.status import LabStatus, State, Status

STATES: dict[State, tuple[str, str]] = {
    "drifted": ("failed", "bold red"),
    "unknown": ("failed", "bold red"),
    "not proved": ("inconclusive", "yellow"),
    "under way": ("inconclusive", "yellow"),
    "by hand": ("changed", "cyan"),
    "converged": ("changed", "green"),
    "superseded": ("unchanged", "dim"),
    "not there": ("skipped", "dim"),
}
"""Glyph and style, the worst first."""

_MOST_LEFT = 10
_MOST = 4
"""Differences of a lab that are shown; --plan has all of them."""


def status_lines(status: Status, lines: Lines, *, now: float) -> Iterator[RenderableType]:
    """`now`, in seconds since the epoch, is what ages are counted from."""
    yield Text.assemble(
        ("Where the labs are", "bold"), (f"  {status.target} {lines.glyphs.dot} nothing is changed", "dim")
    )
    yield Text()
    names = max(cell_len(lab.name) for lab in status.labs)
    states = max(cell_len(lab.state) for lab in status.labs)
    for lab in status.labs:
        yield _row(lab, lines, names, states, now)
        for line in _details(lab, lines):
            yield lines.below(line)
    yield Text()
    counts = Counter(lab.state for lab in status.labs)
    parts = [Text(f"{counts[state]} {state}", STATES[state][1]) for state in STATES if counts[state]]
    yield Text(f" {lines.glyphs.dot} ").join(parts)
    if status.following:
        yield from lines.worth_doing([status.following])


def _row(lab: LabStatus, lines: Lines, names: int, states: int, now: float) -> RenderableType:
    glyph, style = STATES[lab.state]
    table = Table.grid(padding=(0, 2))
    table.width = lines.row_width
    table.add_column(width=1)
    table.add_column(width=states, no_wrap=True)
    table.add_column(width=names, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", style="dim", no_wrap=True)
    note = Text(lab.note, "dim")
    table.add_row(
        Text(getattr(lines.glyphs, glyph), style), Text(lab.state, style), lab.name, note, ago(lab.last, now)
    )
    return table


def ago(last: LastRun | None, now: float) -> str:
    """How long ago a run last took part in it."""
    if last is None:
        return ""
    seconds = max(now - last.started, 0)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


def _details(lab: LabStatus, lines: Lines) -> Iterator[RenderableType]:
    yield from lines.differences(lab.differences[:_MOST])
    if (more := len(lab.differences) - _MOST) > 0:
        yield Text(f"    and {words.count(more, 'difference')} more", "dim")
    yield from added_lines(lab.added, lines.glyphs)
    if lab.error:
        yield error_lines(lab.error, debug=lines.debug)
    if lab.last and lab.state in ("drifted", "under way", "not proved"):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(lab.last.started))
        who = f", {lab.last.who}" if lab.last.who else ""
        yield Text(f"last run: {lab.last.command} ({when}{who})", "dim")


def comparison_lines(found: Comparison, lines: Lines) -> Iterator[RenderableType]:
    """What came of a reset."""
    where = f"{found.state.named}" if found.state.labs else "clean"
    yield Text()
    bad = (f"{lines.glyphs.failed} ", "bold red")
    for lab in found.wrong:
        yield Text.assemble(bad, lab.name, (f"  {lab.state}  {lab.note}".rstrip(), "dim"))
        for line in _details(lab, lines):
            yield lines.below(line)
    for subject in found.left[:_MOST_LEFT]:
        yield Text.assemble(bad, subject, ("  should not be there", "dim"))
    if (more := len(found.left) - _MOST_LEFT) > 0:
        yield Text(f"  and {more:,} more that should not be there", "dim")
    yield from foreign_lines(found.foreign, lines)
    if found.equal:
        labs = words.count(len(found.state.labs), "lab")
        compared = f"{words.count(found.objects, 'object')} of {labs} compared, and nothing else of the workshop's"
        compared = compared if found.state.labs else "nothing of the workshop's is there"
        yield Text.assemble((f"{lines.glyphs.changed} {_first_up(where)}", "bold green"), (f"  {compared}", "dim"))
    else:
        yield Text(f"{lines.glyphs.failed} Not {where}", "bold red")


def foreign_lines(foreign: Sequence[str], lines: Lines) -> Iterator[RenderableType]:
    """What a reset has left alone, or would."""
    by = "  made by somebody else, and left alone"
    for subject in foreign[:_MOST]:
        yield Text.assemble((f"{lines.glyphs.dot} ", "cyan"), subject, (by, "dim"))
    if (more := len(foreign) - _MOST) > 0:
        yield Text(f"  and {words.count(more, 'object')} more of others", "dim")


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def status_json(status: Status) -> str:
    return json.dumps(status_as_data(status), indent=2, ensure_ascii=False)


def status_as_data(status: Status) -> dict[str, Any]:
    return {
        "target": status.target,
        "labs": [_lab(lab) for lab in status.labs],
        "next": status.following.what if status.following else None,
        "exit_status": status.exit_status,
    }


def _lab(lab: LabStatus) -> dict[str, Any]:
    return {
        "lab": lab.name,
        "title": lab.title,
        "state": lab.state,
        "note": lab.note,
        "differences": [_difference(item) for item in lab.differences],
        "added": [_difference(item) for item in lab.added],
        "error": str(lab.error) if lab.error else None,
        "last": _last(lab.last) if lab.last else None,
    }


def _last(last: LastRun) -> dict[str, Any]:
    began = datetime.fromtimestamp(last.started, UTC).isoformat(timespec="seconds")
    return {"command": last.command, "started": began, "converged": last.converged, "who": last.who or None}


def _difference(item: Difference) -> dict[str, Any]:
    """A side that is absent is left out: null is a value that a field may have."""
    sides = {"wanted": item.wanted, "found": item.found}
    return {"subject": item.subject, "path": item.path} | {
        side: value for side, value in sides.items() if value is not ABSENT
    }
