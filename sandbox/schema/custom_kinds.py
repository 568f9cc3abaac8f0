"""Kinds of CustomResourceDefinitions: which CRDs are sound, the kinds they add, and whether an object is of one.

A CRD's schema has to be structural. What the sandbox does not implement of it is refused in the CRD, so that
nothing in it is ignored: conversion webhooks, selectable fields, `scale`, and all keywords but those that Istio's
CRDs and other plain ones use (CEL rules, x-kubernetes-validations, are not among them). Findings are worded as
Kubernetes words them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sandbox.core.cluster import Object, Resource
from sandbox.schema import names, types
from sandbox.schema.findings import (
    Cause,
    bad_value,
    below,
    forbidden,
    required,
    show,
    too_long,
    unique,
    unsupported,
    well_formed,
)
from sandbox.schema.types import ANY, LIST, MAP, OBJECT, OBJECT_META, Field, Type

Schema = Mapping[str, Any]

_UNSUPPORTED = "not supported by the sandbox"
_SCALARS = ("boolean", "integer", "number", "string")
_KNOWN_TYPES = ("array", "object", *_SCALARS)
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_KEYWORDS = {
    *("type", "nullable", "default", "enum", "title", "description", "example", *_JUNCTORS, "not"),
    *("properties", "required", "additionalProperties", "minProperties", "maxProperties", "items"),
    *("minItems", "maxItems", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *(f"x-kubernetes-{name}" for name in ("int-or-string", "preserve-unknown-fields", "map-type")),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
}
_FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "byte": re.compile(r"[A-Za-z0-9+/]*=*"),
}
_INTEGER_BITS = {"int32": 31, "int64": 63}
_ANY_NUMBER = ("float", "double")


@dataclass(frozen=True, slots=True)
class CustomKind:
    """One served version of a custom kind."""

    resource: Resource
    type: Type


def establish(crd: Object) -> list[CustomKind]:
    """The versions a CRD serves, the preferred one first. The CRD has passed `validate.check`."""
    spec = crd["spec"]
    names = spec["names"]
    made = [
        CustomKind(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names.get("singular") or names["kind"].lower(),
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                subresources=tuple(version.get("subresources") or ()),
            ),
            _root_type(version["schema"]["openAPIV3Schema"]),
        )
        for version in spec["versions"]
        if version.get("served")
    ]
    return sorted(made, key=lambda each: version_order(each.resource.version))


def version_order(version: str) -> tuple[int, int, int, str]:
    """A key that sorts versions as discovery does: v2, v1, v1beta2, v1beta1, v1alpha1, others by name."""
    rest = version.removeprefix("v")
    for rank, word in enumerate(("", "beta", "alpha")):
        major, found, minor = rest.partition(word) if word else (rest, "", "")
        if rest != version and major.isdigit() and bool(word) == bool(found) and (minor.isdigit() or not word):
            return rank, -int(major), -int(minor or 0), version
    return 3, 0, 0, version


def _root_type(schema: Schema) -> Type:
    """The type of a kind's objects: what the schema says, and the fields every object has."""
    made, text = type_from(schema), Type("string")
    common = {"apiVersion": Field(text), "kind": Field(text), "metadata": Field(types.named(OBJECT_META))}
    return Type(OBJECT, fields={**made.fields, **common}, open=made.open, schema=schema)


def type_from(schema: Schema) -> Type:
    if schema.get("x-kubernetes-int-or-string"):
        return Type("int-or-string", schema=schema)
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items")
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        return Type(
            LIST,
            element=type_from(items) if isinstance(items, Mapping) else Type(ANY, open=True, schema={}),
            atomic=list_type == "atomic",
            keys=tuple(schema.get("x-kubernetes-list-map-keys", ())) if list_type == "map" else (),
            is_set=list_type == "set",
            schema=schema,
        )
    if kind in _SCALARS:
        return Type(kind, schema=schema)
    preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    properties = schema.get("properties") or {}
    if kind != "object" and not properties:
        return Type(ANY, open=True, schema=schema)
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    values = schema.get("additionalProperties")
    if values and not properties:
        element = type_from(values) if isinstance(values, Mapping) else Type(ANY, open=True, schema={})
        return Type(MAP, element=element, atomic=atomic, schema=schema)
    fields = {key: Field(type_from(value), value.get("default")) for key, value in properties.items()}
    return Type(OBJECT, fields=fields, atomic=atomic, open=preserve, schema=schema)


# Whether a CRD is sound


def definition(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    kinds, group = spec["names"], spec["group"]
    expected = f"{kinds.get('plural')}.{group}"
    if obj["metadata"].get("name") != expected:
        detail = 'must be spec.names.plural+"."+spec.group'
        yield bad_value("metadata.name", obj["metadata"].get("name"), detail)
    yield from well_formed("spec.group", group, names.subdomain)
    if "." not in group:
        yield bad_value("spec.group", group, "should be a domain with at least one dot")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
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
        if value := kinds.get(key):
            yield from well_formed(f"spec.names.{key}", value, names.label_1035)
    for key in ("kind", "listKind"):
        if wrong := names.label_1035(kinds.get(key, "").lower()):
            detail = f"may have mixed case, but should otherwise match: {wrong}"
            yield bad_value(f"spec.names.{key}", kinds.get(key, ""), detail)
    for key in ("shortNames", "categories"):
        for i, value in enumerate(kinds.get(key) or ()):
            yield from well_formed(f"spec.names.{key}[{i}]", value, names.label_1035)


def _versions(versions: list[Object]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        yield bad_value("spec.versions", [version.get("name") for version in versions], detail)
    yield from unique((f"spec.versions[{i}].name", version.get("name", "")) for i, version in enumerate(versions))
    for i, version in enumerate(versions):
        path = f"spec.versions[{i}]"
        yield from well_formed(f"{path}.name", version.get("name", ""), names.label_1035)
        if version.get("selectableFields"):
            yield forbidden(f"{path}.selectableFields", _UNSUPPORTED)
        if (version.get("subresources") or {}).get("scale"):
            yield forbidden(f"{path}.subresources.scale", _UNSUPPORTED)
        for j, column in enumerate(version.get("additionalPrinterColumns") or ()):
            if not column.get("jsonPath", "").startswith("."):
                detail = "must be a simple json path starting with ."
                yield bad_value(f"{path}.additionalPrinterColumns[{j}].jsonPath", column.get("jsonPath"), detail)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
            continue
        path = f"{path}.schema.openAPIV3Schema"
        if not schema.get("type"):
            yield required(f"{path}.type", "must not be empty at the root")
        elif schema["type"] != "object":
            yield bad_value(f"{path}.type", schema["type"], "must be object at the root")
        yield from _schema(schema, path, "object fields", structural=True)


def _schema(schema: Any, path: str, what: str, *, structural: bool) -> Iterator[Cause]:
    """`structural` is False inside allOf, anyOf, oneOf and not, which only add conditions."""
    if not isinstance(schema, Mapping):
        yield bad_value(path, schema, "must be a schema")
        return
    for key in schema.keys() - _KEYWORDS:
        if schema[key]:
            yield forbidden(f"{path}.{key}", _UNSUPPORTED)
    if (form := schema.get("format")) and form not in (*_FORMATS, *_INTEGER_BITS, *_ANY_NUMBER):
        yield forbidden(f"{path}.format", f"{form} is {_UNSUPPORTED}")
    kind = schema.get("type")
    if kind is not None and kind not in _KNOWN_TYPES:
        yield unsupported(f"{path}.type", kind, _KNOWN_TYPES)
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


# Whether a value is what a schema says


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _type_name(value: Any) -> str:
    """The type of a JSON value, in OpenAPI's words."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    names = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null" if value is None else "object")


def findings(value: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """All that is wrong with `value`, which is at `path`."""
    if value is None and schema.get("nullable"):
        return
    found = _type_name(value)
    if schema.get("x-kubernetes-int-or-string"):
        if found not in ("integer", "string"):
            yield _wrong_type(path, found, "integer,string")
            return
    elif (wanted := schema.get("type")) and found != wanted and not (wanted == "number" and found == "integer"):
        yield _wrong_type(path, found, wanted)
        return
    if (known := schema.get("enum")) is not None and value not in known:
        yield unsupported(path, value, known)
    if found in _BY_TYPE:
        yield from _BY_TYPE[found](value, schema, path)
    yield from _combined(value, schema, path)


def _wrong_type(path: str, found: str, wanted: str) -> Cause:
    message = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return Cause(path, "FieldValueTypeInvalid", message)


def _body(path: str, value: Any, rule: str) -> Cause:
    return bad_value(path, value, f"{path} in body {rule}")


def _string(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minLength", 0):
        yield _body(path, value, f"should be at least {schema['minLength']} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        yield too_long(path, schema["maxLength"])
    if (pattern := schema.get("pattern")) and not _pattern(pattern).search(value):
        yield _body(path, value, f"should match '{pattern}'")
    form = _FORMATS.get(schema.get("format", ""))
    if form and not form.fullmatch(value):
        yield _body(path, value, f"must be of type {schema['format']}: {show(value)}")


def _number(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    least, most = schema.get("minimum", value), schema.get("maximum", value)
    if value < least:
        yield _body(path, value, f"should be greater than or equal to {least}")
    if value > most:
        yield _body(path, value, f"should be less than or equal to {most}")
    bits = _INTEGER_BITS.get(schema.get("format", ""))
    if bits and not -(2**bits) <= value < 2**bits:
        yield _body(path, value, f"must be of type {schema['format']}: {show(value)}")


def _array(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    size = len(value)
    if size < schema.get("minItems", 0):
        yield _body(path, size, f"should have at least {schema['minItems']} items")
    yield from _too_many(path, size, schema.get("maxItems", size))
    yield from _identities(value, schema, path)
    if isinstance(items := schema.get("items"), Mapping):
        for i, item in enumerate(value):
            yield from findings(item, items, f"{path}[{i}]")


def _too_many(path: str, size: int, limit: int) -> Iterator[Cause]:
    if size > limit:
        yield Cause(path, "FieldValueTooMany", f"Too many: {size}: must have at most {limit} items")


def _identities(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    """No two items of a set, or of a list with map keys, are the same one."""
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    identities: list[tuple[str, Any]] = []
    if kind not in ("set", "map"):
        return
    for i, item in enumerate(value):
        identity = {key: item[key] for key in keys if isinstance(item, dict) and key in item}
        identities.append((f"{path}[{i}]", identity if kind == "map" else item))
    yield from unique(identities)


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minProperties", 0):
        yield _body(path, len(value), f"should have at least {schema['minProperties']} properties")
    yield from _too_many(path, len(value), schema.get("maxProperties", len(value)))
    for key in schema.get("required", ()):
        if key not in value:
            yield required(below(path, key))
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key, item in value.items():
        inner = properties.get(key, others if isinstance(others, Mapping) else None)
        if inner is not None:
            yield from findings(item, inner, below(path, key))


_BY_TYPE: Mapping[str, Callable[[Any, Schema, str], Iterator[Cause]]] = {
    "string": _string,
    "integer": _number,
    "number": _number,
    "array": _array,
    "object": _object,
}


def _combined(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if (each := schema.get("allOf")) and not all(_fits(value, one, path) for one in each):
        for one in each:
            yield from findings(value, one, path)
    if (each := schema.get("anyOf")) and not any(_fits(value, one, path) for one in each):
        yield bad_value(path, "", f'"{path}" must validate at least one schema (anyOf)')
    if each := schema.get("oneOf"):
        count = sum(_fits(value, one, path) for one in each)
        if count != 1:
            how = f"Found {count} valid alternatives" if count else "Found none valid"
            yield bad_value(path, "", f'"{path}" must validate one and only one schema (oneOf). {how}')
    if (other := schema.get("not")) is not None and _fits(value, other, path):
        yield bad_value(path, "", f'"{path}" must not validate the schema (not)')


def _fits(value: Any, schema: Schema, path: str) -> bool:
    return next(findings(value, schema, path), None) is None
