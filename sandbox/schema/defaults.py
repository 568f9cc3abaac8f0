"""Default values, as Kubernetes fills them in on every write before it validates.

`default` walks an object along its type and stops at the parts that have a rule: either a table entry (a
value for a field left out) or a function for what depends on other fields. Whatever a client reads back,
diffs or applies again must look the same as on a real cluster, so the rules cover all fields of the served
kinds that get one; addresses and ports the cluster assigns are the controllers' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import clone
from sandbox.schema import types
from sandbox.schema.default_rules import FUNCTIONS, VALUES
from sandbox.schema.types import LIST, MAP, OBJECT, Type


def default(resource: Resource, obj: Object, crd_type: Type | None = None) -> None:
    """Fill in, in place, what `obj` leaves out. Doing it again changes nothing."""
    kind = types.of(resource, crd_type)
    if kind is None:
        return
    if crd_type is not None:
        _default_custom(obj, kind)
    else:
        _default_built_in(obj, kind)


class _Rule:
    """What to do with a value of one type, and in which of its fields to go on."""

    __slots__ = ("fields", "function", "values")

    def __init__(self, kind: Type) -> None:
        name = types.short_name(kind.name)
        self.function: Callable[[Object], None] | None = FUNCTIONS.get(name)
        self.values: dict[str, Any] = VALUES.get(name, {})
        self.fields: dict[str, Type] = {}


_rules: dict[int, _Rule] = {}


def _rule(kind: Type) -> _Rule:
    known = _rules.get(id(kind))
    if known is None:
        known = _rules[id(kind)] = _Rule(kind)
        for key, field in kind.fields.items():
            inner = _inside(field.type)
            if inner.form == OBJECT and _matters(inner, set()):
                known.fields[key] = field.type
    return known


def _inside(kind: Type) -> Type:
    while kind.element is not None:
        kind = kind.element
    return kind


def _matters(kind: Type, seen: set[int]) -> bool:
    """Whether anything at or below `kind` has a default."""
    if id(kind) in seen:
        return False
    seen.add(id(kind))
    rule = _Rule(kind)
    if rule.function or rule.values:
        return True
    return any(_matters(_inside(field.type), seen) for field in kind.fields.values())


def _default_built_in(value: Any, kind: Type) -> None:
    if kind.form == OBJECT:
        if not isinstance(value, dict):
            return
        rule = _rule(kind)
        if rule.function:
            rule.function(value)
        for key, wanted in rule.values.items():
            if value.get(key) in (None, ""):
                value[key] = clone(wanted)
        for key, inner in rule.fields.items():
            if key in value:
                _default_built_in(value[key], inner)
    elif kind.form == LIST and kind.element is not None and isinstance(value, list):
        for item in value:
            _default_built_in(item, kind.element)
    elif kind.form == MAP and kind.element is not None and isinstance(value, dict):
        for item in value.values():
            _default_built_in(item, kind.element)


def _default_custom(value: Any, kind: Type) -> None:
    """Defaults of a CRD's schema: a field left out, or null where null is not allowed, gets its default."""
    if isinstance(value, dict):
        for key, field in kind.fields.items():
            wanted, schema = field.default, field.type.schema
            if wanted is not None and (
                key not in value or (value[key] is None and not (schema and schema.get("nullable")))
            ):
                value[key] = clone(wanted)
            if key in value:
                _default_custom(value[key], field.type)
        if kind.element is not None:
            for key, item in value.items():
                if key not in kind.fields:
                    _default_custom(item, kind.element)
    elif isinstance(value, list) and kind.element is not None:
        for item in value:
            _default_custom(item, kind.element)
