"""What differs between two states of an object, and merging or removing parts of one, along its type.

Lists that are maps or sets are compared by their items' identity, so a mere change of order is none.
"""

from __future__ import annotations

from typing import Any

from sandbox.schema import fieldsets
from sandbox.schema.fieldsets import Fields, child_type, granular, item_key
from sandbox.schema.types import MAP, Type


def compare(old: Any, new: Any, kind: Type) -> tuple[Fields, Fields]:
    """The fields that are new or have another value, and those that are gone (with all below them)."""
    changed: Fields = {}
    removed: Fields = {}
    for key, below, before, after in _pairs(old, new, kind):
        if before is _MISSING:
            inner = fieldsets.of(after, below) if granular(after, below) else {}
            if inner and (below.form == MAP or not key.startswith("f:")):
                inner = {".": {}, **inner}
            changed[key] = inner
        elif after is _MISSING:
            removed[key] = {}
        elif before is not after and before != after:
            if granular(before, below) and granular(after, below) and type(before) is type(after):
                more, less = compare(before, after, below)
                if more:
                    changed[key] = more
                if less:
                    removed[key] = less
            else:
                changed[key] = fieldsets.of(after, below) if granular(after, below) else {}
    return changed, removed


_MISSING: Any = object()


def _pairs(old: Any, new: Any, kind: Type) -> list[tuple[str, Type, Any, Any]]:
    """Each part of two objects or lists: how fieldsV1 names it, its type, and its value in both."""
    if isinstance(new, dict):
        return [
            (f"f:{key}", child_type(kind, key), old.get(key, _MISSING), new.get(key, _MISSING))
            for key in {**old, **new}
        ]
    element = kind.element or Type("any", open=True)
    before = {item_key(item, kind): item for item in old}
    after = {item_key(item, kind): item for item in new}
    return [(key, element, before.get(key, _MISSING), after.get(key, _MISSING)) for key in {**before, **after}]


def merge(live: Any, applied: Any, kind: Type) -> Any:
    """`live` with what `applied` sets: maps and keyed lists are merged, all else is replaced."""
    if isinstance(live, dict) and isinstance(applied, dict) and granular(applied, kind):
        merged = dict(live)
        for key, item in applied.items():
            merged[key] = merge(live[key], item, child_type(kind, key)) if key in live else item
        return merged
    if isinstance(live, list) and isinstance(applied, list) and granular(applied, kind):
        return _merge_lists(live, applied, kind)
    if not applied and isinstance(applied, dict | list) and type(live) is type(applied) and not kind.atomic:
        return live  # an empty map or list sets nothing in it
    return applied


def _merge_lists(live: list[Any], applied: list[Any], kind: Type) -> list[Any]:
    """Items of both: the applied ones in their order, those only in `live` where they stood among them."""
    element = kind.element or Type("any", open=True)
    before = {item_key(item, kind): item for item in live}
    wanted = {item_key(item, kind): item for item in applied}
    left, right = list(before), list(wanted)
    shared = [key for key in right if key in before]  # still to come, in the order they will be in
    merged: dict[str, Any] = {}
    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left):
            key = left[i]
            if key not in wanted:
                merged[key] = before[key]
                i += 1
                continue
            if key in merged or (j < len(right) and key != right[j] and shared and shared[0] != key):
                i += 1
                continue
        key = right[j]
        if i < len(left) and left[i] == key:
            i += 1
        j += 1
        if shared and shared[0] == key:
            shared.pop(0)
        merged[key] = merge(before[key], wanted[key], element) if key in before else wanted[key]
    return list(merged.values())


def remove(value: Any, fields: Fields, kind: Type) -> Any:
    """`value` without the members of `fields`; maps that have nothing left go as well."""
    if isinstance(value, dict):
        kept = {}
        for key, item in value.items():
            node = fields.get(f"f:{key}")
            if node is None:
                kept[key] = item
            elif not fieldsets.has(node):
                rest = remove(item, node, child_type(kind, key))
                if rest or not isinstance(rest, dict | list):
                    kept[key] = rest
        return kept
    if isinstance(value, list) and not kind.atomic:
        element = kind.element or Type("any", open=True)
        left = []
        for item in value:
            node = fields.get(item_key(item, kind))
            if node is None:
                left.append(item)
            elif not fieldsets.has(node):
                left.append(remove(item, node, element))
        return left
    return value
