"""CRDs: what their schemas say about objects, and which CRDs are refused."""

from __future__ import annotations

from typing import Any

from sandbox.core.cluster import ApiError, Object
from sandbox.schema import custom_kinds
from sandbox.schema.defaults import default
from sandbox.schema.validate import check, validate
from tests.kit.cases import cases

from .objects import RESOURCES, custom, definition, fruit, type_of

DEFINITIONS = RESOURCES["customresourcedefinitions.apiextensions.k8s.io"]
SCHEMA = "spec.versions[0].schema.openAPIV3Schema"


@cases(__file__, "custom_schemas")
def test_schemas(of: str, case: Any) -> None:
    if refusal := case.get("refused"):
        assert findings(definition(case["schema"])) == [f"{SCHEMA}.properties[spec].{refusal}"]
        return
    _, kind = custom({"type": "object", "properties": {"v": case["schema"]}})
    found = validate(kind, fruit({"v": case["value"]}))
    assert [f"{each.field}: {each.message}" for each in found] == case["found"]


def test_versions_are_served_in_their_order() -> None:
    versions = ["v1alpha1", "v1", "v1beta1", "v2", "v10", "v1beta2", "other"]
    obj = definition({"type": "object"})
    (version,) = obj["spec"]["versions"]
    obj["spec"]["versions"] = [
        version | {"name": name, "storage": name == "v1", "served": name != "v2"} for name in versions
    ]
    kinds = custom_kinds.establish(obj)
    assert [each.resource.version for each in kinds] == ["v10", "v1", "v1beta2", "v1beta1", "v1alpha1", "other"]


def findings(obj: Object, old: Object | None = None) -> list[str]:
    default(type_of(DEFINITIONS), obj)
    try:
        check(DEFINITIONS, type_of(DEFINITIONS), obj, old)
    except ApiError as error:
        return [f"{cause['field']}: {cause['message']}" for cause in error.details["causes"]]
    return []


def test_a_good_definition() -> None:
    assert findings(definition({"type": "object"})) == []


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
    obj = definition(
        {"type": "object"}, subresources={"scale": {"specReplicasPath": ".a", "statusReplicasPath": ".b"}}
    )
    assert findings(obj) == ["spec.versions[0].subresources.scale: Forbidden: not supported by the sandbox"]
    obj = definition({"type": "object"})
    obj["spec"]["conversion"] = {"strategy": "Webhook"}
    assert findings(obj) == ["spec.conversion.strategy: Forbidden: webhooks are not supported by the sandbox"]
    old, new = definition({"type": "object"}), definition({"type": "object"})
    new["spec"]["scope"] = "Cluster"
    assert findings(new, old) == ['spec.scope: Invalid value: "Cluster": field is immutable']
