"""Charts for a page: a measured share beside what is expected, how long answers took, when labs ran.

Each is one row of a table or a figure; the numbers stand beside it as text, so that nothing is told by a picture or
a colour alone. What the bars and axes mean is said in `charts`: it is the same arithmetic (`scales`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from workshop.console import scales
from workshop.console.web_page import Markup, tag
from workshop.console.words import count, latency
from workshop.runbook.results import Bar, Latencies

_COLOURS = {
    "none": "grey",
    "white": "grey",
    "black": "black",
    "bright_black": "grey",
    **{colour: colour for colour in ("blue", "green", "red", "yellow")},
}
"""Of a bar, by those that labs name; any other is the page's own."""


def share_bar(item: Bar) -> Markup:
    """What was measured as a bar, what is accepted as a band behind it, what is expected as a mark across it."""
    parts = [tag("rect", x=0, y=3, width=100, height=8, rx=1, fill="var(--soft)")]
    if item.accepted is not None:
        low, high = (_percent(share) for share in item.accepted)
        width = max(high - low, 0.8)
        parts.append(tag("rect", x=min(low, 100 - width), y=0, width=width, height=14, fill="var(--band)"))
    measured = _percent(item.measured)
    colour = f"var(--{_COLOURS.get(item.colour, 'bar')})"
    if measured:
        parts.append(tag("rect", x=0, y=3, width=max(measured, 0.8), height=8, fill=colour))
    if item.expected is not None:
        at = min(max(_percent(item.expected), 0.3), 99.7)
        parts.append(tag("rect", x=round(at - 0.3, 2), y=0, width=0.6, height=14, fill="var(--mark)"))
    return tag("svg", parts, viewBox="0 0 100 14", preserveAspectRatio="none", class_="share", aria_hidden="true")


def _percent(share: float) -> float:
    return round(min(max(share, 0.0), 1.0) * 100, 2) if math.isfinite(share) else 0.0


def span_bar(begin: float, end: float, whole: float, state: str = "") -> Markup:
    """From when to when something ran, of so many seconds in all."""
    whole = whole or 1.0
    start = _percent(begin / whole)
    width = max(_percent((end - begin) / whole), 0.8)
    bar = tag(
        "rect", x=min(start, 100 - width), y=2, width=width, height=10, rx=0.6, fill=f"var(--{state or 'bar'})"
    )
    track = tag("rect", x=0, y=6.5, width=100, height=1, fill="var(--line)")
    return tag(
        "svg", track, bar, viewBox="0 0 100 14", preserveAspectRatio="none", class_="share", aria_hidden="true"
    )


_CELLS, _CELL, _HEIGHT, _ABOVE, _BELOW = 4, 10, 60, 16, 18
"""Columns of a slot, how wide one is, how high all answers are, and what is above and below."""


_NAME = 30
"""How wide a percentile's name is."""


def histogram(latencies: Latencies) -> Markup:
    """How many of the answers took how long, on the axis that all histograms have."""
    width = scales.SLOTS * _CELLS * _CELL
    said = (
        f"Times of {count(sum(latencies.counts), 'answer')}, from 1 ms to 10 s: half took at most"
        f" {latency(latencies.p50)}, 99 % at most {latency(latencies.p99)}"
    )
    return tag(
        "svg",
        tag("title", said),
        list(_columns(latencies)),
        list(_axis(width)),
        list(_marks(latencies)),
        viewBox=f"0 0 {width} {_ABOVE + _HEIGHT + _BELOW}",
        class_="histogram",
        role="img",
        aria_label=said,
    )


def _columns(latencies: Latencies) -> Iterator[Markup]:
    for start, end, share in scales.columns(latencies, _CELLS):
        if share:
            height = round(max(1.5, share * _HEIGHT), 1)
            top = round(_ABOVE + _HEIGHT - height, 1)
            width = (end - start) * _CELL - 0.6
            yield tag("rect", x=start * _CELL, y=top, width=width, height=height, fill="var(--bar)")


def _axis(width: int) -> Iterator[Markup]:
    floor = _ABOVE + _HEIGHT
    yield tag("line", x1=0, y1=floor, x2=width, y2=floor, stroke="var(--dim)")
    for slot, label in enumerate(scales.LABELS, 1):
        at = slot * _CELLS * _CELL
        yield tag("line", x1=at, y1=floor, x2=at, y2=floor + 4, stroke="var(--dim)")
        yield tag("text", label, x=at, y=floor + 15, text_anchor="middle", fill="var(--dim)")


def _marks(latencies: Latencies) -> Iterator[Markup]:
    """P50 to the left of its line and P99 to the right, so that they never lie on each other. At an end of the axis
    both are on the same side: then one name is for both."""
    width = scales.SLOTS * _CELLS * _CELL
    first, last = ((scales.mark(seconds, _CELLS) + 0.5) * _CELL for seconds in (latencies.p50, latencies.p99))
    names = ("P50", "P99")
    if last < _NAME or first > width - _NAME:
        names = ("P50/P99", "")
    for name, at, colour, right in ((names[0], first, "good", first < _NAME), (names[1], last, "doubt", True)):
        yield tag(
            "line", x1=at, y1=4, x2=at, y2=_ABOVE + _HEIGHT, stroke=f"var(--{colour})", stroke_dasharray="3 2"
        )
        aside, anchor = (3, "start") if right and at <= width - _NAME else (-3, "end")
        if name:
            yield tag("text", name, x=at + aside, y=11, text_anchor=anchor, fill=f"var(--{colour})")


STYLE = """
.share { width: 100%; height: 14px; min-width: 3rem; }
.histogram { width: 100%; max-width: 38rem; margin: 0.5rem 0; }
.histogram text { font-size: 10px; }
"""
