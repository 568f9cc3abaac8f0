"""From what is there to what is wanted: the difference as a check sees it, and the writes that remove just that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.compare import differences
from workshop.kubernetes.leaving import delete, is_leaving
from workshop.kubernetes.manifests import LAB, PART_OF, is_ours, name_of
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.kubernetes.kubectl import Kubectl

Object = dict[str, Any]

_GONE_SECONDS = 120.0
"""How long what is on its way out may take before it is made anew; what holds it for longer does so for ever."""


async def repair(
    kubectl: Kubectl, objects: Sequence[Object], snapshot: Snapshot, *, seconds: float = 60.0
) -> list[Object]:
    """Write those of `objects` that are not as wanted, and return them."""
    drifted = [obj for obj in objects if drift(obj, snapshot)]
    if leaving := [obj for obj in drifted if is_leaving(snapshot.find(obj))]:
        await delete(kubectl, leaving, seconds=min(seconds, _GONE_SECONDS))
    if drifted:
        await kubectl.apply([_owned(obj, snapshot) for obj in drifted], seconds=seconds)
    for obj in drifted:
        if extra := _removals(obj, snapshot):
            await kubectl.merge_patch(obj, extra)
    return drifted


def _owned(wanted: Object, snapshot: Snapshot) -> Object:
    """What to apply. A namespace that was there before the workshop is used, not owned: it gets no label of ours,
    so that undoing the step does not delete it."""
    live = snapshot.find(wanted)
    if wanted["kind"] != "Namespace" or live is None or is_ours(live) or is_leaving(live):
        return wanted
    labels = {k: v for k, v in wanted["metadata"]["labels"].items() if k not in (PART_OF, LAB)}
    return {**wanted, "metadata": {**wanted["metadata"], "labels": labels}}


def drift(wanted: Object, snapshot: Snapshot) -> tuple[Difference, ...]:
    """What of `wanted` is not there, or too much. An object on its way out counts as not there."""
    live, subject = snapshot.find(wanted), name_of(wanted)
    if live is not None and is_leaving(live):
        return (Difference(subject, "metadata.deletionTimestamp", ABSENT, live["metadata"]["deletionTimestamp"]),)
    return differences(subject, _owned(wanted, snapshot), live)


def _removals(wanted: Object, snapshot: Snapshot) -> Object:
    """A merge patch that removes the fields of a spec that are too much; server-side apply leaves alone what others
    have added. Fields inside a list need none: Istio's lists are replaced as a whole."""
    removals: Object = {}
    for difference in drift(wanted, snapshot):
        if difference.wanted is ABSENT and difference.path.startswith("spec.") and "[" not in difference.path:
            *parents, last = difference.path.split(".")
            level = removals
            for parent in parents:
                level = level.setdefault(parent, {})
            level[last] = None
    return removals
