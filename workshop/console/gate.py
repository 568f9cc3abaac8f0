"""Questions to the person at the terminal: go on with --pause, and the target's name before something is destroyed.

The answer is read from the event loop, not in a thread: Ctrl-C must be able to end the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from rich.console import RenderableType
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.runbook.results import Check

_MOST_DOOMED = 20


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
            for subject in doomed[:_MOST_DOOMED]:
                self._show(self._lines.below(Text(subject, "dim")))
            if len(doomed) > _MOST_DOOMED:
                self._show(self._lines.below(Text(f"and {len(doomed) - _MOST_DOOMED} more", "dim")))
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
