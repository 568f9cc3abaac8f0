"""What became of a step's objects while its effect was measured.

Somebody may delete a namespace, or edit a rule, while a probe runs. What the probe then says ("too few answers",
"HTTP 404") is true and of no use: before it is said, the objects are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workshop.runbook.errors import WorkshopError

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.runbook.run import Run

Object = dict[str, Any]


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def refuse_if_changed(run: Run, objects: Sequence[Object], said: str) -> None:
    """Raises WorkshopError when one of `objects` is not as it was applied any more; `said` is what was to be said
    of them; KubectlError when the cluster is gone altogether. One that answers with an error leaves it at that."""
    from workshop.kubernetes.errors import KubectlError
    from workshop.kubernetes.facts import ClusterFacts

    run.facts.forget()
    try:
        snapshot = await run.observe(ClusterFacts())
    except WorkshopError as error:
        if isinstance(error, KubectlError) and error.reason == "Unreachable":
            raise
        return
    if found := list(dict.fromkeys(_changes(objects, snapshot))):
        raise WorkshopError(
            "see the effect of what was applied",
            "; ".join(found),
            cause=f"somebody else works on this cluster, and what was measured means nothing ({said})",
            next_command=f"{run.program} lab.{run.lab}",
        )


def _changes(objects: Sequence[Object], snapshot: Snapshot) -> Iterator[str]:
    from workshop.kubernetes.leaving import is_leaving
    from workshop.kubernetes.manifests import name_of
    from workshop.kubernetes.repair import drift

    for obj in objects:
        home = obj["metadata"].get("namespace") or (obj["metadata"]["name"] if obj["kind"] == "Namespace" else "")
        there = snapshot.get("Namespace", "", home) if home else None
        if home and (there is None or is_leaving(there)):
            yield f"Namespace {home} was deleted meanwhile"
        elif obj["kind"] != "Namespace":
            live = snapshot.find(obj)
            if live is None or is_leaving(live):
                yield f"{name_of(obj)} was deleted meanwhile"
            elif paths := [difference.path for difference in drift(obj, snapshot)]:
                yield f"{name_of(obj)} was changed meanwhile ({', '.join(paths)})"
