"""What happens in a run, as it happens. The console (or a test, or a journal) listens."""

from __future__ import annotations

from dataclasses import dataclass

from workshop.runbook.model import Check, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Event:
    """`lab` is the lab's name, empty for the run as a whole."""

    lab: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    labs: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class LabStarted(Event):
    title: str
    steps: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class StepPhase(Event):
    """A step goes on to `phase`: "check", "apply", "verify" or "undo"."""

    step: int
    phase: str
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """`waited` and `limit` are seconds."""

    what: str
    missing: str
    waited: float
    limit: float


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """`done` of `total` (requests of a probe, for instance)."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Told(Event):
    """A line worth seeing in a step's result: an address found, a table."""

    text: str


@dataclass(frozen=True, slots=True)
class Command(Event):
    """A subprocess is about to start; secrets never travel in arguments."""

    argv: tuple[str, ...]
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """`seconds` of the step; `error` when it failed; `check` is what the check had found."""

    step: int
    title: str
    outcome: Outcome
    seconds: float
    check: Check | None = None
    verdict: Verdict | None = None
    error: Exception | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """Ctrl-C was seen; the run stops at the next safe point."""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """`resume` is the command that goes on, when there is something left."""

    exit_status: int
    seconds: float
    counts: dict[Outcome, int]
    resume: str = ""
