"""A guarded promotion, as a lab declares it: a new version gets a growing share of the calls, at every stage it is
measured beside the stable one, and the first bad stage rolls back.

    GuardedRoute("Move reviews from v1 to v3", split(...), ..., promotion=Promotion(
        stable="v1", candidates=(Candidate("v3"), Candidate("erring", "reviews-erring.yaml", (...))),
        caller="deploy/productpage-v1", path="/productpage", control="details"))

It is a step of the timeline's that `--promote` asks for, as `--weights` asks for another one. How it goes on is in
`promotion_run`, what a stage proves in `promotion_verdict`; this module is imported by `invoke --list`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.proofs import Proof, look_at_all, prove_all
from workshop.kubernetes.stages import Reference
from workshop.mesh.promotion_options import LIMITS, MAX_ERRORS, MAX_LATENCY, PROMOTE, STAGES
from workshop.mesh.timeline import Split, WeightedRoute
from workshop.runbook.model import CustomStage, Step
from workshop.runbook.options import Option
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Hint, Verdict

if TYPE_CHECKING:
    from workshop.mesh.promotion_verdict import Limits
    from workshop.runbook.run import Run

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version to promote: a subset of the route's host. While it is tried there are `objects`, of `file`."""

    subset: str
    file: str = ""
    objects: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Promotion:
    """`caller` is the workload that calls the route's host ("deploy/productpage-v1"), whose proxy counts; users
    ask for `path` through the ingress gateway, `concurrency` at once, in at most `within` seconds for each stage.
    `control` is another service of the same namespace that the caller calls for each page."""

    stable: str
    candidates: tuple[Candidate, ...]
    caller: str
    path: str
    control: str
    concurrency: int = 16
    within: float = 120.0

    @property
    def options(self) -> tuple[Option, ...]:
        """For the lab that has the route."""
        good, *bad = (one.subset for one in self.candidates)
        tried = f", or {' or '.join(bad)} to see it rolled back" if bad else ""
        return (Option(PROMOTE, f"Promote {good} in stages, each measured{tried}."), *LIMITS)

    def candidate(self, name: str) -> Candidate | None:
        return next((one for one in self.candidates if one.subset == name), None)


class GuardedRoute(WeightedRoute):
    """A WeightedRoute whose subsets can be promoted as well. At its own stages there is nothing of a candidate."""

    def __init__(
        self, title: str, *splits: Split, promotion: Promotion, clears: tuple[Reference, ...] = (), **others: Any
    ) -> None:
        self._tried = tuple(reference for one in promotion.candidates for reference in one.objects)
        super().__init__(title, *splits, clears=(*clears, *self._tried), **others)
        self.promotion = promotion

    def custom_stage(self, run: Run) -> CustomStage | None:
        import shlex

        from workshop.runbook.errors import WrongFlags

        given, weights = run.options.get(PROMOTE), super().custom_stage(run)
        if given is None:
            return weights
        if weights:
            raise WrongFlags(
                "use --promote and --weights together",
                "each says where to go",
                {f"--{self._option}": None},
            )
        candidate = self.promotion.candidate(str(given))
        if candidate is None:
            names = [one.subset for one in self.promotion.candidates]
            raise WrongFlags(
                f"use --promote {shlex.quote(str(given))}",
                f"it is one of {', '.join(names)}",
                {f"--{PROMOTE}": names[0]},
            )
        return CustomStage(f"promotion of {given}", Promote(self, candidate, STAGES.of(run.options)))

    def left_out(self, wanted: list[Object], run: Run) -> list[Reference]:
        """For a person to delete, who has tried no candidate."""
        return [reference for reference in super().left_out(wanted, run) if reference not in self._tried]


class Promote(Step):
    """Moves the calls to `candidate` through `stages`, percentages, as long as all is well."""

    def __init__(self, timeline: GuardedRoute, candidate: Candidate, stages: tuple[int, ...]) -> None:
        self.timeline, self.stages, self._candidate = timeline, stages, candidate
        self.stable, self.candidate = timeline.promotion.stable, candidate.subset
        *first, last = stages
        self.title = f"Promote {self.candidate}: {', '.join(map(str, first))} and {last} %, measured at each"
        self._verdict: Verdict | None = None

    def virtual_service(self, percent: int, run: Run) -> Object:
        """With this percentage of the calls for the candidate, the rest for the stable version."""
        route = replace(self.timeline.route, subsets=(self.stable, self.candidate))
        return route.virtual_service((100 - percent, percent), run.lab)

    def objects(self, run: Run) -> list[Object]:
        """What is there only while the candidate is tried."""
        from workshop.kubernetes.manifests import Manifests

        return run.use(Manifests).load(run.lab, self._candidate.file) if self._candidate.file else []

    def _file(self, run: Run) -> str:
        """As a person in the workshop's folder names it."""
        from workshop.kubernetes.manifests import Manifests

        manifests, file = run.use(Manifests), self._candidate.file
        return str(manifests.path(run.lab, file).relative_to(manifests.root.parent)) if file else ""

    def limits(self, run: Run) -> Limits:
        from workshop.mesh.promotion_verdict import Limits

        return Limits(MAX_ERRORS.of(run.options) / 100, MAX_LATENCY.of(run.options))

    async def check(self, run: Run) -> Check:
        from workshop.kubernetes.manifests import name_of
        from workshop.kubernetes.repair import drift

        sight = await self.timeline.look(run)
        wanted = [*self.objects(run), self.virtual_service(100, run)]
        found = [item for obj in wanted for item in drift(obj, sight.snapshot)]
        found += [Difference(name_of(obj), "", ABSENT, "present") for obj in sight.surplus(wanted)]
        return Check(tuple(found), "" if found else f"{self.candidate} has all requests already")

    async def apply(self, run: Run) -> None:
        from workshop.mesh.promotion_run import Promoting

        self._verdict = await Promoting(self, run).go()

    async def verify(self, run: Run) -> Verdict | None:
        from workshop.kubernetes.meanwhile import namespace, refuse_if_changed

        home = [namespace(self.timeline.route.namespace)]
        if self._verdict is None:
            return await prove_all(run, self.proofs_of(self.candidate), home)
        if self._verdict.kind != "pass":
            await refuse_if_changed(run, home, self._verdict.reason)
        return self._verdict

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        kept = self.candidate if self._verdict is None or self._verdict.kind == "pass" else self.stable
        return await look_at_all(run, self.proofs_of(kept))

    def others(self) -> tuple[tuple[str, str], ...]:
        """The best candidate, which is the first one, may do better the next time."""
        known = [one.subset for one in self.timeline.promotion.candidates]
        others = [name for name in known if name != self.candidate] if self.candidate != known[0] else []
        return tuple((f"--{PROMOTE} {name}", f"another version: {name}") for name in others)

    def proofs_of(self, subset: str) -> tuple[Proof, ...]:
        """That all requests go there, as the timeline's own stages prove it; none for what is not on its path."""
        subsets = self.timeline.route.subsets
        if subset not in subsets:
            return ()
        return (self.timeline.proof(tuple(float(one == subset) for one in subsets)),)

    def explain(self, run: Run) -> Explanation:
        from workshop.kubernetes.ingress import Ingress
        from workshop.kubernetes.typed import applied, rolled_out
        from workshop.mesh.promotion_verdict import Stage

        objects, stable_again = self.objects(run), [self.virtual_service(0, run)]
        route, promotion, file = self.timeline.route, self.timeline.promotion, self._file(run)
        reading = (
            f"kubectl exec -n {route.namespace} {promotion.caller} -c istio-proxy -- "
            f"pilot-agent request GET 'stats/prometheus?filter={route.host}'"
        )
        commands = [*applied(run, stable_again), *applied(run, objects), *rolled_out(objects)]
        commands += Ingress().commands()
        for percent in self.stages:
            requests = Stage(percent, self.stable, self.candidate, self.limits(run)).requests
            commands += [
                *applied(run, [self.virtual_service(percent, run)]),
                reading,
                f"for i in $(seq {requests}); do curl -s -o /dev/null http://$GATEWAY_URL{promotion.path}; done",
                reading,
            ]
        commands += ["# to roll back, when a figure is bad:", *applied(run, stable_again)]
        commands += [f"kubectl delete -f {file}"] if file else []
        return Explanation(commands=tuple(commands))
