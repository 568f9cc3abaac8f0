"""Conditions, which say in a status what is true of its object, and what they and the phase say of a pod."""

from __future__ import annotations

from typing import Any

from sandbox.controllers.controller import seconds_since
from sandbox.core.cluster import Object
from sandbox.core.objects import terminating, timestamp


def condition(obj: Object, kind: str) -> Object | None:
    found: Object | None = next(
        (one for one in (obj.get("status") or {}).get("conditions") or () if one["type"] == kind), None
    )
    return found


def holds(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


def with_condition(
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


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def has_ended(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Neither ended nor on its way out."""
    return not has_ended(pod) and not terminating(pod)


def is_ready(pod: Object) -> bool:
    return holds(pod, "Ready")


def seconds_to_available(pod: Object, min_ready_seconds: int) -> float | None:
    """0 when it is available, None when it is not ready; otherwise how long it must still stay ready."""
    if not is_ready(pod):
        return None
    if not min_ready_seconds:
        return 0.0
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime")
    return max(0.0, min_ready_seconds - seconds_since(since)) if since else None
