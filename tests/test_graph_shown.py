"""The graph as data for the page and as a table, with the same words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.kit.mesh_samples import rules
from workshop.graph_shown import OUTSIDE, as_data, as_table
from workshop.mesh.mesh_graph import Edge, Graph, MarkedService, MeasuredSplit, Node, Part
from workshop.mesh.mesh_rules import rules_of

PAGE, INGRESS = Node("bookinfo", "productpage-v1"), Node("istio-system", "ingress")
REVIEWS = "reviews.bookinfo.svc.cluster.local"


def reviews(version: str, rate: float, **more: Any) -> Edge:
    name = Node("bookinfo", f"reviews-{version}")
    return Edge(PAGE, name, rate, version=version, services=frozenset({REVIEWS}), **more)


def graph() -> Graph:
    (split, *_) = rules_of(rules()).splits
    parts = tuple(
        Part(one, share, (0.1, 0.3)) for one, share in zip(split.destinations, (0.8123, 0.1877), strict=True)
    )
    return Graph(
        (
            Edge(Node("", ""), INGRESS, 10.0),
            Edge(INGRESS, PAGE, 10.0, 1.0, p50=0.01234567, p99=0.1),
            reviews("v1", 8.0),
            reviews("v3", 2.0, flags={"UO": 0.5, "DI": 1.0, "UF": 0.0001}),
            Edge(PAGE, Node("bookinfo", "details", is_service=True)),
        ),
        (MeasuredSplit(split, parts, 600, 6),),
        (MarkedService(REVIEWS, "fault: delay 7s for 50 %", "fault", True),),
        60.0,
    )


def test_the_page_gets_nodes_in_their_lanes_with_split_and_marks() -> None:
    data = as_data(graph(), "the sandbox")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [lane[0] for lane in data["lanes"]] == [OUTSIDE, "istio-system", "bookinfo"]
    nodes = {node["id"]: node for node in data["nodes"]}
    assert nodes["bookinfo/reviews-v1"]["split"] == [0.8, 0.812, 0.1, 0.3, True]
    assert nodes["bookinfo/reviews-v3"]["split"] == [0.2, 0.188, 0.1, 0.3, False]
    assert nodes["bookinfo/reviews-v3"]["marks"] == [["fault", "fault: delay 7s for 50 %", True]]
    assert nodes["bookinfo/productpage-v1"]["split"] is None
    assert nodes["bookinfo/productpage-v1"]["errors"] == 0.1
    assert nodes["bookinfo/details/service"]["name"] == "service details"
    assert (nodes["/"]["name"], nodes["/"]["outside"]) == ("callers", True)
    assert {node["at"][0] for node in data["nodes"]} == set(range(data["columns"])) == {0, 1, 2, 3}


def test_numbers_have_the_digits_that_are_shown() -> None:
    """What changes behind them is no news for a page."""
    (edge,) = [edge for edge in as_data(graph(), "")["edges"] if edge["to"] == "bookinfo/productpage-v1"]
    assert edge["p50"] == 0.0123


def test_what_happens_to_few_requests_is_not_noted() -> None:
    (edge,) = [edge for edge in as_data(graph(), "")["edges"] if edge["to"] == "bookinfo/reviews-v3"]
    assert edge["notes"] == ["50 % delayed by a fault (DI)", "25 % refused by the breaker (UO)"]


def test_what_is_missing_is_said_in_the_table_and_on_the_page() -> None:
    assert (as_table(graph(), "").missing, as_data(graph(), "")["missing"]) == ("", "")
    silent = replace(graph(), silent=("a-1", "b-1", "c-1", "d-1"))
    said = "Prometheus gets nothing from 4 pods, so what they count is missing: a-1, b-1, c-1, ..."
    assert as_table(silent, "").missing == as_data(silent, "")["missing"] == said


def test_a_split_is_shown_where_there_is_somebody_else_to_send_to() -> None:
    """All to v3 is news while there is a v1, as at a canary's end; all to the only one is none."""
    made = graph()
    (whole,) = made.splits
    only = replace(whole, parts=whole.parts[:1])
    alone = tuple(edge for edge in made.edges if edge.version != "v3")
    for edges, splits, shown in ((made.edges, whole, 1), (made.edges, only, 1), (alone, only, 0), ((), only, 0)):
        told = replace(made, edges=edges, splits=(splits,))
        assert (len(as_table(told, "").splits), len(as_data(told, "")["splits"])) == (shown, shown)


def test_the_table_says_the_same() -> None:
    table = as_table(graph(), "the sandbox")
    assert [(call.source, call.destination, call.namespace) for call in table.calls] == [
        ("ingress.istio-system", "productpage-v1", "bookinfo"),
        ("productpage-v1", "service details", "bookinfo"),
        ("productpage-v1", "reviews-v1", "bookinfo"),
        ("productpage-v1", "reviews-v3", "bookinfo"),
        (OUTSIDE, "ingress", "istio-system"),
    ]
    (split,) = table.splits
    assert (split.title, split.samples, split.errors) == ("bookinfo/reviews", 594, 6)
    assert [(bar.label, bar.measured, bar.expected) for bar in split.bars] == [
        ("v1", 0.8123, 0.8),
        ("v3", 0.1877, 0.2),
    ]
    assert table.about == "the sandbox, over the last 60 s"
    assert [(mark.subject, mark.bad) for mark in table.marks] == [("reviews.bookinfo", True)]
