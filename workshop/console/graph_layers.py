"""Where the nodes of a graph are drawn: in layers from left to right, in lanes one below the other.

The usual way of drawing layers (Sugiyama, Tagawa and Toda, 1981) in its simple form: cycles are opened, a node is
as far to the right as its longest way there, an edge over several layers gets a bend in each that it passes, and
within a layer nodes are in the order of what they are connected with, so that few edges cross. A mesh that people
look at has some tens of workloads, for which this takes a millisecond. The kept libraries are no better fit:
graphviz is a program to be installed, networkx brings 2 MB and no order within layers, and grandalf knows no lanes
and needs pyparsing.

The same graph is always drawn in the same way, so that nothing jumps while figures change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Ends = tuple[str, str]

_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Place:
    """A column (a layer), and a row, which may lie between two."""

    column: int
    row: float


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows from `top` on."""

    name: str
    top: int
    rows: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """`bends` are where an edge passes layers between its ends; of those without any there is nothing."""

    places: Mapping[str, Place]
    bends: Mapping[Ends, tuple[Place, ...]]
    lanes: tuple[Lane, ...]

    @property
    def columns(self) -> int:
        return max((place.column for place in self.places.values()), default=-1) + 1

    @property
    def rows(self) -> int:
        return sum(lane.rows for lane in self.lanes)


@dataclass(frozen=True, slots=True, order=True)
class _Spot:
    """What takes room in a layer: a node (`ends` is empty), or a bend of an edge."""

    layer: int
    node: str
    ends: Ends = ("", "")


def drawn(lanes: Mapping[str, str], edges: Iterable[Ends]) -> Drawing:
    """Of nodes, each with the name of its lane, and edges between them."""
    wanted = sorted({ends for ends in edges if ends[0] != ends[1]})
    layers = _layers(sorted(lanes), list(_opened(sorted(lanes), wanted)))
    spots, links = _spots(lanes, wanted, layers)
    order = _order_of_lanes(lanes, wanted)
    rows: dict[_Spot, float] = {}
    made: list[Lane] = []
    top = 0
    for name in order:
        in_lane: dict[int, list[_Spot]] = defaultdict(list)
        for spot, lane in sorted(spots.items()):
            if lane == name:
                in_lane[spot.layer].append(spot)
        height = max(map(len, in_lane.values()))
        made.append(Lane(name, top, height))
        _order(in_lane, links, rows, top, height)
        top += height
    places = {spot.node: Place(spot.layer, rows[spot]) for spot in spots if spot.node}
    bends: dict[Ends, list[Place]] = defaultdict(list)
    for spot in sorted(spots):
        if not spot.node:
            bends[spot.ends].append(Place(spot.layer, rows[spot]))
    right_way = {
        ends: tuple(found if layers[ends[0]] < layers[ends[1]] else found[::-1]) for ends, found in bends.items()
    }
    return Drawing(places, right_way, tuple(made))


def _opened(nodes: Sequence[str], edges: Sequence[Ends]) -> Iterator[Ends]:
    """All edges in the direction in which they make no cycle."""
    after: dict[str, list[str]] = defaultdict(list)
    into = {end for _, end in edges}
    for begin, end in edges:
        after[begin].append(end)
    done: set[str] = set()
    for start in sorted(nodes, key=lambda node: (node in into, node)):
        if start in done:
            continue
        path, stack = {start}, [(start, iter(after[start]))]
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.discard(node)
                done.add(node)
            elif following in path:
                yield following, node
            else:
                yield node, following
                if following not in done:
                    path.add(following)
                    stack.append((following, iter(after[following])))


def _layers(nodes: Sequence[str], edges: Sequence[Ends]) -> dict[str, int]:
    """By the longest way there; who is called by nobody stands just before the first whom it calls."""
    before: dict[str, set[str]] = {node: set() for node in nodes}
    after: dict[str, set[str]] = {node: set() for node in nodes}
    for begin, end in edges:
        before[end].add(begin)
        after[begin].add(end)
    layers: dict[str, int] = {}
    left = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not left[node]]
    while ready:
        node = ready.pop()
        layers[node] = max((layers[one] + 1 for one in before[node]), default=0)
        for one in after[node]:
            left[one] -= 1
            if not left[one]:
                ready.append(one)
    for node in nodes:
        if not before[node] and after[node]:
            layers[node] = min(layers[one] for one in after[node]) - 1
    return layers


def _order_of_lanes(lanes: Mapping[str, str], edges: Sequence[Ends]) -> list[str]:
    """Who calls stands above whom it calls; those by themselves come last."""
    names, between = sorted({*lanes.values()}), sorted({(lanes[one], lanes[other]) for one, other in edges})
    between = [ends for ends in between if ends[0] != ends[1]]
    layers, linked = _layers(names, list(_opened(names, between))), {name for ends in between for name in ends}
    return sorted(names, key=lambda name: (name not in linked, layers[name], name))


def _spots(
    lanes: Mapping[str, str], edges: Sequence[Ends], layers: Mapping[str, int]
) -> tuple[dict[_Spot, str], dict[_Spot, list[_Spot]]]:
    """All that takes room, with its lane; and what each is connected with in the layers beside it."""
    at = {node: _Spot(layers[node], node) for node in lanes}
    spots = {at[node]: lane for node, lane in lanes.items()}
    links: dict[_Spot, list[_Spot]] = defaultdict(list)
    for ends in edges:
        left, right = sorted((at[ends[0]], at[ends[1]]))
        chain = [left, *(_Spot(layer, "", ends) for layer in range(left.layer + 1, right.layer)), right]
        for bend in chain[1:-1]:
            spots[bend] = lanes[right.node]
        for one, other in pairwise(chain):
            links[one].append(other)
            links[other].append(one)
    return spots, links


def _order(
    in_lane: Mapping[int, list[_Spot]],
    links: Mapping[_Spot, list[_Spot]],
    rows: dict[_Spot, float],
    top: int,
    height: int,
) -> None:
    """Give each a row: layer by layer to the right and back again, in the order of the mean row of what is beside
    it; those in no known row keep where they are."""

    def put(layer: int) -> None:
        spots = in_lane[layer]
        first = top + (height - len(spots)) / 2
        rows.update({spot: first + place for place, spot in enumerate(spots)})

    for layer in in_lane:
        put(layer)
    for sweep in range(_SWEEPS):
        for layer in sorted(in_lane, reverse=bool(sweep % 2)):
            means = {}
            for spot in in_lane[layer]:
                known = [rows[one] for one in links.get(spot, ()) if one in rows]
                means[spot] = sum(known) / len(known) if known else rows[spot]
            in_lane[layer].sort(key=lambda spot: (means[spot], spot))
            put(layer)
