"""From a request's body to an object of a kind: duplicate fields, unknown fields, values of the wrong type.

This is what Kubernetes' decoder finds before validation begins, so its findings are BadRequests and its paths
and wording are the decoder's. Fields that are not known are dropped (unless the caller asked to be refused),
null means left out, and empty lists and maps go, as after a round trip through Kubernetes' own types.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal

import yaml

from sandbox.core import quantities
from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.core.nesting import DEEPEST, too_deep, too_much
from sandbox.schema.findings import bad_value, below, invalid
from sandbox.schema.types import ANY, LIST, MAP, OBJECT, Type

Strictness = Literal["Strict", "Warn", "Ignore"]

_BEYOND = f"the sandbox takes objects of {DEEPEST} levels at most"
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")
_INTEGERS = {"int32": 31, "int64": 63, "integer": 63}


class _Mistyped(Exception):
    pass


class _Repeated(dict[str, Any]):
    """An object some of whose fields came twice."""

    names: tuple[str, ...] = ()


def parse_strict(body: bytes, *, yaml: bool = False) -> tuple[Any, list[str]]:
    """The JSON (or, asked for, YAML) value of a body, and a message for each field that is there twice.

    Raises ApiError BadRequest when it is neither.
    """
    repeated: list[_Repeated] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        keys = [key for key, _ in pairs]
        twice = _Repeated(made)
        twice.names = tuple(key for key in made if keys.count(key) > 1)
        repeated.append(twice)
        return twice

    if too_deep(body):
        raise ApiError(400, "BadRequest", _BEYOND)
    try:
        value = json.loads(body, object_pairs_hook=collect)
    except ValueError as error:
        if not yaml:
            raise ApiError(400, "BadRequest", f"the object provided is unrecognized: {error}") from None
        return _parse_yaml(body), []
    return value, _repetitions(value, "") if repeated else []


def _parse_yaml(body: bytes) -> Any:
    try:
        value = yaml.safe_load(body)
    except RecursionError:
        raise ApiError(400, "BadRequest", f"error converting YAML to JSON: {_BEYOND}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ApiError(400, "BadRequest", f"error converting YAML to JSON: {error}") from None
    if too_much(value):
        raise ApiError(400, "BadRequest", f"error converting YAML to JSON: {_BEYOND}")
    return value


def _repetitions(value: Any, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        if isinstance(value, _Repeated):
            found += [f'duplicate field "{below(path, name)}"' for name in value.names]
        for key, item in value.items():
            found += _repetitions(item, below(path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += _repetitions(item, f"{path}[{i}]")
    return found


def decode(
    resource: Resource,
    kind: Type,
    obj: Object,
    strictness: Strictness = "Warn",
    duplicates: Sequence[str] = (),
    *,
    patch: Any = None,
) -> list[str]:
    """Make `obj`, in place, an object of its kind; returns the warnings to send.

    Raises ApiError: BadRequest for a value of the wrong type or, with `Strict`, for unknown and duplicate
    fields. When `obj` is the result of `patch`, the refusal is the one for patches (Invalid, 422).
    """
    messages = list(duplicates)
    try:
        _clean(obj, kind, "", "", messages)
    except _Mistyped as error:
        raise _refusal(resource, str(error), patch) from None
    if messages and strictness == "Strict":
        raise _refusal(resource, "strict decoding error: " + ", ".join(messages), patch)
    return messages if strictness == "Warn" else []


def _refusal(resource: Resource, text: str, patch: Any) -> ApiError:
    if patch is not None:
        return invalid(None, "", [bad_value("patch", patch, text)])
    what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    return ApiError(400, "BadRequest", f"{what}: {text}")


def _clean(value: Object, kind: Type, path: str, plain: str, messages: list[str]) -> None:
    """Check an object and drop what its type does not know.

    `plain` is the path without indices, `struct.field` as the decoder puts it in messages on types.
    """
    custom = kind.schema is not None
    for key in list(value):
        item = value[key]
        field = kind.fields.get(key)
        if field is None:
            if not kind.open:
                messages.append(f'unknown field "{below(path, key)}"')
                del value[key]
            continue
        if item is None and not custom:
            del value[key]
            continue
        inner = field.type
        _check(item, inner, below(path, key), below(plain, key), messages, kind)
        if not item and not custom and inner.form in (LIST, MAP) and key not in kind.required:
            del value[key]


def _check(item: Any, kind: Type, path: str, plain: str, messages: list[str], parent: Type) -> None:
    """What is wrong with scalars of custom kinds, and with their forms, validation says, in words of its own."""
    form, element, custom = kind.form, kind.element, parent.schema is not None
    if form in (OBJECT, MAP) and isinstance(item, dict):
        if form == OBJECT:
            _clean(item, kind, path, plain, messages)
        elif element is not None:
            for key in item:
                if item[key] is None and not custom and element.form == "string":
                    item[key] = ""
                _check(item[key], element, below(path, key), plain, messages, parent)
    elif form == LIST and isinstance(item, list):
        if element is not None:
            for i, each in enumerate(item):
                _check(each, element, f"{path}[{i}]", plain, messages, parent)
    elif form in (OBJECT, MAP, LIST):
        if kind.schema is None:
            raise _mistyped(item, kind, plain, parent)
    elif form == ANY:
        if element is not None and isinstance(item, dict):
            _clean(item, element, path, plain, messages)
    elif not custom and not (form == "string" and type(item) is str):
        _check_scalar(item, kind, plain, parent)


_PYTHON_TYPES: dict[str, type | UnionType] = {
    "boolean": bool,
    "double": int | float,
    "number": int | float,
    "int-or-string": int | str,
    "quantity": int | float | str,
    **dict.fromkeys(_INTEGERS, int),
}
"""All other scalars are strings."""


def _check_scalar(item: Any, kind: Type, plain: str, parent: Type) -> None:
    form = kind.form
    good = isinstance(item, _PYTHON_TYPES.get(form, str)) and isinstance(item, bool) == (form == "boolean")
    if form in _INTEGERS:
        good = good and -(2 ** _INTEGERS[form]) <= item < 2 ** _INTEGERS[form]
    if not good:
        raise _mistyped(item, kind, plain, parent)
    if form == "quantity":
        try:
            quantities.parse(item)
        except ValueError:
            rule = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
            raise _Mistyped(f"quantities must match the regular expression '{rule}'") from None
    elif form == "date-time" and not _TIME.match(item):
        raise _Mistyped(f'parsing time "{item}" as "2006-01-02T15:04:05Z07:00": cannot parse it')
    elif form == "bytes":
        try:
            base64.b64decode(item, validate=True)
        except ValueError:
            wrong = re.search(r"[^A-Za-z0-9+/=]", item)
            where = wrong.start() if wrong else len(item)
            raise _Mistyped(f"illegal base64 data at input byte {where}") from None


_GO_TYPES = {"boolean": "bool", "double": "float64", "number": "float64", "integer": "int64", "bytes": "[]uint8"}


def _go_type(kind: Type) -> str:
    if kind.form in (LIST, MAP) and kind.element:
        return ("[]" if kind.form == LIST else "map[string]") + _go_type(kind.element)
    if kind.name:
        return ".".join(kind.name.split(".")[-2:])
    return _GO_TYPES.get(kind.form, kind.form)


def _mistyped(item: Any, kind: Type, plain: str, parent: Type) -> _Mistyped:
    names = {bool: "bool", dict: "object", list: "array", str: "string", type(None): "null"}
    found = names.get(type(item)) or (f"number {item}" if kind.form in _INTEGERS else "number")
    struct = parent.name.rpartition(".")[2]
    return _Mistyped(
        f"json: cannot unmarshal {found} into Go struct field {struct}.{plain} of type {_go_type(kind)}"
    )
