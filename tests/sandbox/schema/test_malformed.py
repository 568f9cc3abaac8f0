"""Whatever a client sends: it is taken or refused as an ApiError, and never breaks anything."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.schema import patch
from sandbox.schema.apply import server_side_apply, track_update
from sandbox.schema.decode import decode
from sandbox.schema.defaults import default
from sandbox.schema.validate import check

from .objects import (
    DEPLOYMENTS,
    PODS,
    RESOURCES,
    SERVICES,
    custom,
    definition,
    deployment,
    fruit,
    pod,
    service,
    type_of,
)

JUNK: list[Any] = [
    None,
    1,
    -1,
    1.5,
    True,
    "",
    "x",
    "Ü",
    [],
    {},
    [None],
    [1],
    {"a": None},
    [[]],
    {"a": {"b": 1}},
    10**12,
]
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
    (DEPLOYMENTS, deployment(strategy={"rollingUpdate": {"maxSurge": 1}})),
    (PODS, RICH_POD),
    (SERVICES, service(type="LoadBalancer", externalIPs=["1.2.3.4"])),
    (RESOURCES["customresourcedefinitions.apiextensions.k8s.io"], definition(STRING)),
    (RESOURCES["secrets"], {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "type": "Opaque"}),
    (FRUITS, fruit({"list": [{"n": "1"}, {"n": "2"}], "set": ["a", "b"], "map": {"a": 1}})),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(item, (*path, key))


def spoiled(value: Object, chance: random.Random) -> Object:
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        path = chance.choice([path for path in places(value) if path != ("metadata",)])
        parent: Any = value
        for step in path[:-1]:
            parent = parent[step]
        if isinstance(parent, dict) and chance.random() < 0.2:
            parent[chance.choice(["junk", "$patch", "$retainKeys", f"$setElementOrder/{path[-1]}"])] = (
                chance.choice(JUNK)
            )
        else:
            parent[path[-1]] = copy.deepcopy(chance.choice(JUNK))
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].plural)
def test_writes(case: Any) -> None:
    resource, good = case
    kind = FRUIT_TYPE if resource is FRUITS else type_of(resource)
    taken = 0
    for seed in range(150):
        obj = spoiled(good, random.Random(seed))  # noqa: S311 - to be repeatable
        live = copy.deepcopy(good)
        default(kind, live)
        try:
            decode(resource, kind, obj)
            default(kind, obj)
            again = copy.deepcopy(obj)
            default(kind, again)
            assert again == obj
            applied = server_side_apply(resource, kind, live, obj, "one", True, "T1")
            assert server_side_apply(resource, kind, applied, obj, "one", True, "T2") == applied
            track_update(resource, kind, live, obj, "other", "T")
            check(resource, kind, obj, live)
            taken += 1
        except ApiError:
            continue
    assert 0 < taken < 150


@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: case[0].plural)
def test_strategic_patches(case: Any) -> None:
    resource, good = case
    before = json.dumps(good)
    for seed in range(150):
        change = spoiled(good, random.Random(seed))  # noqa: S311 - to be repeatable
        with contextlib.suppress(ApiError):
            patch.strategic_merge(type_of(resource), good, change)
    assert json.dumps(good) == before


def test_json_patches() -> None:
    """Of `jsonpatch` no exception gets through, and nothing that is handed to it is changed."""
    good = {
        "patch": [{"op": "add", "path": "/spec/x", "value": {}}, {"op": "move", "from": "/kind", "path": "/a/-"}]
    }
    live = pod(x={"a": [1]})
    before = json.dumps(live)
    for seed in range(300):
        operations = spoiled(good, random.Random(seed))["patch"]  # noqa: S311 - to be repeatable
        sent = json.dumps(operations)
        with contextlib.suppress(ApiError):
            patch.json_patch(live, operations)
        assert (json.dumps(live), json.dumps(operations)) == (before, sent)
