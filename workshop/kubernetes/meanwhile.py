"""What became of a step's objects, and of what it stands on, while its effect was measured.

Somebody may delete a namespace, edit a rule, or scale a workload of an earlier lab to nothing, while a probe runs.
What the probe then says ("too few answers", "HTTP 404", or even "v3: 0 %") is true and of no use: before it is
said, all of that is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workshop.runbook.errors import WorkshopError

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.runbook.results import Difference
    from workshop.runbook.run import Run

Object = dict[str, Any]

_SHOWN = 4
_READY = ("status.", "READY")
"""What fields begin with that tell how pods are, and that nobody has edited."""


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def refuse_if_changed(run: Run, objects: Sequence[Object], said: str) -> None:
    """Raises WorkshopError when one of `objects` is not as it was applied any more, or what the step stands on not
    as it was made; `said` is what was to be said of the effect; KubectlError when the cluster is gone altogether.
    One that answers with an error leaves it at that."""
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
    if unlike := await run.deviations():
        raise _without_its_ground(run, unlike, said)


def _without_its_ground(run: Run, unlike: Sequence[tuple[str, Difference]], said: str) -> WorkshopError:
    """A run puts back what is gone; but not a number of pods that no manifest says, nor what a pod lacks."""
    from workshop.kubernetes.rollout import AT_LEAST_ONE

    worded = list(dict.fromkeys(_ground(unlike)))
    more = [f"and {len(worded) - _SHOWN} more"] if len(worded) > _SHOWN else []
    error = WorkshopError(
        "see the effect of what was applied",
        "; ".join((*worded[:_SHOWN], *more)),
        cause=f"somebody else works on this cluster, and what was measured means nothing ({said})",
        next_command=f"{run.program} lab.{run.lab}",
    )
    if idle := [difference for _, difference in unlike if difference.wanted == AT_LEAST_ONE]:
        error.next_command = _typed(run, idle[0].subject, "scale deployment {name} -n {home} --replicas=1")
    elif all(difference.path.startswith(_READY) for _, difference in unlike):
        error.cause = f"a pod that is not ready answers nothing, and what was measured means nothing ({said})"
        error.next_command = _typed(run, unlike[0][1].subject, "describe pods -n {home}")
    return error


def _typed(run: Run, subject: str, command: str) -> str:
    """For kubectl, with the subject's namespace and name: it may be on another cluster ("secondary: Pod a/b")."""
    from workshop.kubernetes.elsewhere import typed_for
    from workshop.kubernetes.kubectl import Kubectl

    place, elsewhere, _ = subject.partition(": ")
    home, _, name = subject.rpartition(" ")[2].partition("/")
    typed = Kubectl.of(run).typed(f"kubectl {command.format(home=home, name=name)}")
    return typed_for(run, place, typed) if elsewhere else typed


def _ground(unlike: Sequence[tuple[str, Difference]]) -> Iterator[str]:
    """Each in words, without what went with its namespace."""
    from workshop.kubernetes.deviations import worded
    from workshop.runbook.results import ABSENT

    def is_gone(difference: Difference) -> bool:
        whole = not difference.path and difference.found is ABSENT
        return whole or difference.path == "metadata.deletionTimestamp"

    gone = {item.subject for _, item in unlike if is_gone(item)}
    for lab, difference in unlike:
        what, _, name = difference.subject.rpartition(" ")
        home, named, _ = name.partition("/")
        if named and f"{what.rpartition(' ')[0]} Namespace {home}".lstrip() in gone:
            continue
        said = f"{difference.subject} is gone" if difference.subject in gone else worded([difference])
        yield f"{said} (of {lab})"


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
