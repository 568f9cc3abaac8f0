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
from collections.abc import Mapping
from dataclasses import replace

from workshop.runbook import events
from workshop.runbook.errors import UsageError
from workshop.runbook.lab_rows import Row, groups, row_of
from workshop.runbook.model import Lab
from workshop.runbook.plan import Planner, StepPlan
from workshop.runbook.protection import Guard
from workshop.runbook.results import Check, Outcome, Verdict
from workshop.runbook.schedule import Job, Schedule, ScheduledStep, StepState
from workshop.runbook.stop import INTERRUPTED, Stopped, only_cause

PATIENCE = 10.0
"""Seconds that a proof waits for a change to be visible. A run has just made one, here somebody may have."""

_OK: tuple[Outcome, ...] = ("unchanged", "proved")
_WORDS: dict[Outcome, str] = {
    "missing": "is missing",
    "failed": "has failed",
    "inconclusive": "is not proved",
}
_VERDICTS: dict[str, Outcome] = {"pass": "proved", "fail": "failed", "inconclusive": "inconclusive"}


async def check(job: Job, guard: Guard, *, patience: float = PATIENCE) -> int:
    """The exit status: 0 when all is as wanted and every proof has passed, 1 when something is missing or a proof
    has failed, 3 when one was inconclusive, 130 interrupted. Raises UsageError where a run would refuse."""
    job.request.validate(job.runbook)
    return await _Checking(replace(job, patience=patience, only_looks=True), guard).go()


class _Checking:
    def __init__(self, job: Job, guard: Guard) -> None:
        self._job, self._guard = job, guard
        self._runbook, self._request, self._listener = job.runbook, job.request, job.listener
        self._stop = job.stop
        self._planner = Planner(job)
        self._outcomes: dict[str, dict[int, Outcome]] = {}
        self._errors: set[str] = set()
        """Those told: a cluster that does not answer is the same error of every step."""

    async def go(self) -> int:
        started = time.monotonic()
        work = asyncio.ensure_future(self._work())
        stopped = False
        with self._stop.signals(work.cancel, self._interrupted):
            try:
                await work
            except (Stopped, asyncio.CancelledError):
                if not self._stop.asked:
                    raise
                stopped = True
            finally:
                work.cancel()
                await self._job.facts.close()
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

    def _interrupted(self, at_once: bool) -> None:
        self._listener(events.Interrupted("", at_once))

    async def _work(self) -> None:
        labs = self._runbook.with_needs(self._request.labs)
        asked = [lab for lab in labs if lab.name in self._request.labs]
        schedules = {lab.name: self._job.schedule(lab) for lab in labs}
        busy = asyncio.ensure_future(self._guard.refuse_if_held())
        try:
            others = [lab for lab in labs if lab not in asked]
            needs = {
                lab.name: await self._stop.cuttable(self._worth_telling(lab, schedules[lab.name])) for lab in others
            }
            steps = [step for lab in asked for group in groups(self._job, schedules[lab.name]) for step in group]
            total = len(steps) + sum(map(len, needs.values()))
            told = [name for name, missing in needs.items() if missing]
            shown = (*told, *(lab.name for lab in asked))
            self._listener(events.RunStarted("", shown, self._job.target, total, len(told), self._request.part))
            await self._stop.cuttable(self._tell_if(busy))
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
        self._tell_needs(needs, schedules)
        for lab in asked:
            await self._lab(lab, schedules[lab.name])

    async def _tell_if(self, busy: asyncio.Future[None]) -> None:
        try:
            await asyncio.shield(busy)
        except UsageError as error:
            self._listener(events.Told("", f"{error.came_back}: what is looked at may be changing"))

    async def _worth_telling(self, need: Lab, schedule: Schedule) -> list[StepPlan]:
        """What is missing of a lab that others need, in the words of a plan; and what was added by hand."""
        plan = await self._planner.lab(need, schedule)
        return [step for step in plan.steps if self._of_plan(step) not in _OK or step.check.added]

    def _tell_needs(self, needs: Mapping[str, list[StepPlan]], schedules: Mapping[str, Schedule]) -> None:
        """Those of which there is nothing to tell in one line."""
        if converged := tuple(name for name, steps in needs.items() if not steps):
            count = sum(len(group) for name in converged for group in schedules[name])
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

    async def _lab(self, lab: Lab, schedule: Schedule) -> None:
        started = time.monotonic()
        parts = list(groups(self._job, schedule))
        self._outcomes[lab.name] = {}
        self._listener(events.LabStarted(lab.name, lab.title, sum(map(len, parts))))
        for group in parts:
            blocked = self._blocked(lab, group[0].after)
            for step in group:
                await self._step(lab, schedule, step, blocked)
        self._listener(events.LabFinished(lab.name, time.monotonic() - started, self._converged(lab)))

    def _blocked(self, lab: Lab, after: tuple[str, ...]) -> str:
        """Why what comes now is not measured; "" when all that it depends on has converged."""
        for other in (*self._runbook.with_needs((*lab.needs, *after)), lab):
            for number, outcome in self._outcomes.get(other.name, {}).items():
                if outcome not in _OK:
                    what = f"step {number}" if other is lab else other.name
                    return f"{what} {_WORDS.get(outcome, 'has not converged')}"
        return ""

    async def _step(self, lab: Lab, schedule: Schedule, step: ScheduledStep, blocked: str) -> None:
        started = time.monotonic()
        outcome: Outcome = "failed"
        error: Exception | None = None
        verdict: Verdict | None = None
        try:
            row = await self._stop.cuttable(row_of(self._job, lab, schedule, step))
            self._planner.answered = True
        except Exception as raised:
            self._planner.refuse_if_nothing_answers(raised)
            row, error = Row(step, step.title, StepState(Check())), _cause(raised)
        self._listener(events.StepStarted(lab.name, row.step.number, row.title))
        note = row.note
        if error is None:
            try:
                outcome, note, verdict = await self._judge(lab, row, blocked)
            except Exception as raised:
                error = _cause(raised)
        check, seconds = self._planner.once(row.state.check), time.monotonic() - started
        self._finish(lab, row.step.number, row.title, outcome, check, note, error, verdict, seconds)

    async def _judge(self, lab: Lab, row: Row, blocked: str) -> tuple[Outcome, str, Verdict | None]:
        run, step = self._job.run_of(row.step, lab), row.step.step
        if row.step.undoes:
            left = not row.state.check.converged
            return "left" if left else "unchanged", row.note or row.step.lab.name * left, None
        if not row.state.check.converged:
            return "missing", row.note, None
        if not row.state.verifiable or not step.has_proof(run):
            return "unchanged", row.note, None
        if blocked:
            return "skipped", "; ".join(filter(None, (row.note, f"not measured: {blocked}"))), None
        self._listener(events.StepPhase(lab.name, row.step.number, "verify"))
        verdict = await self._stop.cuttable(step.verify(run))
        return _VERDICTS[verdict.kind] if verdict else "unchanged", row.note, verdict

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
