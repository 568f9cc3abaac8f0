"""Proofs: how a step shows that what it applied has the effect the lab speaks of.

A step takes them as data and runs them in its `verify`. What measures traffic is not known here: `through_ingress`
(ingress.py) takes anything with a `measure(run, base_url)`.

**Meanwhile** somebody may delete a namespace, edit a rule, or scale a workload of an earlier lab to nothing. What
the proof then says ("too few answers", "HTTP 404", or even "v3: 0 %") is true and of no use: before it is said, the
step's objects, and what it stands on, are looked at again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from workshop.kubernetes.manifests import Object, name_of, namespace_object
from workshop.kubernetes.other_clusters import typed_for
from workshop.runbook.errors import WorkshopError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Timeline
from workshop.runbook.results import ABSENT, Difference, Hint, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Snapshot
    from workshop.runbook.run import Run


class Proof(Protocol):
    async def prove(self, run: Run) -> Verdict | None:
        """Observe the effect; None when there was only something to tell. Raises WorkshopError when it is not
        there in time."""

    def commands(self, run: Run) -> tuple[str, ...]:
        """What a person would type to see it."""
        ...


@runtime_checkable
class Visible(Protocol):
    """A proof of something that a person can look at as well."""

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        """Where, as it answers now. Raises WorkshopError while that is not known."""
        ...


@runtime_checkable
class Described(Protocol):
    """A proof that can say in words what there is to see."""

    def seen(self, run: Run) -> tuple[str, ...]: ...


Proofs = Callable[["Run"], tuple[Proof, ...]]
"""For what a lab's options decide, and for what is imported only when it is needed."""


def proofs_of(given: Proofs | tuple[Proof, ...]) -> Proofs:
    return given if callable(given) else lambda run: given


async def prove_all(run: Run, proofs: tuple[Proof, ...], objects: Sequence[Object] = ()) -> Verdict | None:
    """In order, up to the first that does not pass. One verdict with what all of them measured.

    `objects` are what the step has applied. When one of them, or its namespace, is gone or otherwise by the time a
    proof does not pass, that is the cause, and what was measured means nothing: raises WorkshopError, naming it.
    """
    try:
        verdict = await _prove_all(run, proofs)
    except WorkshopError as error:
        await refuse_if_changed(run, objects, "; ".join(filter(None, (error.tried, error.came_back))))
        raise
    if verdict is not None and verdict.kind != "pass":
        await refuse_if_changed(run, objects, verdict.reason)
    return verdict


async def _prove_all(run: Run, proofs: tuple[Proof, ...]) -> Verdict | None:
    verdict: Verdict | None = None
    for proof in proofs:
        found = await proof.prove(run)
        if found is None:
            continue
        before = verdict.measurements if verdict else ()
        reasons = [found.reason] if verdict is None or found.kind != "pass" else [verdict.reason, found.reason]
        said = "; ".join(dict.fromkeys(filter(None, reasons)))
        verdict = Verdict(found.kind, said, (*before, *found.measurements))
        if found.kind != "pass":
            break
    return verdict


def all_commands(run: Run, proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    return tuple(command for proof in proofs for command in proof.commands(run))


async def look_at_all(run: Run, proofs: tuple[Proof, ...]) -> tuple[Hint, ...]:
    return tuple([hint for proof in proofs if isinstance(proof, Visible) for hint in await proof.look_at(run)])


def all_seen(run: Run, proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    return tuple(said for proof in proofs if isinstance(proof, Described) for said in proof.seen(run))


@dataclass(frozen=True, slots=True)
class ExecCheck:
    """Run `command` inside a pod until the regular expression `expect` is found in what it prints, at most
    `seconds`. `workload` as kubectl names it: "deploy/ratings-v1". The part found (or its first group) is shown."""

    command: str
    expect: str
    namespace: str
    workload: str
    container: str
    seconds: float = 60.0

    async def prove(self, run: Run) -> Verdict:
        from workshop.kubernetes.kubectl import Kubectl

        kubectl = Kubectl.of(run)
        found: list[str] = []

        async def missing() -> str:
            finished = await kubectl.exec(
                self.namespace, self.workload, shlex.split(self.command), container=self.container
            )
            if match := re.search(self.expect, finished.stdout):
                found.append(match[1] if match.groups() else match[0])
                return ""
            said = (finished.stdout.strip() or finished.stderr.strip()).splitlines()
            status = f"exit status {finished.status}, " if finished.status else ""
            return f"{self.expect!r} in its output ({status}{said[0][:120] if said else 'no output'})"

        await run.wait(
            f"{self.command!r} inside {self.workload}",
            missing,
            seconds=min(self.seconds, run.patience),
            every=0.2,
            next_command=kubectl.typed(self.commands(run)[0]),
        )
        return Verdict("pass", f"{self.workload} got: {found[0]}")

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (_typed(run, self.commands(run)[0], f"as {self.workload} sees it"),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"kubectl exec -n {self.namespace} {self.workload} -c {self.container} -- {self.command}",)


@dataclass(frozen=True, slots=True)
class Shows:
    """Show what `kubectl <command>` prints, if anything: shows("get pods -n bookinfo")."""

    command: str

    async def prove(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.runbook import events

        if printed := (await Kubectl.of(run).call(*shlex.split(self.command))).rstrip():
            run.emit(events.Told(run.lab, printed))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (_typed(run, self.commands(run)[0]),)

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"kubectl {self.command}",)


def _typed(run: Run, command: str, about: str = "") -> Hint:
    from workshop.kubernetes.kubectl import Kubectl

    return Hint("type", run.use(Kubectl).typed(command), about)


exec_check = ExecCheck
shows = Shows


def proofs_at(timeline: Timeline, stage: str, proofs: Proofs) -> Proofs:
    """These proofs while the timeline's objects are at that stage, or its start. Anywhere else there is nothing to
    prove: a run may begin again from its own last stage, or verify what another stage has changed since."""

    def made(run: Run) -> tuple[Proof, ...]:
        return tuple(_ProofAtStage(timeline, stage, proof) for proof in proofs(run))

    return made


@dataclass(frozen=True, slots=True)
class _ProofAtStage:
    timeline: Timeline
    stage: str
    proof: Proof

    async def prove(self, run: Run) -> Verdict | None:
        return await self.proof.prove(run) if await self._holds(run) else None

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, (self.proof,)) if await self._holds(run) else ()

    async def _holds(self, run: Run) -> bool:
        position = await self.timeline.position(run)
        return self.stage == (position.stage or ("" if position.off_path else self.timeline.start))

    def commands(self, run: Run) -> tuple[str, ...]:
        return self.proof.commands(run)

    def seen(self, run: Run) -> tuple[str, ...]:
        return all_seen(run, (self.proof,))


_SHOWN = 4
_OF_PODS = ("status.", "READY")
"""What fields begin with that tell how pods are, and that nobody has edited."""


async def refuse_if_changed(run: Run, objects: Sequence[Object], said: str) -> None:
    """Raises WorkshopError when one of `objects` is not as it was applied any more, or what the step stands on not
    as it was made; `said` is what was to be said of the effect; KubectlError when the cluster is gone altogether.
    One that answers with an error leaves it at that."""
    from workshop.kubernetes.cluster_facts import look_for
    from workshop.kubernetes.kubectl_failures import OUT_OF_REACH, KubectlError

    run.facts.forget()
    try:
        snapshot = await look_for(run, (*objects, *map(namespace_object, filter(None, map(_home, objects)))))
    except WorkshopError as error:
        if isinstance(error, KubectlError) and error.reason in OUT_OF_REACH:
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
        raise _without_prerequisites(run, unlike, said)


def _without_prerequisites(run: Run, unlike: Sequence[tuple[str, Difference]], said: str) -> WorkshopError:
    """A run puts back what is gone; but not a number of pods that no manifest says, nor what a pod lacks."""
    from workshop.kubernetes.rollout import AT_LEAST_ONE

    described = list(dict.fromkeys(_described_prerequisites(unlike)))
    more = [f"and {len(described) - _SHOWN} more"] if len(described) > _SHOWN else []
    error = WorkshopError(
        "see the effect of what was applied",
        "; ".join((*described[:_SHOWN], *more)),
        cause=f"somebody else works on this cluster, and what was measured means nothing ({said})",
        next_command=f"{run.program} lab.{run.lab}",
    )
    if idle := [difference for _, difference in unlike if difference.wanted == AT_LEAST_ONE]:
        error.next_command = _typed_about(run, idle[0].subject, "scale deployment {name} -n {home} --replicas=1")
    elif all(difference.path.startswith(_OF_PODS) for _, difference in unlike):
        error.cause = f"a pod that is not ready answers nothing, and what was measured means nothing ({said})"
        error.next_command = _typed_about(run, unlike[0][1].subject, "describe pods -n {home}")
    return error


def _typed_about(run: Run, subject: str, command: str) -> str:
    """For kubectl, with the subject's namespace and name: it may be on another cluster ("secondary: Pod a/b")."""
    from workshop.kubernetes.kubectl import Kubectl

    place, elsewhere, _ = subject.partition(": ")
    home, _, name = subject.rpartition(" ")[2].partition("/")
    typed = Kubectl.of(run).typed(f"kubectl {command.format(home=home, name=name)}")
    return typed_for(run, place, typed) if elsewhere else typed


def _described_prerequisites(unlike: Sequence[tuple[str, Difference]]) -> Iterator[str]:
    """Each in words, without what went with its namespace, and what a workload scaled to none says of pods."""
    from workshop.kubernetes.drift import describe
    from workshop.kubernetes.rollout import AT_LEAST_ONE

    def is_gone(difference: Difference) -> bool:
        whole = not difference.path and difference.found is ABSENT
        return whole or difference.path == "metadata.deletionTimestamp"

    gone = {item.subject for _, item in unlike if is_gone(item)}
    idle = {item.subject for _, item in unlike if item.wanted == AT_LEAST_ONE}
    for lab, difference in unlike:
        if difference.subject in idle and difference.path.startswith("status."):
            continue
        what, _, name = difference.subject.rpartition(" ")
        home, named, _ = name.partition("/")
        if named and f"{what.rpartition(' ')[0]} Namespace {home}".lstrip() in gone:
            continue
        said = f"{difference.subject} is gone" if difference.subject in gone else describe([difference])
        yield f"{said} (of {lab})"


def _home(obj: Object) -> str:
    """Its namespace, or which one it is itself."""
    name: str = obj["metadata"].get("namespace") or (obj["metadata"]["name"] if obj["kind"] == "Namespace" else "")
    return name


def _changes(objects: Sequence[Object], snapshot: Snapshot) -> Iterator[str]:
    from workshop.kubernetes.deletion import is_terminating
    from workshop.kubernetes.drift import drift

    for obj in objects:
        home = _home(obj)
        there = snapshot.get("Namespace", "", home) if home else None
        if home and (there is None or is_terminating(there)):
            yield f"Namespace {home} was deleted meanwhile"
        elif obj["kind"] != "Namespace":
            live = snapshot.find(obj)
            if live is None or is_terminating(live):
                yield f"{name_of(obj)} was deleted meanwhile"
            elif paths := [difference.path for difference in drift(obj, snapshot)]:
                yield f"{name_of(obj)} was changed meanwhile ({', '.join(paths)})"
