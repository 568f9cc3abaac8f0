"""The words of a runbook: labs, steps, stages, and what checks and probes say of them.

A step promises four things: `check` decides from facts and changes nothing; `apply` is safe to repeat and safe
to kill; `verify` observes the effect; `undo` removes exactly what the step added. This module is imported by
`invoke --list`, so it stays light: no asyncio, no rich, no YAML.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workshop.runbook.run import Run

Outcome = Literal["unchanged", "changed", "failed", "inconclusive", "skipped", "missing", "left", "proved"]
"""What became of a step. The last three are a check's (`checking.py`), which applies nothing: not as wanted, not
taken back yet, and as wanted with a proof that has passed."""

HintKind = Literal["open", "call", "type", "next", "try", "undo"]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()
"""Stands where a difference has nothing on one side."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as wanted. `subject` is an object ("VirtualService bookinfo/reviews"),
    `path` the field in it ("spec.http[0].route[0].weight"), empty for the object as a whole. `note` is shown beside
    the subject: what is worth knowing before it is changed."""

    subject: str
    path: str = ""
    wanted: Any = ABSENT
    found: Any = ABSENT
    note: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found. No difference means converged. `note` is shown beside the outcome. `left_out`: the target
    lacks what the step is about, so there is nothing to do, and nothing to prove. `added` (wanted ABSENT) is what
    somebody has added by hand, which a run leaves alone: it keeps nothing from being converged."""

    differences: tuple[Difference, ...] = ()
    note: str = ""
    left_out: bool = False
    added: tuple[Difference, ...] = ()

    @property
    def converged(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured share (0 to 1) beside the expected one and the range that is accepted."""

    label: str
    measured: float
    expected: float | None = None
    accepted: tuple[float, float] | None = None
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long answers took, in seconds: `counts[i]` of them more than `bounds[i]` and at most `bounds[i + 1]`.

    There is one bound more than counts, ascending; the last may be infinite. `p50` and `p99` are the times that
    half and 99 % of the answers did not exceed. `workshop.traffic.latency` makes these.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    p50: float
    p99: float

    def __post_init__(self) -> None:
        if len(self.bounds) != len(self.counts) + 1 or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"{len(self.counts)} counts need one ascending bound more, not {self.bounds}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a probe measured: `samples` good answers in `seconds`, and `errors`, calls without one.

    `latencies` where time is part of the claim.
    """

    title: str
    bars: tuple[Bar, ...]
    samples: int
    seconds: float
    errors: int = 0
    latencies: Latencies | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Literal["pass", "fail", "inconclusive"]
    reason: str
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person would do instead: the YAML applied and the commands to type."""

    yaml: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hint:
    """What a person may do now: `open` an address, `call` one by a command, `type` one that shows something, go on
    with the `next` command, `try` another one, or `undo` by one. `about` says what that does, or what there is to
    see, a line for each thing."""

    kind: HintKind
    what: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """Why something that was deleted does not go: who holds it, and what to type."""

    cause: str = ""
    next_command: str = ""


class Step(ABC):
    """The smallest thing an attendee runs. `title` is a sentence in the imperative, `undo_title` the one for
    taking it back (when empty, the engine makes one of `title`)."""

    title: str
    undo_title: str = ""
    inner: Step | None = None
    """The step that this one runs elsewhere, or with something around it."""

    @abstractmethod
    async def check(self, run: Run) -> Check: ...

    @abstractmethod
    async def apply(self, run: Run) -> None: ...

    async def check_standing(self, run: Run) -> Check:
        """As `check`, asked when a later proof did not pass: also whether what is there can do its work."""
        return await self.check(run)

    async def verify(self, run: Run) -> Verdict | None:
        return None

    def has_proof(self, run: Run) -> bool:
        """Whether `verify` would come to a verdict. One that was not reached is remembered."""
        return type(self).verify is not Step.verify

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        """What there is to see of it, asked once it has converged. Only what answers: raises WorkshopError while
        that is not known."""
        return await self.inner.look_at(run) if self.inner else ()

    def others(self) -> tuple[tuple[str, str], ...]:
        """What else may be asked for where this step has taken its change back, as the same would end the same:
        options of the lab, and what they do."""
        return ()

    async def settle(self, run: Run) -> None:
        """Called in a run (a plan only checks) when nothing is left to do, or to undo: for what an earlier run has
        written down about this step and is over now."""
        return

    async def check_undo(self, run: Run) -> Check:
        """What of this step is still there: converged when nothing is. A difference's `found` may say what it waits
        for while it goes."""
        return Check()

    async def undo(self, run: Run) -> None:
        """Remove what `check_undo` found. The engine then waits until `check_undo` finds nothing."""
        return

    async def held_up(self, run: Run) -> HeldUp:
        """Why what `undo` removed is still there, asked when it has been waited for in vain."""
        return HeldUp()

    @abstractmethod
    def explain(self, run: Run) -> Explanation: ...

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation()


@dataclass(frozen=True, slots=True)
class Together:
    """Steps of a lab that do not depend on each other and run at the same time. `after` are labs that must have
    converged before these steps, but not before the lab begins."""

    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a timeline's object is, read from the cluster.

    `stage` is the name of the stage it is at, None before the first one or off the path. `off_path` says what it
    is instead, in words. `holder` is the lab that moved the object last, empty when unknown.
    """

    stage: str | None
    off_path: str = ""
    holder: str = ""
    differences: tuple[Difference, ...] = ()


class Timeline(ABC):
    """An object that a lab moves through stages, one step for each.

    `stages` are names in order. The object before the first stage is at `start` (for instance, absent); where an
    earlier lab moves the same object, `start` is the name of that lab's stage it takes over from.
    """

    title: str
    start: str
    stages: tuple[str, ...]
    undo_title: str = ""

    @abstractmethod
    async def position(self, run: Run) -> Position: ...

    @abstractmethod
    def step(self, stage: str, run: Run) -> Step:
        """The step that moves the object to `stage` (also `start`, and a stage made from the run's options)."""
        ...

    def asked(self, run: Run) -> str | None:
        """A stage off the path that the run's options ask for (`--weights`), by a name `step` understands.

        Raises UsageError for options that make no stage.
        """
        return None

    async def check_undo(self, run: Run) -> Check:
        """What undoing the whole timeline would change: what the step to `start` would, when the object is at one
        of these stages, or off the path with this lab the last to have moved it. An object elsewhere is another
        lab's."""
        position = await self.position(run)
        if position.stage is None and not (position.off_path and position.holder == run.lab):
            return Check()
        return await self.step(self.start, run).check(run)

    async def undo(self, run: Run) -> None:
        await self.step(self.start, run).apply(run)

    async def held_up(self, run: Run) -> HeldUp:
        return await self.step(self.start, run).held_up(run)

    def explain_undo(self, run: Run) -> Explanation:
        return self.step(self.start, run).explain(run)


Part = Step | Together | Timeline


@dataclass(frozen=True, slots=True)
class Option:
    """A lab's own option on the command line. Values arrive as text (or bool); options.py has kinds that parse
    theirs. One that is `about` another option means nothing without it."""

    name: str
    help: str
    default: str | bool | None = None
    about: str = field(default="", kw_only=True)

    def problem(self, given: str | bool | None) -> str:
        """What is wrong with a value, "" when nothing is."""
        return ""

    def text(self, options: Options) -> str:
        """The value as a manifest has it."""
        return str(options.get(self.name, self.default))


@dataclass(frozen=True, slots=True)
class Lab:
    """One section of the workshop.

    `needs` are labs that must have converged before. `undoes` makes it a clean-up: its parts are none, and it runs
    the undo of those labs' parts, last first. `tries` are options worth trying once it has converged, each with
    what that shows: ("--to blue", "back to blue").
    """

    name: str
    title: str
    text: str
    parts: tuple[Part, ...] = ()
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    undoes: tuple[str, ...] = ()
    tries: tuple[tuple[str, str], ...] = ()

    @property
    def all_needs(self) -> tuple[str, ...]:
        """Also those of some of its parts only."""
        later = [name for part in self.parts if isinstance(part, Together) for name in part.after]
        return tuple(dict.fromkeys((*self.needs, *later)))


@dataclass(frozen=True, slots=True)
class Runbook:
    """Labs in order. Raises ValueError when a need is unknown or comes later."""

    labs: tuple[Lab, ...]
    _index: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for lab in self.labs:
            for other in (*lab.all_needs, *lab.undoes):
                if other not in self._index:
                    raise ValueError(f"lab {lab.name} needs {other}, which does not come before it")
            self._index[lab.name] = len(self._index)

    def lab(self, name: str) -> Lab:
        return self.labs[self._index[name]]

    def position(self, name: str) -> int:
        return self._index[name]

    def with_needs(self, names: tuple[str, ...]) -> tuple[Lab, ...]:
        """These labs and all they need, in the runbook's order."""
        wanted: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo.extend(self.lab(name).all_needs)
        return tuple(lab for lab in self.labs if lab.name in wanted)


Options = Mapping[str, str | bool | None]
