"""A run on a terminal: finished lines stay, and below them moves what is running.

A thread draws the moving region again and again, so that the time spent waiting counts on while nothing happens.
Whoever draws or prints holds one lock from reading the progress to the end of writing: rich counts the region's
lines to know how far to go up, and two at once would count each other's.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from workshop.console import charts, words
from workshop.console.lines import Lines
from workshop.console.progress import LabProgress, StepProgress
from workshop.console.screen import Screen, TerminalGate
from workshop.runbook import events

_REFRESH = 10
"""Redraws per second; a terminal over a slow line still follows."""

_CELLS = 14
"""Of a progress bar."""


class LiveScreen(Screen):
    @classmethod
    def on(cls, stdout: TextIO, *, debug: bool, echo: bool, glyphs: words.Glyphs) -> LiveScreen:
        """A terminal, of which charts and values use the whole width, and 80 columns at least."""
        console = Console(file=stdout, highlight=False)
        return cls(console, Lines(max(80, console.width), glyphs, debug), echo=echo)

    def __init__(self, console: Console, lines: Lines, *, echo: bool) -> None:
        super().__init__(console, lines, echo=echo)
        self._lock = threading.RLock()
        self._spinner = Spinner(lines.glyphs.spinner, style="cyan")
        self._live = self._new_live()
        self._left = threading.Event()
        self._drawing = threading.Thread(target=self._keep_drawing, name="live region", daemon=True)
        self.gate = TerminalGate(self.print, lines, lambda text: console.print(text, end=""), self._quiet)

    def _new_live(self) -> Live:
        return Live(
            console=self.console,
            get_renderable=self.moving,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _keep_drawing(self) -> None:
        while not self._left.wait(1 / _REFRESH):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            if self._live.is_started:
                self._live.refresh()

    def print(self, line: RenderableType) -> None:
        with self._lock:
            self.console.print(line, crop=False)

    def listen(self, event: events.Event) -> None:
        if isinstance(event, events.Command):
            if self.echo:
                self.print(self.progress.command(event))
            return
        with self._lock:
            finished = list(self.progress.take(event))
            if isinstance(event, events.RunFinished):
                self._live.stop()
            if finished:
                self.print(Group(*finished))
                self._draw()  # without the step whose line is finished now

    def moving(self) -> RenderableType:
        with self._lock:
            if self.progress.over or not self.progress.labs:
                return Text()
            turn = self.progress.turn
            return Group(*(self._running_lab(turn) if turn else ()), *self._meanwhile(), self._footer())

    def _meanwhile(self) -> Iterator[RenderableType]:
        """The labs whose turn it is not, in a line for each step: what they have to say comes in its turn."""
        others = [lab for lab in self.progress.running() if lab is not self.progress.turn]
        steps = [(lab, step) for lab in others for step in lab.running.values()]
        if not steps and not self.progress.early:
            return
        yield Text("\nmeanwhile, to be shown below in turn", "dim")
        for lab, step in steps:
            yield self._step_row(step, _one_line(Text.assemble((lab.name, "cyan"), f"  {step.title}")))
        for lab in self.progress.early:
            glyph, style = ("changed", "green") if lab.converged else ("failed", "bold red")
            word = Text("finished" if lab.converged else "stopped", style)
            title = _one_line(Text.assemble((lab.name, "cyan"), (f"  {lab.title}", "dim")))
            yield self.lines.row(Text(getattr(self.lines.glyphs, glyph), style), word, "", title, None)

    def _running_lab(self, lab: LabProgress) -> Iterator[RenderableType]:
        if not lab.running:
            return
        if self.progress.under is not lab:
            yield self.lines.heading(lab.name, lab.title, f"step {lab.done + 1} of {lab.steps}")
        shown: dict[int, list[RenderableType]] = {
            step.number: list(self._running_step(step)) for step in lab.running.values()
        }
        for event in lab.ended:
            if isinstance(event, events.StepFinished):
                shown[event.step] = [self.lines.step_row(event)]
        for number in sorted(shown):
            yield from shown[number]

    def _running_step(self, step: StepProgress) -> Iterator[RenderableType]:
        yield self._step_row(step, Text(step.title, "bold"))
        if step.waiting:
            waiting = step.waiting
            yield self.lines.beside(
                Text.assemble(
                    (f"waiting {waiting.waited:.0f} of {waiting.limit:.0f} s for ", "dim"),
                    (f"{waiting.what}: {waiting.missing}", "yellow"),
                )
            )
        if step.progress:
            yield self.lines.beside(self._done(step.progress))

    def _step_row(self, step: StepProgress, title: Text) -> RenderableType:
        spent = time.monotonic() - step.began
        phase = Text(words.PHASES.get(step.phase, step.phase), "cyan")
        return self.lines.row(self._spinner, phase, str(step.number), title, spent)

    def _done(self, progress: events.Progress) -> Text:
        share = progress.done / progress.total if progress.total else 0.0
        filled = charts.bar(share, _CELLS, self.lines.glyphs)
        return Text.assemble(
            (filled, "cyan"),
            (self.lines.glyphs.track * (_CELLS - len(filled)), "dim"),
            f" {progress.done:,} of {progress.total:,}",
            (f"  {progress.what}", "dim"),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _footer(self) -> RenderableType:
        run = self.progress
        spent = words.duration(time.monotonic() - run.began)
        where = f"\n{run.done} of {words.count(run.total, 'step')} {self.lines.glyphs.dot} {spent}"
        if run.interrupted:
            return Text.assemble((where, "dim"), ("  stopping", "yellow"))
        return Text(f"{where} {self.lines.glyphs.dot} Ctrl-C stops at the next safe point", "dim")

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Nothing moves while a question is on the screen."""
        with self._lock:
            self._live.stop()
        try:
            yield
        finally:
            with self._lock:
                self._live = self._new_live()
                self._live.start()

    def __enter__(self) -> LiveScreen:
        self._live.start()
        self._drawing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._drawing.join()
        self._live.stop()


def _one_line(title: Text) -> Text:
    title.no_wrap, title.overflow = True, "ellipsis"
    return title
