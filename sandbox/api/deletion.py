"""DELETE: grace, finalizers and what becomes of dependents.

An object is removed at once unless something holds it: a finalizer, a pod's grace period, a namespace's
content. Then it is only marked, and the write that releases the last hold removes it. `Foreground` and
`Orphan` are finalizers too; the garbage collector acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandbox.api import api_errors as errors
from sandbox.api.writer import Writer
from sandbox.core.cluster import Admission, Object, Resource
from sandbox.core.objects import at, clone, terminating, timestamp

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_DEFAULT_GRACE = 30


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How a DELETE is meant (metav1.DeleteOptions)."""

    propagation: str | None = None
    """None: what the object's finalizers say already, else Background."""
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


def delete(writer: Writer, resource: Resource, live: Object, options: DeleteOptions) -> tuple[Object, bool]:
    """What is (or was last) there, and whether it is gone."""
    metadata = live["metadata"]
    _check_preconditions(resource, metadata, options)
    admission = Admission("DELETE", resource, live, live, options.dry_run)
    for hook in [*writer.admission, *writer.validation]:
        hook(admission)
    resource = writer.registry.by_key(resource.key)
    marked = clone(live)
    finalizers = _finalizers(marked, options.propagation)
    grace = _grace(resource, live, options.grace_seconds)
    held = bool(finalizers or grace or (resource.key == "namespaces" and at(live, "spec", "finalizers")))
    if not held:
        return (live, True) if options.dry_run else (writer.remove(resource, live), True)
    _mark(resource, marked, finalizers, grace)
    if marked == live or options.dry_run:
        return marked, False
    stored = writer.put(resource, marked)
    return stored, writer.find(resource, metadata.get("namespace"), metadata["name"]) is None


def _check_preconditions(resource: Resource, metadata: Object, options: DeleteOptions) -> None:
    for what, wanted, found in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
    ):
        if wanted and wanted != found:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            raise errors.conflict(resource, metadata["name"], why)


def _finalizers(obj: Object, propagation: str | None) -> list[str]:
    present: list[str] = obj["metadata"].get("finalizers") or []
    if propagation is None:
        return present
    others = [name for name in present if name not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    return others + wanted


def _grace(resource: Resource, live: Object, asked: int | None) -> int:
    """Seconds an object may still take. Only pods that run somewhere have any."""
    if resource.key != "pods":
        return 0
    spec, status = live["spec"], live.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    default: int = spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    wanted = default if asked is None else max(asked, 0)
    already = live["metadata"].get("deletionGracePeriodSeconds")
    return wanted if already is None else min(already, wanted)


def _mark(resource: Resource, obj: Object, finalizers: list[str], grace: int) -> None:
    metadata = obj["metadata"]
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if not terminating(obj) or grace != metadata.get("deletionGracePeriodSeconds"):
        metadata["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1
    if resource.key == "namespaces":
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
