"""Measured shares as bars beside the expected ones, and latencies as a small histogram.

A column of a histogram says how many of the answers took that long. The axes of all histograms are the same, 1 ms
to 10 s across (1, 2, 5, 10, ... at equal distances; what is faster or slower goes to the first and the last column)
and 0 to 100 % of the answers up. So those of before, during and after can be compared by eye, also when one is on
the screen before the next is measured. A bucket is as wide as its bounds are apart. Half of the answers were not
slower than the mark P50, and 99 % not slower than P99.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workshop.console import scales
from workshop.console.words import Glyphs, accepted, count, duration, latency, percent
from workshop.runbook.results import Bar, Latencies, Measurement, Verdict

_COLOURS = {"none": "white", "black": "bright_black", "": "cyan"}
"""Of things that have no colour, or one that a terminal's background may have."""

_VERDICTS = {
    "pass": ("changed", "green"),
    "fail": ("failed", "bold red"),
    "inconclusive": ("inconclusive", "yellow"),
}

_LABEL, _NUMBER, _RANGE, _GAP = 20, 7, 14, 1

_SHORTEST, _LONGEST = 8, 48
"""Columns of a bar."""

_BARS, _BETWEEN = 90, 4
"""Columns of bars that leave room for a histogram beside them, and of the gap between both."""


def bar(share: float, cells: int, glyphs: Glyphs) -> str:
    """`share` of `cells`, to an eighth of a cell where the output can show it."""
    return scales.bar(share, cells, glyphs.full, glyphs.eighths)


def verdict_lines(verdict: Verdict, width: int, glyphs: Glyphs) -> RenderableType:
    """All of what a probe measured, and what follows from it."""
    parts = list(_side_by_side(verdict.measurements, width, glyphs))
    name, style = _VERDICTS[verdict.kind]
    said = Table.grid(padding=(0, 1, 0, 0))
    said.add_row(Text(getattr(glyphs, name), style), Text(verdict.reason, style if verdict.kind != "pass" else ""))
    return Group(*parts, said)


def _side_by_side(measurements: Sequence[Measurement], width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
    """Below each other. Two that are histograms alone stand beside each other where the width is enough, to be
    compared."""
    half, left = (width - _BETWEEN) // 2, list(measurements)
    while left:
        two = left[:2]
        if len(two) == 2 and half - 2 >= NARROWEST and all(item.latencies and not item.bars for item in two):
            beside = Table.grid(padding=(0, _BETWEEN, 0, 0))
            beside.add_column(width=half, vertical="bottom")
            beside.add_column(width=half, vertical="bottom")
            beside.add_row(*(_title(item, half, glyphs) for item in two))
            histograms = [histogram_lines(item.latencies, half - 2, glyphs) for item in two if item.latencies]
            beside.add_row(*map(_indented, histograms))
            yield beside
            del left[:2]
        else:
            yield measurement_lines(left.pop(0), width, glyphs)


def measurement_lines(measurement: Measurement, width: int, glyphs: Glyphs) -> RenderableType:
    """Bars, and a histogram of the answers' times below them or, where the width is enough, beside them."""
    title = _title(measurement, width, glyphs)
    if not (times := measurement.latencies):
        return Group(title, _indented(_bars(measurement, width - 2, glyphs)))
    room = width - 2 - _BARS - _BETWEEN
    if room < NARROWEST or not measurement.bars:
        below = histogram_lines(times, width - 2, glyphs)
        return Group(title, _indented(_bars(measurement, width - 2, glyphs)), _indented(below))
    beside = Table.grid(padding=(0, _BETWEEN, 0, 0))
    bars = _bars(measurement, width - 2 - columns(room) - _BETWEEN, glyphs)
    beside.add_row(bars, histogram_lines(times, room, glyphs))
    return Group(title, _indented(beside))


def _title(measurement: Measurement, width: int, glyphs: Glyphs) -> Text:
    facts = _facts(measurement, glyphs)
    fits = cell_len(measurement.title) + 2 + facts.cell_len <= width
    return Text.assemble((measurement.title, "bold"), "  " if fits else "\n  ", facts)


def _indented(block: RenderableType) -> RenderableType:
    return Padding(block, (0, 0, 0, 2))


def _bars(measurement: Measurement, width: int, glyphs: Glyphs) -> Table:
    label = min(max((len(item.label) for item in measurement.bars), default=0), _LABEL)
    compared = any(item.expected is not None for item in measurement.bars)
    kinds = 2 if compared else 1
    fixed = label + (_NUMBER + 2 * _GAP) * kinds + (_RANGE + 1 + 2 * _GAP if compared else 0)
    cells = max(_SHORTEST, min(_LONGEST, (width - fixed) // kinds))
    table = Table.grid(padding=(0, _GAP))
    table.add_column(width=label, overflow="fold")
    table.add_column(width=cells)
    table.add_column(width=_NUMBER, justify="right")
    if compared:
        table.add_column(width=cells)
        table.add_column(width=_NUMBER, justify="right")
        table.add_column(min_width=_RANGE)
        table.add_column(width=1)
        heads = ("", "measured", "", "expected", "", " accepted", "")
        table.add_row(*(Text(head, "dim") for head in heads))
    told = measurement.samples > 0 or any(item.measured for item in measurement.bars)
    for item in measurement.bars:
        table.add_row(*_row(item, cells, compared, glyphs, told=told))
    return table


def _facts(measurement: Measurement, glyphs: Glyphs) -> Text:
    """Among them always what share of the calls failed, and of how many: of all, once some did."""
    asked = measurement.samples + measurement.errors
    facts = [count(asked, "call" if measurement.errors else "answer"), duration(measurement.seconds)]
    if times := measurement.latencies:
        facts += [f"P50 {latency(times.p50)}", f"P99 {latency(times.p99)}"]
    failed = f"{measurement.errors:,} failed ({percent(measurement.errors / asked)})" if measurement.errors else ""
    known = "".join(f"{fact} {glyphs.dot} " for fact in facts)
    return Text.assemble((known, "dim"), (failed, "yellow") if failed else ("none failed", "dim"))


def _row(item: Bar, cells: int, compared: bool, glyphs: Glyphs, *, told: bool) -> list[Text]:
    """Without answers nothing is `told`, also not that none of them is right where none is expected."""
    colour = _COLOURS.get(item.colour, item.colour)
    row = [Text(item.label), _track(item.measured, cells, colour, glyphs), Text(percent(item.measured), "bold")]
    if not compared:
        return row
    if item.expected is None:
        return row + [Text()] * 4
    row += [_track(item.expected, cells, f"{colour} dim", glyphs), Text(percent(item.expected), "dim")]
    if item.accepted is None:
        return row + [Text()] * 2
    low, high = item.accepted
    inside = low <= item.measured <= high
    sign = Text(glyphs.changed, "green") if inside else Text(glyphs.failed, "bold red")
    sign = sign if told else Text()
    return [*row, Text(f" {accepted(item, glyphs)}", "dim"), sign]


def _track(share: float, cells: int, style: str, glyphs: Glyphs) -> Text:
    filled = bar(share, cells, glyphs)
    return Text.assemble((filled, style), (glyphs.track * (cells - len(filled)), "dim"))


_ROWS = 2
_LEAST, _MOST = 4, 6
"""Columns between two ticks."""

NARROWEST = scales.SLOTS * _LEAST


def columns(width: int) -> int:
    """How many a histogram has that may have `width`, NARROWEST at least."""
    return scales.SLOTS * _cells(width)


def histogram_lines(latencies: Latencies, width: int, glyphs: Glyphs) -> RenderableType:
    """A few lines of at most `width` columns, which is NARROWEST at least."""
    cells = _cells(width)
    levels = _levels(latencies, cells, len(glyphs.heights) - 1)
    rows = [Text(row, "cyan", no_wrap=True) for row in _rows(levels, glyphs) if row.strip()]
    return Group(*rows, _axis(latencies, cells, glyphs), _labels(cells))


def _cells(width: int) -> int:
    return max(_LEAST, min(_MOST, width // scales.SLOTS))


def _levels(latencies: Latencies, cells: int, steps: int) -> list[int]:
    """How high each column is, in steps, of which a row has `steps`."""
    levels = [0] * (scales.SLOTS * cells)
    for start, end, share in scales.columns(latencies, cells):
        height = max(1, round(share * _ROWS * steps)) if share else 0  # what is not nothing shows
        for column in range(start, end):
            levels[column] = max(levels[column], height)
    return levels


def _rows(levels: list[int], glyphs: Glyphs) -> Iterator[str]:
    steps = len(glyphs.heights) - 1
    for row in reversed(range(_ROWS)):
        yield "".join(glyphs.heights[min(max(level - row * steps, 0), steps)] for level in levels)


def _axis(latencies: Latencies, cells: int, glyphs: Glyphs) -> Text:
    signs = [
        glyphs.tick if column and column % cells == 0 else glyphs.axis for column in range(scales.SLOTS * cells)
    ]
    axis = Text("".join(signs), "dim", no_wrap=True)
    first, last = (scales.mark(seconds, cells) for seconds in (latencies.p50, latencies.p99))
    if last - first < len("P50 "):
        return _put(axis, (first + last) // 2, "P50/P99", "bold yellow")
    return _put(_put(axis, first, "P50", "bold green"), last, "P99", "bold yellow")


def _put(axis: Text, middle: int, mark: str, style: str) -> Text:
    start = min(max(0, middle - len(mark) // 2), len(axis) - len(mark))
    return Text.assemble(axis[:start], (mark, style), axis[start + len(mark) :], no_wrap=True)


def _labels(cells: int) -> Text:
    line = ""
    for slot, label in enumerate(scales.LABELS, 1):
        line = line.ljust(slot * cells - len(label) // 2) + label
    return Text(line, "dim", no_wrap=True)
