"""Sets of fields, in the form managedFields keeps them (fieldsV1): JSON trees.

    {"f:spec": {"f:replicas": {}, "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}

A node that is empty, or holds ".", is itself in the set; others only lead to members. `f:` is a field or a
map's key, `k:` an item of a list by its keys, `v:` a value of a set. The functions return new trees, but may
share parts of what they are given: sets are never changed in place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sandbox.schema.types import LIST, MAP, OBJECT, Type

Fields = dict[str, Any]


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
            made[key] = with_parents(node, kind.element or _ANYTHING)
    return made


def granular(value: Any, kind: Type) -> bool:
    """Whether parts of `value` can have different owners."""
    if not value or kind.atomic:
        return False
    if isinstance(value, dict):
        return kind.form in (OBJECT, MAP) or kind.open
    return isinstance(value, list) and kind.form == LIST


_ANYTHING = Type("any", open=True)


def child_type(kind: Type, key: str) -> Type:
    field = kind.fields.get(key)
    if field is not None:
        return field.type
    return kind.element if kind.element is not None and kind.form == MAP else _ANYTHING


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


def difference(one: Fields, other: Fields) -> Fields:
    """Members of `one` that are not members of `other`."""
    left: Fields = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            left[key] = node
        elif key != ".":
            kept = _node(has(node) and not has(theirs), difference(_inner(node), _inner(theirs)))
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


def without_below(one: Fields, other: Fields) -> Fields:
    """Members of `one` that are neither members of `other` nor below one."""
    left: Fields = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            left[key] = node
        elif key != "." and not has(theirs):
            kept = _node(has(node), without_below(_inner(node), _inner(theirs)))
            if kept is not None:
                left[key] = kept
    return left


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
