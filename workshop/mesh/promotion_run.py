"""A guarded promotion while it runs.

Stage by stage the routes are moved, load is sent as users would, and what was counted of the caller's calls is
judged. Whatever ends it early (a verdict, missing data, an error, Ctrl-C) brings the roll-back: one write, after
which everybody gets the stable version again.

Times of calls come a little after their counts, whoever is asked (`promotion_figures`). So a reading counts when
there are as many times in it as good answers; until then it is read again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from workshop.kubernetes import rollout
from workshop.kubernetes.deletion import delete_and_wait
from workshop.kubernetes.drift import drift, repair
from workshop.kubernetes.ingress import Ingress
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests, Object, name_of, namespace_object
from workshop.kubernetes.proofs import Proof, look_at_all, prove_all, refuse_if_changed
from workshop.kubernetes.typed_commands import apply_commands, rollout_commands
from workshop.mesh.promotion import MAX_ERRORS, MAX_LATENCY, PROMOTE, SOURCE, Candidate, Promotion
from workshop.mesh.promotion_figures import (
    Asked,
    NoData,
    OfPrometheus,
    OfProxy,
    Readings,
    refuse_without_prometheus,
)
from workshop.mesh.promotion_verdict import Counted, Figures, PromotionStage, Tolerance
from workshop.mesh.proxy_stats import Stats
from workshop.mesh.weighted_route import WeightedRoute
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Step
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Hint, Verdict
from workshop.runbook.run import Run
from workshop.runbook.stop import Stopped
from workshop.traffic.load import Load, Result, send
from workshop.traffic.measuring import show_progress
from workshop.traffic.verdict import implausible, sample_size

ROLLED_OUT = 300.0
"""Seconds for the pods of a version that is only there to be tried."""

_READY = "2/2"


class Promote(Step):
    """Moves the calls to `candidate` through `stages`, percentages, as long as all is well."""

    def __init__(
        self, timeline: WeightedRoute, promotion: Promotion, candidate: Candidate, stages: tuple[int, ...]
    ) -> None:
        self.timeline, self.promotion, self.stages, self._candidate = timeline, promotion, stages, candidate
        self.stable, self.candidate = promotion.stable, candidate.subset
        *first, last = stages
        self.title = f"Promote {self.candidate}: {', '.join(map(str, first))} and {last} %, measured at each"
        self._verdict: Verdict | None = None

    def virtual_service(self, percent: int, run: Run) -> Object:
        """With this percentage of the calls for the candidate, the rest for the stable version."""
        route = replace(self.timeline.route, subsets=(self.stable, self.candidate))
        return route.virtual_service((100 - percent, percent), run.lab)

    def objects(self, run: Run) -> list[Object]:
        """What is there only while the candidate is tried."""
        return run.use(Manifests).load(run.lab, self._candidate.file) if self._candidate.file else []

    def _file(self, run: Run) -> str:
        """As a person in the workshop's folder names it."""
        manifests, file = run.use(Manifests), self._candidate.file
        return str(manifests.path(run.lab, file).relative_to(manifests.root.parent)) if file else ""

    def tolerance(self, run: Run) -> Tolerance:
        return Tolerance(MAX_ERRORS.of(run.options) / 100, MAX_LATENCY.of(run.options))

    def readings(self, run: Run) -> Readings:
        """Where the figures come from."""
        route, promotion = self.timeline.route, self.promotion
        asked = Asked(
            route.namespace,
            promotion.caller,
            route.host if "." in route.host else f"{route.host}.{route.namespace}",
            f"{promotion.control}.{route.namespace}",
            (self.stable, self.candidate),
        )
        return OfPrometheus(run, asked) if SOURCE.of(run.options) == "prometheus" else OfProxy(run, asked)

    async def check(self, run: Run) -> Check:
        if SOURCE.of(run.options) == "prometheus":
            await refuse_without_prometheus(run)
        observed = await self.timeline.observe(run)
        wanted = [*self.objects(run), self.virtual_service(100, run)]
        found = [item for obj in wanted for item in drift(obj, observed.snapshot)]
        found += [Difference(name_of(obj), "", ABSENT, "present") for obj in observed.surplus(wanted)]
        return Check(tuple(found), "" if found else f"{self.candidate} has all requests already")

    async def apply(self, run: Run) -> None:
        self._verdict = await Promoting(self, run).go()

    async def verify(self, run: Run) -> Verdict | None:
        home = [namespace_object(self.timeline.route.namespace)]
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
        known = [one.subset for one in self.promotion.candidates]
        others = [name for name in known if name != self.candidate] if self.candidate != known[0] else []
        return tuple((f"--{PROMOTE} {name}", f"another version: {name}") for name in others)

    def proofs_of(self, subset: str) -> tuple[Proof, ...]:
        """That all requests go there, as the timeline's own stages prove it; none for what is not on its path."""
        subsets = self.timeline.route.subsets
        if subset not in subsets:
            return ()
        return (self.timeline.proof(tuple(float(one == subset) for one in subsets)),)

    def explain(self, run: Run) -> Explanation:
        objects, stable_again = self.objects(run), [self.virtual_service(0, run)]
        promotion, file = self.promotion, self._file(run)
        reading = self.readings(run).typed()
        commands = [*apply_commands(run, stable_again), *apply_commands(run, objects), *rollout_commands(objects)]
        commands += Ingress().commands()
        for percent in self.stages:
            requests = PromotionStage(percent, self.stable, self.candidate, self.tolerance(run)).requests
            commands += [
                *apply_commands(run, [self.virtual_service(percent, run)]),
                reading,
                f"for i in $(seq {requests}); do curl -s -o /dev/null http://$GATEWAY_URL{promotion.path}; done",
                reading,
            ]
        commands += ["# to roll back, when a figure is bad:", *apply_commands(run, stable_again)]
        commands += [f"kubectl delete -f {file}"] if file else []
        return Explanation(commands=tuple(commands))


class Promoting:
    """`step` is what was asked for."""

    def __init__(self, step: Promote, run: Run) -> None:
        self._step, self._run, self._promotion = step, run, step.promotion
        self._kubectl, self._readings = Kubectl.of(run), step.readings(run)
        self._url, self._last = "", Stats()
        self._moved, self._decided = False, 0.0

    async def go(self) -> Verdict:
        """What decided; when it is not a pass, after the roll-back. So is what is raised: what could not be written
        (WorkshopError), or what cut the promotion short."""
        stable, candidate = self._step.stable, self._step.candidate
        try:
            await self._prepare()
            verdict = await self._stages()
            if verdict.kind == "pass":
                return Verdict("pass", f"{candidate} has all requests, and was no worse than {stable} at any stage")
        except BaseException as cut:
            self._decided = time.monotonic()
            if isinstance(cut, asyncio.CancelledError):
                await self._to_stable("the interruption")
            else:
                await self._roll_back("the interruption" if isinstance(cut, Stopped) else "the error")
            raise
        await self._roll_back("the verdict")
        return Verdict(verdict.kind, f"rolled back to {stable}: {verdict.reason}")

    async def _prepare(self) -> None:
        """Everybody gets the stable version; then the candidate may come, and what else there is may go."""
        step, run = self._step, self._run
        observed, stable = await step.timeline.observe(run), step.virtual_service(0, run)
        await repair(self._kubectl, [stable], observed.snapshot)
        objects = step.objects(run)
        if surplus := observed.surplus([stable, *objects]):
            await delete_and_wait(self._kubectl, surplus)
        await repair(self._kubectl, objects, observed.snapshot)
        deployments = [obj["metadata"] for obj in objects if obj["kind"] == "Deployment"]
        wanted = {(made["namespace"], made["name"]): _READY for made in deployments}
        await rollout.wait(run, self._kubectl, wanted, seconds=ROLLED_OUT)
        self._url = await run.observe(Ingress()) + self._promotion.path
        await self._send(1)  # where nobody has called yet there is nothing to count from

    async def _stages(self) -> Verdict:
        """Up to the first that is no pass."""
        verdict, before = Verdict("inconclusive", "there is no stage"), Figures()
        for percent in self._step.stages:
            tolerance = self._step.tolerance(self._run)
            stage = PromotionStage(percent, self._step.stable, self._step.candidate, tolerance, before)
            try:
                if not self._last.destinations:
                    self._last = await self._run.cuttable(self._readings.read())
                self._moved = True
                await self._kubectl.apply([self._step.virtual_service(percent, self._run)])
                verdict, before = await self._run.cuttable(self._measure(stage))
            except NoData as missing:
                verdict = Verdict("inconclusive", f"no data: {missing}")
            self._decided = time.monotonic()
            at = f"{percent} % of the calls to {stage.candidate}"
            self._run.emit(events.Measured(self._run.lab, at, verdict))
            if verdict.kind != "pass":
                return replace(verdict, reason=f"at {percent} %: {verdict.reason}", measurements=())
        return verdict

    async def _measure(self, stage: PromotionStage) -> tuple[Verdict, Figures]:
        await self._visible(stage)
        before = await self._whole()
        seconds = 0.0
        for count in stage.loads:
            seconds += (await self._send(count, f"load at {stage.percent} %")).seconds
            self._last = await self._readings.read()
            figures = self._figures(before, await self._whole(), seconds)
            verdict = stage.judge(figures)
            if verdict.kind == "fail":
                break
        return verdict, figures

    async def _visible(self, stage: PromotionStage) -> None:
        """A change that does not arrive is measured as well, and fails."""
        plan = stage.split
        size = sample_size(plan)

        async def missing() -> str:
            before = self._last
            await self._send(size)
            self._last = await self._readings.read()
            seen = self._figures(before, self._last, 0.0)
            counts = {stage.candidate: seen.candidate.answers, stage.stable: seen.stable.answers}
            if sum(counts.values()) < size // 2:
                return f"{sum(counts.values())} calls counted for {size} requests"
            return ", ".join(
                f"{version} {counts[version]} of {sum(counts.values())}" for version in implausible(plan, counts)
            )

        with contextlib.suppress(WorkshopError):
            await self._run.wait("the change to be visible", missing, seconds=self._readings.visible)

    async def _whole(self) -> Stats:
        """The newest reading, once there is a time in it for every good answer."""

        async def missing() -> str:
            versions = (self._counted(self._last, name) for name in (self._step.stable, self._step.candidate))
            late = sum(max(0, it.calls - it.errors - it.timed) for it in versions)
            if late:
                self._last = await self._readings.read()
            return f"{late} calls" if late else ""

        try:
            await self._run.wait("the times of all calls", missing, seconds=self._readings.complete, every=0.2)
        except WorkshopError as error:
            raise NoData(error.came_back) from error
        return self._last

    async def _send(self, count: int, shown: str = "") -> Result:
        promotion = self._promotion
        load = Load(self._url, _any_answer, promotion.concurrency, within=promotion.within)
        return await send(load, count, progress=show_progress(self._run, shown) if shown else None)

    def _counted(self, stats: Stats, subset: str) -> Counted:
        asked = self._readings.asked
        found = stats.of(asked.host, subset)
        if found not in stats.destinations.values():
            raise NoData(f"the proxy of {asked.caller} counts nothing for {asked.host}, subset {subset}")
        return Counted.of(found)

    def _figures(self, before: Stats, after: Stats, seconds: float) -> Figures:
        try:
            counted = after - before
            all_of_it = counted.destinations.values()
            asked = self._readings.asked
            others = [Counted.of(one) for one in all_of_it if one.host.startswith(f"{asked.control}.")]
            versions = {one.subset: Counted.of(one) for one in all_of_it if one.host.startswith(asked.host)}
            stable, candidate = (self._counted(counted, it) for it in (self._step.stable, self._step.candidate))
        except WorkshopError as error:
            raise NoData("; ".join(filter(None, (error.came_back, error.cause)))) from error
        known = (self._step.stable, self._step.candidate)
        elsewhere = sum(one.calls for subset, one in versions.items() if subset not in known)
        return Figures(stable, candidate, elsewhere, seconds, sum(others, Counted()))

    async def _roll_back(self, since: str) -> None:
        """Everybody gets the stable version, which is proved; then what was there to be tried goes."""
        await self._to_stable(since)
        if self._moved:
            proof = await prove_all(self._run, self._step.proofs_of(self._step.stable))
            if proof is not None:
                self._run.emit(events.Measured(self._run.lab, "after the roll-back", proof))
                if proof.kind != "pass":
                    return  # somebody may still be sent there; the lab's next run removes it
        if objects := self._step.objects(self._run):
            await delete_and_wait(self._kubectl, objects[::-1])

    async def _to_stable(self, since: str) -> None:
        """One write, which a second Ctrl-C lets come to its end."""
        applying = asyncio.ensure_future(self._kubectl.apply([self._step.virtual_service(0, self._run)]))
        try:
            await asyncio.shield(applying)
        except asyncio.CancelledError:
            await applying
            raise
        finally:
            if applying.done() and not applying.cancelled() and applying.exception() is None:
                self._run.undone = True
                seconds = time.monotonic() - self._decided
                told = f"rolled back to {self._step.stable} {seconds:.2f} s after {since}"
                self._run.emit(events.Told(self._run.lab, told))


def _any_answer(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str:
    return "answered"
