"""A run in plain lines, for a log or a pipe: no colour, no control characters, nothing is ever overwritten.

Instead of a moving region, a step that takes long says every ten seconds what it is waiting for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, RenderableType

from workshop.console import words
from workshop.console.gate import TerminalGate
from workshop.console.lines import Lines
from workshop.console.screen import Screen
from workshop.console.story import StepStory, Story
from workshop.runbook import events

if TYPE_CHECKING:
    from workshop.runbook.explain import LabExplanation

WIDTH = 100
"""Of a step's line. Tables a step tells may be wider; a log has no edge."""

EVERY = 10.0
"""Seconds between two lines about what is being waited for."""


class PlainScreen(Screen):
    def __init__(
        self,
        stdout: TextIO,
        *,
        debug: bool,
        echo: bool,
        glyphs: words.Glyphs,
        width: int = WIDTH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        console = Console(
            file=stdout, force_terminal=False, color_system=None, width=max(width, 200), highlight=False
        )
        super().__init__(console, Lines(width, glyphs, debug), echo=echo)
        self._stdout, self._clock = stdout, clock
        self._story = Story(self.lines)
        self._said: dict[tuple[str, int], float] = {}
        self.gate = TerminalGate(self.print, self.lines, self._write)

    def print(self, line: RenderableType) -> None:
        with self.console.capture() as captured:
            self.console.print(line, crop=False)
        # Tables fill their lines with blanks, which a log need not keep.
        self._write("".join(f"{text.rstrip()}\n" for text in captured.get().splitlines()))

    def _write(self, text: str) -> None:
        try:
            self._stdout.write(text)
            self._stdout.flush()
        except BrokenPipeError:
            # Nobody reads on (`| head`): a run that has begun is still brought to its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    def show_explanation(self, labs: Sequence[LabExplanation], first: Sequence[str] = ()) -> None:
        """As a document: what a file or a pipe gets is to be kept, and to be typed from."""
        from workshop.console.explain_markdown import markdown

        self._write(markdown(labs, first))

    def listen(self, event: events.Event) -> None:
        if isinstance(event, events.Command):
            if self.echo:
                self.print(self.lines.command(event))
            return
        for line in self._story.take(event):
            self.print(line)
        self._still(event)

    def _still(self, event: events.Event) -> None:
        if isinstance(event, events.StepStarted):
            self._said[event.lab, event.step] = self._clock()
        if not isinstance(event, events.Waiting | events.Progress):
            return
        lab = self._story.labs.get(event.lab)
        step = lab.running.get(event.step) if lab else None
        if lab is None or step is None or self._clock() - self._said[event.lab, event.step] < EVERY:
            return
        self._said[event.lab, event.step] = self._clock()
        self.print(self.lines.below(still(step, event)))

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")


def still(step: StepStory, event: events.Waiting | events.Progress) -> str:
    where = f"{event.lab}, step {step.number}"
    if isinstance(event, events.Waiting):
        waited = f"{event.waited:.0f} of {event.limit:.0f} s"
        return f"{where}: still waiting, {waited}, for {event.what}: {event.missing}"
    return f"{where}: {event.what}: {event.done:,} of {event.total:,}"
