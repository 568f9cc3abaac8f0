from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.core.cluster import ApiError
from sandbox.schema import patch

from .objects import DEPLOYMENTS, PODS, SERVICES, custom, fruit


@pytest.mark.parametrize(
    ("live", "change", "wanted"),
    [
        # Examples of RFC 7386, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge(live: Any, change: Any, wanted: Any) -> None:
    before = copy.deepcopy(live)
    assert patch.merge_patch(live, change) == wanted
    assert live == before


@pytest.mark.parametrize(
    ("operations", "wanted"),
    [
        ([{"op": "add", "path": "/b", "value": 1}], {"a": [1, 2], "o": {"x/y": 1}, "b": 1}),
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2], "o": {"x/y": 1}}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9], "o": {"x/y": 1}}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2], "o": {"x/y": 1}}),
        ([{"op": "remove", "path": "/o/x~1y"}], {"a": [1, 2], "o": {}}),
        ([{"op": "replace", "path": "/a", "value": 3}], {"a": 3, "o": {"x/y": 1}}),
        ([{"op": "move", "from": "/a/0", "path": "/n"}], {"a": [2], "o": {"x/y": 1}, "n": 1}),
        ([{"op": "copy", "from": "/a/0", "path": "/n"}], {"a": [1, 2], "o": {"x/y": 1}, "n": 1}),
        ([{"op": "test", "path": "/a", "value": [1, 2.0]}], {"a": [1, 2], "o": {"x/y": 1}}),
    ],
)
def test_json(operations: Any, wanted: Any) -> None:
    live = {"a": [1, 2], "o": {"x/y": 1}}
    assert patch.json_patch(live, operations) == wanted
    assert live == {"a": [1, 2], "o": {"x/y": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/none/below", "value": 1},
        {"op": "add", "path": "/a/7", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "test", "path": "/a", "value": True},
        {"op": "move", "from": "/o", "path": "/o/below"},
        {"op": "turn", "path": "/a"},
        {"op": "remove", "path": "a"},
    ],
)
def test_json_that_does_not_apply(operation: Any) -> None:
    with pytest.raises(ApiError) as caught:
        patch.json_patch({"a": 1, "o": {}}, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")


def test_json_that_is_no_patch() -> None:
    with pytest.raises(ApiError) as caught:
        patch.json_patch({}, {"op": "add"})
    assert caught.value.code == 400


def containers(*names: str, **more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name} for name in names], **more}}


def names(obj: Any) -> list[str]:
    return [each["name"] for each in obj["spec"]["containers"]]


def test_strategic_merges_items_by_their_key() -> None:
    live: Any = {
        "spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}
    }
    merged = patch.strategic_merge(
        PODS, live, {"spec": {"containers": [{"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}]}}
    )
    assert merged["spec"]["containers"] == [
        {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
        {"name": "b"},
    ]
    assert live["spec"]["containers"][0]["image"] == "1"


def test_strategic_puts_a_new_item_first_and_an_ordered_one_where_it_is_told() -> None:
    assert names(patch.strategic_merge(PODS, containers("a", "b"), containers("new"))) == ["new", "a", "b"]
    change = containers("new", **{"$setElementOrder/containers": [{"name": "a"}, {"name": "new"}, {"name": "b"}]})
    assert names(patch.strategic_merge(PODS, containers("a", "b"), change)) == ["a", "new", "b"]


def test_strategic_reorders_without_a_list() -> None:
    change = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert names(patch.strategic_merge(PODS, containers("a", "x", "b"), change)) == ["x", "b", "a"]


def test_strategic_deletes_and_replaces_items() -> None:
    change = {"spec": {"containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}]}}
    assert names(patch.strategic_merge(PODS, containers("a", "b"), change)) == ["c", "b"]
    change = {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}
    assert names(patch.strategic_merge(PODS, containers("a", "b"), change)) == ["c"]


def test_strategic_maps() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "replicas": 1}}
    change: Any = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "replicas": None}}
    assert patch.strategic_merge(DEPLOYMENTS, live, change) == {"spec": {"strategy": {"type": "Recreate"}}}
    change = {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}
    assert patch.strategic_merge(DEPLOYMENTS, live, change)["spec"]["strategy"] == {"type": "Recreate"}
    change = {"spec": {"strategy": {"$patch": "delete"}}}
    assert patch.strategic_merge(DEPLOYMENTS, live, change)["spec"]["strategy"] == {}


def test_strategic_primitive_lists() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    change: Any = {"metadata": {"finalizers": ["c", "b"]}}
    assert patch.strategic_merge(PODS, live, change)["metadata"]["finalizers"] == ["c", "a", "b"]
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert patch.strategic_merge(PODS, live, change)["metadata"]["finalizers"] == ["b"]


def test_strategic_replaces_lists_that_have_no_key() -> None:
    live = {"spec": {"containers": [{"name": "a", "args": ["1", "2"]}]}}
    change = {"spec": {"containers": [{"name": "a", "args": ["3"]}]}}
    assert patch.strategic_merge(PODS, live, change)["spec"]["containers"][0]["args"] == ["3"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"spec": {"ports": [{"name": "x"}]}}, "does not contain declared merge key: port"),
        ({"spec": {"$patch": "turn"}}, "Unknown patch type found: turn"),
        ({"spec": {"ports": [{"port": 1}], "$setElementOrder/ports": [{"port": 2}]}}, "doesn't match"),
        ({"spec": {"$what/ports": []}}, "$what/ports"),
    ],
)
def test_strategic_refuses_what_makes_no_sense(change: Any, text: str) -> None:
    with pytest.raises(ApiError, match=text.replace("$", r"\$")) as caught:
        patch.strategic_merge(SERVICES, {"spec": {"ports": [{"port": 1}]}}, change)
    assert caught.value.code == 400


def test_strategic_is_for_built_in_kinds() -> None:
    resource, _ = custom({"type": "object"})
    with pytest.raises(ApiError) as caught:
        patch.strategic_merge(resource, fruit({}), {})
    assert caught.value.code == 415
