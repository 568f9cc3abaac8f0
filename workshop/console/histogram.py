"""Latencies as a small histogram: how high a column is says how many of the answers took that long.

The axes of all histograms are the same, 1 ms to 10 s across (1, 2, 5, 10, ... at equal distances; what is faster or
slower goes to the first and the last column) and 0 to 100 % of the answers up. So those of before, during and after
can be compared by eye, also when one is on the screen before the next is measured. A bucket is as wide as its
bounds are apart. Half of the answers were not slower than the mark P50, and 99 % not slower than P99.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from workshop.console.words import Glyphs
from workshop.runbook.results import Latencies

_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LABELS = ("1ms", "2", "5", "10", "20", "50", "100", "200", "500", "1s", "2", "5", "10s")
_SLOTS = len(_TICKS) + 1

_ROWS = 2
_LEAST, _MOST = 4, 6
"""Columns between two ticks."""

NARROWEST = _SLOTS * _LEAST


def columns(width: int) -> int:
    """How many a histogram has that may have `width`, NARROWEST at least."""
    return _SLOTS * _cells(width)


def histogram_lines(latencies: Latencies, width: int, glyphs: Glyphs) -> RenderableType:
    """A few lines of at most `width` columns, which is NARROWEST at least."""
    cells = _cells(width)
    levels = _levels(latencies, cells, len(glyphs.heights) - 1)
    rows = [Text(row, "cyan", no_wrap=True) for row in _rows(levels, glyphs) if row.strip()]
    return Group(*rows, _axis(latencies, cells, glyphs), _labels(cells))


def _cells(width: int) -> int:
    return max(_LEAST, min(_MOST, width // _SLOTS))


def _place(seconds: float) -> float:
    """Where a time is on the axis, in slots."""
    if seconds < _TICKS[0]:
        return 0.0
    if seconds > _TICKS[-1]:
        return float(_SLOTS)
    slot = bisect.bisect_left(_TICKS, seconds)
    if _TICKS[slot] == seconds:
        return float(slot + 1)
    low, high = _TICKS[slot - 1], _TICKS[slot]
    return slot + math.log(seconds / low) / math.log(high / low)


def _levels(latencies: Latencies, cells: int, steps: int) -> list[int]:
    """How high each column is, in steps, of which a row has `steps`."""
    counts: Counter[tuple[int, int]] = Counter()
    for place, count in enumerate(latencies.counts):
        start = min(round(_place(latencies.bounds[place]) * cells), (_SLOTS - 1) * cells)
        end = round(_place(latencies.bounds[place + 1]) * cells)
        counts[start, max(end, start + 1) if start else max(end, cells)] += count
    levels = [0] * (_SLOTS * cells)
    for (start, end), count in counts.items():
        share = count / sum(latencies.counts) if count else 0.0
        height = max(1, round(share * _ROWS * steps)) if count else 0  # what is not nothing shows
        for column in range(start, end):
            levels[column] = max(levels[column], height)
    return levels


def _rows(levels: list[int], glyphs: Glyphs) -> Iterator[str]:
    steps = len(glyphs.heights) - 1
    for row in reversed(range(_ROWS)):
        yield "".join(glyphs.heights[min(max(level - row * steps, 0), steps)] for level in levels)


def _axis(latencies: Latencies, cells: int, glyphs: Glyphs) -> Text:
    signs = [glyphs.tick if column and column % cells == 0 else glyphs.axis for column in range(_SLOTS * cells)]
    axis = Text("".join(signs), "dim", no_wrap=True)
    first, last = (_mark(seconds, cells) for seconds in (latencies.p50, latencies.p99))
    if last - first < len("P50 "):
        return _put(axis, (first + last) // 2, "P50/P99", "bold yellow")
    return _put(_put(axis, first, "P50", "bold green"), last, "P99", "bold yellow")


def _mark(seconds: float, cells: int) -> int:
    """The column of a time; those that have no place of their own on the axis are in the middle of theirs."""
    if seconds < _TICKS[0]:
        return cells // 2
    return min(int(_place(seconds) * cells), (_SLOTS - 1) * cells + cells // 2)


def _put(axis: Text, middle: int, mark: str, style: str) -> Text:
    start = min(max(0, middle - len(mark) // 2), len(axis) - len(mark))
    return Text.assemble(axis[:start], (mark, style), axis[start + len(mark) :], no_wrap=True)


def _labels(cells: int) -> Text:
    line = ""
    for slot, label in enumerate(_LABELS, 1):
        line = line.ljust(slot * cells - len(label) // 2) + label
    return Text(line, "dim", no_wrap=True)
