"""What holds whatever a client sends: it is taken or refused as an ApiError, and writing the same again changes
nothing.

Drawn by hypothesis, from objects that are sound and then spoiled in up to three places, the same ones at each run.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.schema import patch
from sandbox.schema.apply import server_side_apply, track_update
from sandbox.schema.decode import decode
from sandbox.schema.defaults import default
from sandbox.schema.validate import check
from tests.kit.laws import LAW

from .objects import RESOURCES, SOUND, custom, definition, fruit, pod, type_of

SCALARS = st.none() | st.booleans() | st.integers(-2, 10**12) | st.just(1.5) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
DIRECTIVES = ("junk", "$patch", "$retainKeys", "$setElementOrder/containers", "$setElementOrder/ports")
RICH_POD = pod(
    volumes=[{"name": "v", "configMap": {"name": "c"}}],
    tolerations=[{"key": "a"}],
    initContainers=[
        {
            "name": "i",
            "image": "i",
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "readinessProbe": {"httpGet": {"port": 1}},
            "restartPolicy": "Always",
            "resources": {"limits": {"cpu": "1"}},
        }
    ],
)
FRUITS, FRUIT_TYPE = custom(
    {
        "type": "object",
        "properties": {
            "list": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string", "default": "x"}}},
            },
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        },
    }
)
STRING = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "pattern": "a"}}}}
CASES: list[tuple[Resource, Object]] = [
    (RESOURCES["deployments.apps"], SOUND["deployments.apps"](strategy={"rollingUpdate": {"maxSurge": 1}})),
    (RESOURCES["pods"], RICH_POD),
    (RESOURCES["services"], SOUND["services"](type="LoadBalancer", externalIPs=["1.2.3.4"])),
    (RESOURCES["customresourcedefinitions.apiextensions.k8s.io"], definition(STRING)),
    (RESOURCES["secrets"], {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "type": "Opaque"}),
    (FRUITS, fruit({"list": [{"n": "1"}, {"n": "2"}], "set": ["a", "b"], "map": {"a": 1}})),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


@st.composite
def spoiled(draw: Callable[[Any], Any], value: Object) -> Object:
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in places(value) if path != ("metadata",)]))
        parent: Any = value
        for step in way:
            parent = parent[step]
        if isinstance(parent, dict) and draw(st.integers(0, 4)) == 0:
            last = draw(st.sampled_from(DIRECTIVES))
        parent[last] = draw(VALUES)
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].plural)
def test_writes(case: Any) -> None:
    resource, good = case
    kind = FRUIT_TYPE if resource is FRUITS else type_of(resource)
    taken = []

    @settings(LAW, max_examples=150)
    @given(spoiled(good))
    def write(obj: Object) -> None:
        live = copy.deepcopy(good)
        default(kind, live)
        with contextlib.suppress(ApiError):
            decode(resource, kind, obj)
            default(kind, obj)
            again = copy.deepcopy(obj)
            default(kind, again)
            assert again == obj
            applied = server_side_apply(resource, kind, live, obj, "one", True, "T1")
            assert server_side_apply(resource, kind, applied, obj, "one", True, "T2") == applied
            track_update(resource, kind, live, obj, "other", "T")
            check(resource, kind, obj, live)
            taken.append(obj)

    write()
    assert taken


@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: case[0].plural)
def test_strategic_patches(case: Any) -> None:
    resource, good = case
    before = json.dumps(good)

    @settings(LAW, max_examples=150)
    @given(spoiled(good))
    def merge(change: Object) -> None:
        with contextlib.suppress(ApiError):
            patch.strategic_merge(type_of(resource), good, change)
        assert json.dumps(good) == before

    merge()


@settings(LAW, max_examples=150)
@given(st.data())
def test_json_patches(data: st.DataObject) -> None:
    """Of `jsonpatch` no exception gets through, and nothing that is handed to it is changed."""
    live: Object = {"spec": {"x": {"a": [1]}}, "kind": "Pod"}
    operations = [{"op": "add", "path": "/spec/x", "value": {}}, {"op": "move", "from": "/kind", "path": "/spec/y"}]
    operations = data.draw(spoiled({"patch": operations}))["patch"]
    before = json.dumps([live, operations])
    with contextlib.suppress(ApiError):
        patch.json_patch(live, operations)
    assert json.dumps([live, operations]) == before


@settings(LAW, max_examples=150)
@given(OBJECTS, OBJECTS)
def test_a_json_patch_from_one_object_to_another_leads_there(one: Object, other: Object) -> None:
    assert patch.json_patch(one, jsonpatch.make_patch(one, other).patch) == other


def difference(one: Any, other: Any) -> Any:
    """A merge patch that makes `other` of `one`."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    changed = {key: difference(one.get(key), value) for key, value in other.items() if one.get(key) != value}
    return {**dict.fromkeys(one.keys() - other.keys()), **changed}


def without_null(value: Any) -> Any:
    """A merge patch cannot make null."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    return value


@settings(LAW, max_examples=150)
@given(OBJECTS.map(without_null), OBJECTS.map(without_null))
def test_a_merge_patch_from_one_object_to_another_leads_there(one: Object, other: Object) -> None:
    assert patch.merge_patch(one, difference(one, other)) == other
