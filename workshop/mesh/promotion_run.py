"""A guarded promotion while it runs: stage by stage the routes are moved, load is sent as users would, and what the
proxy of the caller counted is judged. Whatever ends it early (a verdict, missing data, an error, Ctrl-C) brings the
roll-back: one write, after which everybody gets the stable version again.

An Envoy puts its histograms together every few seconds only (`stats_flush_interval`, 5 s), while its counters are
up to date. So a reading counts when there are as many times in it as good answers; until then it is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from workshop.kubernetes import rollout
from workshop.kubernetes.ingress import Ingress
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.leaving import delete
from workshop.kubernetes.proofs import prove_all
from workshop.kubernetes.repair import repair
from workshop.mesh import proxy_stats
from workshop.mesh.promotion_verdict import Counted, Figures, Stage
from workshop.mesh.proxy_stats import Stats
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Verdict
from workshop.runbook.stop import Stopped
from workshop.traffic.load import Load, Result, send
from workshop.traffic.verdict import implausible, sample_size

if TYPE_CHECKING:
    from workshop.mesh.promotion import Promote
    from workshop.runbook.run import Run

VISIBLE = 30.0
"""Seconds for a change of routes to reach the caller's proxy."""

FLUSHED = 15.0
"""Seconds for a proxy's histograms to be put together: three times its interval."""

ROLLED_OUT = 300.0
"""Seconds for the pods of a version that is only there to be tried."""

_READY = "2/2"


class NoData(Exception):
    """What a stage is judged by is not there, and why."""


class Promoting:
    """`step` is what was asked for."""

    def __init__(self, step: Promote, run: Run) -> None:
        self._step, self._run, self._promotion = step, run, step.timeline.promotion
        self._kubectl = Kubectl.of(run)
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
        sight, stable = await step.timeline.look(run), step.virtual_service(0, run)
        await repair(self._kubectl, [stable], sight.snapshot)
        objects = step.objects(run)
        if surplus := sight.surplus([stable, *objects]):
            await delete(self._kubectl, surplus)
        await repair(self._kubectl, objects, sight.snapshot)
        deployments = [obj["metadata"] for obj in objects if obj["kind"] == "Deployment"]
        wanted = {(made["namespace"], made["name"]): _READY for made in deployments}
        await rollout.wait(run, self._kubectl, wanted, seconds=ROLLED_OUT)
        self._url = await run.observe(Ingress()) + self._promotion.path

    async def _stages(self) -> Verdict:
        """Up to the first that is no pass."""
        verdict, before = Verdict("inconclusive", "there is no stage"), Figures()
        for percent in self._step.stages:
            stage = Stage(percent, self._step.stable, self._step.candidate, self._step.limits(self._run), before)
            try:
                if not self._last.destinations:
                    self._last = await self._run.cuttable(self._read())
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

    async def _measure(self, stage: Stage) -> tuple[Verdict, Figures]:
        await self._visible(stage)
        before = await self._whole()
        seconds = 0.0
        for count in stage.loads:
            seconds += (await self._send(count, f"load at {stage.percent} %")).seconds
            self._last = await self._read()
            figures = self._figures(before, await self._whole(), seconds)
            verdict = stage.judge(figures)
            if verdict.kind == "fail":
                break
        return verdict, figures

    async def _visible(self, stage: Stage) -> None:
        """A change that does not arrive is measured as well, and fails."""
        plan = stage.split
        size = sample_size(plan)

        async def missing() -> str:
            before = self._last
            await self._send(size)
            self._last = await self._read()
            seen = self._figures(before, self._last, 0.0)
            counts = {stage.candidate: seen.candidate.answers, stage.stable: seen.stable.answers}
            if sum(counts.values()) < size // 2:
                return f"{sum(counts.values())} calls counted for {size} requests"
            return ", ".join(
                f"{version} {counts[version]} of {sum(counts.values())}" for version in implausible(plan, counts)
            )

        with contextlib.suppress(WorkshopError):
            await self._run.wait("the change to be visible", missing, seconds=VISIBLE)

    async def _whole(self) -> Stats:
        """The newest reading, once there is a time in it for every good answer."""

        async def missing() -> str:
            versions = (self._counted(self._last, name) for name in (self._step.stable, self._step.candidate))
            late = sum(max(0, it.calls - it.errors - it.timed) for it in versions)
            if late:
                self._last = await self._read()
            return f"{late} calls" if late else ""

        try:
            await self._run.wait("the times of all calls", missing, seconds=FLUSHED, every=0.2)
        except WorkshopError as error:
            raise NoData(error.came_back) from error
        return self._last

    async def _send(self, count: int, shown: str = "") -> Result:
        run = self._run
        return await send(
            Load(
                self._url,
                lambda status, headers, body, seconds: "answered",
                concurrency=self._promotion.concurrency,
                within=self._promotion.within,
            ),
            count,
            progress=(lambda done, total: run.emit(events.Progress(run.lab, shown, done, total)))
            if shown
            else None,
        )

    async def _read(self) -> Stats:
        promotion, route = self._promotion, self._step.timeline.route
        try:
            return await proxy_stats.read(
                self._run,
                namespace=route.namespace,
                workload=promotion.caller,
                filter=f"{self._host}|{self._control}",
            )
        except WorkshopError as error:
            raise NoData("; ".join(filter(None, (error.came_back, error.cause)))) from error

    @property
    def _host(self) -> str:
        route = self._step.timeline.route
        return route.host if "." in route.host else f"{route.host}.{route.namespace}"

    @property
    def _control(self) -> str:
        return f"{self._promotion.control}.{self._step.timeline.route.namespace}"

    def _counted(self, stats: Stats, subset: str) -> Counted:
        found = stats.of(self._host, subset)
        if not found.port:
            raise NoData(f"the proxy of {self._promotion.caller} counts nothing for {self._host}, subset {subset}")
        return Counted.of(found)

    def _figures(self, before: Stats, after: Stats, seconds: float) -> Figures:
        try:
            counted = after - before
            all_of_it = counted.destinations.values()
            others = [Counted.of(one) for one in all_of_it if one.host.startswith(f"{self._control}.")]
            versions = {one.subset: Counted.of(one) for one in all_of_it if one.host.startswith(self._host)}
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
            await delete(self._kubectl, objects[::-1])

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
