"""CRDs: what their schemas say about objects, and which CRDs are refused."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.core.cluster import ApiError, Object
from sandbox.schema import custom_kinds
from sandbox.schema.defaults import default
from sandbox.schema.validate import check, validate

from .objects import RESOURCES, custom, definition, fruit

DEFINITIONS = RESOURCES["customresourcedefinitions.apiextensions.k8s.io"]
STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "value", "finding"),
    [
        (
            {"type": "integer"},
            "x",
            'spec.v: Invalid value: "string": spec.v in body must be of type integer: "string"',
        ),
        (
            {"type": "integer"},
            1.5,
            'spec.v: Invalid value: "number": spec.v in body must be of type integer: "number"',
        ),
        ({"type": "integer"}, 2.0, None),
        ({"type": "number"}, 2, None),
        (STRING, None, 'spec.v: Invalid value: "null": spec.v in body must be of type string: "null"'),
        ({**STRING, "nullable": True}, None, None),
        ({**STRING, "enum": ["a", "b"]}, "c", 'spec.v: Unsupported value: "c": supported values: "a", "b"'),
        ({**STRING, "pattern": "^a+$"}, "b", "spec.v: Invalid value: \"b\": spec.v in body should match '^a+$'"),
        (
            {**STRING, "minLength": 2},
            "b",
            'spec.v: Invalid value: "b": spec.v in body should be at least 2 chars long',
        ),
        ({**STRING, "maxLength": 2}, "bbb", "spec.v: Too long: may not be more than 2 bytes"),
        (
            {**STRING, "format": "date-time"},
            "now",
            'spec.v: Invalid value: "now": spec.v in body must be of type date-time: "now"',
        ),
        (
            {"type": "integer", "minimum": 1},
            0,
            "spec.v: Invalid value: 0: spec.v in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "maximum": 1, "exclusiveMaximum": True},
            1,
            "spec.v: Invalid value: 1: spec.v in body should be less than 1",
        ),
        (
            {"type": "integer", "multipleOf": 3},
            4,
            "spec.v: Invalid value: 4: spec.v in body should be a multiple of 3",
        ),
        (
            {"type": "array", "items": STRING, "minItems": 1},
            [],
            "spec.v: Invalid value: 0: spec.v in body should have at least 1 items",
        ),
        (
            {"type": "array", "items": STRING, "maxItems": 1},
            ["a", "b"],
            "spec.v: Too many: 2: must have at most 1 items",
        ),
        (
            {"type": "array", "items": STRING},
            ["a", 1],
            'spec.v[1]: Invalid value: "integer": spec.v[1] in body must be of type string: "integer"',
        ),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
            ["a", "a"],
            'spec.v[1]: Duplicate value: "a"',
        ),
        ({"type": "object", "required": ["a"]}, {}, "spec.v.a: Required value"),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            {"k": 1},
            'spec.v.k: Invalid value: "integer": spec.v.k in body must be of type boolean: "integer"',
        ),
        ({"x-kubernetes-int-or-string": True}, "5%", None),
        ({"x-kubernetes-int-or-string": True}, 5, None),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            'spec.v: Invalid value: "boolean": spec.v in body must be of type integer,string: "boolean"',
        ),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 1},
            'spec.v: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives",
        ),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            'spec.v: Invalid value: "": "spec.v" must validate one and only one schema (oneOf). Found none valid',
        ),
        (
            {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            'spec.v: Invalid value: "": "spec.v" must validate at least one schema (anyOf)',
        ),
        (
            {"type": "object", "not": {"required": ["a"]}},
            {"a": 1},
            'spec.v: Invalid value: "": "spec.v" must not validate the schema (not)',
        ),
        ({"type": "object", "allOf": [{"required": ["a"]}]}, {}, "spec.v.a: Required value"),
        (
            {"type": "object", "oneOf": [{"not": {"anyOf": [{"required": ["a"]}]}}, {"required": ["a"]}]},
            {"a": 1},
            None,
        ),
    ],
)
def test_schemas(schema: Any, value: Any, finding: str | None) -> None:
    resource, kind = custom({"type": "object", "properties": {"v": schema}})
    found = [f"{each.field}: {each.message}" for each in validate(resource, fruit({"v": value}), kind)]
    assert found == ([finding] if finding else [])


def test_versions_are_served_in_their_order() -> None:
    versions = ["v1alpha1", "v1", "v1beta1", "v2", "v10", "v1beta2", "other"]
    obj = definition({"type": "object"})
    (version,) = obj["spec"]["versions"]
    obj["spec"]["versions"] = [
        version | {"name": name, "storage": name == "v1", "served": name != "v2"} for name in versions
    ]
    kinds = custom_kinds.establish(obj)
    assert [each.resource.version for each in kinds] == ["v10", "v1", "v1beta2", "v1beta1", "v1alpha1", "other"]
    assert [each.storage for each in kinds] == [False, True, False, False, False, False]


def findings(obj: Object, old: Object | None = None) -> list[str]:
    default(DEFINITIONS, obj)
    try:
        check(DEFINITIONS, obj, old)
    except ApiError as error:
        return [f"{cause['field']}: {cause['message']}" for cause in error.details["causes"]]
    return []


def test_a_good_definition() -> None:
    assert findings(definition({"type": "object"})) == []


SCHEMA = "spec.versions[0].schema.openAPIV3Schema"


@pytest.mark.parametrize(
    ("schema", "finding"),
    [
        ({}, f"{SCHEMA}.properties[spec].type: Required value: must not be empty for specified object fields"),
        (
            {"type": "object", "x-kubernetes-validations": [{"rule": "true"}]},
            f"{SCHEMA}.properties[spec].x-kubernetes-validations: Forbidden: "
            "CEL rules are not supported by the sandbox",
        ),
        ({"type": "array"}, f"{SCHEMA}.properties[spec].items: Required value: must be specified"),
        ({"type": "object", "$ref": "x"}, f"{SCHEMA}.properties[spec].$ref: Forbidden: $ref is not supported"),
        (
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
            f'{SCHEMA}.properties[spec].properties[a].pattern: Invalid value: "(": must be a valid '
            "regular expression, but isn't: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_schemas_that_are_refused(schema: Any, finding: str) -> None:
    assert findings(definition(schema)) == [finding]


def test_definitions_that_are_refused() -> None:
    obj = definition({"type": "object"})
    obj["metadata"]["name"] = "apples.example.com"
    assert findings(obj) == [
        'metadata.name: Invalid value: "apples.example.com": must be spec.names.plural+"."+spec.group'
    ]
    obj = definition({"type": "object"}, storage=False)
    (finding,) = findings(obj)
    assert finding.endswith("must have exactly one version marked as storage version")
    obj = definition({"type": "object"})
    del obj["spec"]["versions"][0]["schema"]
    assert findings(obj) == [f"{SCHEMA}: Required value: schemas are required"]
    obj = definition({"type": "object"})
    obj["spec"]["conversion"] = {"strategy": "Webhook"}
    assert findings(obj) == ["spec.conversion.strategy: Forbidden: webhooks are not supported by the sandbox"]
    old, new = definition({"type": "object"}), definition({"type": "object"})
    new["spec"]["scope"] = "Cluster"
    assert findings(new, old) == ['spec.scope: Invalid value: "Cluster": field is immutable']
