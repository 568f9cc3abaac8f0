"""Label selectors: whether they are sound, and whether they select some labels."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, forbidden, required


def labels(found: Object, path: str) -> Iterator[Cause]:
    """Keys and values of labels, or of a selector that is a map of them."""
    for key, value in found.items():
        if wrong := names.qualified_name(key):
            yield bad_value(path, key, wrong)
        if wrong := names.label_value(value):
            yield bad_value(path, value, wrong)


def selector(found: Object, path: str) -> Iterator[Cause]:
    yield from labels(found.get("matchLabels") or {}, f"{path}.matchLabels")
    for i, each in enumerate(found.get("matchExpressions") or ()):
        place = f"{path}.matchExpressions[{i}]"
        operator, values = each.get("operator"), each.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                yield required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                yield forbidden(
                    f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            yield bad_value(f"{place}.operator", operator, "not a valid selector operator")
        if wrong := names.qualified_name(each.get("key", "")):
            yield bad_value(f"{place}.key", each.get("key", ""), wrong)
        for j, value in enumerate(values):
            if wrong := names.label_value(value):
                yield bad_value(f"{place}.values[{j}]", value, wrong)


def selects(found: Object, given: Object) -> bool:
    """Whether a sound selector matches these labels."""
    if any(given.get(key) != value for key, value in (found.get("matchLabels") or {}).items()):
        return False
    for each in found.get("matchExpressions") or ():
        key, operator, values = each["key"], each["operator"], each.get("values") or ()
        there = key in given
        if operator == "In" and not (there and given[key] in values):
            return False
        if operator == "NotIn" and there and given[key] in values:
            return False
        if operator in ("Exists", "DoesNotExist") and there != (operator == "Exists"):
            return False
    return True
