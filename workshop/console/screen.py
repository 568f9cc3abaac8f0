"""What the command line opens to show something: a run as it happens, a plan, an explanation, an error."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console, RenderableType

from workshop.console import words
from workshop.console.errors import error_lines
from workshop.console.lines import Lines
from workshop.console.story import Story
from workshop.runbook import events
from workshop.runbook.protection import Gate

if TYPE_CHECKING:
    from workshop.runbook.plan import LabExplanation, Plan
    from workshop.runbook.results import Finding


class Screen(ABC):
    """`gate` asks the person. `listen` takes a run's events, in the thread that entered."""

    gate: Gate
    _story: Story

    def __init__(self, console: Console, lines: Lines, *, echo: bool) -> None:
        self.console, self.lines, self.echo = console, lines, echo

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
        from workshop.console.check_view import CheckLines

        self.lines = self._story.lines = CheckLines.of(self.lines)
        return self

    def show_plan(self, plan: Plan, *, commands: bool = False) -> None:
        """What a run would change; with `commands` (Invoke's --dry), what a person would type for it."""
        from workshop.console.plan_view import plan_lines

        for line in plan_lines(plan, self.lines, commands=commands):
            self.print(line)

    def show_explanation(self, labs: Sequence[LabExplanation], first: Sequence[str] = ()) -> None:
        from workshop.console.explain_view import explanation_lines

        for line in explanation_lines(labs, self.lines, first):
            self.print(line)

    def show_findings(self, target: str, findings: Sequence[Finding]) -> None:
        from workshop.console.doctor_view import doctor_lines

        for line in doctor_lines(target, findings, self.lines):
            self.print(line)

    def show_error(self, error: BaseException) -> None:
        self.print(error_lines(error, debug=self.lines.debug))


def open_screen(stdout: TextIO, *, debug: bool, echo: bool) -> Screen:
    """See `workshop.console.open`. With WORKSHOP_PICTURE in the environment (tools/picture.py sets it), what is
    shown is drawn into that file as well."""
    screen = _screen(stdout, debug, echo)
    if not (picture := os.environ.get("WORKSHOP_PICTURE")):
        return screen
    from workshop.console.picture import PicturedScreen

    return PicturedScreen(screen, Path(picture), os.environ.get("WORKSHOP_PICTURE_TITLE", "Mesh Workshop"))


def _screen(stdout: TextIO, debug: bool, echo: bool) -> Screen:
    glyphs = words.UNICODE
    if (stdout.encoding or "utf-8").lower().replace("-", "") != "utf8" and isinstance(stdout, io.TextIOWrapper):
        glyphs = words.ASCII
        stdout.reconfigure(errors="replace")  # a cluster's words may have any sign
    if not stdout.isatty() or os.environ.get("TERM") == "dumb":
        from workshop.console.plain import PlainScreen

        return PlainScreen(stdout, debug=debug, echo=echo, glyphs=glyphs)
    from workshop.console.live import LiveScreen

    console = Console(file=stdout, highlight=False)
    return LiveScreen(console, Lines(max(80, console.width), glyphs, debug), echo=echo)
