"""A run: labs in the order of their needs, each a chain of steps; check, apply when needed, verify.

Labs that do not depend on each other run at the same time, and share the facts: one observation serves all checks
until something was applied. A run that finds everything converged observes once, takes no lock and changes nothing;
but it is refused where another run holds the lock, as what it found is then being changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from workshop.runbook import events
from workshop.runbook.chain import Chain, Unit
from workshop.runbook.ending import worth_doing, worth_doing_instead
from workshop.runbook.errors import UsageError
from workshop.runbook.guard import Gate, Guard
from workshop.runbook.hold import Hold
from workshop.runbook.model import Hint, Lab, Runbook
from workshop.runbook.plan import Planner
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Listener, Run
from workshop.runbook.standing import Standing
from workshop.runbook.steps import StepRunner, only_cause
from workshop.runbook.stop import Stop, Stopped
from workshop.runbook.tally import Tally
from workshop.runbook.unproved import remembering


async def execute(
    runbook: Runbook,
    request: Request,
    toolbox: Mapping[type, object],
    listener: Listener,
    *,
    target: str,
    guard: Guard,
    gate: Gate,
) -> int:
    """Converge what the request asks for. Returns the exit status: 0 converged, 1 a step failed, 2 wrong usage,
    3 inconclusive, 130 interrupted. What happened, also why it was refused, goes to the listener."""
    return await _Execution(runbook, request, toolbox, listener, target, guard, gate).go()


class _Execution:
    def __init__(
        self,
        runbook: Runbook,
        request: Request,
        toolbox: Mapping[type, object],
        listener: Listener,
        target: str,
        guard: Guard,
        gate: Gate,
    ) -> None:
        self._runbook, self._request, self._listener = runbook, request, listener
        self._toolbox = remembering(toolbox)
        self._target, self._gate = target, gate
        self._facts = Facts()
        self._stop = Stop(lambda at_once: listener(events.Interrupted("", at_once)))
        self._tally = Tally(request)
        self._hold = Hold(guard, self._refuse)
        self._chains: dict[str, Chain] = {}
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()
        self._runners: dict[str, StepRunner] = {}
        self._hints: tuple[Hint, ...] = ()
        self._instead: tuple[Hint, ...] = ()
        """What is worth doing where a verdict has undone a step."""
        self._planner = Planner(runbook, request, self._toolbox, self._facts, listener)

    async def go(self) -> int:
        started = time.monotonic()
        work = asyncio.create_task(self._work())
        try:
            with self._stop.signals(work.cancel):
                try:
                    await work
                except asyncio.CancelledError:
                    if not self._stop.interrupted:
                        raise
                except Stopped:
                    pass
                except Exception as error:
                    self._tally.refusal = self._tally.refusal or only_cause(error)
                finally:
                    self._skip_the_rest()
                    await asyncio.shield(self._hold.release())
                    await self._facts.close()
        finally:
            work.cancel()
        status = self._tally.exit_status(self._stop.asked and not self._tally.refusal)
        self._listener(
            events.RunFinished(
                "",
                status,
                time.monotonic() - started,
                self._tally.counts,
                "" if any(hint.kind == "try" for hint in self._instead) else self._tally.resume(status),
                self._tally.refusal,
                self._instead if status else self._hints,
            )
        )
        return status

    async def _work(self) -> None:
        self._request.validate(self._runbook)
        if self._request.pause and not self._gate.interactive:
            raise UsageError(
                "pause between steps", "there is no terminal to ask at", cause="stdin is not a terminal"
            )
        labs = self._planner.labs()
        self._chains = {lab.name: self._planner.unfold(lab) for lab in labs}
        steps = sum(len(self._units(lab)) for lab in labs)
        names, needs = tuple(lab.name for lab in labs), sum(lab.name not in self._request.labs for lab in labs)
        self._listener(events.RunStarted("", names, self._target, steps, needs, self._request.part))
        self._hold.look()
        if any(lab.undoes for lab in labs):
            await self._stop.cuttable(self._hold.refuse_if_other())
        await self._stop.cuttable(self._planner.refuse_unless_ready(self._chains))
        done = {lab.name: asyncio.Event() for lab in labs}
        async with asyncio.TaskGroup() as group:
            for lab in labs:
                group.create_task(self._lab(lab, done))
        await self._stop.cuttable(self._hold.refuse_if_other())
        self._hints = worth_doing(self._runbook, self._request, await self._look_at())
        for name, runner in self._runners.items():
            if found := await runner.taken_back():
                self._instead = worth_doing_instead(self._runbook, self._request, name, *found)

    async def _look_at(self) -> tuple[Hint, ...]:
        """What there is to see of the labs asked for, in their order."""
        asked = [name for name in self._chains if name in self._request.labs and name in self._runners]
        return tuple([hint for name in asked for hint in await self._runners[name].look_at()])

    def _refuse(self, error: Exception) -> None:
        """The run cannot go on: what is under way finishes, nothing else starts."""
        self._tally.refusal = self._tally.refusal or only_cause(error)
        self._stop.ask()

    def _units(self, lab: Lab) -> tuple[Unit, ...]:
        """The lab's steps that take part."""
        return tuple(
            unit for group in self._chains[lab.name] for unit in group if self._request.step in (None, unit.number)
        )

    def _before(self, lab: Lab) -> tuple[str, ...]:
        """The labs of this run that must have ended before this one starts. A person who pauses follows one lab
        after the other."""
        taking_part = [name for name in self._chains if name != lab.name]
        if self._request.pause:
            return tuple(name for name in taking_part if self._comes_before(name, lab))
        needed = {other.name for other in self._runbook.with_needs((*lab.needs, *lab.undoes))}
        return tuple(name for name in taking_part if name in needed)

    def _comes_before(self, name: str, lab: Lab) -> bool:
        return self._runbook.position(name) < self._runbook.position(lab.name)

    async def _lab(self, lab: Lab, done: dict[str, asyncio.Event]) -> None:
        try:
            before = self._before(lab)
            for name in before:
                await done[name].wait()
            failed = [name for name in before if not self._tally.converged(name)]
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
        runs = {unit: self._run(unit, lab) for unit in self._units(lab)}
        runner = self._runners[lab.name] = StepRunner(
            lab,
            runs,
            self._request,
            self._stop,
            self._hold,
            self._tally,
            self._gate,
            self._listener,
            self._refuse,
        )
        for group in self._chains[lab.name]:
            taking_part = self._not_blocked(lab, [unit for unit in group if unit in runs])
            after = [name for unit in taking_part[:1] for name in unit.after if name in done]
            for name in after:
                await done[name].wait()
            if self._stop.asked:
                return
            if failed := [name for name in after if not self._tally.converged(name)]:
                self._skip(lab, f"{failed[0]} has not converged")
                return
            if self._request.pause:
                for unit in taking_part:
                    if not self._stop.asked:
                        await runner.step(unit)
            else:
                async with asyncio.TaskGroup() as tasks:
                    for unit in taking_part:
                        tasks.create_task(runner.step(unit))
            if self._stop.asked:
                return
            if not lab.undoes and not self._tally.converged(lab.name):
                self._skip(lab, "a step before has not converged")
                return

    def _not_blocked(self, lab: Lab, units: list[Unit]) -> list[Unit]:
        """Those that may run. A clean-up goes on when a part of it fails: only what a lab needs that was not taken
        back stays as well, and is skipped."""
        if not lab.undoes:
            return units
        free = []
        for unit in units:
            if blocker := self._blocker(lab, unit):
                self._pass_over(lab, unit, f"{blocker} has not been taken back")
            else:
                free.append(unit)
        return free

    def _blocker(self, lab: Lab, unit: Unit) -> str:
        """A lab of this clean-up that was not taken back and is, or needs, the unit's."""
        for other in (other for group in self._chains[lab.name] for other in group):
            failed = self._tally.has(lab.name, other.number) and not self._tally.converged(lab.name, other.number)
            if failed and unit.lab in self._runbook.with_needs((other.lab.name,)):
                return other.lab.name
        return ""

    def _run(self, unit: Unit, lab: Lab) -> Run:
        run = Run(
            unit.lab.name,
            self._toolbox,
            self._facts,
            self._request.options_of(unit.lab),
            self._listener,
            step=unit.number,
            shown_as=lab.name,
            stop=self._stop,
            undoing=lab.undoes,
            program=self._request.program,
        )
        run.standing = Standing(self._runbook, unit, run)
        return run

    def _start(self, lab: Lab, *, begun: bool = True) -> None:
        self._started[lab.name] = time.monotonic()
        needed_by = () if lab.name in self._request.labs else self._needed_by(lab)
        text = lab.text if self._request.pause and begun else ""
        self._listener(events.LabStarted(lab.name, lab.title, len(self._units(lab)), needed_by, text, begun))

    def _needed_by(self, lab: Lab) -> tuple[str, ...]:
        return tuple(name for name in self._chains if lab.name in self._runbook.lab(name).all_needs)

    def _finish(self, lab: Lab) -> None:
        self._finished.add(lab.name)
        seconds = time.monotonic() - self._started[lab.name]
        self._listener(events.LabFinished(lab.name, seconds, self._tally.converged(lab.name)))

    def _skip(self, lab: Lab, note: str) -> None:
        for unit in self._units(lab):
            if not self._tally.has(lab.name, unit.number):
                self._pass_over(lab, unit, note)

    def _pass_over(self, lab: Lab, unit: Unit, note: str) -> None:
        self._tally.add(lab.name, unit.number, "skipped", None)
        self._listener(events.StepFinished(lab.name, unit.number, unit.title, "skipped", 0.0, note=note))

    def _skip_the_rest(self) -> None:
        note = "refused" if self._tally.refusal else "interrupted"
        for name in self._chains:
            if name in self._finished:
                continue
            lab = self._runbook.lab(name)
            if name not in self._started:
                self._start(lab, begun=False)
            self._skip(lab, note)
            self._finish(lab)
