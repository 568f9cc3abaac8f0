from __future__ import annotations

import re
from typing import Any

from sandbox.api.kinds import BUILT_IN
from sandbox.schema import openapi_documents as documents
from sandbox.schema import types

from .objects import custom

SERVED = list(BUILT_IN)


def schemas(group_version: str, *args: Any) -> Any:
    return documents.openapi_v3(group_version, *args)["components"]["schemas"]


def test_every_reference_leads_somewhere() -> None:
    for group_version in {resource.api_version for resource in SERVED}:
        document = documents.openapi_v3(group_version, SERVED)
        known = document["components"]["schemas"]
        for name in re.findall(r"#/components/schemas/([\w.-]+)", str(document)):
            assert name in known


def test_every_kind_is_found_by_group_version_and_kind() -> None:
    for resource in SERVED:
        identity = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        found = [
            schema
            for schema in schemas(resource.api_version, SERVED).values()
            if identity in schema.get("x-kubernetes-group-version-kind", ())
        ]
        assert len(found) == 1
        assert found[0]["description"]


def test_what_client_side_apply_needs() -> None:
    pod = schemas("v1", SERVED)["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert pod["x-kubernetes-patch-strategy"] == "merge"
    assert pod["x-kubernetes-patch-merge-key"] == "name"
    assert pod["items"] == {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]}
    patch = documents.openapi_v3("v1", SERVED)["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert {"dryRun", "fieldManager", "fieldValidation"} <= {each["name"] for each in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert "/api/v1/nodes/{name}" in documents.openapi_v3("v1", SERVED)["paths"]


def test_custom_kinds_have_no_strategic_merge_and_their_own_schema() -> None:
    resource, kind = custom({"type": "object", "description": "What it is."})
    crds = {resource: kind}
    document = documents.openapi_v3("example.com/v1", [*SERVED, resource], crds)
    schema = document["components"]["schemas"]["com.example.v1.Fruit"]
    assert schema["properties"]["spec"]["description"] == "What it is."
    assert schema["properties"]["metadata"]["allOf"] == [{"$ref": f"#/components/schemas/{types.OBJECT_META}"}]
    patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/fruits/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


def test_the_index_has_a_hash_that_follows_the_content() -> None:
    index = documents.openapi_v3_index(SERVED)["paths"]
    assert index["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    hashes = []
    for schema in ({"type": "object"}, {"type": "object", "description": "x"}):
        resource, kind = custom(schema)
        crds = {resource: kind}
        now = documents.openapi_v3_index([*SERVED, resource], crds)["paths"]
        hashes.append(now.pop("apis/example.com/v1"))
        assert now == index
    assert hashes[0] != hashes[1]


def test_descriptions_are_about_fields_that_exist() -> None:
    facts = {types.short_name(name): each for name, each in types.packaged()["types"].items()}
    for name, texts in documents._texts().items():
        for field in texts:
            assert not field or field in facts[name]["fields"], f"{name}.{field}"
