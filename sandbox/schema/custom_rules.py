"""Rules of CustomResourceDefinitions: names, versions, and schemas that are structural.

What the sandbox does not implement is refused here, so that nothing in a schema is ignored: CEL rules, conversion
webhooks, selectable fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, duplicate, forbidden, required

_UNSUPPORTED = "not supported by the sandbox"
_KNOWN_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_FORBIDDEN = ("$ref", "definitions", "dependencies", "patternProperties", "id", "additionalItems")


def definition(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    kinds, group = spec["names"], spec["group"]
    expected = f"{kinds.get('plural')}.{group}"
    if obj["metadata"].get("name") != expected:
        detail = 'must be spec.names.plural+"."+spec.group'
        yield bad_value("metadata.name", obj["metadata"].get("name"), detail)
    if wrong := names.subdomain(group):
        yield bad_value("spec.group", group, wrong)
    elif "." not in group:
        yield bad_value("spec.group", group, "should be a domain with at least one dot")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield Cause(
            "spec.scope",
            "FieldValueNotSupported",
            f'Unsupported value: "{spec.get("scope")}": supported values: "Cluster", "Namespaced"',
        )
    yield from _kinds(kinds)
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        yield forbidden("spec.conversion.strategy", f"webhooks are {_UNSUPPORTED}")
    yield from _versions(spec.get("versions") or [])
    if old is not None:
        for key, was, now in (
            ("scope", old["spec"].get("scope"), spec.get("scope")),
            ("names.kind", old["spec"]["names"].get("kind"), kinds.get("kind")),
        ):
            if was != now:
                yield bad_value(f"spec.{key}", now, "field is immutable")


def _kinds(kinds: Object) -> Iterator[Cause]:
    for key in ("plural", "singular"):
        if (value := kinds.get(key)) and (wrong := names.label_1035(value)):
            yield bad_value(f"spec.names.{key}", value, wrong)
    for key in ("kind", "listKind"):
        if wrong := names.label_1035(kinds.get(key, "").lower()):
            yield bad_value(
                f"spec.names.{key}", kinds.get(key, ""), f"may have mixed case, but should otherwise match: {wrong}"
            )
    for key in ("shortNames", "categories"):
        for i, value in enumerate(kinds.get(key) or ()):
            if wrong := names.label_1035(value):
                yield bad_value(f"spec.names.{key}[{i}]", value, wrong)


def _versions(versions: list[Object]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        yield bad_value("spec.versions", [version.get("name") for version in versions], detail)
    seen: set[str] = set()
    for i, version in enumerate(versions):
        path, name = f"spec.versions[{i}]", version.get("name", "")
        if wrong := names.label_1035(name):
            yield bad_value(f"{path}.name", name, wrong)
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
        if version.get("selectableFields"):
            yield forbidden(f"{path}.selectableFields", _UNSUPPORTED)
        for j, column in enumerate(version.get("additionalPrinterColumns") or ()):
            if not column.get("jsonPath", "").startswith("."):
                detail = "must be a simple json path starting with ."
                yield bad_value(f"{path}.additionalPrinterColumns[{j}].jsonPath", column.get("jsonPath"), detail)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
            continue
        path = f"{path}.schema.openAPIV3Schema"
        if schema.get("type") != "object":
            detail = "must be object at the root"
            yield (
                bad_value(f"{path}.type", schema.get("type", ""), detail)
                if schema.get("type")
                else required(f"{path}.type", "must not be empty at the root")
            )
        yield from _schema(schema, path, "object fields", structural=True)


def _schema(schema: Any, path: str, what: str, *, structural: bool) -> Iterator[Cause]:
    """`structural` is False inside allOf, anyOf, oneOf and not, which only add conditions."""
    if not isinstance(schema, Mapping):
        yield bad_value(path, schema, "must be a schema")
        return
    for key in _FORBIDDEN:
        if key in schema:
            yield forbidden(f"{path}.{key}", f"{key} is not supported")
    if schema.get("x-kubernetes-validations"):
        yield forbidden(f"{path}.x-kubernetes-validations", f"CEL rules are {_UNSUPPORTED}")
    kind = schema.get("type")
    if kind is not None and kind not in _KNOWN_TYPES:
        yield Cause(
            f"{path}.type",
            "FieldValueNotSupported",
            f'Unsupported value: "{kind}": supported values: {", ".join(f"{each!r}" for each in _KNOWN_TYPES)}',
        )
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if structural and not kind and not free:
        yield required(f"{path}.type", f"must not be empty for specified {what}")
    if pattern := schema.get("pattern"):
        try:
            re.compile(pattern)
        except re.error as error:
            yield bad_value(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}")
    if kind == "array" and structural and "items" not in schema:
        yield required(f"{path}.items", "must be specified")
    yield from _below(schema, path, structural)


def _below(schema: Mapping[str, Any], path: str, structural: bool) -> Iterator[Cause]:
    for key, value in (schema.get("properties") or {}).items():
        yield from _schema(value, f"{path}.properties[{key}]", "object fields", structural=structural)
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        if schema.get("properties"):
            yield forbidden(f"{path}.additionalProperties", "must not be used together with properties")
        yield from _schema(values, f"{path}.additionalProperties", "object fields", structural=structural)
    if "items" in schema:
        yield from _schema(schema["items"], f"{path}.items", "array items", structural=structural)
    for key in _JUNCTORS:
        for i, value in enumerate(schema.get(key) or ()):
            yield from _schema(value, f"{path}.{key}[{i}]", "", structural=False)
    if "not" in schema:
        yield from _schema(schema["not"], f"{path}.not", "", structural=False)
