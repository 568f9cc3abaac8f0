"""Extract the facts the sandbox needs about Kubernetes' kinds from a Kubernetes source tree.

    python tools/extract_schema.py PATH/TO/kubernetes > sandbox/schema/data/kubernetes.json

Reads `api/openapi-spec/v3/*.json` (fields, types, list map keys, patch strategies) and
`pkg/generated/openapi/zz_generated.openapi.go` (enumerations, which the published documents lack). Only
facts are taken; descriptions are not. One type a line, so a newer Kubernetes gives a readable diff.

A field is its type, or an object where there is more to say:

    "replicas": "int32"       "labels": "{}string" (a map)       "args": "[]string" (a list)
    "ports": {"type": "[]io.k8s.api.core.v1.ServicePort", "list": "map", "keys": ["port", "protocol"],
              "patch": "merge", "patchKey": "port"}

A type is its fields and which of them are required, or a scalar; `object` is what a scalar `any` must be when it
is an object.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "v1": "ConfigMap Endpoints Event Namespace Node Pod Secret Service ServiceAccount",
    "admissionregistration.k8s.io/v1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "apps/v1": "Deployment ReplicaSet",
    "authentication.k8s.io/v1": "SelfSubjectReview TokenRequest",
    "authorization.k8s.io/v1": "SelfSubjectAccessReview SelfSubjectRulesReview",
    "autoscaling/v1": "Scale",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "policy/v1": "PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
}
ALSO = ("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",)

Schema = dict[str, Any]


def group_version_file(source: Path, group_version: str) -> Path:
    prefix = "apis__" if "/" in group_version else "api__"
    return source / "api/openapi-spec/v3" / f"{prefix}{group_version.replace('/', '__')}_openapi.json"


def reference(schema: Schema) -> str:
    if "allOf" in schema:
        schema = schema["allOf"][0]
    return str(schema.get("$ref", "")).removeprefix("#/components/schemas/")


def type_of(schema: Schema) -> str:
    """The short notation of a schema's type."""
    if name := reference(schema):
        return name
    kind = schema.get("type", "")
    if kind == "array":
        return "[]" + type_of(schema["items"])
    if kind == "object":
        values = schema.get("additionalProperties")
        return "{}" + type_of(values) if isinstance(values, dict) else "any"
    if schema.get("format") == "int-or-string":
        return "int-or-string"
    return {"byte": "bytes"}.get(schema.get("format", ""), "") or schema.get("format", kind) or "any"


def field_of(schema: Schema, enum: list[str] | None) -> str | Schema:
    entry: Schema = {"type": type_of(schema)}
    if kind := schema.get("x-kubernetes-list-type"):
        entry["list"] = kind
    if keys := schema.get("x-kubernetes-list-map-keys"):
        entry["keys"] = keys
    if strategy := schema.get("x-kubernetes-patch-strategy"):
        entry["patch"] = strategy
    if key := schema.get("x-kubernetes-patch-merge-key"):
        entry["patchKey"] = key
    if schema.get("x-kubernetes-map-type") == "atomic":
        entry["atomic"] = True
    if schema.get("default", {}) not in ({}, "", 0, False):
        entry["default"] = schema["default"]
    if enum:
        entry["enum"] = enum
    return entry["type"] if len(entry) == 1 else entry


def definition_of(name: str, schema: Schema, enums: dict[tuple[str, str], list[str]]) -> Schema:
    entry: Schema = {}
    if "properties" in schema:
        entry["fields"] = {
            field: field_of(value, enums.get((name, field)))
            for field, value in sorted(schema["properties"].items())
        }
    else:
        entry["scalar"] = schema.get("format") or ("quantity" if name.endswith(".Quantity") else "any")
        if name.endswith(("JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool")):
            entry["object"] = name.partition("Or")[0]
    if schema.get("required"):
        entry["required"] = schema["required"]
    if schema.get("x-kubernetes-map-type") == "atomic":
        entry["atomic"] = True
    return entry


def read_enums(source: Path) -> dict[tuple[str, str], list[str]]:
    """Enumerations by (type, field), from the generated Go source's regular lines."""
    enums: dict[tuple[str, str], list[str]] = {}
    type_name = field = ""
    for line in (source / "pkg/generated/openapi/zz_generated.openapi.go").open(encoding="utf-8"):
        if found := re.match(r"func schema_k8sio_api_(\w+)_(v\w+?)_(\w+)\(", line):
            group, version, kind = found.groups()
            type_name = f"io.k8s.api.{group}.{version}.{kind}"
        elif found := re.match(r'\t{5}"(\w+)": \{', line):
            field = found.group(1)
        elif found := re.match(r"\s+Enum:\s+\[\]interface\{\}\{(.*)\},", line):
            enums[type_name, field] = re.findall(r'"([^"]*)"', found.group(1))
    return enums


def reachable(schemas: dict[str, Schema], roots: list[str]) -> list[str]:
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for field in schemas[name].get("properties", {}).values():
            referred = type_of(field).lstrip("[]{}")
            if referred in schemas:
                todo.append(referred)
    return sorted(seen)


def extract(source: Path) -> str:
    schemas: dict[str, Schema] = {}
    for group_version in KINDS:
        document = json.loads(group_version_file(source, group_version).read_text(encoding="utf-8"))
        schemas |= document["components"]["schemas"]
    kinds: dict[str, str] = {}
    for group_version, names in KINDS.items():
        group, _, version = group_version.rpartition("/")
        for kind in names.split():
            identity = {"group": group, "version": version, "kind": kind}
            (name,) = (
                name
                for name, schema in schemas.items()
                if schema.get("x-kubernetes-group-version-kind") == [identity]
            )
            kinds[f"{group_version} {kind}"] = name
    enums = read_enums(source)
    lines = [
        f"{json.dumps(name)}: {json.dumps(definition_of(name, schemas[name], enums), separators=(',', ':'))}"
        for name in reachable(schemas, [*kinds.values(), *ALSO])
    ]
    return '{"kinds": %s,\n"types": {\n%s\n}}' % (json.dumps(kinds, indent=0), ",\n".join(lines))  # noqa: UP031


if __name__ == "__main__":
    print(extract(Path(sys.argv[1])))
