"""What a runbook is made of: labs, their steps, and the timelines of objects that move through stages.

A step promises four things: `check` decides from facts and changes nothing; `apply` is safe to repeat and safe
to kill; `verify` observes the effect; `undo` removes exactly what the step added. This module is imported by
`invoke --list`, so it stays light: no rich, no YAML.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass as dataclass_now
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from workshop.runbook.errors import UsageError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.options import Option
from workshop.runbook.results import Check, Difference, Explanation, HeldUp, Hint, Verdict

if TYPE_CHECKING:
    from workshop.runbook.run import Run


class Step(ABC):
    """The smallest thing an attendee runs. `title` is a sentence in the imperative, `undo_title` the one for
    taking it back (when empty, the engine makes one of `title`)."""

    title: str
    undo_title: str = ""
    files: tuple[str, ...] = ()
    """Manifests that have to be beside the lab."""
    undo_only_deletes: bool = True
    """Whether taking it back is to delete what it has made, and nothing else."""
    inner: Step | None = None
    """The step that this one is about, where it is one around another (`WrappedStep`)."""

    @abstractmethod
    async def check(self, run: Run) -> Check: ...

    @abstractmethod
    async def apply(self, run: Run) -> None: ...

    async def check_readiness(self, run: Run) -> Check:
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
        return ()

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

    async def made(self, run: Run) -> frozenset[str]:
        """The subjects of all that carries the lab's label for this step once it has converged."""
        return frozenset()

    @abstractmethod
    def explain(self, run: Run) -> Explanation: ...

    def explain_undo(self, run: Run) -> Explanation:
        return Explanation()


class WrappedStep(Step):
    """A step around another one: all that it does not say itself is the inner step's, in the run that
    `inner_run` gives. Where that is None the step is left out: it has nothing to do, to prove or to undo.

    This is the only place that passes a step's methods on; a wrapper overrides what it adds to.
    """

    inner: Step

    def __init__(self, inner: Step) -> None:
        self.inner, self.title, self.undo_title = inner, inner.title, inner.undo_title
        self.undo_only_deletes = inner.undo_only_deletes

    def inner_run(self, run: Run) -> Run | None:
        return run

    def left_out(self) -> str:
        """Why, where it is left out."""
        return "left out"

    async def check(self, run: Run) -> Check:
        inner = self.inner_run(run)
        return await self.inner.check(inner) if inner else Check(note=self.left_out(), left_out=True)

    async def check_readiness(self, run: Run) -> Check:
        inner = self.inner_run(run)
        return await self.inner.check_readiness(inner) if inner else Check()

    async def apply(self, run: Run) -> None:
        if inner := self.inner_run(run):
            await self.inner.apply(inner)

    async def verify(self, run: Run) -> Verdict | None:
        inner = self.inner_run(run)
        return await self.inner.verify(inner) if inner else None

    def has_proof(self, run: Run) -> bool:
        inner = self.inner_run(run)
        return inner is not None and self.inner.has_proof(inner)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        inner = self.inner_run(run)
        return await self.inner.look_at(inner) if inner else ()

    def others(self) -> tuple[tuple[str, str], ...]:
        return self.inner.others()

    async def settle(self, run: Run) -> None:
        if inner := self.inner_run(run):
            await self.inner.settle(inner)

    async def check_undo(self, run: Run) -> Check:
        inner = self.inner_run(run)
        return await self.inner.check_undo(inner) if inner else Check()

    async def undo(self, run: Run) -> None:
        if inner := self.inner_run(run):
            await self.inner.undo(inner)

    async def held_up(self, run: Run) -> HeldUp:
        inner = self.inner_run(run)
        return await self.inner.held_up(inner) if inner else HeldUp()

    async def made(self, run: Run) -> frozenset[str]:
        inner = self.inner_run(run)
        return await self.inner.made(inner) if inner else frozenset()

    def explain(self, run: Run) -> Explanation:
        inner = self.inner_run(run)
        return self.inner.explain(inner) if inner else Explanation()

    def explain_undo(self, run: Run) -> Explanation:
        inner = self.inner_run(run)
        return self.inner.explain_undo(inner) if inner else Explanation()


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
    is instead, in words. `moved_by` is the lab that moved the object last, empty when unknown. `differences` are
    those from the nearest stage; at a stage, what is to be repaired there.
    """

    stage: str | None
    off_path: str = ""
    moved_by: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomStage:
    """A stage that is none of a timeline's own, as the run's options ask for it (`--weights 80,20,0`). `name` is
    for a person to read; `step` moves the object there."""

    name: str
    step: Step


class Timeline(ABC):
    """An object that a lab moves through stages, one step for each.

    `stages` are names in order. The object before the first stage is at `start` (for instance, absent); where an
    earlier lab moves the same object, `start` is the name of that lab's stage it takes over from.
    """

    title: str
    start: str
    stages: tuple[str, ...]
    undo_title: str = ""
    files: tuple[str, ...] = ()
    """Manifests that have to be beside the lab."""

    @abstractmethod
    async def position(self, run: Run) -> Position: ...

    @abstractmethod
    def step(self, stage: str, run: Run) -> Step:
        """The step that moves the object to one of `stages`, or to `start`."""
        ...

    def custom_stage(self, run: Run) -> CustomStage | None:
        """The stage off the path that the run's options ask for. The options are read here, and nowhere again.

        Raises UsageError for options that make no stage.
        """
        return None

    async def check_undo(self, run: Run) -> Check:
        """What undoing the whole timeline would change: what the step to `start` would, when the object is at one
        of these stages, or off the path with this lab the last to have moved it. An object elsewhere is another
        lab's."""
        position = await self.position(run)
        if position.stage is None and not (position.off_path and position.moved_by == run.lab):
            return Check()
        return await self.step(self.start, run).check(run)

    async def undo(self, run: Run) -> None:
        await self.step(self.start, run).apply(run)

    async def held_up(self, run: Run) -> HeldUp:
        return await self.step(self.start, run).held_up(run)

    def explain_undo(self, run: Run) -> Explanation:
        return self.step(self.start, run).explain(run)


Part = Step | Together | Timeline


@dataclass_now(frozen=True, slots=True)
class Lab:
    """One section of the workshop.

    `needs` are labs that must have converged before. Those of `apart_from`, when a run has them, are to have ended
    before, however: their requests would be counted with the lab's own. `undoes` makes it a clean-up: its parts are
    none, and it runs the undo of those labs' parts, last first; with `clean_up`, of all labs that are its to take
    back (see `cleaned_up`). `named` are those of them that a person has named, where a line with --undo made the
    clean-up.
    `tries` are options worth trying once it has converged, each with what that shows: ("--to blue", "back to
    blue"). `file` and `line` are where it is declared, which it finds out itself; `mistake` is what is wrong with
    that file (see `lab_files`), raised when the lab is asked for.
    """

    name: str
    title: str
    text: str
    parts: tuple[Part, ...] = ()
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    undoes: tuple[str, ...] = ()
    tries: tuple[tuple[str, str], ...] = ()
    apart_from: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    clean_up: bool = False
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    mistake: UsageError | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.file:
            declared = sys._getframe(2)  # below this one and __init__
            object.__setattr__(self, "file", declared.f_code.co_filename)
            object.__setattr__(self, "line", declared.f_lineno)

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    @property
    def all_needs(self) -> tuple[str, ...]:
        """Also those of some of its parts only."""
        later = [name for part in self.parts if isinstance(part, Together) for name in part.after]
        return tuple(dict.fromkeys((*self.needs, *later)))

    @property
    def all_before(self) -> tuple[str, ...]:
        """All labs that it names as those which come before it."""
        return tuple(dict.fromkeys((*self.all_needs, *self.undoes, *self.apart_from)))


@dataclass_now(frozen=True)
class Runbook:
    """Labs in order. Raises ValueError when a need is unknown or comes later."""

    labs: tuple[Lab, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labs", tuple(cleaned_up(self.labs)))
        before: set[str] = set()
        for lab in self.labs:
            for other in lab.all_before:
                if other not in before:
                    raise ValueError(f"lab {lab.name} names {other}, which does not come before it")
            before.add(lab.name)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {lab.name: place for place, lab in enumerate(self.labs)}

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


def cleaned_up(labs: Iterable[Lab]) -> Iterator[Lab]:
    """The labs, each `clean_up` with what it takes back: the labs of its group, and those that need them. What no
    clean-up would take back so, the last one does: nothing is left behind because nobody has listed it."""
    labs = tuple(labs)
    clean_ups = [lab for lab in labs if lab.clean_up]
    others = {lab.name: lab for lab in labs if not lab.clean_up and not lab.undoes}
    taken: dict[str, set[str]] = {}
    for lab in clean_ups:
        mine = taken[lab.name] = {name for name, other in others.items() if other.group == lab.group}
        while more := {name for name, other in others.items() if mine.intersection(other.all_needs)} - mine:
            mine |= more
    if clean_ups:
        taken[clean_ups[-1].name] |= set(others).difference(*taken.values())
    for lab in labs:
        names = tuple(name for name in others if name in taken.get(lab.name, ()))
        yield replace(lab, undoes=names) if lab.clean_up else lab
