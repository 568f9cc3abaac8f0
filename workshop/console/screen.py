"""What the command line opens to show something: a run as it happens, a plan, an explanation, an error.

`PlainScreen` is the one for a log or a pipe: no colour, no control characters, nothing is ever overwritten. Instead
of a moving region, a log that has said nothing for ten seconds says what is being waited for: by the lab whose turn
it is, else by any other.

`TerminalGate` asks the person: to go on with --pause, and for the target's name before something is destroyed. The
answer is read from the event loop, not in a thread: Ctrl-C must be able to end the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from workshop.console import words
from workshop.console.explanation_view import explanation_lines, markdown
from workshop.console.lines import CheckLines, Lines, error_lines
from workshop.console.plan_view import doctor_lines, plan_lines
from workshop.console.progress import RunProgress
from workshop.console.record_view import history_lines
from workshop.console.status_view import comparison_lines, foreign_lines, status_lines
from workshop.runbook import events
from workshop.runbook.plan import LabExplanation, Plan
from workshop.runbook.protection import Gate
from workshop.runbook.record import RunRecord
from workshop.runbook.reset import Comparison
from workshop.runbook.results import Check, Finding
from workshop.runbook.status import Status


class Screen(ABC):
    """`gate` asks the person. `listen` takes a run's events, in the thread that entered. `progress` is how far the
    run has come, by those events."""

    gate: Gate

    def __init__(self, console: Console, lines: Lines, *, echo: bool) -> None:
        self.console, self.lines, self.echo = console, lines, echo
        self.progress = RunProgress(lines)

    @abstractmethod
    def listen(self, event: events.Event) -> None: ...

    @abstractmethod
    def print(self, line: RenderableType) -> None: ...

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def for_a_check(self) -> Screen:
        """From now on, what is listened to is a check."""
        self.lines = self.progress.lines = CheckLines.of(self.lines)
        return self

    def with_timings(self) -> None:
        """A run ends with where its time went, lab by lab."""
        self.lines = self.progress.lines = replace(self.lines, timings=True)

    def show_plan(self, plan: Plan, *, commands: bool = False, brief: bool = False) -> None:
        """What a run would change; with `commands` (Invoke's --dry), what a person would type. `brief` as the
        run would be."""
        for line in plan_lines(plan, self.lines, commands=commands, brief=brief):
            self.print(line)

    def show_explanation(self, labs: Sequence[LabExplanation], first: Sequence[str] = ()) -> None:
        for line in explanation_lines(labs, self.lines, first):
            self.print(line)

    def show_findings(self, target: str, findings: Sequence[Finding]) -> None:
        for line in doctor_lines(target, findings, self.lines):
            self.print(line)

    def show_status(self, found: Status) -> None:
        for line in status_lines(found, self.lines, now=time.time()):
            self.print(line)

    def show_comparison(self, found: Comparison) -> None:
        for line in comparison_lines(found, self.lines):
            self.print(line)

    def show_left_alone(self, foreign: Sequence[str]) -> None:
        for line in foreign_lines(foreign, self.lines):
            self.print(line)

    def show_history(self, runs: Sequence[RunRecord]) -> None:
        for line in history_lines(runs, self.lines):
            self.print(line)

    def show_error(self, error: BaseException) -> None:
        self.print(error_lines(error, debug=self.lines.debug))


class TerminalGate:
    """`show` prints a line, `ask` a question without a line's end; `quiet` holds what moves on the screen."""

    def __init__(
        self,
        show: Callable[[RenderableType], None],
        lines: Lines,
        ask: Callable[[str], None],
        quiet: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        stdin: int = 0,
    ) -> None:
        self._show, self._lines, self._ask, self._quiet, self._stdin = show, lines, ask, quiet, stdin

    @property
    def interactive(self) -> bool:
        try:
            return os.isatty(self._stdin)
        except OSError:
            return False

    async def go_on(self, lab: str, title: str, check: Check) -> bool:
        with self._quiet():
            self._show(Text.assemble(("\nnext  ", "bold yellow"), (title, "bold"), (f"  {lab}", "dim")))
            for line in self._lines.differences(check.differences):
                self._show(self._lines.below(line))
            answer = await self._answer("      [Enter] go on, q stop: ")
        return answer is not None and answer.lower() not in ("q", "quit", "n", "no", "stop")

    async def confirm(self, target: str, doomed: Sequence[str]) -> bool:
        with self._quiet():
            count = words.count(len(doomed), "object")
            self._show(Text.assemble(("\nremove  ", "bold red"), (f"{count} from {target}", "bold")))
            for line in self._lines.doomed(doomed):
                self._show(line)
            answer = await self._answer(f"      Type {target} to go on: ")
        return answer == target

    async def _answer(self, question: str) -> str | None:
        """A line as typed, None at the end of input."""
        self._ask(question)
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._stdin, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._stdin)
        typed = os.read(self._stdin, 4096)  # a terminal gives a whole line
        return typed.decode(sys.stdin.encoding or "utf-8", errors="replace").strip() if typed else None


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
        self._write(markdown(labs, first))

    def listen(self, event: events.Event) -> None:
        if isinstance(event, events.Command):
            if self.echo:
                self.print(self.progress.command(event))
            return
        for line in self.progress.take(event):
            self.print(line)
        self._still(event)

    def _still(self, event: events.Event) -> None:
        if not isinstance(event, events.Waiting | events.Progress) or self._clock() - self._last < EVERY:
            return
        running = [step for lab in self.progress.running() for step in lab.running.values()]
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
