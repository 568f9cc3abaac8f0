"""Conditions: what a status says of its object, one entry for each type."""

from __future__ import annotations

from typing import Any

from sandbox.core.cluster import Object
from sandbox.core.objects import timestamp


def find(obj: Object, kind: str) -> Object | None:
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            found: Object = condition
            return found
    return None


def is_true(obj: Object, kind: str) -> bool:
    condition = find(obj, kind)
    return condition is not None and condition["status"] == "True"


def merge(
    present: list[Any] | None, kind: str, status: str, reason: str, message: str, **more: Any
) -> list[Object]:
    """`present` with this condition; its transition time is kept while the status stays the same."""
    new: Object = {"type": kind, "status": status, "reason": reason, "message": message, **more}
    new["lastTransitionTime"] = timestamp()
    merged: list[Object] = []
    replaced = False
    for old in present or ():
        if old["type"] != kind:
            merged.append(old)
            continue
        replaced = True
        if old["status"] == status and "lastTransitionTime" in old:
            new["lastTransitionTime"] = old["lastTransitionTime"]
        merged.append(new)
    return merged if replaced else [*merged, new]
