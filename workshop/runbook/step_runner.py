"""One step of a run: check, then apply and verify when the check says so; and what is asked before a change.

Every way a step can end is an outcome: a check or verification cut short, an apply that raised, a verdict that is
not a pass. A refusal by the guard ends the whole run, but gently: what other labs have under way is finished.

What is applied is remembered as not proved until its proof passes; where an earlier run has left it so, the proof
is all there is to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.journal import ProofRecord
from workshop.runbook.model import Lab
from workshop.runbook.protection import Gate, RunLock
from workshop.runbook.request import Request, going_on
from workshop.runbook.results import Check, Hint, HintKind, Outcome, Verdict
from workshop.runbook.run import Run
from workshop.runbook.schedule import Job, ScheduledStep, StepState
from workshop.runbook.stop import INTERRUPTED, Stopped, only_cause
from workshop.runbook.timings import PHASES, Stopwatch, TimeKeeper


class Outcomes:
    """What became of every step of a run, the exit status they add up to, and the command that goes on."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._outcomes: dict[tuple[str, int], Outcome] = {}
        self._errors: list[Exception] = []
        self._moved = False
        """A stage was reached, so that beginning again would lose it."""
        self._answered = False
        """What the run works on has answered once: that it cannot be reached any more is no wrong configuration."""
        self._changing = False
        """Something was begun to be changed: whatever fails then is no wrong usage any more."""
        self.refusal: Exception | None = None
        """Why the run as a whole could not go on."""

    def skip(self, lab: str, step: int) -> None:
        self._outcomes[lab, step] = "skipped"

    def add(
        self,
        lab: str,
        step: int,
        outcome: Outcome,
        error: Exception | None,
        *,
        answered: bool,
        changing: bool,
        moved: bool,
    ) -> None:
        """How a step has ended; with it whether anything `answered`, whether it was `changing` something, and
        whether it may have `moved` an object to a stage."""
        self._outcomes[lab, step] = outcome
        if error:
            self._errors.append(error)
        self._answered |= answered
        self._changing |= changing
        self._moved |= moved

    def has(self, lab: str, step: int) -> bool:
        return (lab, step) in self._outcomes

    def converged(self, lab: str, step: int | None = None) -> bool:
        """The whole lab as far as it has come, or one of its steps."""
        return all(
            outcome in ("unchanged", "changed")
            for (name, number), outcome in self._outcomes.items()
            if name == lab and step in (None, number)
        )

    @property
    def counts(self) -> dict[Outcome, int]:
        return dict(Counter(self._outcomes.values()))

    def exit_status(self, stopped: bool) -> int:
        if stopped:
            return INTERRUPTED
        if self.refusal:
            return UsageError.exit_status if self._is_usage(self.refusal) else 1
        if "failed" in self._outcomes.values():
            usage = self._errors and all(self._is_usage(error) for error in self._errors)
            return UsageError.exit_status if usage and not self._changing else WorkshopError.exit_status
        return 3 if "inconclusive" in self._outcomes.values() else 0

    def resume(self, exit_status: int) -> str:
        """The command as it was typed, without what would begin again."""
        if exit_status in (0, UsageError.exit_status):
            return ""
        return going_on(self._request.command, moved=self._moved)

    def _is_usage(self, error: Exception) -> bool:
        """Also what is no UsageError, and says so: something that was not there from the beginning."""
        wrong = isinstance(error, WorkshopError) and error.exit_status == UsageError.exit_status
        return wrong and (isinstance(error, UsageError) or not self._answered)


@dataclass(frozen=True, slots=True)
class Execution:
    """What the steps of one run share: the job, the lock, the person to ask, what has become of them, and where
    their time went."""

    job: Job
    lock: RunLock
    gate: Gate
    outcomes: Outcomes
    times: TimeKeeper

    def refuse(self, error: Exception) -> None:
        """The run cannot go on: what is under way finishes, nothing else starts."""
        self.outcomes.refusal = self.outcomes.refusal or only_cause(error)
        self.job.stop.ask()


class _Refused(Exception):
    """The guard, or the person asked, does not let the run go on."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Progress:
    """How far a step has come, for the outcome when it ends there."""

    check: Check | None = None
    verifiable: bool = False
    thinking: float = 0.0
    """Seconds a person took to answer, which are not the step's."""
    changing: bool = False
    applied: bool = False
    unproved: bool = False
    """An earlier run has applied it, and not seen it proved."""
    verdict: Verdict | None = None


class StepRunner:
    """Runs the steps of one lab. `runs` are all that take part."""

    def __init__(self, execution: Execution, lab: Lab, runs: Mapping[ScheduledStep, Run]) -> None:
        self._lab, self._runs, self._execution = lab, runs, execution
        self._lock, self._gate, self._outcomes = execution.lock, execution.gate, execution.outcomes
        self._request, self._listener = execution.job.request, execution.job.listener
        self._stop = execution.job.stop
        self._asking = asyncio.Lock()
        self._may_destroy = False
        self._at: dict[str, ScheduledStep] = {}
        """The converged step of each part of the lab, of a timeline the one that its object is at."""
        self._taken_back: list[ScheduledStep] = []
        """What a verdict has undone."""

    async def run_step(self, step: ScheduledStep) -> None:
        """Every end but a cancelled run is an outcome, written down and told to the listener."""
        started = time.monotonic()
        self._runs[step].stopwatch = Stopwatch()
        self._listener(events.StepStarted(self._lab.name, step.number, step.title))
        progress = _Progress()
        outcome: Outcome = "skipped"
        error: Exception | None = None
        note, look_at = "", tuple[Hint, ...]()
        try:
            outcome = await self._converge(step, progress)
            note = self._note(step, progress, outcome)
            if outcome == "failed" and self._runs[step].undone:
                self._taken_back.append(step)
            if outcome in ("changed", "unchanged") and progress.verifiable:
                self._at[step.part] = step
                look_at = await self._look_at((step,)) if self._request.pause else ()
        except asyncio.CancelledError:
            outcome, note = self._cut_short(step, progress)
            raise
        except Exception as raised:
            cause = only_cause(raised)
            if isinstance(cause, Stopped):
                outcome, note = self._cut_short(step, progress)
            elif isinstance(cause, _Refused):
                note = "refused"
                self._execution.refuse(cause.error)
            else:
                outcome, error = "failed", cause
        finally:
            self._execution.times.add(self._runs[step].stopwatch.span(self._lab.name))
            self._outcomes.add(
                self._lab.name,
                step.number,
                outcome,
                error,
                answered=progress.check is not None and not progress.check.left_out,
                changing=progress.changing and not isinstance(error, UsageError),
                moved=progress.changing and step.timeline_run is not None,
            )
            self._listener(
                events.StepFinished(
                    self._lab.name,
                    step.number,
                    step.title,
                    outcome,
                    time.monotonic() - started - progress.thinking,
                    check=progress.check,
                    verdict=progress.verdict,
                    error=error,
                    note=note,
                    undone=self._runs[step].undone,
                    look_at=look_at,
                )
            )

    async def look_at(self) -> tuple[Hint, ...]:
        """What there is to see of the lab, as far as it has converged."""
        return await self._look_at(self._at.values())

    async def taken_back(self) -> tuple[tuple[Hint, ...], tuple[tuple[str, str], ...]] | None:
        """Where a verdict has undone a step: what there is to see of it now, and what else may be asked for."""
        if not self._taken_back:
            return None
        others = tuple(other for step in self._taken_back for other in step.step.others())
        return await self._look_at(self._taken_back), others

    async def _look_at(self, steps: Iterable[ScheduledStep]) -> tuple[Hint, ...]:
        """Nothing, of what cannot be found: nobody has asked for it."""
        found: list[Hint] = []
        for step in steps:
            with contextlib.suppress(WorkshopError, Stopped):
                found += _each_once(await self._stop.cuttable(step.step.look_at(self._runs[step])))
        return tuple(found)

    async def _converge(self, step: ScheduledStep, progress: _Progress) -> Outcome:
        run = self._runs[step]
        held = self._lock.held
        state = await self._state(step, progress)
        if state.check.converged:
            return await self._unchanged(step, state, progress)
        began = time.monotonic()
        await self._ask_before_changing(step, state.check)
        progress.thinking = time.monotonic() - began
        await self._take_lock(step)
        if not held or self._request.pause:
            # Somebody may have changed the target until the lock was ours, or while the person was asked.
            run.facts.forget()
            if step.timeline_run:
                step.timeline_run.forget()
            state = await self._state(step, progress)
            if state.check.converged:
                return await self._unchanged(step, state, progress)
        if self._stop.asked:
            raise Stopped
        record = run.use(ProofRecord)
        before = await self._stop.cuttable(record.unproved(run, step.part))
        if step.step.has_proof(run):
            await self._stop.cuttable(record.applied(run, step.part))
        moves = step.timeline_run is not None
        self._phase(step, "undo" if step.undoes else "apply", state.check, moves=moves)
        progress.changing = True
        try:
            await self._apply(step, progress)
            await step.step.settle(run)
            return await self._verified(step, progress, "changed")
        finally:
            if run.undone and not before:
                await record.proved(run, step.part)

    async def _apply(self, step: ScheduledStep, progress: _Progress) -> None:
        run = self._runs[step]
        try:
            await step.step.apply(run)
        finally:
            run.facts.forget_what_changes()
        progress.applied = True

    async def _state(self, step: ScheduledStep, progress: _Progress) -> StepState:
        self._phase(step, "check")
        state = await self._stop.cuttable(step.state(self._runs[step]))
        progress.check, progress.unproved, progress.verifiable = state.check, state.unproved, state.verifiable
        return state

    async def _unchanged(self, step: ScheduledStep, state: StepState, progress: _Progress) -> Outcome:
        await step.step.settle(self._runs[step])
        asked = self._request.verify or self._lab.name in self._request.proved
        if state.unproved or (asked and state.verifiable):
            return await self._verified(step, progress, "unchanged")
        return "unchanged"

    async def _verified(self, step: ScheduledStep, progress: _Progress, outcome: Outcome) -> Outcome:
        run = self._runs[step]
        if not self._request.proofs:
            return outcome
        if step.step.has_proof(run):
            self._phase(step, "verify")
            try:
                progress.verdict = await self._stop.cuttable(step.step.verify(run))
            except Exception as error:
                if not isinstance(only_cause(error), Stopped):
                    await self._not_proved(step)
                raise
        if progress.verdict is None or progress.verdict.kind == "pass":
            await run.use(ProofRecord).proved(run, step.part)
            return outcome
        await self._not_proved(step)
        return "failed" if progress.verdict.kind == "fail" else "inconclusive"

    async def _not_proved(self, step: ScheduledStep) -> None:
        """Also what was proved once, and is not so any more (--verify)."""
        run, record = self._runs[step], self._runs[step].use(ProofRecord)
        if not (run.undone or await record.unproved(run, step.part)):
            await record.applied(run, step.part)

    async def _ask_before_changing(self, step: ScheduledStep, check: Check) -> None:
        """The person with --pause, and before a clean-up. Raises Stopped or _Refused."""
        if self._request.pause:
            self._phase(step, "ask", check)
            if not await self._stop.cuttable(self._gate.go_on(self._lab.name, step.title, check)):
                self._stop.ask()
                raise Stopped
        if step.undoes:
            with _refusing():
                await self._ask_before_destroying()

    async def _take_lock(self, step: ScheduledStep) -> None:
        run = self._runs[step]
        with _refusing(), run.stopwatch.waiting():
            await self._stop.cuttable(self._lock.take(run.emit, destroys=step.undoes))

    async def _ask_before_destroying(self) -> None:
        """Once for the whole clean-up, with all that it will remove."""
        async with self._asking:
            if self._may_destroy:
                return
            guard = self._lock.guard
            await self._stop.cuttable(guard.may_destroy())
            if self._request.yes or guard.disposable:
                self._listener(events.Removing("", guard.name, await self._doomed(ask=False)))
            else:
                await self._confirm(guard.name, await self._doomed(ask=True))
            self._may_destroy = True

    async def _doomed(self, *, ask: bool) -> tuple[str, ...]:
        """All that the clean-up will remove. What a step cannot say is refused when a person has to agree to it;
        else the step itself will tell why, in its turn."""
        doomed: dict[str, str] = {}
        for step, run in self._runs.items():
            with contextlib.nullcontext() if ask else _passing_over():
                state = await self._stop.cuttable(step.state(run))
                for each in state.check.differences:
                    doomed[each.subject] = doomed.get(each.subject) or each.note
        return tuple(f"{subject}  {note}" if note else subject for subject, note in doomed.items())

    async def _confirm(self, target: str, doomed: tuple[str, ...]) -> None:
        tried = f"remove {len(doomed)} object{'' if len(doomed) == 1 else 's'} from {target}"
        if not self._gate.interactive:
            raise UsageError(tried, "there is no terminal to ask at", next_command=f"{self._request.command} --yes")
        if not await self._stop.cuttable(self._gate.confirm(target, doomed)):
            raise UsageError(tried, f"{target} was not typed", cause="nothing was changed")

    def _phase(self, step: ScheduledStep, phase: str, check: Check | None = None, *, moves: bool = False) -> None:
        self._runs[step].stopwatch.go_on(PHASES[phase])
        self._listener(events.StepPhase(self._lab.name, step.number, phase, check, moves))

    def _note(self, step: ScheduledStep, progress: _Progress, outcome: Outcome) -> str:
        note = progress.check.note if progress.check else ""
        if progress.unproved and not progress.changing:
            return f"applied by an earlier run{', proved now' if outcome == 'unchanged' else ''}"
        return step.lab.name if step.undoes and outcome == "changed" and not note else note

    def _cut_short(self, step: ScheduledStep, progress: _Progress) -> tuple[Outcome, str]:
        if not progress.changing:
            return "skipped", "interrupted"
        if self._runs[step].undone:
            return "inconclusive", "interrupted, and taken back"
        if not progress.applied:
            return "inconclusive", "interrupted while it was applied"
        return "inconclusive", "applied; interrupted before its effect was seen"


def _each_once(hints: Iterable[Hint]) -> list[Hint]:
    """With all that is to be seen there."""
    about: dict[tuple[HintKind, str], list[str]] = {}
    for hint in hints:
        about.setdefault((hint.kind, hint.what), []).append(hint.about)
    return [Hint(kind, what, "\n".join(filter(None, seen))) for (kind, what), seen in about.items()]


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What the guard or the gate raises ends the run, not just the step."""
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        raise _Refused(only_cause(error)) from error


@contextlib.contextmanager
def _passing_over() -> Iterator[None]:
    """An error, but no request to stop."""
    try:
        yield
    except Exception as error:
        if isinstance(only_cause(error), Stopped):
            raise
