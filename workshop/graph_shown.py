"""A graph of the mesh as it is shown: as a table for the terminal, and as data for the page, with the same
words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workshop.console.graph_layers import Drawing, drawn
from workshop.console.graph_view import NOTHING, Call, GraphTable, Mark
from workshop.console.words import count
from workshop.mesh.mesh_graph import FLAGS, Edge, Graph, MarkedService, MeasuredSplit, Node, Part
from workshop.runbook.results import Bar, Measurement

OUTSIDE = "outside the mesh"
_DOMAIN = ".svc.cluster.local"
_NAMED = 3
"""Of many pods."""
_SEEN = 0.001
"""The share of requests from which on a response flag is told."""


def about(which: str, graph: Graph) -> str:
    return f"{which}, over the last {graph.window:.0f} s"


def missing(graph: Graph) -> str:
    """What is not in it, and why; empty where all is."""
    if not graph.silent:
        return ""
    named = ", ".join(graph.silent[:_NAMED]) + (", ..." if len(graph.silent) > _NAMED else "")
    return f"Prometheus gets nothing from {count(len(graph.silent), 'pod')}, so what they count is missing: {named}"


def as_table(graph: Graph, which: str, lost: str = "") -> GraphTable:
    calls = [
        Call(
            _from(edge),
            _name(edge.destination),
            edge.destination.namespace,
            edge.rate,
            edge.error_share,
            edge.p50,
            edge.p99,
            edge.bytes,
            tuple(_notes(edge)),
        )
        for edge in sorted(graph.edges, key=_by_namespace)
    ]
    splits = [found for split in _splits(graph) if (found := _measurement(split, graph.window))]
    marks = [Mark(_short(mark.host), mark.said, mark.bad) for mark in graph.marks]
    return GraphTable(about(which, graph), tuple(calls), tuple(splits), tuple(marks), lost, missing(graph))


def as_data(graph: Graph, which: str) -> dict[str, Any]:
    """For the page (graph_page.js); numbers have the digits that are shown."""
    nodes = {_id(node): node for node in graph.nodes}
    lanes = {key: node.namespace or OUTSIDE for key, node in nodes.items()}
    drawing = drawn(lanes, [(_id(edge.source), _id(edge.destination)) for edge in graph.edges])
    return {
        "about": about(which, graph),
        "missing": missing(graph),
        "nothing": NOTHING,
        "columns": drawing.columns,
        "rows": drawing.rows,
        "lanes": [[lane.name, lane.top, lane.rows] for lane in drawing.lanes],
        "nodes": [_node(graph, key, node, drawing) for key, node in nodes.items()],
        "edges": [_edge(edge, drawing) for edge in sorted(graph.edges, key=_by_namespace)],
        "splits": [_split(split) for split in _splits(graph)],
        "marks": [[_short(mark.host), mark.said, mark.kind, mark.bad] for mark in graph.marks],
    }


def _by_namespace(edge: Edge) -> tuple[object, ...]:
    """Of the called one; within it, who calls from elsewhere comes first."""
    home = edge.destination.namespace
    return home, edge.source.namespace == home, edge.source, edge.destination


def _node(graph: Graph, key: str, node: Node, drawing: Drawing) -> dict[str, Any]:
    into = [edge for edge in graph.edges if edge.destination == node]
    rate, errors = sum(edge.rate for edge in into), sum(edge.errors for edge in into)
    hosts = {host for edge in into for host in edge.services}
    return {
        "id": key,
        "name": _name(node) if node.name else "callers",
        "service": node.is_service,
        "outside": not node.name,
        "at": [drawing.places[key].column, drawing.places[key].row],
        "rate": _digits(rate),
        "errors": _digits(errors / rate if rate else 0.0),
        "split": next((_part(part) for part in _parts(graph, node, into)), None),
        "marks": [[mark.kind, mark.said, mark.bad] for mark in _marks(graph, hosts)],
    }


def _edge(edge: Edge, drawing: Drawing) -> dict[str, Any]:
    ends = _id(edge.source), _id(edge.destination)
    return {
        "from": ends[0],
        "to": ends[1],
        "names": [_from(edge), _name(edge.destination), edge.destination.namespace],
        "via": [[bend.column, bend.row] for bend in drawing.bends.get(ends, ())],
        "rate": _digits(edge.rate),
        "errors": _digits(edge.error_share),
        "bytes": _digits(edge.bytes),
        "p50": _digits(edge.p50),
        "p99": _digits(edge.p99),
        "notes": list(_notes(edge)),
    }


def _parts(graph: Graph, node: Node, into: list[Edge]) -> Iterator[Part]:
    """Of what this one gets by a route that all requests take."""
    for split in graph.splits:
        if split.split.when or len(split.parts) < 2:
            continue
        for part in split.parts:
            to = part.destination
            wanted = to.version if to.subset else None
            if any(to.host in edge.services and wanted in (None, edge.version) for edge in into):
                if to.subset and to.version is None:
                    continue
                yield part


def _marks(graph: Graph, hosts: set[str]) -> Iterator[MarkedService]:
    return (mark for mark in graph.marks if mark.host in hosts)


def _splits(graph: Graph) -> Iterator[MeasuredSplit]:
    """Without those that send all to the only one there is."""
    for split in graph.splits:
        if len(split.parts) > 1 or len(graph.of(split.parts[0].destination.host)) > 1:
            yield split


def _split(split: MeasuredSplit) -> dict[str, Any]:
    return {
        "name": split.split.name,
        "when": split.split.when,
        "calls": split.calls,
        "parts": [[part.destination.label, *_part(part)] for part in split.parts],
    }


def _part(part: Part) -> list[Any]:
    low, high = part.accepted or (None, None)
    return [part.destination.weight / 100, _digits(part.measured), _digits(low), _digits(high), part.odd]


def _measurement(split: MeasuredSplit, window: float) -> Measurement | None:
    bars = tuple(
        Bar(
            part.destination.label,
            part.measured,
            None if split.split.when else part.destination.weight / 100,
            part.accepted,
        )
        for part in split.parts
        if part.measured is not None
    )
    title = split.split.name + (f" ({split.split.when})" if split.split.when else "")
    return Measurement(title, bars, split.calls - split.errors, window, split.errors) if bars else None


def _notes(edge: Edge) -> Iterator[str]:
    for flag, rate in sorted(edge.flags.items(), key=lambda item: (-item[1], item[0])):
        share = rate / edge.rate if edge.rate else 0.0
        if share >= _SEEN:
            yield f"{100 * share:.0f} % {FLAGS[flag]} ({flag})"


def _from(edge: Edge) -> str:
    """With its namespace, where that is another one."""
    source = edge.source
    if not source.name:
        return OUTSIDE
    return source.name if source.namespace == edge.destination.namespace else f"{source.name}.{source.namespace}"


def _name(node: Node) -> str:
    if not node.name:
        return OUTSIDE
    return f"service {node.name}" if node.is_service else node.name


def _id(node: Node) -> str:
    return "/".join((node.namespace, node.name, *(["service"] if node.is_service else [])))


def _short(host: str) -> str:
    return host.removesuffix(_DOMAIN)


def _digits(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.3g}")
