"""The arithmetic of charts, the same for a terminal and a page: how long a bar is, where a time is on its axis, how
high the columns of a histogram are.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator

from workshop.runbook.results import Latencies

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LABELS = ("1ms", "2", "5", "10", "20", "50", "100", "200", "500", "1s", "2", "5", "10s")
SLOTS = len(TICKS) + 1
"""Of the axis of times: between the ticks, before the first and behind the last one."""


def bar(share: float, cells: int, full: str, eighths: str) -> str:
    """`share` of `cells`, to as fine a part of a cell as there are signs. What is not nothing shows."""
    steps = len(eighths)
    filled = round(min(max(0.0, share), 1.0) * cells * steps)
    filled = max(filled, 1) if share > 0 else 0
    whole, part = divmod(filled, steps)
    return full * whole + (eighths[part] if part else "")


def place(seconds: float) -> float:
    """Where a time is on the axis, in slots."""
    if seconds < TICKS[0]:
        return 0.0
    if seconds > TICKS[-1]:
        return float(SLOTS)
    slot = bisect.bisect_left(TICKS, seconds)
    if TICKS[slot] == seconds:
        return float(slot + 1)
    low, high = TICKS[slot - 1], TICKS[slot]
    return slot + math.log(seconds / low) / math.log(high / low)


def columns(latencies: Latencies, cells: int) -> Iterator[tuple[int, int, float]]:
    """For each bucket the column where it begins, the one before which it ends, a slot having `cells` of them, and
    the share of the answers that it has."""
    counts: dict[tuple[int, int], int] = {}
    for number, count in enumerate(latencies.counts):
        start = min(round(place(latencies.bounds[number]) * cells), (SLOTS - 1) * cells)
        end = round(place(latencies.bounds[number + 1]) * cells)
        where = start, max(end, start + 1) if start else max(end, cells)
        counts[where] = counts.get(where, 0) + count
    total = sum(latencies.counts)
    for (start, end), count in counts.items():
        yield start, end, count / total if count else 0.0


def mark(seconds: float, cells: int) -> int:
    """The column of a time; those that have no place of their own on the axis are in the middle of theirs."""
    if seconds < TICKS[0]:
        return cells // 2
    return min(int(place(seconds) * cells), (SLOTS - 1) * cells + cells // 2)
