"""A VirtualService that a lab moves through stages: which share of a service's requests goes to which subset.

Where it is, is read from the live weights. The path is: one host, one HTTP route without conditions, its
destinations subsets of that host. Anything else in the object (a fault, a match, another host) was put there by
another lab or by hand, and puts it off the path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.proofs import Proof
from workshop.runbook.model import ABSENT, Check, Difference, Explanation, Position, Step, Timeline, Verdict

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot
    from workshop.runbook.run import Run

Object = dict[str, Any]
Weights = tuple[int, ...]
"""Whole percentages in the order of the subsets; they add up to 100."""
Shares = tuple[float, ...]
"""The same as fractions of 1, for a probe."""


class Stage:
    """One position: a name for `--to`, a title for its step, and the weights."""

    __slots__ = ("name", "title", "weights")

    def __init__(self, name: str, title: str, *weights: int) -> None:
        self.name, self.title, self.weights = name, title, weights


stage = Stage


class WeightedRoute(Timeline):
    """`name` and `namespace` are the VirtualService's, `host` the service's as requests name it.

    Before the first stage (`start`) there is no VirtualService, and requests reach all subsets alike; `start_title`
    is the step back to there. `proof` gives the proof for shares. The option named `option` may ask for any other
    weights.
    """

    def __init__(
        self,
        title: str,
        *stages: Stage,
        namespace: str,
        host: str,
        subsets: tuple[str, ...],
        proof: Callable[[Shares], Proof],
        name: str = "",
        start: str = "none",
        start_title: str = "",
        option: str = "weights",
    ) -> None:
        self.title, self.start, self.stages = title, start, tuple(stage.name for stage in stages)
        self.undo_title = start_title or f"Delete the VirtualService {name or host}"
        self.namespace, self.name, self.host, self.subsets = namespace, name or host, host, subsets
        self.proof, self._option = proof, option
        self._stages = {stage.name: stage for stage in stages}
        for one in stages:
            if problem := self._problem(one.weights):
                raise ValueError(f"stage {one.name} of {title!r}: {problem}")

    async def position(self, run: Run) -> Position:
        from workshop.kubernetes.manifests import holder
        from workshop.kubernetes.repair import is_leaving

        live = (await _snapshot(run)).get("VirtualService", self.namespace, self.name)
        if live is None or is_leaving(live):
            return Position(None)
        moved_by = holder(live) or ""
        weights = self._weights(live)
        extra = self._differences(live, weights or next(iter(self._stages.values())).weights, run)
        if extra:
            paths = ", ".join(dict.fromkeys(difference.path for difference in extra))
            return Position(None, f"{self._subject} was changed elsewhere: {paths}", moved_by, extra)
        for one in self._stages.values():
            if one.weights == weights:
                return Position(one.name, holder=moved_by)
        assert weights is not None
        said = f"{self._subject} has the weights {self._worded(weights)}"
        return Position(None, said, moved_by)

    def step(self, stage: str, run: Run) -> Step:
        if stage == self.start:
            return _Remove(self)
        if stage in self._stages:
            return _Route(self, self._stages[stage].title, self._stages[stage].weights)
        weights = self._parse(stage)
        return _Route(self, f"Route {self.host}: {self._worded(weights)}", weights)

    def asked(self, run: Run) -> str | None:
        given = run.options.get(self._option)
        if given is None or given is False:
            return None
        return ",".join(map(str, self._parse(str(given))))

    def virtual_service(self, weights: Weights, lab: str) -> Object:
        """The whole object. A subset without a share is left out, as one does by hand."""
        from workshop.kubernetes.manifests import mark

        route = [
            {"destination": {"host": self.host, "subset": subset}, "weight": weight}
            for subset, weight in zip(self.subsets, weights, strict=True)
            if weight
        ]
        virtual_service: Object = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"hosts": [self.host], "http": [{"route": route}]},
        }
        mark(virtual_service, lab)
        return virtual_service

    def _weights(self, live: Object) -> Weights | None:
        """Those of the first route's subsets; None when it has none, or others than ours."""
        found = dict.fromkeys(self.subsets, 0)
        try:
            for entry in _route_of(live):
                found[entry["destination"]["subset"]] += entry["weight"]
        except (KeyError, TypeError):
            return None
        return tuple(found.values())

    def _differences(self, live: Object, weights: Weights, run: Run) -> tuple[Difference, ...]:
        """What is otherwise than these weights make it."""
        from workshop.kubernetes.compare import differences

        wanted = {**self.virtual_service(weights, run.lab), "metadata": {}}
        return differences(self._subject, wanted, _plain(live))

    @property
    def _subject(self) -> str:
        return f"VirtualService {self.namespace}/{self.name}"

    def _worded(self, weights: Weights) -> str:
        return ", ".join(f"{subset} {weight} %" for subset, weight in zip(self.subsets, weights, strict=True))

    def _parse(self, text: str) -> Weights:
        from workshop.runbook.errors import UsageError

        parts = [part.strip() for part in text.split(",")]
        whole = all(part.isascii() and part.isdigit() for part in parts)
        weights = tuple(map(int, parts)) if whole else ()
        problem = self._problem(weights) if whole else "these are no whole numbers"
        if problem:
            example = ",".join(map(str, next(iter(self._stages.values())).weights))
            raise UsageError(
                f"use --{self._option} {text}",
                problem,
                cause=f"it takes a percentage for each of {', '.join(self.subsets)}, in this order",
                next_command=f"for example --{self._option} {example}",
            )
        return weights

    def _problem(self, weights: Weights) -> str:
        if len(weights) != len(self.subsets):
            return f"{len(weights)} weights, but {len(self.subsets)} subsets"
        if sum(weights) != 100:
            return f"the weights add up to {sum(weights)}, not to 100"
        return ""


def _route_of(live: Object) -> list[Object]:
    """The destinations of the first HTTP route that get something, each with a weight: a sole one needs none."""
    http = live["spec"].get("http")
    route: list[Object] = http[0].get("route", []) if http else []
    if len(route) == 1:
        return [{"weight": 100, **route[0]}]
    return [entry for entry in route if entry.get("weight")]


def _plain(live: Object) -> Object:
    """The object with its first route as we would write it."""
    http = live["spec"].get("http")
    if not http or not _route_of(live):
        return live
    return {**live, "spec": {**live["spec"], "http": [{**http[0], "route": _route_of(live)}, *http[1:]]}}


class _Route(Step):
    """Moves the object to some weights, and measures them."""

    def __init__(self, timeline: WeightedRoute, title: str, weights: Weights) -> None:
        self.title, self._timeline, self._weights = title, timeline, weights

    async def check(self, run: Run) -> Check:
        from workshop.kubernetes.repair import drift

        return Check(drift(self._object(run), await _snapshot(run)))

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl
        from workshop.kubernetes.repair import repair

        await repair(Kubectl.of(run), [self._object(run)], await _snapshot(run))

    async def verify(self, run: Run) -> Verdict | None:
        return await self._proof().prove(run)

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.manifests import as_yaml

        command = f"kubectl apply -f {self._timeline.name}.yaml"
        return Explanation(as_yaml([self._object(run)]), (command, *self._proof().commands(run)))

    def _object(self, run: Run) -> Object:
        return self._timeline.virtual_service(self._weights, run.lab)

    def _proof(self) -> Proof:
        return self._timeline.proof(tuple(weight / 100 for weight in self._weights))


class _Remove(Step):
    """Back to where the timeline starts."""

    def __init__(self, timeline: WeightedRoute) -> None:
        self.title, self._timeline = timeline.undo_title, timeline

    async def check(self, run: Run) -> Check:
        from workshop.kubernetes.manifests import name_of

        live = await self._live(run)
        return Check((Difference(name_of(live), "", ABSENT, "present"),) if live else ())

    async def apply(self, run: Run) -> None:
        from workshop.kubernetes.kubectl import Kubectl

        if live := await self._live(run):
            await Kubectl.of(run).delete([live])

    async def verify(self, run: Run) -> Verdict | None:
        return await self._proof().prove(run)

    def explain(self, run: Run) -> Explanation:
        delete = f"kubectl delete virtualservice {self._timeline.name} -n {self._timeline.namespace}"
        return Explanation(commands=(delete, *self._proof().commands(run)))

    async def _live(self, run: Run) -> Object | None:
        snapshot = await _snapshot(run)
        return snapshot.get("VirtualService", self._timeline.namespace, self._timeline.name)

    def _proof(self) -> Proof:
        count = len(self._timeline.subsets)
        return self._timeline.proof((1 / count,) * count)


async def _snapshot(run: Run) -> Snapshot:
    from workshop.kubernetes.facts import ClusterFacts

    return await run.observe(ClusterFacts())
