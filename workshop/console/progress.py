"""A run as told by its events: what every lab and step is at, and the lines that are finished.

Views differ in when and where they print; what they print is decided here, once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

from rich.console import RenderableType
from rich.text import Text

from workshop.console.lines import Lines
from workshop.runbook import events


@dataclass(slots=True)
class StepProgress:
    """A step that runs. `at` is when the phase began."""

    number: int
    title: str
    began: float
    phase: str = "check"
    waiting: events.Waiting | None = None
    progress: events.Progress | None = None


@dataclass(slots=True)
class LabProgress:
    name: str
    title: str
    needed_by: tuple[str, ...]
    steps: int
    text: str = ""
    running: dict[int, StepProgress] = field(default_factory=dict)
    told: dict[int, list[str]] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    ended: list[events.StepFinished | events.Measured] = field(default_factory=list)
    """What is to be printed once its turn has come."""
    quiet: list[RenderableType] = field(default_factory=list)
    """Lines that say that nothing differs: of a need, printed once something does; in a brief run, counted."""
    lines: list[RenderableType] = field(default_factory=list)
    """Lines that are finished and wait for the lab's turn."""
    done: int = 0
    begun: bool = True
    asks: bool = False
    """A person is asked about it, who is to see the heading before."""
    printed: bool = False
    differs: bool = False
    finished: bool = False
    converged: bool = False

    @property
    def note(self) -> str:
        return f"for {', '.join(self.needed_by)}" if self.needed_by else ""


Line = tuple[str, RenderableType]
"""A finished line and the lab that it belongs under; "" for the run as a whole."""


class RunProgress:
    """Labs that run at the same time are kept apart, and come in the order of the runbook whichever is faster: the
    finished lines of the others wait their turn. So do those of a lab's steps that run at the same time: numbers
    ascend, whichever step ends first.

    What was needed and has converged already is folded: one line says how many labs that are.
    In a brief run so is whatever is unchanged, and of a lab that differs only the steps that do are shown.
    """

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.labs: dict[str, LabProgress] = {}
        self.total = self.done = 0
        self._part, self._of_one, self._brief = (1, 1), True, False
        self.began = time.monotonic()
        self.interrupted = self.over = False
        self.under: LabProgress | None = None
        """The lab under whose heading lines are being printed."""
        self._order: list[str] = []
        self._passed = 0
        """How many labs of that order have had their turn."""
        self._folded: list[LabProgress] = []
        self._not_begun: list[LabProgress] = []
        """When the run was stopped: one line says so."""

    @property
    def turn(self) -> LabProgress | None:
        """The lab whose lines are printed as they come; None while it has not begun."""
        return self.labs.get(self._order[self._passed]) if self._passed < len(self._order) else None

    @property
    def early(self) -> list[LabProgress]:
        """Those that have finished, and whose lines wait for their turn."""
        later = [self.labs[name] for name in self._order[self._passed + 1 :] if name in self.labs]
        return [lab for lab in later if lab.finished and lab.lines]

    def running(self) -> list[LabProgress]:
        """The labs that are at something: the one whose turn it is first."""
        return sorted((lab for lab in self.labs.values() if lab.running), key=lambda lab: lab is not self.turn)

    def command(self, event: events.Command) -> RenderableType:
        """As it is begun, whoever's turn it is: so it names its lab, but under that one's heading."""
        return self.lines.command(event, "" if self.under and self.under.name == event.lab else event.lab)

    def take(self, event: events.Event) -> Iterator[RenderableType]:
        """Take an event in, and give the lines to print now."""
        if isinstance(event, events.RunFinished):
            yield from self._fold()
            if self._not_begun:
                yield self.lines.not_begun(len(self._not_begun), sum(lab.done for lab in self._not_begun))
        for name, line in self._take(event):
            if name:
                self.labs[name].lines.append(line)
            else:
                yield line
        while lab := self.turn:
            yield from self._lines_of(lab)
            if not lab.finished:
                return
            if lab.quiet:
                self._folded.append(lab)
            self.under = None
            self._passed += 1

    def _lines_of(self, lab: LabProgress) -> Iterator[RenderableType]:
        if (lab.lines or lab.asks) and self.under is not lab:
            self.under = lab
            if not lab.needed_by:
                yield from self._fold()
            yield self.lines.heading(lab.name, lab.title, lab.note, lab.text)
            if lab.text and lab.lines:
                yield Text()
        yield from lab.lines
        lab.lines.clear()

    def _fold(self) -> Iterator[RenderableType]:
        if self._folded:
            steps = sum(lab.done for lab in self._folded)
            yield self.lines.folded(len(self._folded), steps, of_one=self._of_one, brief=self._brief)
            self._folded = []

    def _take(self, event: events.Event) -> Iterator[Line]:
        match event:
            case events.RunStarted():
                self.total, self.began = event.steps, time.monotonic()
                self._part, self._of_one = event.part, len(event.labs) - event.needs == 1
                self._brief = event.brief
                self._order += [name for name in event.labs if name not in self._order]
                yield "", self.lines.start(event)
            case events.NeedsConverged():
                yield "", self.lines.folded(len(event.labs), event.steps, of_one=self._of_one)
            case events.LabStarted():
                self.labs[event.lab] = LabProgress(event.lab, event.title, event.needed_by, event.steps, event.text)
                self.labs[event.lab].begun = event.begun
                if event.lab not in self._order:
                    self._order.append(event.lab)
            case events.Interrupted():
                self.interrupted = True
                yield "", self.lines.interrupted(event.at_once)
            case events.RunFinished():
                self.over = True
                yield "", self.lines.summary(event, self._part)
            case events.Command():
                pass  # only shown when asked for, which is the view's to know
            case _ if event.lab in self.labs:
                yield from ((event.lab, line) for line in self._of_lab(self.labs[event.lab], event))
            case events.Told():
                yield "", event.text
            case events.Removing():
                yield "", f"removing from {event.target}:"
                yield from (("", line) for line in self.lines.doomed(event.doomed))

    def _of_lab(self, lab: LabProgress, event: events.Event) -> Iterator[RenderableType]:
        match event:
            case events.StepStarted():
                lab.running[event.step] = StepProgress(event.step, event.title, time.monotonic())
            case events.StepPhase() if event.step in lab.running:
                step = lab.running[event.step]
                step.phase, step.waiting, step.progress = event.phase, None, None
                if event.phase == "ask":
                    lab.asks = True
                    yield from self._differs(lab)
            case events.Waiting() if event.step in lab.running:
                lab.running[event.step].waiting = event
            case events.Progress() if event.step in lab.running:
                lab.running[event.step].progress, lab.running[event.step].waiting = event, None
            case events.Told():
                lab.told.setdefault(event.step, []).append(event.text)
            case events.Measured():
                if event.step in lab.running:
                    lab.running[event.step].waiting = lab.running[event.step].progress = None
                lab.ended.append(event)
                yield from self._turn_of_steps(lab)
            case events.StepFinished():
                yield from self._finish(lab, event)
            case events.LabFinished():
                lab.converged = event.converged
                yield from self._finish_lab(lab)

    def _finish(self, lab: LabProgress, event: events.StepFinished) -> Iterator[RenderableType]:
        lab.running.pop(event.step, None)
        lab.done += 1
        self.done += 1
        lab.ended.append(event)
        yield from self._turn_of_steps(lab)

    def _finish_lab(self, lab: LabProgress) -> Iterator[RenderableType]:
        skipped = [event for event in lab.ended if _is_skipped(event)]
        if not lab.begun:
            self._not_begun.append(lab)
        elif skipped and not lab.printed and len(skipped) == len(lab.ended):
            yield self.lines.skipped_lab(skipped)
        else:
            yield from self._print(lab, lab.ended)
            if lab.differs and lab.quiet:
                yield self.lines.unchanged(len(lab.quiet))
                lab.quiet = []
        lab.printed = lab.finished = True

    def _turn_of_steps(self, lab: LabProgress) -> Iterator[RenderableType]:
        """What no step before it is still running for. When all of a lab's steps are skipped, one line will say so,
        in the end."""
        first = min(lab.running, default=math.inf)
        turn = [event for event in lab.ended if event.step <= first]
        if lab.printed or not all(map(_is_skipped, turn)):
            lab.ended = [event for event in lab.ended if event.step > first]
            yield from self._print(lab, turn)

    def _print(
        self, lab: LabProgress, ended: list[events.StepFinished | events.Measured]
    ) -> Iterator[RenderableType]:
        for event in sorted(ended, key=lambda event: event.step):
            lab.printed = True
            if isinstance(event, events.Measured):
                yield from self._differs(lab)
                yield self.lines.measured(event)
                continue
            told = self._told(lab, event.step)
            line = self.lines.step(event, told)
            folds = self._brief or (lab.needed_by and not lab.differs)
            if folds and self.lines.is_quiet(event) and not told:
                lab.quiet.append(line)
            else:
                yield from self._differs(lab)
                yield line

    def _differs(self, lab: LabProgress) -> Iterator[RenderableType]:
        """Something of a need does: so all of it is shown; in a brief run only that."""
        lab.differs = True
        if self._brief:
            return
        yield from lab.quiet
        lab.quiet = []

    def _told(self, lab: LabProgress, step: int) -> list[str]:
        """What a step told, without what a step of this lab has told before (an address that each one finds)."""
        new = [text for text in dict.fromkeys(lab.told.pop(step, ())) if text not in lab.said]
        lab.said.update(new)
        return new


def _is_skipped(event: events.Event) -> TypeGuard[events.StepFinished]:
    return isinstance(event, events.StepFinished) and event.outcome == "skipped"
