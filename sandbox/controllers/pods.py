"""What controllers ask of a pod: is it counted, does it serve, and for how long."""

from __future__ import annotations

from sandbox.controllers import conditions
from sandbox.controllers.clock import seconds_since
from sandbox.core.cluster import Object
from sandbox.core.objects import terminating


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_active(pod: Object) -> bool:
    """Neither ended nor on its way out."""
    return phase(pod) not in ("Succeeded", "Failed") and not terminating(pod)


def is_ready(pod: Object) -> bool:
    return conditions.is_true(pod, "Ready")


def seconds_to_available(pod: Object, min_ready_seconds: int) -> float | None:
    """0 when it is available, None when it is not ready; otherwise how long it must still stay ready."""
    if not is_ready(pod):
        return None
    if not min_ready_seconds:
        return 0.0
    condition = conditions.find(pod, "Ready") or {}
    since = condition.get("lastTransitionTime")
    if not since:
        return None
    return max(0.0, min_ready_seconds - seconds_since(since))


def address(pod: Object) -> str | None:
    return (pod.get("status") or {}).get("podIP")
