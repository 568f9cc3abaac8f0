"""Objects that a lab moves through stages together: a VirtualService or two, a rule, the port names of a Service.

A stage says how all of them are to be; what a stage does not have is absent at it. Where they are is read from the
cluster: a stage is where the objects are as it says, and nothing is there that it does not have. Several labs may
move the same objects: each takes over from a stage of the lab before it (`start`), and the objects' label tells who
moved them last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from workshop.kubernetes.manifests import (
    Manifests,
    Object,
    Value,
    lab_of,
    name_of,
    namespace_object,
    placeholders,
    resolved_values,
)
from workshop.kubernetes.other_clusters import if_cluster
from workshop.kubernetes.proofs import Proof, Proofs, all_commands, all_seen, look_at_all, proofs_of, prove_all
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Position, Step, Timeline
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Hint, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Snapshot
    from workshop.kubernetes.exercises import OpenFields
    from workshop.runbook.run import Run


Reference = tuple[str, str, str]
"""Kind, namespace ("" for what is in none) and name."""
Make = Callable[["Run", str, Mapping[str, str]], list[Object]]
"""The objects of a stage, labelled as this lab's, with these values."""


def _nothing(run: Run, lab: str, values: Mapping[str, str]) -> list[Object]:
    return []


def _unproved(run: Run) -> tuple[Proof, ...]:
    return ()


@dataclass(frozen=True)
class Stage:
    """`title` is the step's that moves to it. `before` are proofs that run ahead of the move, for comparison. `lab`
    is whose stage it is, when it is another lab's that a timeline starts from."""

    name: str
    title: str
    make: Make = field(default=_nothing, repr=False)
    values: tuple[Value, ...] = ()
    proofs: Proofs = field(default=_unproved, repr=False)
    before: Proofs = field(default=_unproved, repr=False)
    lab: str = ""
    files: tuple[str, ...] = ()
    exercise: OpenFields | None = None


def stage(
    name: str,
    title: str,
    *files: str,
    values: tuple[Value, ...] = (),
    proofs: Proofs | tuple[Proof, ...] = (),
    before: Proofs | tuple[Proof, ...] = (),
    exercise: OpenFields | None = None,
) -> Stage:
    """One whose objects are in manifests beside the lab, and that a handout may ask an attendee to fill in."""

    def make(run: Run, lab: str, known: Mapping[str, str]) -> list[Object]:
        return [obj for file in files for obj in run.use(Manifests).load(lab, file, known)]

    return Stage(name, title, make, values, proofs_of(proofs), proofs_of(before), files=files, exercise=exercise)


class Stages(Timeline):
    """`start` is where the objects are before the first stage: the stage of another lab, or none of them there.
    `clears` are objects that other labs' stages have and none of these."""

    def __init__(self, title: str, *stages: Stage, start: Stage, clears: tuple[Reference, ...] = ()) -> None:
        self.title, self.start, self.stages = title, start.name, tuple(one.name for one in stages)
        self.undo_title = start.title
        self.files = tuple(file for one in stages for file in one.files)
        self._start, self._stages, self._clears = start, {one.name: one for one in stages}, clears

    def at(self, name: str, lab: str) -> Stage:
        """The stage of that name, for the timeline of a lab after `lab` to start from."""
        one = self._stages[name]
        return replace(one, title=f"Back to {lab}: {one.title}", lab=lab)

    async def position(self, run: Run) -> Position:
        observed = await self.observe(run)
        moved_by = observed.moved_by(run.lab)
        unlike = {name: observed.differences_from(wanted) for name, wanted in observed.objects.items()}
        # What is one stage with more behind it may be all of another one.
        alike = [name for name, found in unlike.items() if not found]
        if alike:
            name = min(alike, key=lambda name: observed.appended_to(observed.objects[name]))
            return Position(name if name in self._stages else None, moved_by=moved_by)
        if moved_by not in ("", run.lab) or not observed.surplus([]):
            return Position(None, moved_by=moved_by)
        closest = min((unlike[name] for name in self._stages), key=len)
        return Position(None, self.off_path(observed, closest), moved_by, closest)

    async def undo(self, run: Run) -> None:
        """Back to the start. Where a webhook refuses that, because what it asks is gone, and the lab whose stage
        the start is will be taken back as well, the objects just go: a broken mesh must not stop a clean-up."""
        from workshop.kubernetes.deletion import delete_and_wait
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.kubernetes.kubectl_failures import KubectlError, Reason

        try:
            await super().undo(run)
        except KubectlError as error:
            if error.reason is not Reason.WEBHOOK_FAILED or self._start.lab not in run.undoing:
                raise
            await delete_and_wait(Kubectl.of(run), (await self.observe(run)).surplus([]))

    def step(self, stage: str, run: Run) -> Step:
        return Move(self, self._start if stage == self.start else self._stages[stage])

    async def observe(self, run: Run, *, strict: bool = False) -> ObservedStages:
        """What is there, beside what each stage has. With `strict`, raises WorkshopError for a value that is not
        known yet."""
        from workshop.kubernetes.cluster_facts import look_for

        objects: dict[str, list[Object]] = {}
        for one in (self._start, *self._stages.values()):
            objects[one.name] = self.made(one, run, await resolved_values(one.values, run, strict=strict))
        every = (obj for those in objects.values() for obj in those)
        snapshot = await look_for(run, (*every, *map(_referred, self._clears)))
        return ObservedStages(snapshot, objects, self._clears, self.normal)

    def made(self, one: Stage, run: Run, values: Mapping[str, str]) -> list[Object]:
        return one.make(run, one.lab or run.lab, values)

    def left_out(self, wanted: list[Object], run: Run) -> list[Reference]:
        """What the timeline moves and is not among these."""
        every = {one.name: self.made(one, run, placeholders(one.values, run)) for one in self._stages.values()}
        return _others(every, self._clears, wanted)

    def normal(self, live: Object) -> Object:
        """A live object as a stage would write it, where that can be written in several ways."""
        return live

    def off_path(self, observed: ObservedStages, closest: tuple[Difference, ...]) -> str:
        """Where the objects are instead, in words; `closest` are the differences from the nearest stage."""
        from workshop.kubernetes.drift import describe

        return describe(closest)


@dataclass(frozen=True)
class ObservedStages:
    """The cluster, and the objects of the start and of each stage."""

    snapshot: Snapshot
    objects: Mapping[str, list[Object]]
    clears: tuple[Reference, ...]
    normal: Callable[[Object], Object]

    def surplus(self, wanted: list[Object]) -> list[Object]:
        """What is there of what the timeline moves, and not on its way out, though `wanted` does not have it."""
        from workshop.kubernetes.deletion import is_terminating

        live = [self.snapshot.get(*reference) for reference in _others(self.objects, self.clears, wanted)]
        return [obj for obj in live if obj is not None and not is_terminating(obj)]

    def differences_from(self, wanted: list[Object]) -> tuple[Difference, ...]:
        """What is otherwise than that, whoever put it there."""
        from workshop.kubernetes.deletion import is_terminating
        from workshop.kubernetes.drift import differences

        found: list[Difference] = []
        for obj in wanted:
            live = self.snapshot.find(obj)
            bare = {**obj, "metadata": {}}
            there = None if live is None or is_terminating(live) else self.normal(live)
            found += differences(name_of(obj), bare, there)
        return (*found, *_deletions(self.surplus(wanted)))

    def appended_to(self, wanted: list[Object]) -> int:
        """How much somebody has put behind what is wanted (see `drift`)."""
        from workshop.kubernetes.drift import appended

        there = [(obj, self.snapshot.find(obj)) for obj in wanted]
        return sum(len(appended("", {**obj, "metadata": {}}, self.normal(live))) for obj, live in there if live)

    def moved_by(self, lab: str) -> str:
        """The lab that moved what is there last; another one rather than `lab`."""
        held = {lab_of(obj) or "" for obj in self.surplus([])}
        return min(held, key=lambda name: (name in ("", lab), not name), default="")


class Move(Step):
    """Moves the objects to a stage, and proves it."""

    def __init__(self, timeline: Stages, to: Stage) -> None:
        self.title, self._timeline, self._to = to.title, timeline, to
        self._before: Verdict | None = None

    async def check(self, run: Run) -> Check:
        from workshop.kubernetes.drift import added, drift

        observed = await self._timeline.observe(run)
        wanted = await self._wanted(run)
        found = [item for obj in wanted for item in drift(obj, observed.snapshot)]
        more = tuple(item for obj in wanted for item in added(obj, observed.snapshot))
        return Check((*found, *_deletions(observed.surplus(wanted))), added=more)

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes.deletion import delete_and_wait
        from workshop.kubernetes.drift import repair
        from workshop.kubernetes.kubectl import Kubectl

        self._before = await run.cuttable(self._prove_before(run))
        kubectl, observed = Kubectl.of(run), await self._timeline.observe(run)
        wanted = await self._wanted(run, strict=True)
        await repair(kubectl, wanted, observed.snapshot)
        if surplus := observed.surplus(wanted):
            await delete_and_wait(kubectl, surplus)

    async def _prove_before(self, run: Run) -> Verdict | None:
        """The objects will have changed; where they are is to stay."""
        homes = dict.fromkeys(obj["metadata"].get("namespace", "") for obj in await self._wanted(run))
        return await prove_all(run, self._to.before(run), [namespace_object(name) for name in homes if name])

    async def verify(self, run: Run) -> Verdict | None:
        before = self._before
        if before is not None and before.kind != "pass":
            return replace(before, reason=f"before the change: {before.reason}")
        after = await prove_all(run, self._to.proofs(run), await self._wanted(run))
        if before is None or after is None:
            return after
        return replace(after, measurements=(*before.measurements, *after.measurements))

    def has_proof(self, run: Run) -> bool:
        return bool(self._to.proofs(run) or self._to.before(run))

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return await look_at_all(run, self._to.proofs(run))

    async def made(self, run: Run) -> frozenset[str]:
        return frozenset(map(name_of, await self._wanted(run)))

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.typed_commands import apply_commands

        objects, proofs = (
            self._timeline.made(self._to, run, placeholders(self._to.values, run)),
            self._to.proofs(run),
        )
        after = [
            f"kubectl delete {kind.lower()} {name} -n {namespace} --ignore-not-found"
            for kind, namespace, name in self._timeline.left_out(objects, run)
        ]
        after += all_commands(run, proofs)

        def commands(these: list[Object]) -> tuple[str, ...]:
            return (*apply_commands(run, these, self._to.values), *after)

        asked = self._to.exercise
        exercise = asked.of(commands(asked.left_open(objects))) if asked else None
        return Explanation(commands=commands(objects), seen=all_seen(run, proofs), exercise=exercise)

    async def _wanted(self, run: Run, *, strict: bool = False) -> list[Object]:
        return self._timeline.made(self._to, run, await resolved_values(self._to.values, run, strict=strict))


def _others(
    every: Mapping[str, list[Object]], clears: tuple[Reference, ...], wanted: list[Object]
) -> list[Reference]:
    there = {_reference(obj) for obj in wanted}
    moved = dict.fromkeys((*clears, *(_reference(obj) for objects in every.values() for obj in objects)))
    return [reference for reference in moved if reference not in there]


def _reference(obj: Object) -> Reference:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _referred(reference: Reference) -> Object:
    kind, namespace, name = reference
    return {"kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


def _deletions(surplus: list[Object]) -> tuple[Difference, ...]:
    return tuple(Difference(name_of(obj), "", ABSENT, "present") for obj in surplus)


class StagesAcross(Stages):
    """`across` names the cluster that a stage needs: {"secondary": "secondary"}."""

    def __init__(
        self,
        title: str,
        *stages: Stage,
        start: Stage,
        across: Mapping[str, str],
        clears: tuple[Reference, ...] = (),
    ) -> None:
        super().__init__(title, *stages, start=start, clears=clears)
        self._across = across

    def step(self, stage: str, run: Run) -> Step:
        step = super().step(stage, run)
        return if_cluster(self._across[stage], step) if stage in self._across else step
