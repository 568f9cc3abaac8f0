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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from workshop.runbook import events
from workshop.runbook.chain import Look, Unit
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.guard import Gate
from workshop.runbook.hold import Hold
from workshop.runbook.model import Check, Hint, HintKind, Lab, Outcome, Verdict
from workshop.runbook.request import Request
from workshop.runbook.run import Listener, Run
from workshop.runbook.stop import Stop, Stopped
from workshop.runbook.tally import Tally
from workshop.runbook.unproved import Unproved


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
    """Runs the steps of one lab. `runs` are all that take part; `refuse` is told why the whole run cannot go on."""

    def __init__(
        self,
        lab: Lab,
        runs: Mapping[Unit, Run],
        request: Request,
        stop: Stop,
        hold: Hold,
        tally: Tally,
        gate: Gate,
        listener: Listener,
        refuse: Callable[[Exception], None],
    ) -> None:
        self._lab, self._runs, self._request, self._stop, self._hold = lab, runs, request, stop, hold
        self._tally, self._gate, self._listener, self._refuse = tally, gate, listener, refuse
        self._asking = asyncio.Lock()
        self._may_destroy = False
        self._at: dict[str, Unit] = {}
        """The converged step of each part of the lab, of a timeline the one that its object is at."""
        self._taken_back: list[Unit] = []
        """What a verdict has undone."""

    async def step(self, unit: Unit) -> None:
        """Every end but a cancelled run is an outcome, told to the tally and the listener."""
        started = time.monotonic()
        self._listener(events.StepStarted(self._lab.name, unit.number, unit.title))
        progress = _Progress()
        outcome: Outcome = "skipped"
        error: Exception | None = None
        note, look_at = "", tuple[Hint, ...]()
        try:
            outcome = await self._converge(unit, progress)
            note = self._note(unit, progress, outcome)
            if outcome == "failed" and self._runs[unit].undone:
                self._taken_back.append(unit)
            if outcome in ("changed", "unchanged") and progress.verifiable:
                self._at[unit.part] = unit
                look_at = await self._look_at((unit,)) if self._request.pause else ()
        except asyncio.CancelledError:
            outcome, note = self._cut_short(unit, progress)
            raise
        except Exception as raised:
            cause = only_cause(raised)
            if isinstance(cause, Stopped):
                outcome, note = self._cut_short(unit, progress)
            elif isinstance(cause, _Refused):
                note = "refused"
                self._refuse(cause.error)
            else:
                outcome, error = "failed", cause
        finally:
            self._tally.add(self._lab.name, unit.number, outcome, error)
            self._tally.met |= progress.check is not None
            self._tally.touched |= progress.changing and not isinstance(error, UsageError)
            self._tally.moved |= progress.changing and unit.course is not None
            self._listener(
                events.StepFinished(
                    self._lab.name,
                    unit.number,
                    unit.title,
                    outcome,
                    time.monotonic() - started - progress.thinking,
                    progress.check,
                    progress.verdict,
                    error,
                    note,
                    self._runs[unit].undone,
                    look_at,
                )
            )

    async def look_at(self) -> tuple[Hint, ...]:
        """What there is to see of the lab, as far as it has converged."""
        return await self._look_at(self._at.values())

    async def taken_back(self) -> tuple[tuple[Hint, ...], tuple[tuple[str, str], ...]] | None:
        """Where a verdict has undone a step: what there is to see of it now, and what else may be asked for."""
        if not self._taken_back:
            return None
        others = tuple(other for unit in self._taken_back for other in unit.step.others())
        return await self._look_at(self._taken_back), others

    async def _look_at(self, units: Iterable[Unit]) -> tuple[Hint, ...]:
        """Nothing, of what cannot be found: nobody has asked for it."""
        found: list[Hint] = []
        for unit in units:
            with contextlib.suppress(WorkshopError, Stopped):
                found += _each_once(await self._stop.cuttable(unit.step.look_at(self._runs[unit])))
        return tuple(found)

    async def _converge(self, unit: Unit, progress: _Progress) -> Outcome:
        run = self._runs[unit]
        held = self._hold.held
        look = await self._look(unit, progress)
        if look.check.converged:
            return await self._unchanged(unit, look, progress)
        began = time.monotonic()
        await self._ask_before_changing(unit, look.check)
        progress.thinking = time.monotonic() - began
        await self._lock(unit)
        if not held:
            # Somebody else may have changed the target until the lock was ours.
            run.facts.forget()
            if unit.course:
                unit.course.forget()
            look = await self._look(unit, progress)
            if look.check.converged:
                return await self._unchanged(unit, look, progress)
        if self._stop.asked:
            raise Stopped
        unproved = run.use(Unproved)
        before = await self._stop.cuttable(unproved.has(run, unit.part))
        if unit.step.has_proof(run):
            await self._stop.cuttable(unproved.begin(run, unit.part))
        self._phase(unit, "undo" if unit.undoes else "apply", look.check)
        progress.changing = True
        try:
            await self._apply(unit, progress)
            await unit.step.settle(run)
            return await self._verified(unit, progress, "changed")
        finally:
            if run.undone and not before:
                await unproved.end(run, unit.part)

    async def _apply(self, unit: Unit, progress: _Progress) -> None:
        run = self._runs[unit]
        try:
            await unit.step.apply(run)
        finally:
            run.facts.forget_what_changes()
        progress.applied = True

    async def _look(self, unit: Unit, progress: _Progress) -> Look:
        self._phase(unit, "check")
        look = await self._stop.cuttable(unit.look(self._runs[unit]))
        progress.check, progress.unproved, progress.verifiable = look.check, look.unproved, look.verifiable
        return look

    async def _unchanged(self, unit: Unit, look: Look, progress: _Progress) -> Outcome:
        await unit.step.settle(self._runs[unit])
        if look.unproved or (self._request.verify and look.verifiable):
            return await self._verified(unit, progress, "unchanged")
        return "unchanged"

    async def _verified(self, unit: Unit, progress: _Progress, outcome: Outcome) -> Outcome:
        run = self._runs[unit]
        if unit.step.has_proof(run):
            self._phase(unit, "verify")
            try:
                progress.verdict = await self._stop.cuttable(unit.step.verify(run))
            except Exception as error:
                if not isinstance(only_cause(error), Stopped):
                    await self._not_proved(unit)
                raise
        if progress.verdict is None or progress.verdict.kind == "pass":
            await run.use(Unproved).end(run, unit.part)
            return outcome
        await self._not_proved(unit)
        return "failed" if progress.verdict.kind == "fail" else "inconclusive"

    async def _not_proved(self, unit: Unit) -> None:
        """Also what was proved once, and is not so any more (--verify)."""
        run, unproved = self._runs[unit], self._runs[unit].use(Unproved)
        if not (run.undone or await unproved.has(run, unit.part)):
            await unproved.begin(run, unit.part)

    async def _ask_before_changing(self, unit: Unit, check: Check) -> None:
        """The person with --pause, and before a clean-up. Raises Stopped or _Refused."""
        if self._request.pause:
            self._phase(unit, "ask", check)
            if not await self._stop.cuttable(self._gate.go_on(self._lab.name, unit.title, check)):
                self._stop.ask()
                raise Stopped
        if unit.undoes:
            with _refusing():
                await self._ask_before_destroying()

    async def _lock(self, unit: Unit) -> None:
        with _refusing():
            await self._stop.cuttable(self._hold.take(self._runs[unit].emit, destroys=unit.undoes))

    async def _ask_before_destroying(self) -> None:
        """Once for the whole clean-up, with all that it will remove."""
        async with self._asking:
            if self._may_destroy:
                return
            guard = self._hold.guard
            await self._stop.cuttable(guard.may_destroy())
            if self._request.yes or guard.disposable:
                doomed = await self._doomed(ask=False)
                self._listener(events.Told("", "\n    ".join((f"removing from {guard.name}:", *doomed))))
            else:
                await self._confirm(guard.name, await self._doomed(ask=True))
            self._may_destroy = True

    async def _doomed(self, *, ask: bool) -> tuple[str, ...]:
        """All that the clean-up will remove. What a step cannot say is refused when a person has to agree to it;
        else the step itself will tell why, in its turn."""
        doomed: dict[str, str] = {}
        for unit, run in self._runs.items():
            with contextlib.nullcontext() if ask else _passing_over():
                look = await self._stop.cuttable(unit.look(run))
                for each in look.check.differences:
                    doomed[each.subject] = doomed.get(each.subject) or each.note
        return tuple(f"{subject}  {note}" if note else subject for subject, note in doomed.items())

    async def _confirm(self, target: str, doomed: tuple[str, ...]) -> None:
        tried = f"remove {len(doomed)} object{'' if len(doomed) == 1 else 's'} from {target}"
        if not self._gate.interactive:
            raise UsageError(tried, "there is no terminal to ask at", next_command=f"{self._request.command} --yes")
        if not await self._stop.cuttable(self._gate.confirm(target, doomed)):
            raise UsageError(tried, f"{target} was not typed", cause="nothing was changed")

    def _phase(self, unit: Unit, phase: str, check: Check | None = None) -> None:
        self._listener(events.StepPhase(self._lab.name, unit.number, phase, check))

    def _note(self, unit: Unit, progress: _Progress, outcome: Outcome) -> str:
        note = progress.check.note if progress.check else ""
        if progress.unproved and not progress.changing:
            return f"applied by an earlier run{', proved now' if outcome == 'unchanged' else ''}"
        return unit.lab.name if unit.undoes and outcome == "changed" and not note else note

    def _cut_short(self, unit: Unit, progress: _Progress) -> tuple[Outcome, str]:
        if not progress.changing:
            return "skipped", "interrupted"
        if self._runs[unit].undone:
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


def only_cause(error: Exception) -> Exception:
    """What a task group wrapped: its first real error. Stopped only when there is no other."""
    while isinstance(error, ExceptionGroup):
        error = next((inner for inner in error.exceptions if not isinstance(inner, Stopped)), error.exceptions[0])
    return error
