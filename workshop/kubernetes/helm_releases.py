"""Releases of Helm charts that are beside the labs, as steps and as timelines.

    helm_release("Install the API", "charts/ratings-api", namespace="smoothies", values={"image": "${ratings-api}"})
    ReleaseStages(
        "Releases of the page",
        revision("v1", "Install the page", values={"version": "v1"}),
        revision("v2", "Upgrade it", values={"version": "v2"}),
        chart="charts/ratings-web", namespace="smoothies", ...
    )

A release has converged when its last revision in Helm's history has these values of this chart, and the objects are
there as the chart renders them: so what is edited by hand is drift, and nothing of Helm's has to be started to see
it. Helm writes: `helm upgrade --install`, and `helm rollback` where an earlier revision was what is wanted now.

Every object of a chart has to have the workshop's labels (the value `lab` is which one's), as has each revision:
that is how a clean-up finds it, also where there is no helm any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import LAB, PART_OF, WORKSHOP, Manifests, Object, as_yaml, is_ours, name_of
from workshop.kubernetes.object_steps import Apply
from workshop.kubernetes.proofs import Proof, Proofs, all_commands, all_seen, proofs_of
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import Position, Step, Timeline
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, HeldUp

if TYPE_CHECKING:
    from workshop.kubernetes.cluster_facts import Snapshot
    from workshop.kubernetes.helm_charts import Chart
    from workshop.kubernetes.helm_history import ChartRelease, StoredRevision
    from workshop.kubernetes.kubectl import Kubectl
    from workshop.runbook.run import Run

_GONE_SECONDS = 120.0


def helm_release(
    title: str,
    chart: str,
    *,
    namespace: str,
    values: Mapping[str, Any],
    release: str = "",
    ready: str = "",
    proofs: Proofs | tuple[Proof, ...] = (),
    seconds: float = 300.0,
) -> HelmRelease:
    """Have a release of the chart in that folder, called as the folder is, with these values, in which `${name}` is
    an image of the settings. No value may be a secret: Helm keeps them readable. `ready` and `seconds` as in
    `apply`."""
    return HelmRelease(title, chart, release, namespace, values, ready, proofs_of(proofs), seconds)


class HelmRelease(Apply):
    def __init__(
        self,
        title: str,
        chart: str,
        release: str,
        namespace: str,
        values: Mapping[str, Any],
        ready: str,
        proofs: Proofs,
        seconds: float,
    ) -> None:
        super().__init__(title, (f"{chart}/Chart.yaml",), ready, (), proofs, seconds)
        self._folder, self._name, self._namespace = chart, release or chart.rpartition("/")[2], namespace
        self._given = values
        self._back = ""

    def release(self) -> ChartRelease:
        from workshop.kubernetes.helm_history import ChartRelease

        return ChartRelease(self._name, self._namespace)

    def chart(self, run: Run) -> Chart:
        from workshop.kubernetes.helm_charts import chart

        return chart(run.use(Manifests).path(run.lab, self._folder))

    def given(self, run: Run) -> dict[str, Any]:
        """The values that Helm is given."""
        filled = run.use(Manifests).with_images(run.lab, self._folder, self._given)
        return {"lab": run.lab, **filled}

    def _made(self, run: Run, values: Mapping[str, str]) -> list[Object]:
        objects = self.chart(run).render(self._name, self._namespace, self.given(run))
        for obj in objects:
            if not is_ours(obj):
                raise UsageError(
                    f"read the chart {self._folder}",
                    f"its {name_of(obj)} has not the labels {PART_OF}: {WORKSHOP} and {LAB}: {{{{ .Values.lab }}}}",
                    cause="by these the clean-up finds what the workshop has made",
                )
        return objects

    async def history(self, run: Run) -> list[StoredRevision]:
        from workshop.kubernetes.helm_history import history_of

        return await history_of(run, self.release())

    def unlike(self, run: Run, stored: StoredRevision) -> tuple[Difference, ...]:
        """What is otherwise in a revision than this release is to be."""
        return stored.unlike(self.release(), self.chart(run), self.given(run))

    async def check(self, run: Run) -> Check:
        """Left out where there is no release yet, and no helm to make one: what else the lab does can be done."""
        from workshop.kubernetes.helm import Helm

        history = await self.history(run)
        if not history and (why := await run.use(Helm).program.missing()):
            return Check(note=why, left_out=True)
        found = await super().check(run)
        return replace(found, differences=(*self._unlike_history(run, history), *found.differences))

    def _unlike_history(self, run: Run, history: list[StoredRevision]) -> tuple[Difference, ...]:
        from workshop.kubernetes.helm_history import DEPLOYED

        subject = self.release().subject
        if not history:
            return (Difference(subject, "", "present", ABSENT),)
        last = history[-1]
        if last.status != DEPLOYED:
            return (Difference(subject, "status", DEPLOYED, last.status), *self.unlike(run, last))
        return self.unlike(run, last)

    async def write(self, run: Run, objects: list[Object], snapshot: Snapshot) -> list[Object]:
        from workshop.kubernetes.deletion import delete_and_wait, is_terminating
        from workshop.kubernetes.drift import drift
        from workshop.kubernetes.helm import Helm
        from workshop.kubernetes.kubectl import Kubectl

        drifted = [obj for obj in objects if drift(obj, snapshot)]
        history = await self.history(run)
        if not (drifted or self._unlike_history(run, history)):
            return []
        if history and history[-1].lab is None:
            raise self._not_ours(Kubectl.of(run))
        kubectl, helm = Kubectl.of(run), Helm.of(run)
        await helm.program.path()  # before anything is changed
        if leaving := [obj for obj in drifted if is_terminating(snapshot.find(obj))]:
            await delete_and_wait(kubectl, leaving, seconds=min(self._seconds, _GONE_SECONDS))
        if pending := [stored.secret for stored in history if stored.pending]:
            # Of a helm that was killed. Another one refuses to go on, and nobody else's can be at it: the cluster
            # is locked for this run.
            await kubectl.delete(pending)
            history = [stored for stored in history if not stored.pending]
        if earlier := self._earlier(run, history):
            await helm.rollback(self._name, earlier.revision, self._namespace, seconds=self._seconds)
        else:
            await helm.upgrade(
                self._name,
                self.chart(run).folder,
                self._namespace,
                as_yaml([self.given(run)]),
                labels={PART_OF: WORKSHOP, LAB: run.lab},
                take_ownership=not history and any(_is_there(obj, snapshot) for obj in objects),
                seconds=self._seconds,
            )
        run.facts.forget_what_changes()
        return drifted

    def _earlier(self, run: Run, history: list[StoredRevision]) -> StoredRevision | None:
        """The last revision that was what is wanted now, where the one that is there is not."""
        if not history or not self.unlike(run, history[-1]):
            return None
        return next((one for one in reversed(history[:-1]) if not self.unlike(run, one)), None)

    def _not_ours(self, kubectl: Kubectl) -> WorkshopError:
        return WorkshopError(
            f"have the release {self._name} in {self._namespace}",
            "somebody else has made one of that name there",
            cause="it has not the workshop's labels, and the workshop changes nothing that is not its own",
            next_command=kubectl.typed(f"kubectl get secrets -n {self._namespace} -l owner=helm,name={self._name}"),
        )

    async def check_undo(self, run: Run) -> Check:
        found = await super().check_undo(run)
        left = [
            Difference(name_of(stored.secret), "", ABSENT, "present", goes_with=self.release().subject)
            for stored in await self.history(run)
            if stored.lab is not None
        ]
        return Check((*found.differences, *left))

    async def undo(self, run: Run) -> None:
        """By Helm, where it is here; else what it would delete is deleted: a clean-up needs nothing installed."""
        from workshop.kubernetes.helm import Helm
        from workshop.kubernetes.kubectl import Kubectl

        if ours := [stored.secret for stored in await self.history(run) if stored.lab is not None]:
            helm = Helm.of(run)
            if await helm.program.installed():
                await helm.uninstall(self._name, self._namespace, seconds=self._seconds)
            else:
                await Kubectl.of(run).delete(ours, wait=False)
            run.facts.forget_what_changes()
        await super().undo(run)

    async def made(self, run: Run) -> frozenset[str]:
        from workshop.kubernetes.kubectl_failures import KubectlError, Reason

        release = self.release()
        revisions = {f"Secret {release.namespace}/{release.secret_name(1)}"}
        try:
            revisions |= {name_of(stored.secret) for stored in await self.history(run)}
        except KubectlError as error:
            if error.reason is not Reason.FORBIDDEN:
                raise  # else it is known at least of which kind they are: who may not look is told so by that
        return await super().made(run) | revisions

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.helm import labels_option
        from workshop.kubernetes.typed_commands import rollout_commands, with_stdin

        objects, proofs = self.declared(run), self._proofs(run)
        folder = run.use(Manifests).shown(run.lab, self._folder)
        labels = labels_option({PART_OF: WORKSHOP, LAB: run.lab})
        where = f"-n {self._namespace}"
        install = f"helm upgrade {self._name} {folder} --install {where} {labels} -f -"
        return Explanation(
            yaml=f"# What Helm makes of the chart. Without Helm, apply just this.\n{as_yaml(objects)}",
            commands=(
                with_stdin(install, [self.given(run)]),
                *rollout_commands(objects),
                f"helm history {self._name} {where}",
                *((f"# back to it, later: helm rollback {self._name} {where}",) if self._back else ()),
                *all_commands(run, proofs),
            ),
            seen=all_seen(run, proofs),
        )

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation(commands=(f"helm uninstall {self._name} -n {self._namespace}",))


def _is_there(obj: Object, snapshot: Snapshot) -> bool:
    """As the workshop's: what is somebody else's, Helm refuses to take over."""
    live = snapshot.find(obj)
    return live is not None and is_ours(live)


@dataclass(frozen=True)
class Revision:
    """`values` come on top of those of the timeline."""

    name: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    proofs: Proofs = field(default=lambda run: (), repr=False)


def revision(
    name: str, title: str, *, values: Mapping[str, Any], proofs: Proofs | tuple[Proof, ...] = ()
) -> Revision:
    return Revision(name, title, values, proofs_of(proofs))


class ReleaseStages(Timeline):
    """A release that goes from one revision to the next by upgrades, and back by rollbacks. Where it is, Helm's
    history says."""

    start = "none"

    def __init__(
        self,
        title: str,
        *stages: Revision,
        chart: str,
        namespace: str,
        values: Mapping[str, Any],
        start_title: str,
        release: str = "",
        ready: str = "",
        seconds: float = 300.0,
    ) -> None:
        self.title, self.undo_title = title, start_title
        self.stages = tuple(one.name for one in stages)
        self._releases = {
            one.name: HelmRelease(
                one.title, chart, release, namespace, {**values, **one.values}, ready, one.proofs, seconds
            )
            for one in stages
        }
        self._last = self._releases[self.stages[-1]]
        for name in self.stages[:-1]:
            self._releases[name]._back = name
        self.files = self._last.files

    async def position(self, run: Run) -> Position:
        from workshop.kubernetes.drift import describe

        history = await self._last.history(run)
        if not history:
            return Position(None)
        last = history[-1]
        unlike = {name: step.unlike(run, last) for name, step in self._releases.items()}
        at = next((name for name, found in unlike.items() if not found), None)
        if at is not None:
            drifted = (await self._releases[at].check(run)).differences
            return Position(at, moved_by=last.lab or "", differences=drifted)
        closest = min(unlike.values(), key=len)
        return Position(None, describe(closest), last.lab or "", closest)

    def step(self, stage: str, run: Run) -> Step:
        return Uninstall(self.undo_title, self._last) if stage == self.start else self._releases[stage]


class Uninstall(Step):
    """A release that is not to be there, as a step."""

    def __init__(self, title: str, release: HelmRelease) -> None:
        self.title, self._release = title, release

    async def check(self, run: Run) -> Check:
        return await self._release.check_undo(run)

    async def apply(self, run: Run) -> None:
        await self._release.undo(run)

        async def still_there() -> str:
            run.facts.forget_what_changes()
            left = (await self.check(run)).differences
            return ", ".join(sorted({difference.subject for difference in left}))

        await run.wait("what was uninstalled to be gone", still_there, seconds=_GONE_SECONDS, found="still there")

    async def held_up(self, run: Run) -> HeldUp:
        return await self._release.held_up(run)

    def explain(self, run: Run) -> Explanation:
        return self._release.explain_undo(run)
