"""A run in plain lines, for a log or a pipe: no colour, no control characters, nothing is ever overwritten.

Instead of a moving region, a log that has said nothing for ten seconds says what is being waited for: by the lab
whose turn it is, else by any other.
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
from workshop.console.story import Story
from workshop.runbook import events

if TYPE_CHECKING:
    from workshop.runbook.plan import LabExplanation

WIDTH = 100
"""Of a step's line. Tables a step tells may be wider; a log has no edge."""

EVERY = 10.0
"""Seconds of silence before a line about what is being waited for."""


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
        self._last = clock()
        """When it said something."""
        self.gate = TerminalGate(self.print, self.lines, self._write)

    def print(self, line: RenderableType) -> None:
        with self.console.capture() as captured:
            self.console.print(line, crop=False)
        # Tables fill their lines with blanks, which a log need not keep.
        self._write("".join(f"{text.rstrip()}\n" for text in captured.get().splitlines()))

    def _write(self, text: str) -> None:
        self._last = self._clock()
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
                self.print(self._story.command(event))
            return
        for line in self._story.take(event):
            self.print(line)
        self._still(event)

    def _still(self, event: events.Event) -> None:
        if not isinstance(event, events.Waiting | events.Progress) or self._clock() - self._last < EVERY:
            return
        running = [step for lab in self._story.running() for step in lab.running.values()]
        if waits := [wait for step in running if (wait := step.waiting or step.progress)]:
            self.print(self.lines.below(still(waits[0])))

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")


def still(event: events.Waiting | events.Progress) -> str:
    where = f"{event.lab}, step {event.step}"
    if isinstance(event, events.Waiting):
        waited = f"{event.waited:.0f} of {event.limit:.0f} s"
        return f"{where}: still waiting, {waited}, for {event.what}: {event.missing}"
    return f"{where}: {event.what}: {event.done:,} of {event.total:,}"
