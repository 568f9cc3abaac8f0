"""What the pages of the stand-ins for Kiali and Grafana are made of: one look, a graph, charts. Text and SVG,
without scripts; nothing comes from anywhere else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sandbox.images.mesh_figures import Line

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
}
_COLOURS = 8

_STYLE = (Path(__file__).parent / "assets" / "addons.css").read_text(encoding="utf-8")


def page(title: str, what: str, content: str, *, every: float = 0.0) -> str:
    """`what` says what this is; `every` is after how many seconds a browser looks again, 0 for never."""
    again = f'<meta http-equiv="refresh" content="{every:g}">' if every else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}\n'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><main>\n<h1>{escape(title)}</h1>\n'
        f'<p class="what">{escape(what, quote=False)}</p>\n{content}\n</main></body></html>\n'
    )


def choices(name: str, given: Mapping[str, str], current: str) -> str:
    """Links, one of which is where one is; by what they say, to which address."""
    links = "".join(
        f'<a href="{escape(where)}"{" aria-current=true" if said == current else ""}>{escape(said)}</a>'
        for said, where in given.items()
    )
    return f'<nav aria-label="{escape(name)}">{links}</nav>'


def nothing(said: str, *, error: bool = False) -> str:
    role = ' role="alert"' if error else ""
    return f'<p class="none{" error" if error else ""}"{role}>{escape(said)}</p>'


# A graph, in layers from left to right.


Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Node:
    key: Key
    name: str
    below: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """`kind` is "", slow, bad or tcp; `width` in pixels."""

    source: Key
    destination: Key
    said: str
    below: str = ""
    kind: str = ""
    width: float = 2.0


_BOX, _TALL, _GAP, _ROW, _EDGE = 190, 52, 130, 92, 12


def graph(nodes: Sequence[Node], arrows: Sequence[Arrow]) -> str:
    layers = _layers([node.key for node in nodes], [(a.source, a.destination) for a in arrows])
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        columns[layers[node.key]].append(node)
    rows: dict[Key, float] = {}
    most = max(map(len, columns.values()), default=0)
    for _, column in sorted(columns.items()):
        callers = {
            node.key: [rows[a.source] for a in arrows if a.destination == node.key and a.source in rows]
            for node in column
        }
        column.sort(key=lambda n: (sum(callers[n.key]) / len(callers[n.key]) if callers[n.key] else 0.0, n.key))
        for place, node in enumerate(column):
            rows[node.key] = place + (most - len(column)) / 2
    at = {node.key: (_EDGE + layers[node.key] * (_BOX + _GAP), _EDGE + rows[node.key] * _ROW) for node in nodes}
    wide = 2 * _EDGE + (max(columns, default=0) + 1) * (_BOX + _GAP) - _GAP
    tall = 2 * _EDGE + max(most, 1) * _ROW - (_ROW - _TALL)
    drawn = [
        *(_line(arrow, at) for arrow in arrows),
        *(_box(node, at[node.key]) for node in nodes),
        *(_said(arrow, at) for arrow in arrows),
    ]
    return (
        f'<div class="scroll"><svg class="graph" role="img" aria-label="Who calls whom" '
        f'width="{wide}" height="{tall:.0f}" viewBox="0 0 {wide} {tall:.0f}">{"".join(drawn)}</svg></div>'
    )


def _layers(keys: Sequence[Key], edges: Iterable[tuple[Key, Key]]) -> dict[Key, int]:
    """How far to the right each is: one more than the farthest of its callers. A call back to who has led there
    does not count."""
    called: dict[Key, list[Key]] = {key: [] for key in keys}
    for source, destination in sorted(edges):
        called[source].append(destination)
    forward: list[tuple[Key, Key]] = []
    done: list[Key] = []

    def visit(key: Key, above: frozenset[Key]) -> None:
        for other in called[key]:
            if other not in above:
                forward.append((key, other))
                if other not in done:
                    visit(other, above | {other})
        done.append(key)

    first = [key for key in keys if not any(key in others for others in called.values())]
    for key in (*first, *keys):
        if key not in done:
            visit(key, frozenset({key}))
    found = dict.fromkeys(keys, 0)
    for key in reversed(done):
        for source, destination in forward:
            if source == key:
                found[destination] = max(found[destination], found[key] + 1)
    return found


def _ways(arrow: Arrow, at: Mapping[Key, tuple[float, float]]) -> tuple[float, float, float, float]:
    (x1, y1), (x2, y2) = at[arrow.source], at[arrow.destination]
    return x1 + _BOX, y1 + _TALL / 2, x2 - 9, y2 + _TALL / 2


def _line(arrow: Arrow, at: Mapping[Key, tuple[float, float]]) -> str:
    x1, y1, x2, y2 = _ways(arrow, at)
    bend = max(abs(x2 - x1) / 2, 40)
    return (
        f'<path class="edge {arrow.kind}" stroke-width="{arrow.width:.1f}" '
        f'd="M{x1:.0f} {y1:.1f} C{x1 + bend:.0f} {y1:.1f} {x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"/>'
        f'<path class="head {arrow.kind}" d="M{x2 + 8:.0f} {y2:.1f} l-10 -5 v10 z"/>'
    )


def _said(arrow: Arrow, places: Mapping[Key, tuple[float, float]]) -> str:
    """In the middle of an arrow to the next layer, else near its end: what it passes is in the middle."""
    x1, y1, x2, y2 = _ways(arrow, places)
    x, y = ((x1 + x2) / 2, (y1 + y2) / 2) if x2 - x1 < 2 * _GAP else (x2 - _GAP / 2, y2 - 4)
    lines = (("soft", y + 14, arrow.below), (arrow.kind, y - 1, arrow.said))
    return "".join(
        f'<text class="halo {kind}" x="{x:.0f}" y="{at:.1f}" text-anchor="middle">{escape(said)}</text>'
        for kind, at, said in lines
        if said
    )


def _box(node: Node, at: tuple[float, float]) -> str:
    x, y = at
    return (
        f"<g><title>{escape(node.name)} {escape(node.below)}</title>"
        f'<rect class="box" x="{x:.0f}" y="{y:.1f}" width="{_BOX}" height="{_TALL}" rx="9"/>'
        f'<text class="name" x="{x + 14:.0f}" y="{y + 22:.1f}">{escape(_short(node.name))}</text>'
        f'<text class="soft" x="{x + 14:.0f}" y="{y + 40:.1f}">{escape(_short(node.below))}</text></g>'
    )


def _short(text: str, most: int = 23) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# A chart of lines.

_WIDE, _HIGH, _LEFT, _BOTTOM = 620, 200, 56, 22


def chart(title: str, unit: str, lines: Sequence[Line], names: Sequence[str], start: float, end: float) -> str:
    """From `start` to `end` (seconds since the epoch); with the last value of each line beside its name. A name's
    colour is by its place in `names`, so that it is the same in all charts of a page."""
    lines = [line for line in lines if line.points]
    if not lines:
        return f'<section class="card"><h2>{escape(title)}</h2>{nothing("No requests in this time.")}</section>'
    top = _round_up(max(value for line in lines for _, value in line.points))
    across, up = (_WIDE - _LEFT) / (end - start), (_HIGH - _BOTTOM - 10) / top

    def place(at: float, value: float) -> str:
        return f"{_LEFT + (at - start) * across:.1f} {_HIGH - _BOTTOM - value * up:.1f}"

    def colour(line: Line) -> int:
        return names.index(line.name) % _COLOURS

    marks = "".join(
        f'<path class="rule" d="M{place(start, top * part)} H{_WIDE}"/><text class="soft" x="{_LEFT - 8}" '
        f'y="{_HIGH - _BOTTOM - top * part * up + 4:.1f}" text-anchor="end">{figure(top * part)}</text>'
        for part in (0.0, 0.5, 1.0)
    )
    curves = "".join(
        f'<path class="curve c{colour(line)}" d="M{" L".join(place(*point) for point in line.points)}"/>'
        for line in lines
    )
    legend = "".join(
        f'<li><i class="c{colour(line)}"></i>{escape(line.name)} <b>{figure(line.points[-1][1])}</b> '
        f"{escape(unit)}</li>"
        for line in lines
    )
    ago = f"{(end - start) / 60:g} min ago"
    return (
        f'<section class="card"><h2>{escape(title)}</h2>'
        f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(title)}">'
        f'{marks}{curves}<text class="soft" x="{_LEFT}" y="{_HIGH - 4}">{ago}</text>'
        f'<text class="soft" x="{_WIDE}" y="{_HIGH - 4}" text-anchor="end">now</text></svg>'
        f'<ul class="legend">{legend}</ul></section>'
    )


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if value <= step * power * 1.0001), 10 * power)


def figure(value: float) -> str:
    """With three digits, as people write them."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
