"""A graph of who calls whom, as SVG: callers to the left of whom they call, lines that pass boxes by, and what is
said of a line where it lies over nothing else.

A line turns in a narrow part of the room between two columns, so that what is said of it stands at a straight piece
of it. Nothing measures texts here, as there is no script: how wide one is follows from how many letters it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

Key = tuple[str, str]
Point = tuple[float, float]
Area = tuple[float, float, float, float]
"""From the left and the top to the right and the bottom."""


@dataclass(frozen=True, slots=True)
class Node:
    """`figure` is never cut, however long what stands before it is."""

    key: Key
    name: str
    below: str
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """`kind` is "", slow, bad or tcp; `width` in pixels."""

    source: Key
    destination: Key
    said: str
    below: str = ""
    kind: str = ""
    width: float = 2.0


_BOX, _TALL, _ROW, _EDGE = 200, 52, 92, 12
_TURN, _NEAREST = 36, 100
"""Pixels in which a line turns, and between two columns at least."""
_LETTER = 7.3
"""Pixels of a letter, on the average of digits and names in the widest of the usual fonts."""
_SHRINKS, _GROWS = 0.88, 1.1
"""How far it is scaled to its page, so that texts stay readable."""
_AROUND, _ABOVE, _BELOW = (-7, 17), (-22, -7), (17, 32)
"""Where both rows of a text stand at a line."""

_Spot = tuple[int, Key, Key]
"""What takes room in a column: a node, or a line (source and destination) that passes it."""
_NOBODY: Key = "", ""


def graph(nodes: Sequence[Node], arrows: Sequence[Arrow]) -> str:
    """A call to oneself is not drawn."""
    drawn = [arrow for arrow in arrows if arrow.source != arrow.destination]
    layers = _layers([node.key for node in nodes], [(arrow.source, arrow.destination) for arrow in drawn])
    chains = {(arrow.source, arrow.destination): _chain(arrow, layers) for arrow in drawn}
    rows = _rows([(layers[node.key], node.key, _NOBODY) for node in nodes], list(chains.values()))
    longest = max((max(len(arrow.said), len(arrow.below)) for arrow in drawn), default=0)
    step = _BOX + max(_NEAREST, _LETTER * longest + _TURN + 16)
    at = {spot: (_EDGE + spot[0] * step, _EDGE + row * _ROW + _TALL / 2) for spot, row in rows.items()}
    boxes = {node.key: at[layers[node.key], node.key, _NOBODY] for node in nodes}
    lines = [_line(arrow, chains, at) for arrow in drawn]
    wide = max((x for x, _ in at.values()), default=0) + _BOX + _EDGE
    tall = max((y for _, y in at.values()), default=0) + _TALL / 2 + _EDGE
    shown = [
        *map(_path, lines),
        *(_box(node, boxes[node.key]) for node in nodes),
        *_texts(lines, boxes.values()),
    ]
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Graph"><svg class="graph" role="img" '
        f'aria-label="Who calls whom; the table says the same" viewBox="0 0 {wide:.0f} {tall:.0f}" '
        f'style="min-width:{wide * _SHRINKS:.0f}px;max-width:{wide * _GROWS:.0f}px">{"".join(shown)}</svg></div>'
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


def _chain(arrow: Arrow, layers: Mapping[Key, int]) -> list[_Spot]:
    """From its source to its destination, with what it passes."""
    source, destination = arrow.source, arrow.destination
    begin, end = layers[source], layers[destination]
    way = 1 if begin < end else -1
    passed = [(layer, source, destination) for layer in range(begin + way, end, way)]
    return [(begin, source, _NOBODY), *passed, (end, destination, _NOBODY)]


def _rows(nodes: Iterable[_Spot], chains: Sequence[Sequence[_Spot]]) -> dict[_Spot, float]:
    """Column by column, in the order of the mean row of what leads there; each column in the middle."""
    spots = {*nodes, *(spot for chain in chains for spot in chain)}
    before: dict[_Spot, set[_Spot]] = defaultdict(set)
    columns: dict[int, list[_Spot]] = defaultdict(list)
    for chain in chains:
        for one, other in pairwise(sorted(chain)):
            before[other].add(one)
    for spot in sorted(spots):
        columns[spot[0]].append(spot)
    most = max(map(len, columns.values()), default=0)
    rows: dict[_Spot, float] = {}
    for _, column in sorted(columns.items()):
        means = {spot: sum(rows[one] for one in before[spot]) / max(len(before[spot]), 1) for spot in column}
        column.sort(key=lambda spot: (means[spot], spot))
        rows |= {spot: place + (most - len(column)) / 2 for place, spot in enumerate(column)}
    return rows


@dataclass(frozen=True, slots=True)
class _Line:
    """`points` are where it enters and leaves the room between columns, in turn. What is said of it may stand at
    `places`, the best first: where, to which side, and in which rows."""

    arrow: Arrow
    points: tuple[Point, ...]
    way: int
    late: bool
    places: tuple[tuple[Point, int, tuple[int, int]], ...]

    def turns(self) -> Iterator[tuple[Point, Point]]:
        """Where it goes up or down: at the first end of the room where it is told of at the last one."""
        for (x1, y1), (x2, y2) in zip(self.points[::2], self.points[1::2], strict=True):
            first, last = (x1, x1 + _TURN * self.way) if self.late else (x2 - _TURN * self.way, x2)
            yield (first, y1), (last, y2)


def _line(arrow: Arrow, chains: Mapping[tuple[Key, Key], Sequence[_Spot]], at: Mapping[_Spot, Point]) -> _Line:
    chain = chains[arrow.source, arrow.destination]
    way = 1 if chain[0] < chain[-1] else -1
    leaves, enters = (_BOX, 0) if way > 0 else (0, _BOX)
    beside = sorted(
        (other for other in chains.values() if other[-1] == chain[-1] and (other[0] < other[-1]) == (way > 0)),
        key=lambda other: (at[other[-2]][1], other),
    )
    port = beside.index(chain)
    (x1, y1), (x2, y2) = at[chain[0]], at[chain[-1]]
    begin = x1 + leaves, y1
    end = x2 + enters - 9 * way, y2 + (port - (len(beside) - 1) / 2) * min(9, 30 / len(beside))
    passed = [(x + side, y) for x, y in (at[spot] for spot in chain[1:-1]) for side in (enters, leaves)]
    rows = _AROUND if len(beside) == 1 else _ABOVE if not port else _BELOW if port == len(beside) - 1 else None
    first = (begin[0] + 8 * way, begin[1]), way, _AROUND
    last = ((end[0] - 8 * way, end[1]), -way, rows) if rows else None
    late = sum(other[0] == chain[0] for other in chains.values()) >= len(beside)
    places = (last, first) if late else (first, last)
    return _Line(arrow, (begin, *passed, end), way, late, tuple(place for place in places if place))


def _path(line: _Line) -> str:
    drawn = f"M{_point(line.points[0])}"
    for ((x1, y1), (x2, y2)), end in zip(line.turns(), line.points[1::2], strict=True):
        half = (x1 + x2) / 2
        drawn += f" L{_point((x1, y1))} C{half:.0f} {y1:.1f} {half:.0f} {y2:.1f} {_point((x2, y2))} L{_point(end)}"
    arrow, (x, y) = line.arrow, line.points[-1]
    return (
        f'<path class="edge {arrow.kind}" stroke-width="{arrow.width:.1f}" d="{drawn}"/>'
        f'<path class="head {arrow.kind}" d="M{x + 8 * line.way:.0f} {y:.1f} l{-10 * line.way} -5 v10 z"/>'
    )


def _texts(lines: Sequence[_Line], boxes: Iterable[Point]) -> Iterator[str]:
    """What fails first. Where there is no room left the table alone tells of it."""
    taken: list[Area] = [(x, y - _TALL / 2, x + _BOX, y + _TALL / 2) for x, y in boxes]
    turns = [_area(one, other) for line in lines for one, other in line.turns() if one[1] != other[1]]
    for line in sorted(lines, key=lambda line: ("bad", "slow", "", "tcp").index(line.arrow.kind)):
        wide = _LETTER * max(len(line.arrow.said), len(line.arrow.below))
        found: list[tuple[int, int, Area, float, float, int, tuple[int, int]]] = []
        for (x, y), side, rows in line.places:
            here = min(x, x + side * wide), y + rows[0] - 11, max(x, x + side * wide), y + rows[1] + 3
            crossed = sum(_overlap(turn, here) for turn in turns)
            if crossed <= 1 and not any(_overlap(other, here) for other in taken):
                found.append((crossed, len(found), here, x, y, side, rows))
        if not found:
            continue
        *_, here, x, y, side, rows = min(found)
        taken.append(here)
        for kind, row, said in ((line.arrow.kind, rows[0], line.arrow.said), ("soft", rows[1], line.arrow.below)):
            if said:
                yield (
                    f'<text class="halo {kind}" x="{x:.0f}" y="{y + row:.1f}" '
                    f'text-anchor="{"start" if side > 0 else "end"}">{escape(said)}</text>'
                )


def _area(one: Point, other: Point) -> Area:
    """Without its corners, where a line is flat."""
    (x1, x2), (y1, y2) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return x1 + 8, y1, x2 - 8, y2


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _point(point: Point) -> str:
    return f"{point[0]:.0f} {point[1]:.1f}"


def _box(node: Node, at: Point) -> str:
    x, y = at[0], at[1] - _TALL / 2
    figure = f", {node.figure}" if node.below and node.figure else node.figure
    below = _short(node.below, 24 - len(figure)) + figure
    return (
        f"<g><title>{escape(node.name)} {escape(node.below)}{escape(figure)}</title>"
        f'<rect class="box" x="{x:.0f}" y="{y:.1f}" width="{_BOX}" height="{_TALL}" rx="9"/>'
        f'<text class="name" x="{x + 12:.0f}" y="{y + 22:.1f}">{escape(_short(node.name, 20))}</text>'
        f'<text class="soft" x="{x + 12:.0f}" y="{y + 40:.1f}">{escape(below)}</text></g>'
    )


def _short(text: str, most: int) -> str:
    """Cut in the middle: what names of versions differ in is at their ends."""
    end = min(8, most // 2)
    return text if len(text) <= most else f"{text[: most - 1 - end]}\u2026{text[-end:]}"
