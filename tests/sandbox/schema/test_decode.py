from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sandbox.core.cluster import ApiError
from sandbox.schema.decode import decode, parse_strict
from tests.kit.cases import cases

from .objects import DEPLOYMENTS, RESOURCES, custom, deployment, fruit, type_of

CANNOT = 'Deployment in version "v1" cannot be handled as a Deployment: '


def refused(*args: Any, **kwargs: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode(*args, **kwargs)
    return caught.value


@cases(__file__, "decoding")
def test_decoding(of: str, case: Any) -> None:
    resource, strictness = RESOURCES[of], case.get("strictness", "Warn")
    obj = copy.deepcopy(case.get("object") or {"metadata": {}, "spec": case["spec"]})
    if "refused" not in case:
        assert decode(resource, type_of(resource), obj, strictness) == case["warns"]
        assert obj.get("spec", {}) == case["makes"]
        return
    error = refused(resource, type_of(resource), obj, strictness)
    what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    assert (error.code, error.reason) == (400, "BadRequest")
    assert error.message == f"{what}: {case['refused']}"


def test_duplicate_fields_are_found_where_they_are() -> None:
    value, messages = parse_strict(
        b'{"spec":{"ports":[{"port":1,"port":2}],"a":1},"spec":{"ports":[{"port":1,"port":2}]}}'
    )
    assert messages == ['duplicate field "spec"', 'duplicate field "spec.ports[0].port"']
    assert value == {"spec": {"ports": [{"port": 2}]}}
    text = json.dumps(deployment()).replace(
        '"spec": {"selector"', '"spec": {"replicas": 1, "replicas": 2, "selector"'
    )
    obj, messages = parse_strict(text.encode())
    error = refused(DEPLOYMENTS, type_of(DEPLOYMENTS), obj, "Strict", messages)
    assert error.message == CANNOT + 'strict decoding error: duplicate field "spec.replicas"'


def test_a_body_is_json_and_only_where_allowed_yaml() -> None:
    assert parse_strict(b"spec: {a: 1}", yaml=True) == ({"spec": {"a": 1}}, [])
    with pytest.raises(ApiError) as caught:
        parse_strict(b"spec: {a: 1}")
    assert caught.value.code == 400


def test_the_result_of_a_patch_is_refused_as_the_patch() -> None:
    error = refused(
        DEPLOYMENTS,
        type_of(DEPLOYMENTS),
        deployment(foo=1),
        "Strict",
        patch={"spec": {"foo": 1, "bar": [None, True]}},
    )
    assert (error.code, error.reason) == (422, "Invalid")
    (cause,) = error.details["causes"]
    assert cause["field"] == "patch"
    assert cause["message"] == (
        'Invalid value: {"spec":{"foo":1,"bar":[null,true]}}: strict decoding error: unknown field "spec.foo"'
    )


def test_custom_kinds_are_pruned_but_where_they_say_so() -> None:
    resource, kind = custom(
        {
            "type": "object",
            "properties": {
                "known": {"type": "string"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "map": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}},
                },
            },
        }
    )
    obj = fruit({"known": "x", "other": 1, "free": {"any": {"thing": 1}}, "map": {"k": {"a": 1, "b": 2}}})
    assert decode(resource, kind, obj) == ['unknown field "spec.other"', 'unknown field "spec.map.k.b"']
    assert obj["spec"] == {"known": "x", "free": {"any": {"thing": 1}}, "map": {"k": {"a": 1}}}
    assert decode(resource, kind, fruit({}) | {"extra": 1}) == ['unknown field "extra"']
