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

from workshop.console.lines import Lines
from workshop.runbook import events


@dataclass(slots=True)
class StepStory:
    """A step that runs. `at` is when the phase began."""

    number: int
    title: str
    began: float
    phase: str = "check"
    waiting: events.Waiting | None = None
    progress: events.Progress | None = None


@dataclass(slots=True)
class LabStory:
    name: str
    title: str
    note: str
    steps: int
    running: dict[int, StepStory] = field(default_factory=dict)
    told: dict[int, list[str]] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    ended: list[events.StepFinished | events.Measured] = field(default_factory=list)
    """What is to be printed once its turn has come."""
    done: int = 0
    printed: bool = False
    finished: bool = False


Line = tuple[str, RenderableType]
"""A finished line and the lab that it belongs under; "" for the run as a whole."""


class Story:
    """Labs that run at the same time are kept apart: the lab under whose heading lines are being printed goes on
    until it has finished, while the finished lines of the others wait their turn. So do those of a lab's steps that
    run at the same time: numbers ascend, whichever step ends first."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.labs: dict[str, LabStory] = {}
        self.total = self.done = 0
        self.began = time.monotonic()
        self.interrupted = self.over = False
        self.under: LabStory | None = None
        self.waiting: dict[str, list[RenderableType]] = {}
        """Lines that are finished and wait for their lab's turn."""

    def take(self, event: events.Event) -> Iterator[RenderableType]:
        """Take an event in, and give the lines to print now."""
        for name, line in self._take(event):
            if name:
                self.waiting.setdefault(name, []).append(line)
            else:
                yield line
        while lab := self._turn():
            lines = self.waiting.pop(lab.name, [])
            if lines and self.under is not lab:
                self.under = lab
                yield self.lines.heading(lab.name, lab.title, lab.note)
            yield from lines
            if not lab.finished:
                return
            self.under = None

    def _turn(self) -> LabStory | None:
        """The lab whose lines are printed now: the one begun, else the first that still has any to print."""
        if self.under and not self.under.finished:
            return self.under
        return next((lab for lab in self.labs.values() if not lab.finished or lab.name in self.waiting), None)

    def _take(self, event: events.Event) -> Iterator[Line]:
        match event:
            case events.RunStarted():
                self.total, self.began = event.steps, time.monotonic()
                yield "", self.lines.start(event)
            case events.NeedsConverged():
                yield "", self.lines.needs(event)
            case events.LabStarted():
                self.labs[event.lab] = LabStory(event.lab, event.title, event.note, event.steps)
            case events.Interrupted():
                self.interrupted = True
                yield "", self.lines.interrupted(event.at_once)
            case events.RunFinished():
                self.over = True
                yield "", self.lines.summary(event)
            case events.Command():
                pass  # only shown when asked for, which is the view's to know
            case _ if event.lab in self.labs:
                yield from ((event.lab, line) for line in self._of_lab(self.labs[event.lab], event))
            case events.Told():
                yield "", event.text

    def _of_lab(self, lab: LabStory, event: events.Event) -> Iterator[RenderableType]:
        match event:
            case events.StepStarted():
                lab.running[event.step] = StepStory(event.step, event.title, time.monotonic())
            case events.StepPhase() if event.step in lab.running:
                step = lab.running[event.step]
                step.phase, step.waiting, step.progress = event.phase, None, None
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
                yield from self._finish_lab(lab)

    def _finish(self, lab: LabStory, event: events.StepFinished) -> Iterator[RenderableType]:
        lab.running.pop(event.step, None)
        lab.done += 1
        self.done += 1
        lab.ended.append(event)
        yield from self._turn_of_steps(lab)

    def _finish_lab(self, lab: LabStory) -> Iterator[RenderableType]:
        skipped = [event for event in lab.ended if _is_skipped(event)]
        if skipped and not lab.printed and len(skipped) == len(lab.ended):
            yield self.lines.skipped_lab(skipped)
        else:
            yield from self._print(lab, lab.ended)
        lab.printed = lab.finished = True

    def _turn_of_steps(self, lab: LabStory) -> Iterator[RenderableType]:
        """What no step before it is still running for. When all of a lab's steps are skipped, one line will say so,
        in the end."""
        first = min(lab.running, default=math.inf)
        turn = [event for event in lab.ended if event.step <= first]
        if lab.printed or not all(map(_is_skipped, turn)):
            lab.ended = [event for event in lab.ended if event.step > first]
            yield from self._print(lab, turn)

    def _print(self, lab: LabStory, ended: list[events.StepFinished | events.Measured]) -> Iterator[RenderableType]:
        for event in sorted(ended, key=lambda event: event.step):
            lab.printed = True
            if isinstance(event, events.Measured):
                yield self.lines.measured(event)
            else:
                yield self.lines.step(event, self._told(lab, event.step))

    def _told(self, lab: LabStory, step: int) -> list[str]:
        """What a step told, without what a step of this lab has told before (an address that each one finds)."""
        new = [text for text in dict.fromkeys(lab.told.pop(step, ())) if text not in lab.said]
        lab.said.update(new)
        return new


def _is_skipped(event: events.Event) -> TypeGuard[events.StepFinished]:
    return isinstance(event, events.StepFinished) and event.outcome == "skipped"
