"""Whether an object is one its kind allows; the findings are 422 Invalid, in Kubernetes' words.

This part is about shape: required fields and enumerations of built-in kinds, the schema of custom ones. What
the values mean to each other is `semantic`. A status is the cluster's own and not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.core.cluster import Object, Resource
from sandbox.schema import types
from sandbox.schema.findings import Cause, invalid, required, unsupported
from sandbox.schema.semantic import semantic
from sandbox.schema.structural import findings
from sandbox.schema.types import LIST, MAP, OBJECT, Type

_MAY_BE_MISSING = {("io.k8s.api.discovery.v1.EndpointSlice", "endpoints")}
"""Required in the published schema, but not by Kubernetes."""


def check(resource: Resource, obj: Object, old: Object | None = None, crd_type: Type | None = None) -> None:
    """Raises ApiError Invalid with every finding. `old` is the live object of an update."""
    causes = validate(resource, obj, crd_type)
    # Rules may rely on what is required to be there, and on its type.
    causes = causes or semantic(resource, obj, old, crd_type)
    if causes:
        raise invalid(resource, obj.get("metadata", {}).get("name", ""), causes)


def validate(resource: Resource, obj: Object, crd_type: Type | None = None) -> list[Cause]:
    """Findings on the object's shape: required fields, enumerations, a CRD's schema."""
    if crd_type is not None:
        return list(findings(obj, crd_type.schema or {}))
    kind = types.of(resource)
    return list(_walk(obj, kind, "")) if kind else []


class _Plan:
    """What to look at in objects of one type; most fields need no look."""

    __slots__ = ("below", "enums", "required")

    def __init__(self, kind: Type) -> None:
        self.required = tuple(key for key in kind.required if (kind.name, key) not in _MAY_BE_MISSING)
        self.enums = {key: field.enum for key, field in kind.fields.items() if field.enum}
        self.below: dict[str, Type] = {}


_plans: dict[int, _Plan] = {}
_NEVER = ("status", "managedFields")


def _plan(kind: Type) -> _Plan:
    known = _plans.get(id(kind))
    if known is None:
        known = _plans[id(kind)] = _Plan(kind)
        for key, field in kind.fields.items():
            if key not in _NEVER and _matters(field.type, set()):
                known.below[key] = field.type
    return known


def _matters(kind: Type, seen: set[int]) -> bool:
    while kind.element is not None:
        kind = kind.element
    if id(kind) in seen or kind.form != OBJECT:
        return False
    seen.add(id(kind))
    plan = _Plan(kind)
    return bool(plan.required or plan.enums) or any(
        _matters(field.type, seen) for key, field in kind.fields.items() if key not in _NEVER
    )


def _walk(value: Any, kind: Type, path: str) -> Iterator[Cause]:
    if kind.form == OBJECT:
        plan = _plan(kind)
        prefix = f"{path}." if path else ""
        for key in plan.required:
            if value.get(key) in (None, "", []):
                yield required(prefix + key)
        for key, known in plan.enums.items():
            found = value.get(key)
            for i, each in enumerate(found) if isinstance(found, list) else [(-1, found)]:
                if each and each not in known:
                    yield unsupported(prefix + key + (f"[{i}]" if i >= 0 else ""), each, known)
        for key, inner in plan.below.items():
            below = value.get(key, {} if prefix + key == "spec" else None)  # no spec is an empty one
            if below is not None:
                yield from _walk(below, inner, prefix + key)
    elif kind.form == LIST and kind.element is not None:
        for i, item in enumerate(value):
            yield from _walk(item, kind.element, f"{path}[{i}]")
    elif kind.form == MAP and kind.element is not None:
        for key, item in value.items():
            yield from _walk(item, kind.element, f"{path}[{key}]")
