"""Validation of a value against the OpenAPI schema of a CRD.

Implements what a structural schema may say, but for CEL rules (x-kubernetes-validations), which
`custom_rules` refuses in a CRD. Findings are worded as Kubernetes words them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sandbox.schema.findings import Cause, bad_type, bad_value, required, show, too_long, unsupported

Schema = Mapping[str, Any]

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_FORMATS = {
    "date-time": lambda value: bool(_TIME.match(value)),
    "date": lambda value: bool(re.match(r"^\d{4}-\d\d-\d\d$", value)),
    "uuid": lambda value: bool(re.match(r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$", value)),
    "duration": lambda value: bool(re.match(r"^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w))+$", value)),
    "ipv4": lambda value: bool(re.match(r"^(\d{1,3}\.){3}\d{1,3}$", value)),
    "byte": lambda value: bool(re.match(r"^[A-Za-z0-9+/]*=*$", value)),
}
_INTEGER_BITS = {"int32": 31, "int64": 63}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def type_name(value: Any) -> str:
    """The type of a JSON value, in OpenAPI's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def findings(value: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """All that is wrong with `value`, which is at `path`."""
    if value is None and schema.get("nullable"):
        return
    found = type_name(value)
    if schema.get("x-kubernetes-int-or-string"):
        if found not in ("integer", "string"):
            yield _wrong_type(path, found, "integer,string")
            return
    elif (wanted := schema.get("type")) and found != wanted and not (wanted == "number" and found == "integer"):
        yield _wrong_type(path, found, wanted)
        return
    if (known := schema.get("enum")) is not None and value not in known:
        yield unsupported(path, value, known)
    if found == "string":
        yield from _string(value, schema, path)
    elif found in ("integer", "number"):
        yield from _number(value, schema, path)
    elif found == "array":
        yield from _array(value, schema, path)
    elif found == "object":
        yield from _object(value, schema, path)
    yield from _combined(value, schema, path)


def _wrong_type(path: str, found: str, wanted: str) -> Cause:
    return bad_type(path, found, f'{path} in body must be of type {wanted}: "{found}"')


def _body(path: str, value: Any, rule: str) -> Cause:
    return bad_value(path, value, f"{path} in body {rule}")


def _string(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minLength", 0):
        yield _body(path, value, f"should be at least {schema['minLength']} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        yield too_long(path, schema["maxLength"])
    if (pattern := schema.get("pattern")) and not _pattern(pattern).search(value):
        yield _body(path, value, f"should match '{pattern}'")
    fits = _FORMATS.get(schema.get("format", ""))
    if fits and not fits(value):
        yield _body(path, value, f"must be of type {schema['format']}: {show(value)}")


def _number(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            yield _body(path, value, f"should be greater than {least}")
        elif value < least:
            yield _body(path, value, f"should be greater than or equal to {least}")
    if most is not None:
        if schema.get("exclusiveMaximum") and value >= most:
            yield _body(path, value, f"should be less than {most}")
        elif value > most:
            yield _body(path, value, f"should be less than or equal to {most}")
    if (step := schema.get("multipleOf")) and value % step:
        yield _body(path, value, f"should be a multiple of {step}")
    bits = _INTEGER_BITS.get(schema.get("format", ""))
    if bits and not -(2**bits) <= value < 2**bits:
        yield _body(path, value, f"must be of type {schema['format']}: {show(value)}")


def _array(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    size = len(value)
    if size < schema.get("minItems", 0):
        yield _body(path, size, f"should have at least {schema['minItems']} items")
    if size > schema.get("maxItems", size):
        yield Cause(path, "FieldValueTooMany", f"Too many: {size}: must have at most {schema['maxItems']} items")
    if schema.get("uniqueItems") and any(item in value[:i] for i, item in enumerate(value)):
        yield bad_value(path, value, f"{path} in body shouldn't contain duplicates")
    yield from _identities(value, schema, path)
    if isinstance(items := schema.get("items"), Mapping):
        for i, item in enumerate(value):
            yield from findings(item, items, f"{path}[{i}]")


def _identities(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    """No two items of a set, or of a list with map keys, are the same one."""
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    if kind not in ("set", "map"):
        return
    seen: list[Any] = []
    for i, item in enumerate(value):
        identity = item
        if kind == "map":
            identity = {key: item[key] for key in keys if isinstance(item, dict) and key in item}
        if identity in seen:
            yield Cause(f"{path}[{i}]", "FieldValueDuplicate", f"Duplicate value: {show(identity)}")
        seen.append(identity)


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    size = len(value)
    if size < schema.get("minProperties", 0):
        yield _body(path, size, f"should have at least {schema['minProperties']} properties")
    if size > schema.get("maxProperties", size):
        limit = schema["maxProperties"]
        yield Cause(path, "FieldValueTooMany", f"Too many: {size}: must have at most {limit} items")
    for key in schema.get("required", ()):
        if key not in value:
            yield required(_join(path, key))
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key, item in value.items():
        inner = properties.get(key, others if isinstance(others, Mapping) else None)
        if inner is not None:
            yield from findings(item, inner, _join(path, key))


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


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
