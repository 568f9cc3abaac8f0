"""The patches of the API: JSON (RFC 6902), merge (RFC 7386) and strategic merge.

None of them changes what it is given; each returns a new object that shares nothing with the live one, so
the caller may default it in place.

Strategic merge patches are merge patches that know which lists are merged by which key. What such a patch may carry
besides values, all of it used by `kubectl apply`, `edit`, `label` and `rollout undo`:

    $patch: replace | delete | merge        of a map, or of one item of a merged list
    $retainKeys: [names]                    all other fields of this map go
    $deleteFromPrimitiveList/FIELD: [...]   values to take out of a list that is merged
    $setElementOrder/FIELD: [...]           the order of the merged list's items
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from sandbox.core import nesting
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import clone
from sandbox.schema import types
from sandbox.schema.types import Field, Type

STRATEGIC = "application/strategic-merge-patch+json"
_NOT_FOR_CUSTOM_KINDS = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
)
MAX_OPERATIONS = 10_000
_ORDER, _DELETE, _RETAIN, _PATCH = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch"


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
            document = jsonpatch.apply_patch(document, [clone(operation)], in_place=True)
            if nesting.too_much(document):
                raise ValueError("it makes too much of the object")
        except (jsonpatch.JsonPatchException, JsonPointerException, ValueError) as error:
            text = f"{operation.get('op')} operation does not apply: {operation.get('path')}: {error}"
            message = f"the server rejected our request due to an error in our request: {text}"
            raise ApiError(422, "Invalid", message) from None
    if not isinstance(document, dict):
        raise ApiError(400, "BadRequest", "a JSON patch must leave an object")
    return document


def strategic_merge(kind: Type, live: Object, patch: Any) -> Object:
    """`live` after `patch`.

    Raises ApiError: UnsupportedMediaType for kinds that are not built in (as Kubernetes does), BadRequest
    for a patch that contradicts itself or the schema.
    """
    if kind.schema is not None:
        raise ApiError(415, "UnsupportedMediaType", _NOT_FOR_CUSTOM_KINDS)
    if not isinstance(patch, dict):
        raise _bad("a strategic merge patch is an object")
    merged: Object = clone(live)
    return _merge_map(merged, patch, kind)


def _bad(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def _merge_map(live: Object, patch: Object, kind: Type | None) -> Object:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise _bad(f"Unknown patch type found: {directive}")
    if _RETAIN in patch:
        _retain(live, patch)
    for key, value in patch.items():
        if key.startswith("$"):
            _special(live, patch, key, kind)
            continue
        if value is None:
            live.pop(key, None)
            continue
        field = _field(kind, key)
        if isinstance(value, dict) and "replace" not in field.patch:
            below = live.get(key)
            live[key] = _merge_map(below if isinstance(below, dict) else {}, value, field.type)
        elif isinstance(value, list) and "merge" in field.patch:
            live[key] = _merged_list(live.get(key), value, patch, key, field)
        elif isinstance(value, dict):
            live[key] = {inner: clone(each) for inner, each in value.items() if inner != _PATCH}
        else:
            live[key] = clone(value)
    return live


_UNKNOWN = Field(Type(types.ANY))


def _field(kind: Type | None, key: str) -> Field:
    """How a field is patched. An unknown one is left to validation, which refuses it by its path."""
    if kind is None:
        return _UNKNOWN
    if kind.form == types.MAP and kind.element is not None:
        return Field(kind.element)
    return kind.fields.get(key, _UNKNOWN)


def _retain(live: Object, patch: Object) -> None:
    retained = patch[_RETAIN]
    if not isinstance(retained, list):
        raise _bad(f"{_RETAIN} needs a list")
    for key, value in patch.items():
        if not key.startswith("$") and value is not None and key not in retained:
            raise _bad(f"patch adds {key}, which its {_RETAIN} list does not name")
    for key in [key for key in live if key not in retained]:
        del live[key]


def _special(live: Object, patch: Object, key: str, kind: Type | None) -> None:
    """Directives about a list the patch itself says nothing about (else `_merged_list` sees them)."""
    if key in (_PATCH, _RETAIN):
        return
    name = key.partition("/")[2]
    field = _field(kind, name)
    if not key.startswith((_ORDER, _DELETE)) or not isinstance(patch[key], list) or "merge" not in field.patch:
        raise _bad(f"{key}: no such directive, not a list, or not about a list that is merged")
    if name in patch or not isinstance(live.get(name), list):
        return
    live[name] = _merged_list(live[name], [], patch, name, field)


def _merged_list(live: Any, items: list[Any], patch: Object, name: str, field: Field) -> list[Any]:
    """The live list with `items` merged in, and in the order Kubernetes gives it."""
    before: list[Any] = live if isinstance(live, list) else []
    key = field.patch_key

    def identify(item: Any) -> Any:
        return _identity(item, key, name)

    if key:
        if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in items):
            return [
                clone({inner: value for inner, value in item.items() if inner != _PATCH})
                for item in items
                if set(item) != {_PATCH}
            ]
        merged = _merge_items(before, items, identify, field.type.element)
        gone = {identify(item) for item in items if item.get(_PATCH) == "delete"}
        items = [item for item in items if identify(item) not in gone]
    else:
        drop = patch.get(_DELETE + name, [])
        if not isinstance(drop, list):
            raise _bad(f"{_DELETE}{name} needs a list")
        kept = [item for item in before if item not in drop]
        merged = kept + [item for item in dict.fromkeys(map(identify, items)) if item not in kept]
    order = patch.get(_ORDER + name)
    if order is None:
        order = items
    elif not isinstance(order, list):
        raise _bad(f"{_ORDER}{name} needs a list")
    else:
        known = {identify(item) for item in order}
        if any(identify(item) not in known for item in items):
            raise _bad(f"The order in patch list:\n{items}\n doesn't match {_ORDER}{name} list:\n{order}\n")
    return _ordered(merged, [identify(i) for i in order], [identify(i) for i in before], identify)


def _identity(item: Any, key: str, name: str) -> Any:
    """What tells an item of a list that is merged from the others: its key's value, or the item itself."""
    if not key:
        found = item
    elif isinstance(item, dict) and key in item:
        found = item[key]
    else:
        raise _bad(f"map: {item} does not contain declared merge key: {key} (in {name})")
    if isinstance(found, dict | list):
        raise _bad(f"{found} cannot identify an item of {name}")
    return found


def _merge_items(
    before: list[Any], items: list[Any], identify: Callable[[Any], Any], element: Type | None
) -> list[Any]:
    merged = list(before)
    for item in items:
        wanted = identify(item)
        if item.get(_PATCH) == "delete":
            merged = [each for each in merged if identify(each) != wanted]
            continue
        at = next((i for i, each in enumerate(merged) if identify(each) == wanted), None)
        if at is None:
            merged.append(_merge_map({}, item, element))
        else:
            merged[at] = _merge_map(merged[at], item, element)
    return merged


def _ordered(merged: list[Any], order: list[Any], before: list[Any], identify: Callable[[Any], Any]) -> list[Any]:
    """Items of the patch in the patch's order, the others in the live order.

    Where the two meet, an item that was before another one stays before it; an item that is new comes
    first, which is where `kubectl patch` puts an added container.
    """
    rank = {wanted: i for i, wanted in reversed(list(enumerate(order)))}
    place = {wanted: i for i, wanted in reversed(list(enumerate(before)))}
    patched = sorted((item for item in merged if identify(item) in rank), key=lambda item: rank[identify(item)])
    others = sorted(
        (item for item in merged if identify(item) not in rank),
        key=lambda item: place.get(identify(item), len(before)),
    )
    result: list[Any] = []
    while others and patched:
        one, other = place.get(identify(others[0])), place.get(identify(patched[0]))
        first = one is not None and other is not None and one < other
        result.append((others if first else patched).pop(0))
    return result + others + patched
