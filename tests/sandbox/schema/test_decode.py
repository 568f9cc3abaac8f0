from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.schema.decode import decode, parse_strict

from .objects import DEPLOYMENTS, PODS, RESOURCES, custom, deployment, fruit, pod

CANNOT = 'Deployment in version "v1" cannot be handled as a Deployment: '


def refused(*args: Any, **kwargs: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode(*args, **kwargs)
    return caught.value


def test_unknown_fields_are_refused_with_their_paths() -> None:
    obj = deployment(foo=1)
    obj["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    error = refused(DEPLOYMENTS, obj, "Strict")
    assert (error.code, error.reason) == (400, "BadRequest")
    assert error.message == (
        f"{CANNOT}strict decoding error: "
        'unknown field "spec.template.spec.containers[0].imagee", unknown field "spec.foo"'
    )


@pytest.mark.parametrize(("strictness", "warnings"), [("Warn", ['unknown field "spec.foo"']), ("Ignore", [])])
def test_unknown_fields_are_dropped(strictness: Any, warnings: list[str]) -> None:
    obj = deployment(foo=1)
    assert decode(DEPLOYMENTS, obj, strictness) == warnings
    assert "foo" not in obj["spec"]


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
    error = refused(DEPLOYMENTS, obj, "Strict", messages)
    assert error.message == CANNOT + 'strict decoding error: duplicate field "spec.replicas"'


def test_a_body_is_json_and_only_where_allowed_yaml() -> None:
    assert parse_strict(b"spec: {a: 1}", yaml=True) == ({"spec": {"a": 1}}, [])
    with pytest.raises(ApiError) as caught:
        parse_strict(b"spec: {a: 1}")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"replicas": "x"}, "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": 1.5}, "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": 2**31}, "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"paused": "yes"}, "string into Go struct field DeploymentSpec.spec.paused of type bool"),
        ({"strategy": []}, "array into Go struct field DeploymentSpec.spec.strategy of type v1.DeploymentStrategy"),
        (
            {"selector": {"matchLabels": {"a": 1}}},
            "number into Go struct field LabelSelector.spec.selector.matchLabels of type string",
        ),
    ],
)
def test_values_of_the_wrong_type_are_refused_as_the_decoder_does(change: Object, text: str) -> None:
    error = refused(DEPLOYMENTS, deployment(**change))
    assert error.message == f"{CANNOT}json: cannot unmarshal {text}"


def test_wrong_types_inside_lists_are_named_without_an_index() -> None:
    obj = pod()
    obj["spec"]["containers"][0]["env"] = [{"name": "A", "value": 1}]
    error = refused(PODS, obj)
    assert error.message.endswith(
        "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string"
    )


@pytest.mark.parametrize("amount", ["1", "100m", "1.5Gi", 2, "1e3", "-1"])
def test_quantities(amount: Any) -> None:
    obj = pod()
    obj["spec"]["containers"][0]["resources"] = {"limits": {"memory": amount}}
    assert decode(PODS, obj, "Strict") == []


def test_what_is_no_quantity_time_or_base64() -> None:
    obj = pod()
    obj["spec"]["containers"][0]["resources"] = {"limits": {"memory": "much"}}
    assert "quantities must match the regular expression" in refused(PODS, obj).message
    obj = pod()
    obj["metadata"]["creationTimestamp"] = "yesterday"
    assert 'parsing time "yesterday"' in refused(PODS, obj).message
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "$$"}}
    assert refused(RESOURCES["secrets"], secret).message.endswith("illegal base64 data at input byte 0")


def test_null_and_empty_lists_and_maps_count_as_left_out() -> None:
    obj = pod(nodeSelector={}, tolerations=[], hostname=None, volumes=[{"name": "a", "emptyDir": {}}])
    decode(PODS, obj, "Strict")
    assert set(obj["spec"]) == {"containers", "volumes"}
    assert obj["spec"]["volumes"] == [{"name": "a", "emptyDir": {}}]


def test_the_result_of_a_patch_is_refused_as_the_patch() -> None:
    error = refused(DEPLOYMENTS, deployment(foo=1), "Strict", patch={"spec": {"foo": 1, "bar": [None, True]}})
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
    assert decode(resource, obj, "Warn", (), kind) == ['unknown field "spec.other"', 'unknown field "spec.map.k.b"']
    assert obj["spec"] == {"known": "x", "free": {"any": {"thing": 1}}, "map": {"k": {"a": 1}}}
    assert decode(resource, fruit({}) | {"extra": 1}, "Warn", (), kind) == ['unknown field "extra"']
