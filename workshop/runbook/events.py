"""What happens in a run, as it happens. The console (or a test, or a journal) listens."""

from __future__ import annotations

from dataclasses import dataclass, field

from workshop.runbook.results import Check, Hint, Outcome, Verdict
from workshop.runbook.timings import Seconds, Timings


@dataclass(frozen=True, slots=True)
class Event:
    """`lab` is the lab's name, empty for the run as a whole."""

    lab: str


@dataclass(frozen=True, slots=True)
class Detail(Event):
    """What a step (or a tool it uses) says while it runs. Whoever emits it leaves `step` alone: `Run.emit` knows
    the step. It is 0 for what belongs to none."""

    step: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """`labs` are all that take part, in the order in which they are to be shown, `needs` of which only because
    others need them; `steps` counts theirs. `part` says which of how many runs of one command this is, and `asked`
    are the labs asked for. `brief`: what is unchanged is to be told together, whoever asked for it."""

    labs: tuple[str, ...]
    target: str
    steps: int = 0
    needs: int = 0
    part: tuple[int, int] = (1, 1)
    asked: tuple[str, ...] = ()
    brief: bool = False


@dataclass(frozen=True, slots=True)
class NeedsConverged(Event):
    """A check has found nothing missing of these labs, which others need; they have that many steps."""

    labs: tuple[str, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class LabStarted(Event):
    """`needed_by` are the labs that it was brought in for, none where it was asked for itself. `text` is what it
    teaches, for a person who pauses. One that has not `begun` when the run is stopped only tells that its steps are
    skipped."""

    title: str
    steps: int
    needed_by: tuple[str, ...] = ()
    text: str = ""
    begun: bool = True


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class StepPhase(Event):
    """A step goes on to `phase`: "check", "ask" (the person who pauses), "apply", "verify" or "undo". `moves`: what
    it applies moves an object to a stage, so beginning again would lose that."""

    step: int
    phase: str
    check: Check | None = None
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Waiting(Detail):
    """`waited` and `limit` are seconds."""

    what: str
    missing: str
    waited: float
    limit: float


@dataclass(frozen=True, slots=True)
class Progress(Detail):
    """`done` of `total` (requests of a probe, for instance)."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Told(Detail):
    """A line worth seeing in a step's result: an address found, a table."""

    text: str


@dataclass(frozen=True, slots=True)
class Removing(Event):
    """All that a clean-up is about to remove from `target`, where nobody is asked."""

    target: str
    doomed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured(Detail):
    """A step that measures several times has measured once more; `title` says at what (a stage, a load).

    It is shown as it comes. So the step's own verdict, at its end, has a reason only and no measurements: nothing
    is shown twice.
    """

    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Found(Detail):
    """The version of something that the run works with ("Istio", "1.31.1"): for the record."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Command(Detail):
    """A subprocess is about to start; secrets never travel in arguments. Where it is no `process`, one that is
    there already is asked, and this is what a person types to ask the same."""

    argv: tuple[str, ...]
    stdin: str = ""
    process: bool = True


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """`seconds` of the step; `error` when it failed; `check` is what the check had found. `undone`: the change
    has been taken back. `look_at` is what there is to see now, for a person who pauses."""

    step: int
    title: str
    outcome: Outcome
    seconds: float
    check: Check | None = None
    verdict: Verdict | None = None
    error: Exception | None = None
    note: str = ""
    undone: bool = False
    look_at: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class LabFinished(Event):
    """All steps of the lab have an outcome. `converged` when labs that need it can go on. `spent` is where its time
    went (see `timings`)."""

    seconds: float
    converged: bool
    spent: Seconds = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """Ctrl-C was seen; the run stops at the next safe point, or at once when it was seen again."""

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """`resume` is the command that goes on, when there is something left. `error` is why the run as a whole was
    refused or stopped, when that is not one step's failure. `hints` are what is worth doing when it has
    converged, or when a verdict has undone it: then there is no `resume` if something else may be asked for.
    `timings` is where the time of a run went; a check has none."""

    exit_status: int
    seconds: float
    counts: dict[Outcome, int]
    resume: str = ""
    error: Exception | None = None
    hints: tuple[Hint, ...] = ()
    timings: Timings | None = None
