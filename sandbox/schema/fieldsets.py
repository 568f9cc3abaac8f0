"""Sets of fields, in the form managedFields keeps them (fieldsV1): JSON trees.

    {"f:spec": {"f:replicas": {}, "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}

A node that is empty, or holds ".", is itself in the set; others only lead to members. `f:` is a field or a
map's key, `k:` an item of a list by its keys, `v:` a value of a set. The functions return new trees, but may
share parts of what they are given: sets are never changed in place.

Below the sets is what is done to objects by them: what differs between two states of one, and merging or
removing parts, along its type. Lists that are maps or sets are compared by their items' identity, so a mere change
of order is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sandbox.schema.types import ANY, LIST, MAP, OBJECT, Type

Fields = dict[str, Any]

ANYTHING = Type(ANY, open=True)


def of(value: Any, kind: Type) -> Fields:
    """The fields that `value` sets: its leaves, the items of lists, and structures with nothing in them."""
    found: Fields = {}
    if isinstance(value, dict):
        for key, item in value.items():
            below = child_type(kind, key)
            found[f"f:{key}"] = of(item, below) if granular(item, below) else {}
    elif isinstance(value, list) and kind.element is not None:
        for item in value:
            inner = of(item, kind.element) if kind.keys and isinstance(item, dict) else {}
            found[item_key(item, kind)] = {".": {}, **inner} if inner else {}
    return found


def with_parents(fields: Fields, kind: Type) -> Fields:
    """The set, and the declared fields above its members: who owns `spec.replicas` keeps `spec` alive."""
    made: Fields = {}
    for key, node in fields.items():
        if key == "." or not node:
            made[key] = node
        elif key.startswith("f:"):
            inner = with_parents(node, child_type(kind, key[2:]))
            made[key] = {".": {}, **inner} if key[2:] in kind.fields else inner
        else:
            made[key] = with_parents(node, kind.element or ANYTHING)
    return made


def granular(value: Any, kind: Type) -> bool:
    """Whether parts of `value` can have different owners."""
    if not value or kind.atomic:
        return False
    if isinstance(value, dict):
        return kind.form in (OBJECT, MAP) or kind.open
    return isinstance(value, list) and kind.form == LIST


def child_type(kind: Type, key: str) -> Type:
    field = kind.fields.get(key)
    if field is not None:
        return field.type
    return kind.element if kind.element is not None and kind.form == MAP else ANYTHING


def item_key(item: Any, kind: Type) -> str:
    """How an item of a list that is a map or a set is named."""
    if not kind.keys:
        return "v:" + _compact(item)
    element = kind.element
    identity = {}
    for key in kind.keys:
        default = element.fields[key].default if element and key in element.fields else None
        value = item.get(key, default) if isinstance(item, dict) else None
        if value is not None:
            identity[key] = value
    return "k:" + _compact(dict(sorted(identity.items())))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def has(node: Fields) -> bool:
    """Whether a node is itself in the set."""
    return not node or "." in node


def _node(member: bool, children: Fields) -> Fields | None:
    """A node in its only form; None when there is nothing to it."""
    if not children:
        return {} if member else None
    return {".": {}, **children} if member else children


def _inner(node: Fields) -> Fields:
    return {key: below for key, below in node.items() if key != "."} if "." in node else node


def union(one: Fields, other: Fields) -> Fields:
    """Of two sets (two roots; a root is never a member)."""
    if not one or one is other:
        return other
    if not other:
        return one
    return _union(one, other)


def _union(one: Fields, other: Fields) -> Fields:
    merged = dict(one)
    for key, node in other.items():
        if key == ".":
            continue
        mine = merged.get(key)
        if mine is None:
            merged[key] = node
        elif mine is not node:
            below = _union(_inner(mine), _inner(node))
            merged[key] = _node(has(mine) or has(node), below) or {}
    return merged


def difference(one: Fields, other: Fields, *, below: bool = False) -> Fields:
    """Members of `one` that are not members of `other`, nor (with `below`) below one."""
    left: Fields = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            left[key] = node
        elif key != "." and not (below and has(theirs)):
            rest = difference(_inner(node), _inner(theirs), below=below)
            kept = _node(has(node) and not has(theirs), rest)
            if kept is not None:
                left[key] = kept
    return left


def intersection(one: Fields, other: Fields) -> Fields:
    shared: Fields = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is not None and key != ".":
            kept = _node(has(node) and has(theirs), intersection(_inner(node), _inner(theirs)))
            if kept is not None:
                shared[key] = kept
    return shared


def paths(fields: Fields, prefix: str = "") -> Iterator[str]:
    """Members, as conflicts name them: `.spec.ports[port=80,protocol="TCP"].nodePort`."""
    for key, node in fields.items():
        if key == ".":
            continue
        path = prefix + _step(key)
        if has(node):
            yield path
        yield from paths(_inner(node), path)


def _step(key: str) -> str:
    kind, rest = key[:2], key[2:]
    if kind == "k:":
        return f"[{','.join(f'{name}={_compact(value)}' for name, value in json.loads(rest).items())}]"
    return f"[={rest}]" if kind == "v:" else f".{rest}"


def compare(old: Any, new: Any, kind: Type) -> tuple[Fields, Fields]:
    """The fields that are new or have another value, and those that are gone (with all below them)."""
    changed: Fields = {}
    removed: Fields = {}
    for key, below, before, after in _pairs(old, new, kind):
        if before is _MISSING:
            inner = of(after, below) if granular(after, below) else {}
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
                changed[key] = of(after, below) if granular(after, below) else {}
    return changed, removed


_MISSING: Any = object()


def _pairs(old: Any, new: Any, kind: Type) -> list[tuple[str, Type, Any, Any]]:
    """Each part of two objects or lists: how fieldsV1 names it, its type, and its value in both."""
    if isinstance(new, dict):
        return [
            (f"f:{key}", child_type(kind, key), old.get(key, _MISSING), new.get(key, _MISSING))
            for key in {**old, **new}
        ]
    element = kind.element or ANYTHING
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
    element = kind.element or ANYTHING
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
            elif not has(node):
                rest = remove(item, node, child_type(kind, key))
                if rest or not isinstance(rest, dict | list):
                    kept[key] = rest
        return kept
    if isinstance(value, list) and not kind.atomic:
        element = kind.element or ANYTHING
        left = []
        for item in value:
            node = fields.get(item_key(item, kind))
            if node is None:
                left.append(item)
            elif not has(node):
                left.append(remove(item, node, element))
        return left
    return value
