from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from workshop.console.graph_layers import Ends, Lane, Place, drawn

BOOKINFO = [
    ("ingress", "productpage"),
    ("productpage", "details"),
    *(("productpage", f"reviews-v{number}") for number in (1, 2, 3)),
    ("reviews-v2", "ratings"),
    ("reviews-v3", "ratings"),
]


def lanes(edges: list[Ends], **others: str) -> dict[str, str]:
    return {node: others.get(node, "bookinfo") for ends in edges for node in ends}


def test_bookinfo_goes_from_left_to_right() -> None:
    found = drawn(lanes(BOOKINFO, ingress="istio-system"), BOOKINFO)
    columns = {node: place.column for node, place in found.places.items()}
    assert columns == {
        **{"ingress": 0, "productpage": 1, "details": 2},
        **{"reviews-v1": 2, "reviews-v2": 2, "reviews-v3": 2, "ratings": 3},
    }
    assert found.lanes == (Lane("istio-system", 0, 1), Lane("bookinfo", 1, 4))
    assert (found.columns, found.rows) == (4, 5)
    assert found.places["productpage"] == Place(1, 2.5), "in the middle of its lane"


def test_who_calls_late_stands_before_whom_it_calls() -> None:
    edges = [*BOOKINFO, ("fortio", "ratings")]
    assert drawn(lanes(edges), edges).places["fortio"].column == 2


def test_lanes_that_call_are_above_those_they_call_and_others_are_last() -> None:
    edges = [("user", "ingress"), ("ingress", "page"), ("fortio", "httpbin")]
    named = {"user": "outside", "ingress": "z", "page": "bookinfo", "fortio": "a", "httpbin": "a"}
    assert [lane.name for lane in drawn(named, edges).lanes] == ["outside", "z", "bookinfo", "a"]


def test_an_edge_over_several_layers_passes_where_no_node_is() -> None:
    edges = [*BOOKINFO, ("ingress", "ratings")]
    found = drawn(lanes(edges), edges)
    bends = found.bends["ingress", "ratings"]
    assert [bend.column for bend in bends] == [1, 2]
    assert not {*bends} & {*found.places.values()}


def test_those_that_call_each_other() -> None:
    edges = [("a", "b"), ("b", "a"), ("b", "b"), ("b", "c")]
    found = drawn(lanes(edges), edges)
    assert {node: place.column for node, place in found.places.items()} == {"a": 0, "b": 1, "c": 2}


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn({}, []).columns == drawn({}, []).rows == 0


def test_few_edges_cross() -> None:
    """Two pairs whose names are in the other order."""
    edges = [("a", "z"), ("b", "y")]
    found = drawn(lanes(edges), edges).places
    assert (found["a"].row < found["b"].row) == (found["z"].row < found["y"].row)


NODES = "abcdefgh"


@given(
    st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=20),
    st.dictionaries(st.sampled_from(NODES), st.sampled_from(["x", "y", ""]), min_size=8, max_size=8),
)
def test_each_has_a_place_of_its_own_in_its_lane(edges: list[Ends], named: dict[str, str]) -> None:
    found = drawn(named, edges)
    assert found == drawn(dict(reversed(named.items())), edges[::-1]), "whatever the order in which it is told"
    taken = [*found.places.values(), *itertools.chain.from_iterable(found.bends.values())]
    assert len(taken) == len(set(taken))
    rows = {lane.name: range(lane.top, lane.top + lane.rows) for lane in found.lanes}
    for node, place in found.places.items():
        assert place.column >= 0
        assert rows[named[node]].start <= place.row <= rows[named[node]].stop - 1
    assert sum(map(len, rows.values())) == found.rows
    for ends, bends in found.bends.items():
        columns = [found.places[ends[0]].column, *(bend.column for bend in bends), found.places[ends[1]].column]
        assert columns in (sorted(columns), sorted(columns, reverse=True))
