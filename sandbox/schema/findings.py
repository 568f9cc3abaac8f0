"""What is wrong with an object, in the words Kubernetes' clients know how to show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.core.cluster import ApiError, Object, Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One finding: a StatusCause. `field` is its path, `spec.ports[0].port`."""

    field: str
    reason: str
    message: str

    def as_json(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def show(value: Any) -> str:
    """A value inside a message: strings quoted, the rest as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def below(path: str, key: str) -> str:
    """The path of a field of what is at `path`, which is empty for the object itself."""
    return f"{path}.{key}" if path else key


def bad_value(field: str, value: Any, detail: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {detail}")


def required(field: str, detail: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def unsupported(field: str, value: Any, known: Iterable[Any]) -> Cause:
    names = ", ".join(show(each) for each in known)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {show(value)}: supported values: {names}")


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def forbidden(field: str, detail: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


def too_long(field: str, limit: int) -> Cause:
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def well_formed(field: str, value: Any, form: Callable[[Any], str | None]) -> Iterator[Cause]:
    """By one of `names`' checks."""
    if wrong := form(value):
        yield bad_value(field, value, wrong)


def not_negative(obj: Object, path: str, *keys: str) -> Iterator[Cause]:
    for key in keys:
        if (obj.get(key) or 0) < 0:
            yield bad_value(f"{path}.{key}", obj[key], "must be greater than or equal to 0")


def unique(found: Iterable[tuple[str, Any]]) -> Iterator[Cause]:
    """Of fields and their values, those whose value an earlier one has. None counts as no value."""
    seen: list[Any] = []
    for field, value in found:
        if value is not None and value in seen:
            yield duplicate(field, value)
        seen.append(value)


def invalid(resource: Resource | None, name: str, causes: list[Cause]) -> ApiError:
    """The refusal (422) that lists `causes`; without a resource it is about a request as a whole."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: Object = {"causes": [cause.as_json() for cause in causes]}
    if resource is None:
        return ApiError(422, "Invalid", f' "" is invalid: {listed}', details)
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {"name": name, "group": resource.group, "kind": resource.kind, **details}
    if not resource.group:
        del details["group"]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)
