"""A service's requests moved through stages by weight: which share of them goes to which subset.

Where it is, is read from the live weights. The path is: one HTTP route as declared, its destinations subsets of
the host. Anything else in the object (a fault, another match, another host) was put there by another lab or by
hand, and puts it off the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.manifests import Object, mark
from workshop.kubernetes.proofs import Proof
from workshop.kubernetes.stages import Move, ObservedStages, Reference, Stage, Stages
from workshop.runbook.errors import WrongFlags
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.model import CustomStage
from workshop.runbook.results import Difference

if TYPE_CHECKING:
    from workshop.kubernetes.exercises import OpenFields
    from workshop.runbook.run import Run


Weights = tuple[int, ...]
"""Whole percentages in the order of the subsets; they add up to 100."""
Shares = tuple[float, ...]
"""The same as fractions of 1, for a probe."""


class Split:
    """One stage: a name for `--to`, a title for its step, the weights, and what an attendee is to fill in."""

    __slots__ = ("exercise", "name", "title", "weights")

    def __init__(self, name: str, title: str, *weights: int, exercise: OpenFields | None = None) -> None:
        self.name, self.title, self.weights, self.exercise = name, title, weights, exercise


split = Split


@dataclass(frozen=True)
class Route:
    """The VirtualService `name` in `namespace` and its one HTTP route, but for the weights. `host` is the service's
    as requests name it, `subsets` are of its DestinationRule; `hosts`, `gateways` and `http` (matches, rewrites)
    are for one that is not just the host's own in the mesh."""

    namespace: str
    host: str
    subsets: tuple[str, ...]
    name: str = ""
    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    http: Mapping[str, Any] | None = None

    def virtual_service(self, weights: Weights, lab: str) -> Object:
        """The whole object. A subset without a share is left out, as one does by hand."""
        route = [
            {"destination": {"host": self.host, "subset": subset}, "weight": weight}
            for subset, weight in zip(self.subsets, weights, strict=True)
            if weight
        ]
        spec: Object = {"hosts": list(self.hosts) or [self.host]}
        if self.gateways:
            spec["gateways"] = list(self.gateways)
        virtual_service: Object = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": self.reference[2], "namespace": self.namespace},
            "spec": {**spec, "http": [{**(self.http or {}), "route": route}]},
        }
        mark(virtual_service, lab)
        return virtual_service

    @property
    def reference(self) -> Reference:
        return "VirtualService", self.namespace, self.name or self.host

    def weights(self, live: Object) -> Weights | None:
        """Those of the first route's subsets; None when it has none, or others than ours."""
        found = dict.fromkeys(self.subsets, 0)
        try:
            for entry in _destinations(live):
                found[entry["destination"]["subset"]] += entry["weight"]
        except (KeyError, TypeError):
            return None
        return tuple(found.values())

    def describe(self, weights: Weights) -> str:
        return ", ".join(f"{subset} {weight} %" for subset, weight in zip(self.subsets, weights, strict=True))


class WeightedRoute(Stages):
    """Before the first stage (`start`) there is no VirtualService: inside the mesh requests then reach all subsets
    alike, and through a gateway none. `start_title` is the step back to there. `proof` gives the proof for shares,
    `alike` the one for that start, if it has to be another one.
    The option named `option` may ask for any other weights. `clears` as in Stages."""

    def __init__(
        self,
        title: str,
        *splits: Split,
        route: Route,
        proof: Callable[[Shares], Proof],
        alike: Callable[[Shares], Proof] | None = None,
        start: str = "none",
        start_title: str = "",
        option: str = "weights",
        clears: tuple[Reference, ...] = (),
    ) -> None:
        self.route, self.proof, self._option, self._splits = route, proof, option, splits
        for one in splits:
            if problem := self._problem(one.weights):
                raise ValueError(f"stage {one.name} of {title!r}: {problem}")
        count = len(route.subsets)
        super().__init__(
            title,
            *(self._stage(one.name, one.title, one.weights, one.exercise) for one in splits),
            start=Stage(
                start,
                start_title or f"Delete the VirtualService {route.reference[2]}",
                proofs=lambda run: () if route.gateways else ((alike or proof)((1 / count,) * count),),
            ),
            clears=clears,
        )

    def to(self, weights: Weights) -> Move:
        """The step to any weights."""
        title = f"Route {self.route.host}: {self.route.describe(weights)}"
        return Move(self, self._stage("", title, weights))

    def custom_stage(self, run: Run) -> CustomStage | None:
        given = run.options.get(self._option)
        if given is None or given is False:
            return None
        weights = self._parse(str(given))
        return CustomStage(",".join(map(str, weights)), self.to(weights))

    def normal(self, live: Object) -> Object:
        if (live["kind"], live["metadata"].get("namespace", ""), live["metadata"]["name"]) != self.route.reference:
            return live
        http, destinations = live["spec"].get("http"), _destinations(live)
        if not destinations:
            return live
        return {**live, "spec": {**live["spec"], "http": [{**http[0], "route": destinations}, *http[1:]]}}

    def off_path(self, observed: ObservedStages, closest: tuple[Difference, ...]) -> str:
        live = observed.snapshot.get(*self.route.reference)
        weights = self.route.weights(live) if live else None
        if (
            live
            and weights
            and sum(weights) == 100
            and not observed.differences_from([self.route.virtual_service(weights, "")])
        ):
            kind, namespace, name = self.route.reference
            return f"{kind} {namespace}/{name} has the weights {self.route.describe(weights)}"
        return super().off_path(observed, closest)

    def _stage(self, name: str, title: str, weights: Weights, exercise: OpenFields | None = None) -> Stage:
        shares = tuple(weight / 100 for weight in weights)
        return Stage(
            name,
            title,
            make=lambda run, lab, values: [self.route.virtual_service(weights, lab)],
            proofs=lambda run: (self.proof(shares),),
            exercise=exercise,
        )

    def _parse(self, text: str) -> Weights:
        parts = [part.strip() for part in text.split(",")]
        whole = all(part.isascii() and part.isdigit() for part in parts)
        weights = tuple(map(int, parts)) if whole else ()
        problem = self._problem(weights) if whole else "these are no whole numbers"
        if problem:
            example = ",".join(map(str, self._splits[0].weights))
            raise WrongFlags(
                f"use --{self._option} {text}",
                problem,
                {f"--{self._option}": example},
                cause=f"it takes a percentage for each of {', '.join(self.route.subsets)}, in this order",
            )
        return weights

    def _problem(self, weights: Weights) -> str:
        if len(weights) != len(self.route.subsets):
            return f"{len(weights)} weights, but {len(self.route.subsets)} subsets"
        if sum(weights) != 100:
            return f"the weights add up to {sum(weights)}, not to 100"
        return ""


def _destinations(live: Object) -> list[Object]:
    """Those of the first HTTP route that get something, each with a weight: a sole one needs none."""
    http = live["spec"].get("http")
    route: list[Object] = http[0].get("route", []) if http else []
    if len(route) == 1:
        return [{"weight": 100, **route[0]}]
    return [entry for entry in route if entry.get("weight")]
