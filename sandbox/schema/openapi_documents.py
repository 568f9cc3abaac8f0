"""The OpenAPI documents kubectl reads: for `explain`, for patch strategies, for what the server supports.

kubectl finds a kind's schema by x-kubernetes-group-version-kind, takes a strategic merge only when the PATCH
of the kind's path accepts that media type, and relies on server-side validation and dry runs only when that
PATCH has the parameters for them. Documents hold that and no more.

Of the older format (v2) other clients get the same in JSON. kubectl wants one thing of it, in protobuf: before it
sends a `List` it looks up each item's kind there and checks the item against it. The server checks the same again,
and better, so there a kind may look like anything; the document only says which kinds there are. Message and field
numbers are gnostic's (OpenAPIv2.proto).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources as package_files
from typing import Any

from sandbox.core.cluster import Resource
from sandbox.core.constants import SANDBOX_VERSION
from sandbox.schema import types
from sandbox.schema.patch import STRATEGIC
from sandbox.schema.types import Type

V2_ACCEPTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What kubectl asks for; the @ may not stand in the answer's media type."""
V2_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

Document = dict[str, Any]
CrdTypes = Mapping[Resource, Type]

_PREFIX = "#/components/schemas/"
_JSON_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "get": (),
    "post": ("dryRun", "fieldManager", "fieldValidation"),
    "put": ("dryRun", "fieldManager", "fieldValidation"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "propagationPolicy"),
}
_COMMON = {
    "apiVersion": "The group and version of the schema this object is written in.",
    "kind": "The kind of this object.",
    "metadata": "Its name, namespace, labels and the like.",
}


@cache
def _texts() -> dict[str, dict[str, str]]:
    """Our own descriptions: by type (`types.short_name`) and field; "" is the type itself."""
    text = package_files.files(__package__).joinpath("data/texts.json").read_text(encoding="utf-8")
    data: dict[str, dict[str, str]] = json.loads(text)
    return data


@cache
def _built_in_hash() -> str:
    """Of all that the built-in kinds' documents are made from."""
    digest = hashlib.sha256()
    for name in ("data/kubernetes.json", "data/texts.json", "openapi_documents.py"):
        digest.update(package_files.files(__package__).joinpath(name).read_bytes())
    return digest.hexdigest()


def openapi_v3_index(resources: Iterable[Resource], crd_types: CrdTypes | None = None) -> Document:
    """What /openapi/v3 answers: where each group version's document is (with a hash, so it can be cached)."""
    digests: dict[str, Any] = {}
    for resource in resources:
        digest = digests.setdefault(_place(resource.api_version), hashlib.sha256(_built_in_hash().encode()))
        schema = (crd_types or {}).get(resource)
        digest.update(repr(resource).encode())
        if schema is not None:
            digest.update(json.dumps(schema.schema, sort_keys=True).encode())
    return {
        "paths": {
            place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={digest.hexdigest().upper()}"}
            for place, digest in sorted(digests.items())
        }
    }


def _place(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def openapi_v3(group_version: str, resources: Iterable[Resource], crd_types: CrdTypes | None = None) -> Document:
    """What /openapi/v3/apis/GROUP/VERSION (or /openapi/v3/api/v1) answers. `group_version` as `apps/v1`."""
    served = [resource for resource in resources if resource.api_version == group_version]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": SANDBOX_VERSION},
        "paths": _paths(served, crd_types or {}),
        "components": {"schemas": _schemas(served, crd_types or {})},
    }


def _identity(resource: Resource) -> Document:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(served: list[Resource], crd_types: CrdTypes) -> Document:
    paths: Document = {}
    for resource in served:
        root = "/" + _place(resource.api_version)
        collection = (
            f"{root}/namespaces/{{namespace}}/{resource.plural}"
            if resource.namespaced
            else f"{root}/{resource.plural}"
        )
        names = ["namespace"] if resource.namespaced else []
        strategic = resource not in crd_types
        paths[collection] = {
            "parameters": [_path_parameter(name) for name in names],
            **{verb: _operation(resource, verb, strategic) for verb in ("get", "post")},
        }
        if resource.namespaced:
            paths[f"{root}/{resource.plural}"] = {"get": _operation(resource, "get", strategic)}
        paths[f"{collection}/{{name}}"] = {
            "parameters": [_path_parameter(name) for name in [*names, "name"]],
            **{verb: _operation(resource, verb, strategic) for verb in ("get", "put", "patch", "delete")},
        }
    return paths


def _path_parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(resource: Resource, verb: str, strategic: bool) -> Document:
    made: Document = {
        "responses": {"200": {"description": "OK"}},
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _PARAMETERS[verb]],
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": _identity(resource),
    }
    if verb in ("post", "put", "patch"):
        patches = (*_JSON_PATCHES, STRATEGIC) if strategic else _JSON_PATCHES
        media_types = patches if verb == "patch" else ("application/json",)
        made["requestBody"] = {"content": {name: {} for name in media_types}}
    return made


def component_name(resource: Resource, crd_types: CrdTypes) -> str:
    """`io.k8s.api.apps.v1.Deployment`, and for custom kinds the group in reverse."""
    if resource not in crd_types:
        return str(types.packaged()["kinds"][f"{resource.api_version} {resource.kind}"])
    group = ".".join(reversed(resource.group.split(".")))
    return f"{group}.{resource.version}.{resource.kind}"


def _schemas(served: list[Resource], crd_types: CrdTypes) -> Document:
    facts = types.packaged()["types"]
    schemas: Document = {}
    todo = [types.OBJECT_META]
    for resource in served:
        name = component_name(resource, crd_types)
        if resource in crd_types:
            schemas[name] = _custom_schema(resource, crd_types[resource])
        else:
            todo.append(name)
    while todo:
        name = todo.pop()
        if name not in schemas:
            schemas[name] = _component(name, facts[name], todo)
    for resource in served:
        schemas[component_name(resource, crd_types)]["x-kubernetes-group-version-kind"] = [_identity(resource)]
    return schemas


def _component(name: str, facts: Document, todo: list[str]) -> Document:
    texts = _texts().get(types.short_name(name), {})
    made: Document = {"description": texts[""]} if "" in texts else {}
    if scalar := facts.get("scalar"):
        return made | _SCALARS[scalar]
    made["type"] = "object"
    if "required" in facts:
        made["required"] = facts["required"]
    if facts.get("atomic"):
        made["x-kubernetes-map-type"] = "atomic"
    made["properties"] = {}
    for key, value in facts["fields"].items():
        field = {"type": value} if isinstance(value, str) else value
        made["properties"][key] = _property(field, todo)
        text = texts.get(key) or (_COMMON.get(key) if "apiVersion" in facts["fields"] else None)
        if text:
            made["properties"][key]["description"] = text
    return made


_EXTENSIONS = {
    "list": "x-kubernetes-list-type",
    "keys": "x-kubernetes-list-map-keys",
    "patch": "x-kubernetes-patch-strategy",
    "patchKey": "x-kubernetes-patch-merge-key",
    "default": "default",
}


def _property(field: Document, todo: list[str]) -> Document:
    made = _of_notation(field["type"], todo)
    made |= {extension: field[key] for key, extension in _EXTENSIONS.items() if key in field}
    if field.get("atomic"):
        made["x-kubernetes-map-type"] = "atomic"
    if "enum" in field:
        (made["items"] if made.get("type") == "array" else made)["enum"] = field["enum"]
    return made


def _of_notation(notation: str, todo: list[str]) -> Document:
    if notation.startswith("[]"):
        return {"type": "array", "items": _of_notation(notation[2:], todo)}
    if notation.startswith("{}"):
        return {"type": "object", "additionalProperties": _of_notation(notation[2:], todo)}
    if "." in notation:
        todo.append(notation)
        return {"allOf": [{"$ref": _PREFIX + notation}]}
    return dict(_SCALARS[notation])


_SCALARS: dict[str, Document] = {
    **{form: {"type": form} for form in ("boolean", "string")},
    **{form: {"type": "integer", "format": form} for form in ("int32", "int64")},
    "double": {"type": "number", "format": "double"},
    "any": {"type": "object"},
    "int-or-string": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "bytes": {"type": "string", "format": "byte"},
    "quantity": {"type": "string"},
    "date-time": {"type": "string", "format": "date-time"},
}


def _custom_schema(resource: Resource, kind: Type) -> Document:
    made = dict(kind.schema or {})
    made["type"] = "object"
    properties = dict(made.get("properties") or {})
    for key, text in _COMMON.items():
        field = _of_notation(types.OBJECT_META if key == "metadata" else "string", [])
        properties[key] = {**field, "description": text}
    made["properties"] = properties
    return made


def openapi_v2_json(resources: Iterable[Resource], crd_types: CrdTypes) -> Document:
    """What /openapi/v2 answers to whoever takes JSON: what the documents of version 3 say, in the older words."""
    served = list(resources)
    definitions: Document = {}
    paths: Document = {}
    for group_version in dict.fromkeys(resource.api_version for resource in served):
        document = openapi_v3(group_version, served, crd_types)
        for name, schema in document["components"]["schemas"].items():
            if name not in definitions or "x-kubernetes-group-version-kind" in schema:
                definitions[name] = _as_v2(schema)
        paths |= {path: _path_v2(item) for path, item in document["paths"].items()}
    info = {"title": "Kubernetes", "version": SANDBOX_VERSION}
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions}


def _path_v2(item: Document) -> Document:
    made: Document = {}
    for key, value in item.items():
        if key == "parameters":
            made[key] = [_parameter_v2(one) for one in value]
            continue
        operation = {name: part for name, part in value.items() if name != "requestBody"}
        operation["parameters"] = [_parameter_v2(one) for one in value["parameters"]]
        if "requestBody" in value:
            operation["consumes"] = list(value["requestBody"]["content"])
            operation["parameters"].append({"name": "body", "in": "body", "schema": {"type": "object"}})
        made[key] = operation
    return made


def _parameter_v2(parameter: Document) -> Document:
    return {**{key: value for key, value in parameter.items() if key != "schema"}, **parameter["schema"]}


def _as_v2(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_v2(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _as_v2(value) for key, value in schema.items()}
    if isinstance(reference := made.get("$ref"), str):
        made["$ref"] = reference.replace(_PREFIX, "#/definitions/")
    match made.get("allOf"):
        case [{"$ref": reference}] if "properties" not in made:  # around a reference there are only words
            return {**{key: value for key, value in made.items() if key != "allOf"}, "$ref": reference}
    return made


def openapi_v2(resources: Iterable[Resource]) -> bytes:
    """What /openapi/v2 answers to whoever asks for `V2_ACCEPTED`: a document with an entry for each kind."""
    info = _bytes(1, b"Kubernetes") + _bytes(2, b"v1")
    definitions = b"".join(_bytes(1, _v2_definition(resource)) for resource in resources)
    return _bytes(1, b"2.0") + _bytes(2, info) + _bytes(8, b"") + _bytes(9, definitions)


def _v2_definition(resource: Resource) -> bytes:
    """A schema without a type, which allows everything, with the kind it is for as an extension."""
    value = _bytes(2, json.dumps([_identity(resource)]).encode())  # as YAML, which JSON is
    extension = _bytes(1, b"x-kubernetes-group-version-kind") + _bytes(2, value)
    name = f"{resource.plural}.{resource.group}.{resource.version}".encode()
    return _bytes(1, name) + _bytes(2, _bytes(31, extension))


def _bytes(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
