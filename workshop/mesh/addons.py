"""Istio's add-ons (Prometheus, Grafana, Kiali, Jaeger), as its releases have them in `samples/addons`.

A lab names them, and what else is to be there at each of its stages. The files are the target's: `release_samples`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from workshop.kubernetes.manifests import (
    ISTIO_NAMESPACE,
    LAB,
    PART_OF,
    WORKSHOP,
    Manifests,
    Object,
    is_ours,
    mark,
    name_of,
    placeholders,
)
from workshop.kubernetes.proofs import all_commands, all_seen
from workshop.kubernetes.stages import Move, ObservedStages, Stage, Stages
from workshop.mesh import tracing_provider
from workshop.mesh.tracing_provider import Provider
from workshop.runbook.model import Step
from workshop.runbook.results import Check, Difference, Explanation

if TYPE_CHECKING:
    from workshop.mesh.release_samples import Samples
    from workshop.runbook.run import Run

_SECONDS = 300.0
"""For all of them to be available: images of some 500 MB."""


class AddonStages(Stages):
    """Stages at which some of the add-ons are there. `addons` are those of each stage; at those of `traced` spans
    go to the `provider`. Of what is not there at a stage nothing is left."""

    def __init__(
        self,
        title: str,
        *stages: Stage,
        start: Stage,
        addons: Mapping[str, tuple[str, ...]],
        provider: Provider,
        traced: tuple[str, ...],
    ) -> None:
        super().__init__(title, *stages, start=start)
        self.addons, self.provider, self.traced = addons, provider, traced

    @property
    def every_stage(self) -> tuple[Stage, ...]:
        return tuple(self._stages.values())

    def made(self, one: Stage, run: Run, values: Mapping[str, str]) -> list[Object]:
        samples, lab = _samples(run), one.lab or run.lab
        of_addons = [
            obj
            for addon in self.addons.get(one.name, ())
            for obj in (samples.load(addon, lab) if samples.there else (_known_of(addon, lab),))
        ]
        return [*of_addons, *super().made(one, run, values)]

    async def observe(self, run: Run, *, strict: bool = False) -> ObservedStages:
        await self.fetch_if_ours(run)
        return await super().observe(run, strict=strict)

    async def fetch_if_ours(self, run: Run) -> None:
        """While none of the add-ons is there as the workshop's, nothing has to be downloaded to know that."""
        samples = _samples(run)
        if not samples.there and await _ours(run, {name for names in self.addons.values() for name in names}):
            await samples.fetch()

    def step(self, stage: str, run: Run) -> Step:
        one = self._start if stage == self.start else self._stages[stage]
        return _AddonMove(self, one)


class _AddonMove(Move):
    """Moves, waits until what is there is available, and has the mesh's configuration name the provider or not."""

    _timeline: AddonStages

    def __init__(self, timeline: AddonStages, to: Stage) -> None:
        super().__init__(timeline, to)
        self._addons = timeline.addons.get(to.name, ())
        self._provider, self._traced = timeline.provider, to.name in timeline.traced

    async def check(self, run: Run) -> Check:
        found = await super().check(run)
        rest = () if _samples(run).there else (f"the rest of samples/addons/{addon}.yaml" for addon in self._addons)
        provider = await tracing_provider.differences(run, self._provider, self._traced)
        return replace(found, differences=(*found.differences, *map(Difference, rest), *provider))

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes import rollout
        from workshop.kubernetes.kubectl import Kubectl

        if self._addons:
            await _samples(run).fetch()
        if not self._traced:
            await tracing_provider.switch(run, self._provider, on=False)
        await super().apply(run)
        wanted = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): ""
            for obj in await self._wanted(run)
            if obj["kind"] == "Deployment"
        }
        if wanted:
            await rollout.wait(run, Kubectl.of(run), wanted, seconds=_SECONDS)
        if self._traced:
            await tracing_provider.switch(run, self._provider, on=True)

    async def made(self, run: Run) -> frozenset[str]:
        await self._timeline.fetch_if_ours(run)
        found = await super().made(run)
        if _samples(run).there:
            return found
        return found.union(name for addon in self._addons for name in _consists_of(addon))

    def explain(self, run: Run) -> Explanation:
        """The add-ons by their files, as Istio's pages have it; what has to be downloaded for that comes first."""
        from workshop.kubernetes.typed_commands import apply_commands, rollout_commands

        samples, one, proofs = _samples(run), self._to, self._to.proofs(run)
        manifests = run.use(Manifests)
        values = placeholders(one.values, run)
        objects = [obj for file in one.files for obj in manifests.load(one.lab or run.lab, file, values)]
        others = {name for names in self._timeline.addons.values() for name in names}.difference(self._addons)
        commands: list[str] = [*samples.commands()] if self._addons and not samples.there else []
        for addon in self._addons:
            file = samples.typed(addon)
            commands += [
                f"kubectl apply -f {file}",
                f"kubectl label -f {file} --overwrite {PART_OF}={WORKSHOP} {LAB}={run.lab}",
                f"kubectl rollout status -n {ISTIO_NAMESPACE} deployment/{addon}",
            ]
        switched = tracing_provider.commands if self._traced else tracing_provider.commands_without
        commands += switched(self._provider)
        commands += [*apply_commands(run, objects, one.values), *rollout_commands(objects)]
        others_too = sorted(set(self._others(run, objects)))
        commands += [f"kubectl delete {what} --ignore-not-found" for what in others_too]
        commands += [f"kubectl delete --ignore-not-found -f {samples.typed(addon)}" for addon in sorted(others)]
        commands += all_commands(run, proofs)
        commands += [f"# a page for a browser, until Ctrl-C: istioctl dashboard {addon}" for addon in self._addons]
        return Explanation(commands=tuple(commands), seen=all_seen(run, proofs))

    def _others(self, run: Run, objects: list[Object]) -> Iterator[str]:
        """What manifests of other stages have, as kubectl takes it."""
        there = set(map(name_of, objects))
        for stage in self._timeline.every_stage:
            for file in stage.files:
                for obj in run.use(Manifests).load(run.lab, file, placeholders(stage.values, run)):
                    if name_of(obj) not in there:
                        metadata = obj["metadata"]
                        yield f"{obj['kind'].lower()} {metadata['name']} -n {metadata['namespace']}"


def _known_of(addon: str, lab: str) -> Object:
    """What is known of an add-on without its file."""
    obj: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": addon, "namespace": ISTIO_NAMESPACE},
    }
    mark(obj, lab)
    return obj


def _consists_of(addon: str) -> Iterator[str]:
    """The kinds that Istio's add-ons are made of, for who asks what a person has to be allowed."""
    yield from (
        f"{kind} {ISTIO_NAMESPACE}/{addon}" for kind in ("ConfigMap", "Deployment", "Service", "ServiceAccount")
    )
    yield from (f"{kind} {addon}" for kind in ("ClusterRole", "ClusterRoleBinding"))


def _samples(run: Run) -> Samples:
    from workshop.mesh.release_samples import Samples

    return run.use(Samples)


async def _ours(run: Run, deployments: set[str]) -> bool:
    from workshop.kubernetes.cluster_facts import look
    from workshop.kubernetes.kinds import Place

    there = await look(run, [Place("Deployment", ISTIO_NAMESPACE)])
    found = (there.get("Deployment", ISTIO_NAMESPACE, name) for name in deployments)
    return any(obj is not None and is_ours(obj) for obj in found)
