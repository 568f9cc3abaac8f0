"""The steps of labs that are about Kubernetes objects, as declarations.

    apply("Deploy ratings", "bookinfo-ratings.yaml", ready="2/2")
    label_namespaces("Inject sidecars from now on", "primary", "bookinfo", labels={"istio-injection": "enabled"})

Labs are imported by `invoke --list`, so everything heavy is imported when a step runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from workshop.kubernetes.manifests import (
    Manifests,
    Object,
    Value,
    is_ours,
    name_of,
    namespace_object,
    placeholders,
    resolved_values,
)
from workshop.kubernetes.proofs import Proof, Proofs, all_commands, all_seen, look_at_all, proofs_of, prove_all
from workshop.runbook.errors import UsageError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, HeldUp, Hint, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Snapshot
    from workshop.kubernetes.exercises import OpenFields
    from workshop.runbook.run import Run


def apply(
    title: str,
    *files: str,
    ready: str = "",
    values: tuple[Value, ...] = (),
    proofs: Proofs | tuple[Proof, ...] = (),
    seconds: float = 300.0,
    exercise: OpenFields | None = None,
) -> Step:
    """Apply manifests, with `values` filled in, and wait at most `seconds` until their Deployments are available.

    `ready` is what the READY column of their pods is to say ("2/2": the workload and its sidecar); pods with
    another number of containers, because they were there before the sidecars, are replaced by a rolling restart.
    What the `exercise` leaves open, a handout asks attendees to fill in.
    """
    return Apply(title, files, ready, values, proofs_of(proofs), seconds, exercise)


def restart(title: str, *files: str, ready: str, proofs: Proofs | tuple[Proof, ...] = ()) -> Step:
    """The same for what an earlier step has deployed, when only its pods are to be others."""
    return Restart(title, files, ready, (), proofs_of(proofs), 300.0)


def label_namespaces(
    title: str, *namespaces: str, labels: Mapping[str, str | Choice], proofs: tuple[Proof, ...] = ()
) -> Step:
    """Label namespaces that are there; undone by removing the labels."""
    return LabelNamespaces(title, namespaces, labels, proofs)


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a lab's option decides: one of `values`, the first when the option is not given."""

    option: str
    values: tuple[str, ...]

    def of(self, run: Run) -> str:
        """Raises UsageError for any other value."""
        given = run.options.get(self.option)
        if given is None:
            return self.values[0]
        if given not in self.values:
            raise UsageError(
                f"use --{self.option} {given}",
                f"it is one of {', '.join(self.values)}",
                next_command=f"{run.program} lab.{run.lab} --{self.option} {self.values[0]}",
            )
        return str(given)


def choice(option: str, *values: str) -> Choice:
    return Choice(option, values)


async def _snapshot(run: Run, objects: Iterable[Object]) -> Snapshot:
    from workshop.kubernetes.cluster_facts import look_for

    return await look_for(run, objects)


class Apply(Step):
    def __init__(
        self,
        title: str,
        files: tuple[str, ...],
        ready: str,
        values: tuple[Value, ...],
        proofs: Proofs,
        seconds: float,
        exercise: OpenFields | None = None,
    ) -> None:
        self.title, self.files, self.ready, self._values = title, files, ready, values
        self._proofs, self._seconds, self._exercise = proofs, seconds, exercise

    async def objects(self, run: Run, *, strict: bool = False) -> list[Object]:
        """With `strict`, raises WorkshopError for a value that is not known yet."""
        return self._made(run, await resolved_values(self._values, run, strict=strict))

    def declared(self, run: Run) -> list[Object]:
        """The objects as a person is shown them: nothing is looked at."""
        return self._made(run, placeholders(self._values, run))

    def _made(self, run: Run, values: Mapping[str, str]) -> list[Object]:
        manifests = run.use(Manifests)
        return [obj for file in self.files for obj in manifests.load(run.lab, file, values)]

    async def check(self, run: Run) -> Check:
        from workshop.kubernetes.drift import added, drift

        objects, found, more = await self.objects(run), list[Difference](), list[Difference]()
        snapshot = await _snapshot(run, objects)
        for obj in objects:
            found += [*drift(obj, snapshot), *self._unready(obj, snapshot)]
            more += added(obj, snapshot)
        return Check(tuple(found), added=tuple(more))

    async def check_readiness(self, run: Run) -> Check:
        from workshop.kubernetes import rollout

        objects, found = await self.objects(run), await self.check(run)
        snapshot = await _snapshot(run, objects)
        live = [snapshot.find(obj) for obj in objects if obj["kind"] == "Deployment"]
        idle = [item for obj in live if obj is not None for item in rollout.without_pods(obj)]
        return Check((*found.differences, *idle))

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes import rollout
        from workshop.kubernetes.kubectl import Kubectl

        kubectl, objects = Kubectl.of(run), await self.objects(run, strict=True)
        snapshot = await _snapshot(run, objects)
        drifted = await self.write(run, objects, snapshot)
        deployments = [obj for obj in objects if obj["kind"] == "Deployment"]
        lacking: dict[str, list[str]] = {}
        for obj in deployments:
            if obj not in drifted and self._lacks_containers(obj, snapshot):
                lacking.setdefault(obj["metadata"]["namespace"], []).append(obj["metadata"]["name"])
        for namespace, names in lacking.items():
            await kubectl.restart(namespace, names)
        wanted = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): rollout.with_more(
                self.ready, obj, snapshot.find(obj)
            )
            for obj in deployments
        }
        await rollout.wait(run, kubectl, wanted, seconds=self._seconds)

    async def write(self, run: Run, objects: list[Object], snapshot: Snapshot) -> list[Object]:
        """Those of them that are not as wanted, once they are written."""
        from workshop.kubernetes.drift import repair
        from workshop.kubernetes.kubectl import Kubectl

        return await repair(Kubectl.of(run), objects, snapshot, seconds=self._seconds)

    async def verify(self, run: Run) -> Verdict | None:
        return await prove_all(run, self._proofs(run), await self.objects(run))

    def has_proof(self, run: Run) -> bool:
        return bool(self._proofs(run))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, self._proofs(run))

    async def check_undo(self, run: Run) -> Check:
        from workshop.kubernetes import rollout
        from workshop.kubernetes.deletion import waits_for

        objects = await self.objects(run)
        snapshot = await _snapshot(run, objects)
        ours = _ours(objects, snapshot)
        left = [(obj, "") for obj in ours]
        for obj in objects:
            if obj["kind"] == "Deployment" and snapshot.find(obj) in (None, *ours):
                namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
                pods = rollout.left_by(namespace, name, snapshot.all("Pod", namespace))
                left += [(pod, name_of(obj)) for pod in pods]
        return Check(
            tuple(Difference(name_of(obj), "", ABSENT, waits_for(obj), goes_with=owner) for obj, owner in left)
        )

    async def held_up(self, run: Run) -> HeldUp:
        from workshop.kubernetes.deletion import held_up
        from workshop.kubernetes.kubectl import Kubectl

        objects = await self.objects(run)
        return await held_up(Kubectl.of(run), _ours(objects, await _snapshot(run, objects)))

    async def undo(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl

        objects = await self.objects(run)
        if ours := _ours(objects, await _snapshot(run, objects)):
            await Kubectl.of(run).delete(ours, wait=False)

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset(map(name_of, await self.objects(run)))

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.typed_commands import apply_commands, rollout_commands

        objects, proofs, asked = self.declared(run), self._proofs(run), self._exercise

        def commands(these: list[Object]) -> tuple[str, ...]:
            applied = apply_commands(run, these, self._values)
            return (*applied, *rollout_commands(objects), *all_commands(run, proofs))

        exercise = asked.of(commands(asked.left_open(objects))) if asked else None
        return Explanation(commands=commands(objects), seen=all_seen(run, proofs), exercise=exercise)

    def explain_undo(self, run: Run) -> Explanation:
        files = reversed(self._shown(run))
        return Explanation(commands=tuple(f"kubectl delete --ignore-not-found -f {file}" for file in files))

    def _shown(self, run: Run) -> list[str]:
        manifests = run.use(Manifests)
        return [manifests.shown(run.lab, file) for file in self.files]

    def _unready(self, wanted: Object, snapshot: Snapshot) -> tuple[Difference, ...]:
        from workshop.kubernetes import rollout

        live = snapshot.find(wanted)
        if wanted["kind"] != "Deployment" or live is None:
            return ()
        subject, namespace = name_of(wanted), wanted["metadata"]["namespace"]
        pods = rollout.pods_of(live, snapshot.all("Pod", namespace))
        if not rollout.is_complete(live):
            return (rollout.progress_difference(subject, live, pods),)
        ready = rollout.with_more(self.ready, wanted, live)
        odd = [pod for pod in pods if ready and rollout.ready_of(pod) != ready]
        return tuple(Difference(name_of(pod), "READY", ready, rollout.ready_of(pod)) for pod in odd)

    def _lacks_containers(self, wanted: Object, snapshot: Snapshot) -> bool:
        from workshop.kubernetes import rollout

        live = snapshot.find(wanted)
        if live is None or not self.ready:
            return False
        pods = rollout.pods_of(live, snapshot.all("Pod", wanted["metadata"]["namespace"]))
        ready = rollout.with_more(self.ready, wanted, live)
        return not all(rollout.has_containers(pod, ready) for pod in pods)


class Restart(Apply):
    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.typed_commands import restart_commands, rollout_commands

        objects = self._made(run, {})
        commands = (*restart_commands(objects), *rollout_commands(objects))
        proofs = self._proofs(run)
        return Explanation(commands=(*commands, *all_commands(run, proofs)), seen=all_seen(run, proofs))


def _ours(objects: list[Object], snapshot: Snapshot) -> list[Object]:
    live = [snapshot.find(obj) for obj in reversed(objects)]
    return [obj for obj in live if obj is not None and is_ours(obj)]


class LabelNamespaces(Step):
    def __init__(
        self,
        title: str,
        namespaces: tuple[str, ...],
        labels: Mapping[str, str | Choice],
        proofs: tuple[Proof, ...],
    ) -> None:
        self.title, self._namespaces, self._labels, self._proofs = title, namespaces, labels, proofs

    async def check(self, run: Run) -> Check:
        snapshot, found = await self._snapshot(run), []
        for namespace in self._namespaces:
            live = snapshot.get("Namespace", "", namespace)
            if live is None:
                found.append(Difference(f"Namespace {namespace}", "", "present", ABSENT))
                continue
            for key, value in self._wanted(run).items():
                there = live["metadata"].get("labels", {}).get(key, ABSENT)
                if there != value:
                    found.append(Difference(f"Namespace {namespace}", f"metadata.labels[{key}]", value, there))
        return Check(tuple(found))

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl

        snapshot, there = await self._snapshot(run), [namespace_object(name) for name in self._namespaces]
        snapshot.learn(await Kubectl.of(run).label(there, self._wanted(run)))

    async def verify(self, run: Run) -> Verdict | None:
        return await prove_all(run, self._proofs, [namespace_object(name) for name in self._namespaces])

    def has_proof(self, run: Run) -> bool:
        return bool(self._proofs)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, self._proofs)

    async def check_undo(self, run: Run) -> Check:
        snapshot, found = await self._snapshot(run), []
        for namespace in self._namespaces:
            live = snapshot.get("Namespace", "", namespace) or {"metadata": {}}
            labels = live["metadata"].get("labels", {})
            found += [
                Difference(f"Namespace {namespace}", f"metadata.labels[{key}]", ABSENT, labels[key])
                for key in self._labels
                if key in labels
            ]
        return Check(tuple(found))

    async def undo(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl

        snapshot = await self._snapshot(run)
        there = [namespace_object(name) for name in self._namespaces if snapshot.get("Namespace", "", name)]
        if there:
            snapshot.learn(await Kubectl.of(run).label(there, dict.fromkeys(self._labels)))

    def explain(self, run: Run) -> Explanation:
        labels = " ".join(f"{key}={value}" for key, value in self._wanted(run).items())
        command = f"kubectl label namespace {' '.join(self._namespaces)} {labels} --overwrite"
        return Explanation(commands=(command, *all_commands(run, self._proofs)), seen=all_seen(run, self._proofs))

    def explain_undo(self, run: Run) -> Explanation:
        labels = " ".join(f"{key}-" for key in self._labels)
        return Explanation(commands=(f"kubectl label namespace {' '.join(self._namespaces)} {labels}",))

    async def _snapshot(self, run: Run) -> Snapshot:
        return await _snapshot(run, map(namespace_object, self._namespaces))

    def _wanted(self, run: Run) -> dict[str, str]:
        return {key: value.of(run) if isinstance(value, Choice) else value for key, value in self._labels.items()}
