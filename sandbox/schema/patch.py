"""The patches of the API: JSON (RFC 6902), merge (RFC 7386) and strategic merge.

None of them changes what it is given; each returns a new object that shares nothing with the live one, so
the caller may default it in place.
"""

from __future__ import annotations

from typing import Any

from sandbox.core import nesting
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import clone
from sandbox.schema.strategic import strategic_merge

__all__ = ["json_patch", "merge_patch", "strategic_merge"]

MAX_OPERATIONS = 10_000


def merge_patch(live: Any, patch: Any) -> Any:
    """`live` with `patch` laid over it; null removes."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = clone(live) if isinstance(live, dict) else {}
    _merge(merged, patch)
    return merged


def _merge(target: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            below = target.get(key)
            if not isinstance(below, dict):
                below = target[key] = {}
            _merge(below, value)
        else:
            target[key] = clone(value)


def json_patch(live: Object, operations: Any) -> Object:
    """`live` after all of `operations`.

    Raises ApiError: BadRequest for what is no JSON patch, Invalid (422) for one that does not apply.
    """
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise ApiError(400, "BadRequest", "error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", message)
    document: Any = clone(live)
    for operation in operations:
        try:
            document = _apply(document, operation)
            if nesting.too_much(document):
                raise ValueError("it makes too much of the object")
        except (KeyError, IndexError, ValueError, TypeError) as error:
            reason = error.args[0] if error.args else ""
            text = f"{operation.get('op')} operation does not apply: {operation.get('path')}: {reason}"
            message = f"the server rejected our request due to an error in our request: {text}"
            raise ApiError(422, "Invalid", message) from None
    if not isinstance(document, dict):
        raise ApiError(400, "BadRequest", "a JSON patch must leave an object")
    return document


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    verb, path = operation.get("op"), _pointer(operation.get("path"))
    if verb in ("add", "replace", "test") and "value" not in operation:
        raise ValueError("it has no value")
    if verb == "add":
        return _add(document, path, clone(operation["value"]))
    if verb == "replace":
        _get(document, path)
        if not path:
            return clone(operation["value"])
        _set(document, path, clone(operation["value"]))
    elif verb == "remove":
        _remove(document, path)
    elif verb == "test":
        if not _same(_get(document, path, missing=None), operation["value"]):
            raise ValueError("the value there is another one")
    elif verb in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = clone(_get(document, source))
        if verb == "move":
            if path[: len(source)] == source and path != source:
                raise ValueError("it would move a value into itself")
            _remove(document, source)
        return _add(document, path, value)
    else:
        raise ValueError(f"unexpected kind: {verb}")
    return document


def _pointer(path: Any) -> list[str]:
    if path == "":
        return []
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError("it needs a path that begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


_RAISE = object()


def _index(items: list[Any], step: str, *, end: bool = False) -> int:
    if end and step == "-":
        return len(items)
    if not step.isdigit() or (len(step) > 1 and step[0] == "0"):
        raise ValueError(f"{step} is not an index")
    if int(step) >= len(items) + end:
        raise IndexError(f"index {step} is out of bounds")
    return int(step)


def _get(document: Any, path: list[str], missing: Any = _RAISE) -> Any:
    for step in path:
        if isinstance(document, list):
            document = document[_index(document, step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        elif missing is not _RAISE:
            return missing
        else:
            raise KeyError("doc is missing this path")
    return document


def _set(document: Any, path: list[str], value: Any) -> None:
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent[_index(parent, path[-1])] = value
    else:
        parent[path[-1]] = value


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], end=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise TypeError("its parent has no fields")
    return document


def _remove(document: Any, path: list[str]) -> None:
    _get(document, path)
    if not path:
        raise ValueError("the whole object cannot be removed")
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1])]
    else:
        del parent[path[-1]]


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
