"""Where the target is, checked and measured; nothing is applied, and nothing is written down.

A run brings labs to their end. A check is for whoever has typed the page by hand: of each step it says whether it
is as wanted, and if so the step's proof is run where the target is now. The stage that a timeline is at is proved,
and that there are later ones is no failure. What is missing is told as a plan tells it. What depends on something
that has not converged is not measured: it would tell the same in a longer and less clear way. Labs that the ones
asked for need are looked at, and not measured.

Nothing changes, so it takes no lock and needs no mark. One lab after the other is measured: a measurement must not
be the load of another one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workshop.runbook import events
from workshop.runbook.chain import Chain, Course, Look, Unit
from workshop.runbook.errors import UsageError
from workshop.runbook.guard import Guard
from workshop.runbook.model import Check, Lab, Outcome, Runbook, Timeline, Verdict
from workshop.runbook.plan import Planner, StepPlan
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Listener, Run
from workshop.runbook.steps import only_cause
from workshop.runbook.stop import Stop, Stopped
from workshop.runbook.tally import INTERRUPTED
from workshop.runbook.unproved import remembering

PATIENCE = 10.0
"""Seconds that a proof waits for a change to be visible. A run has just made one, here somebody may have."""

_OK: tuple[Outcome, ...] = ("unchanged", "proved")
_WORDS: dict[Outcome, str] = {
    "missing": "is missing",
    "failed": "has failed",
    "inconclusive": "is not proved",
}
_VERDICTS: dict[str, Outcome] = {"pass": "proved", "fail": "failed", "inconclusive": "inconclusive"}


def refuse_contradictions(request: Request, *, plan: bool, explain: bool, undo: bool) -> None:
    """Raises UsageError for what makes no sense while nothing but a look is asked for."""
    given = {
        "--plan": (plan, "--plan says what a run would change, --check measures as well"),
        "--explain": (explain, "--explain shows what to type, --check what came of it"),
        "--undo": (undo, "--check changes nothing"),
        "--verify": (
            request.verify,
            "--verify measures in a run, which goes on; --check measures and changes nothing",
        ),
        "--only": (request.only, "--check runs no lab that this one needs anyway"),
        "--pause": (request.pause, "--check changes nothing, so there is nothing to wait before"),
        "--restart": (request.restart, "--check changes nothing"),
    }
    for flag, (is_given, why) in given.items():
        if is_given:
            words = [word for word in request.command.split(" ") if word != flag]
            raise UsageError(f"use {flag} and --check together", why, next_command=" ".join(words))


async def check(
    runbook: Runbook,
    request: Request,
    toolbox: Mapping[type, object],
    listener: Listener,
    *,
    target: str,
    guard: Guard,
    patience: float = PATIENCE,
) -> int:
    """The exit status: 0 when all is as wanted and every proof has passed, 1 when something is missing or a proof
    has failed, 3 when one was inconclusive, 130 interrupted. Raises UsageError where a run would refuse."""
    request.validate(runbook)
    return await _Checking(runbook, request, remembering(toolbox), listener, target, guard, patience).go()


@dataclass(frozen=True, slots=True)
class _Row:
    """A step to tell of, for a timeline the one whose stage its object is at. `note` is told beside the outcome."""

    unit: Unit
    title: str
    look: Look
    note: str = ""


class _Checking:
    def __init__(
        self,
        runbook: Runbook,
        request: Request,
        toolbox: Mapping[type, object],
        listener: Listener,
        target: str,
        guard: Guard,
        patience: float,
    ) -> None:
        self._runbook, self._request, self._listener = runbook, request, listener
        self._target, self._guard, self._patience = target, guard, patience
        self._facts = Facts()
        self._planner = Planner(runbook, request, toolbox, self._facts, listener)
        self._stop = Stop(lambda at_once: listener(events.Interrupted("", at_once)))
        self._outcomes: dict[str, dict[int, Outcome]] = {}
        self._errors: set[str] = set()
        """Those told: a cluster that does not answer is the same error of every step."""

    async def go(self) -> int:
        started = time.monotonic()
        work = asyncio.ensure_future(self._work())
        stopped = False
        with self._stop.signals(work.cancel):
            try:
                await work
            except (Stopped, asyncio.CancelledError):
                if not self._stop.asked:
                    raise
                stopped = True
            finally:
                work.cancel()
                await self._facts.close()
        status = INTERRUPTED if stopped else self._status
        counts = Counter(outcome for steps in self._outcomes.values() for outcome in steps.values())
        following = self._following(status, counts)
        self._listener(events.RunFinished("", status, time.monotonic() - started, dict(counts), following))
        return status

    @property
    def _status(self) -> int:
        found = {outcome for steps in self._outcomes.values() for outcome in steps.values()}
        if found & {"missing", "left", "failed"}:
            return 1
        return 3 if "inconclusive" in found else 0

    def _following(self, status: int, counts: Mapping[Outcome, int]) -> str:
        """What to type next: the run that would put it right, or the same once more."""
        if status in (3, INTERRUPTED):
            return self._request.command
        if counts.get("missing") or counts.get("left"):
            # A step by itself would be refused where one before it is missing as well.
            whole = self._request.command if self._request.step is None else self._request.retyped({"--step": None})
            return " ".join(word for word in whole.split(" ") if word not in ("--check", "-R", "--dry"))
        return ""

    async def _work(self) -> None:
        labs = self._runbook.with_needs(self._request.labs)
        asked = [lab for lab in labs if lab.name in self._request.labs]
        chains = {lab.name: self._planner.unfold(lab) for lab in labs}
        busy = asyncio.ensure_future(self._guard.refuse_if_held())
        try:
            others = [lab for lab in labs if lab not in asked]
            needs = {
                lab.name: await self._stop.cuttable(self._worth_telling(lab, chains[lab.name])) for lab in others
            }
            steps = [unit for lab in asked for group in self._groups(chains[lab.name]) for unit in group]
            total = len(steps) + sum(map(len, needs.values()))
            told = [name for name, missing in needs.items() if missing]
            shown = (*told, *(lab.name for lab in asked))
            self._listener(events.RunStarted("", shown, self._target, total, len(told), self._request.part))
            await self._stop.cuttable(self._tell_if(busy))
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
        self._tell_needs(needs, chains)
        for lab in asked:
            await self._lab(lab, chains[lab.name])

    async def _tell_if(self, busy: asyncio.Future[None]) -> None:
        try:
            await asyncio.shield(busy)
        except UsageError as error:
            self._listener(events.Told("", f"{error.came_back}: what is looked at may be changing"))

    async def _worth_telling(self, need: Lab, chain: Chain) -> list[StepPlan]:
        """What is missing of a lab that others need, in the words of a plan; and what was added by hand."""
        plan = await self._planner.lab(need, chain)
        return [step for step in plan.steps if self._of_plan(step) not in _OK or step.check.added]

    def _tell_needs(self, needs: Mapping[str, list[StepPlan]], chains: Mapping[str, Chain]) -> None:
        """Those of which there is nothing to tell in one line."""
        if converged := tuple(name for name, steps in needs.items() if not steps):
            count = sum(len(group) for name in converged for group in chains[name])
            self._listener(events.NeedsConverged("", converged, count))
        for name, steps in needs.items():
            self._outcomes[name] = {}
            if steps:
                self._tell_need(self._runbook.lab(name), steps)

    def _of_plan(self, step: StepPlan) -> Outcome:
        if step.error:
            return "failed"
        return "missing" if step.changes else "inconclusive" if step.unproved else "unchanged"

    def _tell_need(self, lab: Lab, steps: list[StepPlan]) -> None:
        by = tuple(name for name in self._request.labs if lab in self._runbook.with_needs((name,)))
        self._listener(events.LabStarted(lab.name, lab.title, len(steps), by))
        for step in steps:
            measure = f"applied, not proved: {self._request.program} lab.{lab.name} --check measures it"
            note = measure if step.unproved else step.check.note
            self._finish(lab, step.number, step.title, self._of_plan(step), step.check, note, step.error)
        self._listener(events.LabFinished(lab.name, 0.0, self._converged(lab)))

    def _converged(self, lab: Lab) -> bool:
        return set(self._outcomes[lab.name].values()) <= set(_OK)

    def _groups(self, chain: Chain) -> Iterator[tuple[Unit, ...]]:
        """Steps that do not depend on each other, in order; all stages of a timeline are one."""
        seen: list[Course] = []
        for group in chain:
            units = tuple(unit for unit in group if self._request.step in (None, unit.number))
            course = units[0].course if units else None
            if units and course not in seen:
                yield units
            if course:
                seen.append(course)

    async def _lab(self, lab: Lab, chain: Chain) -> None:
        started = time.monotonic()
        groups = list(self._groups(chain))
        self._outcomes[lab.name] = {}
        self._listener(events.LabStarted(lab.name, lab.title, sum(map(len, groups))))
        for group in groups:
            blocked = self._blocked(lab, group[0].after)
            for unit in group:
                await self._step(lab, chain, unit, blocked)
        self._listener(events.LabFinished(lab.name, time.monotonic() - started, self._converged(lab)))

    def _blocked(self, lab: Lab, after: tuple[str, ...]) -> str:
        """Why what comes now is not measured; "" when all that it depends on has converged."""
        for other in (*self._runbook.with_needs((*lab.needs, *after)), lab):
            for number, outcome in self._outcomes.get(other.name, {}).items():
                if outcome not in _OK:
                    what = f"step {number}" if other is lab else other.name
                    return f"{what} {_WORDS.get(outcome, 'has not converged')}"
        return ""

    async def _step(self, lab: Lab, chain: Chain, unit: Unit, blocked: str) -> None:
        started = time.monotonic()
        outcome: Outcome = "failed"
        error: Exception | None = None
        verdict: Verdict | None = None
        try:
            row = await self._stop.cuttable(self._row(lab, chain, unit))
            self._planner.answered = True
        except Exception as raised:
            self._planner.refuse_if_nothing_answers(raised)
            row, error = _Row(unit, unit.title, Look(Check())), _cause(raised)
        self._listener(events.StepStarted(lab.name, row.unit.number, row.title))
        note = row.note
        if error is None:
            try:
                outcome, note, verdict = await self._judge(lab, row, blocked)
            except Exception as raised:
                error = _cause(raised)
        check, seconds = self._planner.once(row.look.check), time.monotonic() - started
        self._finish(lab, row.unit.number, row.title, outcome, check, note, error, verdict, seconds)

    async def _row(self, lab: Lab, chain: Chain, unit: Unit) -> _Row:
        run = self._run(unit, lab)
        if unit.course:
            stages = {it.stage: it for group in chain for it in group if it.course is unit.course}
            return await self._on_course(lab, unit.course, stages, unit)
        look = await unit.look(run)
        timeline = next((it for it in lab.parts if isinstance(it, Timeline) and it.title == unit.part), None)
        if timeline and self._request.to in timeline.stages and not look.check.converged:
            # Whose the objects are does not matter to where they are.
            there = (await timeline.position(run)).stage == self._request.to
            look = Look(Check(added=look.check.added)) if there else look
        return _Row(unit, unit.title, look, look.check.note)

    async def _on_course(self, lab: Lab, course: Course, stages: Mapping[int, Unit], first: Unit) -> _Row:
        """The step for where the timeline's object is. With --step, whether it has come to that one."""
        timeline, position = course.timeline, await course.position(self._run(first, lab))
        if course.superseded(position):
            look = Look(Check(note=f"superseded by {position.holder}"), verifiable=False)
            return _Row(first, timeline.title, look, look.check.note)
        if position.off_path:
            check = await first.step.check(self._run(first, lab))
            nearest = position.differences or check.differences
            look = Look(Check(nearest, added=check.added))
            return _Row(first, timeline.title, look, f"off the path: {position.off_path}")
        if position.stage not in timeline.stages:
            unit, note = first, "before its first stage"
        else:
            at = timeline.stages.index(position.stage)
            unit, note = stages[at], f"at stage {position.stage}, {at + 1} of {len(timeline.stages)}"
            if self._request.step is not None:
                unit = first
        look = await unit.look(self._run(unit, lab))
        return _Row(unit, unit.title, look, look.check.note if look.check.left_out else note)

    async def _judge(self, lab: Lab, row: _Row, blocked: str) -> tuple[Outcome, str, Verdict | None]:
        run, step = self._run(row.unit, lab), row.unit.step
        if row.unit.undoes:
            left = not row.look.check.converged
            return "left" if left else "unchanged", row.note or row.unit.lab.name * left, None
        if not row.look.check.converged:
            return "missing", row.note, None
        if not row.look.verifiable or not step.has_proof(run):
            return "unchanged", row.note, None
        if blocked:
            return "skipped", "; ".join(filter(None, (row.note, f"not measured: {blocked}"))), None
        self._listener(events.StepPhase(lab.name, row.unit.number, "verify"))
        verdict = await self._stop.cuttable(step.verify(run))
        return _VERDICTS[verdict.kind] if verdict else "unchanged", row.note, verdict

    def _run(self, unit: Unit, lab: Lab) -> Run:
        about = {"stop": self._stop, "undoing": lab.undoes, "patience": self._patience, "only_looks": True}
        return self._planner.run(unit.lab, unit.number, lab, **about)

    def _finish(
        self,
        lab: Lab,
        number: int,
        title: str,
        outcome: Outcome,
        check: Check,
        note: str,
        error: Exception | None = None,
        verdict: Verdict | None = None,
        seconds: float = 0.0,
    ) -> None:
        self._outcomes[lab.name][number] = outcome
        if error and str(error) in self._errors:
            error, note = None, "for the same reason"
        elif error:
            self._errors.add(str(error))
        self._listener(events.StepFinished(lab.name, number, title, outcome, seconds, check, verdict, error, note))


def _cause(raised: Exception) -> Exception:
    """What a step ended with. A request to stop ends all of it."""
    cause = only_cause(raised)
    if isinstance(cause, Stopped):
        raise raised
    return cause
