"""A run: labs in the order of their needs, each a schedule of steps; check, apply when needed, verify.

Labs that do not depend on each other run at the same time, and share the facts: one observation serves all checks
until something was applied. A run that finds everything converged observes once, takes no lock and changes nothing;
but it is refused where another run holds the lock, as what it found is then being changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from workshop.runbook import events
from workshop.runbook.errors import UsageError
from workshop.runbook.hints import worth_doing, worth_doing_instead
from workshop.runbook.model import Lab
from workshop.runbook.plan import Planner
from workshop.runbook.protection import Gate, Guard, RunLock
from workshop.runbook.results import Hint
from workshop.runbook.run import Run
from workshop.runbook.schedule import Job, Schedule, ScheduledStep, StepPrerequisites
from workshop.runbook.step_runner import Execution, Outcomes, StepRunner
from workshop.runbook.stop import Stopped, only_cause
from workshop.runbook.timings import TimeKeeper


async def execute(job: Job, guard: Guard, gate: Gate, *, lock: RunLock | None = None) -> int:
    """Converge what the job's request asks for. Returns the exit status: 0 converged, 1 a step failed, 2 wrong
    usage, 3 inconclusive, 130 interrupted. What happened, also why it was refused, goes to the listener.

    A `lock` that is given is that of several runs: whoever has made it releases it."""
    if lock:
        return await _Runner(job, lock, gate).go()
    lock = RunLock(guard)
    return await _Runner(job, lock, gate, lock.release).go()


async def _keep() -> None:
    """A lock that another run goes on with."""


class _Runner:
    def __init__(self, job: Job, lock: RunLock, gate: Gate, release: Callable[[], Awaitable[None]] = _keep) -> None:
        self._job, self._gate, self._stop = job, gate, job.stop
        self._runbook, self._request, self._listener = job.runbook, job.request, job.listener
        self._outcomes = Outcomes(job.request)
        self._lock, self._release = lock, release
        self._times = TimeKeeper(self._waited_for)
        self._execution = Execution(job, lock, gate, self._outcomes, self._times)
        lock.on_lost = self._execution.refuse
        self._schedules: dict[str, Schedule] = {}
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()
        self._runners: dict[str, StepRunner] = {}
        self._hints: tuple[Hint, ...] = ()
        self._instead: tuple[Hint, ...] = ()
        """What is worth doing where a verdict has undone a step."""
        self._planner = Planner(job)

    async def go(self) -> int:
        started = time.monotonic()
        work = asyncio.create_task(self._work())
        try:
            with self._stop.signals(work.cancel, self._interrupted):
                try:
                    await work
                except asyncio.CancelledError:
                    if not self._stop.interrupted:
                        raise
                except Stopped:
                    pass
                except Exception as error:
                    self._outcomes.refusal = self._outcomes.refusal or only_cause(error)
                finally:
                    self._skip_the_rest()
                    with self._times.engine("applying"):
                        await asyncio.shield(self._release())
                    await self._job.facts.close()
        finally:
            work.cancel()
        status = self._outcomes.exit_status(self._stop.asked and not self._outcomes.refusal)
        self._listener(
            events.RunFinished(
                "",
                status,
                time.monotonic() - started,
                self._outcomes.counts,
                "" if any(hint.kind == "try" for hint in self._instead) else self._outcomes.resume(status),
                self._outcomes.refusal,
                self._instead if status else self._hints,
                self._times.of_run(self._schedules),
            )
        )
        return status

    def _interrupted(self, at_once: bool) -> None:
        self._listener(events.Interrupted("", at_once))

    async def _work(self) -> None:
        self._request.validate(self._runbook)
        if self._request.pause and not self._gate.interactive:
            raise UsageError(
                "pause between steps", "there is no terminal to ask at", cause="stdin is not a terminal"
            )
        labs = self._planner.labs()
        self._schedules = {lab.name: self._job.schedule(lab) for lab in labs}
        steps = sum(len(self._steps_of(lab)) for lab in labs)
        names, needs = tuple(lab.name for lab in labs), sum(lab.name not in self._request.labs for lab in labs)
        asked = tuple(name for name in names if name in self._request.labs)
        part, brief = self._request.part, self._request.brief
        self._listener(events.RunStarted("", names, self._job.target, steps, needs, part, asked, brief))
        self._lock.begin_to_look()
        with self._times.engine("looking"):
            if any(lab.undoes for lab in labs):
                await self._stop.cuttable(self._lock.refuse_if_other())
            await self._stop.cuttable(self._planner.refuse_unless_ready(self._schedules))
        done = {lab.name: asyncio.Event() for lab in labs}
        async with asyncio.TaskGroup() as group:
            for lab in labs:
                group.create_task(self._lab(lab, done))
        with self._times.engine("looking"):
            await self._stop.cuttable(self._lock.refuse_if_other(again=True))
            self._hints = worth_doing(self._runbook, self._request, await self._look_at())
            for name, runner in self._runners.items():
                if found := await runner.taken_back():
                    self._instead = worth_doing_instead(self._runbook, self._request, name, *found)

    async def _look_at(self) -> tuple[Hint, ...]:
        """What there is to see of the labs asked for, in their order."""
        asked = [name for name in self._schedules if name in self._request.labs and name in self._runners]
        return tuple([hint for name in asked for hint in await self._runners[name].look_at()])

    def _steps_of(self, lab: Lab) -> tuple[ScheduledStep, ...]:
        """The lab's steps that take part."""
        return self._job.taking_part(self._schedules[lab.name])

    def _before(self, lab: Lab) -> tuple[str, ...]:
        """The labs of this run that must have ended before this one starts. A person who pauses follows one lab
        after the other."""
        taking_part = [name for name in self._schedules if name != lab.name]
        if self._request.pause:
            return tuple(name for name in taking_part if self._comes_before(name, lab))
        needed = {other.name for other in self._runbook.with_needs((*lab.needs, *lab.undoes))}
        return tuple(name for name in taking_part if name in needed.union(lab.apart_from))

    def _waited_for(self, name: str) -> set[str]:
        """Also what only some of the lab's parts have waited for."""
        after = (other for group in self._schedules[name] for step in group for other in step.after)
        return {*self._before(self._runbook.lab(name)), *after}

    def _comes_before(self, name: str, lab: Lab) -> bool:
        return self._runbook.position(name) < self._runbook.position(lab.name)

    async def _lab(self, lab: Lab, done: dict[str, asyncio.Event]) -> None:
        try:
            before = self._before(lab)
            for name in before:
                await done[name].wait()
            wanted = (name for name in before if name not in lab.apart_from)
            failed = [name for name in wanted if not self._outcomes.converged(name)]
            if self._stop.asked:
                return
            self._start(lab)
            if failed:
                self._skip(lab, f"{failed[0]} has not converged")
            else:
                await self._steps(lab, done)
            if not self._stop.asked:
                self._finish(lab)
        finally:
            done[lab.name].set()

    async def _steps(self, lab: Lab, done: Mapping[str, asyncio.Event]) -> None:
        runs = {step: self._run(step, lab) for step in self._steps_of(lab)}
        runner = self._runners[lab.name] = StepRunner(self._execution, lab, runs)
        for group in self._schedules[lab.name]:
            taking_part = self._not_blocked(lab, [step for step in group if step in runs])
            after = [name for step in taking_part[:1] for name in step.after if name in done]
            for name in after:
                await done[name].wait()
            if self._stop.asked:
                return
            if failed := [name for name in after if not self._outcomes.converged(name)]:
                self._skip(lab, f"{failed[0]} has not converged")
                return
            if self._request.pause:
                for step in taking_part:
                    if not self._stop.asked:
                        await runner.run_step(step)
            else:
                async with asyncio.TaskGroup() as tasks:
                    for step in taking_part:
                        tasks.create_task(runner.run_step(step))
            if self._stop.asked:
                return
            if not lab.undoes and not self._outcomes.converged(lab.name):
                self._skip(lab, "a step before has not converged")
                return

    def _not_blocked(self, lab: Lab, steps: list[ScheduledStep]) -> list[ScheduledStep]:
        """Those that may run. A clean-up goes on when a part of it fails: only what a lab needs that was not taken
        back stays as well, and is skipped."""
        if not lab.undoes:
            return steps
        free = []
        for step in steps:
            if blocker := self._blocker(lab, step):
                self._pass_over(lab, step, f"{blocker} has not been taken back")
            else:
                free.append(step)
        return free

    def _blocker(self, lab: Lab, step: ScheduledStep) -> str:
        """A lab of this clean-up that was not taken back and is, or needs, the step's."""
        for other in (other for group in self._schedules[lab.name] for other in group):
            failed = self._outcomes.has(lab.name, other.number) and not self._outcomes.converged(
                lab.name, other.number
            )
            if failed and step.lab in self._runbook.with_needs((other.lab.name,)):
                return other.lab.name
        return ""

    def _run(self, step: ScheduledStep, lab: Lab) -> Run:
        prerequisites = StepPrerequisites(self._runbook, step)
        return self._job.run(step.lab, lab, step.number, prerequisites=prerequisites)

    def _start(self, lab: Lab, *, begun: bool = True) -> None:
        self._started[lab.name] = time.monotonic()
        needed_by = () if lab.name in self._request.labs else self._needed_by(lab)
        text = lab.text if self._request.pause and begun else ""
        self._listener(events.LabStarted(lab.name, lab.title, len(self._steps_of(lab)), needed_by, text, begun))

    def _needed_by(self, lab: Lab) -> tuple[str, ...]:
        return tuple(name for name in self._schedules if lab.name in self._runbook.lab(name).all_needs)

    def _finish(self, lab: Lab) -> None:
        self._finished.add(lab.name)
        seconds = time.monotonic() - self._started[lab.name]
        spent = self._times.of_lab(lab.name)
        self._listener(events.LabFinished(lab.name, seconds, self._outcomes.converged(lab.name), spent))

    def _skip(self, lab: Lab, note: str) -> None:
        for step in self._steps_of(lab):
            if not self._outcomes.has(lab.name, step.number):
                self._pass_over(lab, step, note)

    def _pass_over(self, lab: Lab, step: ScheduledStep, note: str) -> None:
        self._outcomes.skip(lab.name, step.number)
        self._listener(events.StepFinished(lab.name, step.number, step.title, "skipped", 0.0, note=note))

    def _skip_the_rest(self) -> None:
        note = "refused" if self._outcomes.refusal else "interrupted"
        for name in self._schedules:
            if name in self._finished:
                continue
            lab = self._runbook.lab(name)
            if name not in self._started:
                self._start(lab, begun=False)
            self._skip(lab, note)
            self._finish(lab)
