"""The graph of a mesh as a table: who calls whom, grouped by the called one's namespace; below it the splits as
bars, and what is marked. On a terminal it is drawn anew in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.charts import measurement_lines
from workshop.console.lines import Lines
from workshop.console.screen import Screen
from workshop.runbook.results import Measurement

_FIGURES = 8
"""Columns of a figure: "1,234/s", "100.0 %", "999 kB/s"."""
_GAP = 2
_INDENT = 2
"""Columns before who calls."""
_WIDE = 120
"""From here on what is noted stands beside the figures, else below them."""
NOTHING = "no requests in that time: open a page of the application, or have a lab measure with --check"
_MANY = 0.05
"""The share of errors from which on they are alarming."""


@dataclass(frozen=True, slots=True)
class Call:
    """An edge. `rate` is requests a second, `bytes` those of TCP; times are seconds. `notes` are in words."""

    source: str
    destination: str
    namespace: str
    rate: float
    error_share: float = 0.0
    p50: float | None = None
    p99: float | None = None
    bytes: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said of a service; `bad`, where it happens to requests now."""

    subject: str
    said: str
    bad: bool


@dataclass(frozen=True, slots=True)
class GraphTable:
    """`about` says of which cluster, and over how long; `missing` what is not in it."""

    about: str
    calls: tuple[Call, ...] = ()
    splits: tuple[Measurement, ...] = ()
    marks: tuple[Mark, ...] = ()
    lost: str = field(default="")
    """Why it is as old as it is; empty while all is well."""
    missing: str = field(default="")


def graph_lines(table: GraphTable, lines: Lines) -> Iterator[RenderableType]:
    yield Text.assemble(("Mesh", "bold"), ("  " + table.about, "dim"))
    if table.lost:
        yield Text(f"{lines.glyphs.failed} {table.lost}", "bold red")
    if table.missing:
        yield Text(f"{lines.glyphs.inconclusive} {table.missing}", "yellow")
    if table.calls:
        yield from _calls(table.calls, lines)
    elif not table.missing:
        yield Text(NOTHING, "dim")
    for split in table.splits:
        yield Text()
        yield measurement_lines(split, lines.width, lines.glyphs)
    if table.marks:
        yield Text()
    for mark in table.marks:
        sign, style = (lines.glyphs.failed, "bold red") if mark.bad else (lines.glyphs.skipped, "dim")
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(Text(sign, style), Text.assemble(mark.subject, "  ", (mark.said, style)))
        yield row


def _calls(calls: Sequence[Call], lines: Lines) -> Iterator[RenderableType]:
    """Each line by itself, all of the same widths: a note may be longer than the column it begins at."""
    wide = lines.width >= _WIDE
    room = lines.width - 4 * (_FIGURES + _GAP) - 2 * _GAP
    arrow = f"{lines.glyphs.arrow} "
    names = _widths(calls, room * 2 // 3 if wide else room, cell_len(arrow))

    def row(*cells: RenderableType) -> RenderableType:
        table = Table.grid(padding=(0, _GAP, 0, 0))
        for width in names:
            table.add_column(width=width, no_wrap=True)
        for _ in range(4):
            table.add_column(width=_FIGURES, justify="right", no_wrap=True)
        if wide:
            table.add_column(width=room - sum(names), overflow="fold")
        table.add_row(*cells)
        return table

    namespace: str | None = None
    for call in calls:
        if call.namespace != namespace:
            heads = ("", "requests", "errors", "P50", "P99") if namespace is None else ()
            namespace = call.namespace
            yield row(
                Text(_cut(namespace or "outside", names[0], lines.glyphs.more), "cyan"),
                *(Text(head, "dim") for head in heads),
            )
        notes = Text(", ".join(call.notes), "yellow")
        source = " " * _INDENT + _cut(call.source, names[0] - _INDENT, lines.glyphs.more)
        called = _cut(call.destination, names[1] - cell_len(arrow), lines.glyphs.more)
        cells = Text(source), Text.assemble((arrow, "dim"), called), *_figures(call)
        yield row(*cells, *([notes] if wide else []))
        if call.notes and not wide:
            yield Padding(notes, (0, 0, 0, names[0] + _GAP + 2))


def _widths(calls: Sequence[Call], room: int, arrow: int) -> tuple[int, int]:
    """Of both columns of names, as wide as what is in them; of too little room neither leaves the other less than
    it needs, if half of it is enough."""
    caller = max(max(_INDENT + cell_len(call.source), cell_len(call.namespace)) for call in calls)
    called = max(arrow + cell_len(call.destination) for call in calls)
    if caller + called <= room:
        return caller, called
    half = room // 2
    first = caller if caller <= half else max(half, room - called)
    return first, min(called, room - first)


def _cut(name: str, width: int, more: str) -> str:
    """In the middle: what names of versions differ in is at their ends."""
    if cell_len(name) <= width:
        return name
    left = max(width - len(more), 1)
    end = left * 2 // 5
    return name[: left - end] + more + name[len(name) - end :]


def _figures(call: Call) -> tuple[Text, ...]:
    if call.bytes and not call.rate:
        return Text(bytes_text(call.bytes)), Text("TCP", "dim"), Text(), Text()
    if not call.rate:
        return Text("idle", "dim"), Text(), Text(), Text()
    style = "bold red" if call.error_share >= _MANY else "yellow" if call.error_share else "dim"
    times = (Text(words.latency(time)) if time is not None else Text() for time in (call.p50, call.p99))
    return Text(rate_text(call.rate)), Text(words.percent(call.error_share), style), *times


def rate_text(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.1f}/s" if rate >= 0.95 else f"{rate:.2f}/s"


def bytes_text(rate: float) -> str:
    for unit in ("B", "kB", "MB"):
        if rate < 1000:
            return f"{rate:.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"
        rate /= 1000
    return f"{rate:.1f} GB/s"


@contextlib.contextmanager
def redrawn(screen: Screen) -> Iterator[Callable[[Iterable[RenderableType]], None]]:
    """What draws lines in the place of those before. Where nothing can be drawn over (a pipe, a log), nothing
    is."""
    if not screen.console.is_terminal:
        yield lambda lines: None
        return
    live = Live(
        console=screen.console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="ellipsis",
    )
    with live:
        yield lambda lines: live.update(Group(*lines), refresh=True)
