"""A class at work: a line for each member while it is at something, one that stays when it is done, and in the end
what there is to say of all, with the same causes told once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.console.screen import EVERY, Screen
from workshop.console.status_view import STATES, ago
from workshop.runbook.record import Trouble
from workshop.runbook.results import Outcome
from workshop.runbook.status import State as LabState
from workshop.runbook.status import Status

State = Literal["waiting", "under way", "done", "inconclusive", "failed", "cut off", "not begun"]
"""Of a member in a task of the class. `cut off`: the class was stopped while it was at it; `not begun`: before."""

_GLYPHS: dict[State, tuple[Outcome, str]] = {
    "done": ("changed", "green"),
    "inconclusive": ("inconclusive", "yellow"),
    "failed": ("failed", "bold red"),
    "cut off": ("skipped", "yellow"),
    "not begun": ("skipped", "dim"),
}
_OVER = tuple(_GLYPHS)
_WRONG: tuple[LabState, ...] = ("drifted", "unknown")
_MOST_NAMES = 12
_AROUND = 6
"""Lines of a terminal that are not for members."""


@dataclass(slots=True)
class MemberRow:
    """What a member is at. `where` is its lab and step, `doing` what happens there, and `note` is shown at its end.
    `begun` and `ended` are of the clock that counts up; what was `refused` was not begun with."""

    name: str
    state: State = "waiting"
    where: str = ""
    doing: str = ""
    note: str = ""
    begun: float = 0.0
    ended: float = 0.0
    trouble: Trouble | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class SameCause:
    """Members that ended in the same way."""

    names: tuple[str, ...]
    state: State
    trouble: Trouble


class ClassScreen:
    """Rows are changed by who works; `ended` is called with each that has come to its end."""

    def __init__(
        self,
        screen: Screen,
        title: str,
        rows: Sequence[MemberRow],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen, self._lines, self._console = screen, screen.lines, screen.console
        self._title, self._rows, self._clock = title, rows, clock
        self._names = min(max((cell_len(row.name) for row in rows), default=0), 40)
        self._began = self._said = clock()
        self.stopping = False
        self._live = _live(self._console, self._moving) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        self._screen.print(Text.assemble(("Class  ", "bold"), self._title))
        self._screen.print(Text())
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        self._print(Text(text))

    def ended(self, row: MemberRow) -> None:
        self._print(self._row(row))

    def stop(self, at_once: bool) -> None:
        self.stopping = True
        count = words.count(self._count("under way"), "member")
        how = "at once" if at_once else "each at its next safe point; Ctrl-C again stops at once"
        self.say(f"stopping {count}, {how}")

    def still(self) -> None:
        """Where nothing moves, a line from time to time says how far the class is."""
        if self._live is None and self._clock() - self._said >= EVERY:
            running = next((row for row in self._rows if row.state == "under way"), None)
            at = f"  {running.name}: {running.where} {running.doing}".rstrip() if running else ""
            self.say(f"{self._so_far()}{at}")

    def _print(self, line: RenderableType) -> None:
        self._said = self._clock()
        if self._live:
            self._live.console.print(line, crop=False)
        else:
            self._screen.print(line)

    def _count(self, state: State) -> int:
        return sum(row.state == state for row in self._rows)

    def _so_far(self) -> str:
        over = len(self._rows) - self._count("waiting") - self._count("under way")
        parts = [f"{over} of {words.count(len(self._rows), 'member')}"]
        parts += [f"{count} {state}" for state in ("failed", "inconclusive") if (count := self._count(state))]
        parts += [f"{self._count('under way')} at work", words.duration(self._clock() - self._began)]
        return f" {self._lines.glyphs.dot} ".join(parts)

    def _moving(self) -> RenderableType:
        running = [row for row in self._rows if row.state == "under way"]
        room = max(self._console.height - _AROUND, 3)
        longest = sorted(running, key=lambda row: row.begun)[:room]
        lines: list[RenderableType] = [self._row(row) for row in longest]
        if (more := len(running) - len(longest)) > 0:
            lines.append(Text(f"  and {more} more at work", "dim"))
        ends = "stopping" if self.stopping else "Ctrl-C stops all at safe points"
        lines.append(Text(f"\n{self._so_far()} {self._lines.glyphs.dot} {ends}", "dim"))
        return Group(*lines)

    def _row(self, row: MemberRow) -> RenderableType:
        glyphs = self._lines.glyphs
        table = Table.grid(padding=(0, 2))
        table.width = self._lines.row_width
        table.add_column(width=1)
        table.add_column(width=self._names, no_wrap=True, overflow="ellipsis")
        table.add_column(width=12, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", style="dim", no_wrap=True)
        if row.state in _GLYPHS:
            outcome, style = _GLYPHS[row.state]
            sign, word = Text(glyphs.outcome(outcome), style), Text(row.state, style)
            seconds, about = row.ended - row.begun, row.note
        else:
            sign, word = Text(glyphs.more[:1], "cyan"), Text(row.doing, "cyan")
            seconds, about = self._clock() - row.begun, row.where
        spent = "" if row.state == "not begun" else words.duration(max(seconds, 0.0))
        table.add_row(sign, row.name, word, about, spent)
        return table


def _live(console: Console, moving: Callable[[], RenderableType]) -> Live:
    return Live(
        console=console,
        get_renderable=moving,
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def grouped(rows: Sequence[MemberRow], alike: Callable[[MemberRow], str]) -> tuple[SameCause, ...]:
    """Those that have not ended well, by what `alike` makes of the cause; the largest group first."""
    found: dict[str, list[MemberRow]] = {}
    for row in rows:
        if row.state in ("failed", "inconclusive") and row.trouble:
            found.setdefault(alike(row), []).append(row)
    groups = [
        SameCause(tuple(row.name for row in same), same[0].state, same[0].trouble or Trouble(""))
        for same in found.values()
    ]
    return tuple(sorted(groups, key=lambda group: -len(group.names)))


def class_status_lines(found: Mapping[str, Status], lines: Lines, *, now: float) -> Iterator[RenderableType]:
    """A line a member: how many labs are done, where the member is, what comes next, and since when."""
    names = min(max((cell_len(name) for name in found), default=0), 40)
    for name, status in found.items():
        yield _status_row(name, status, lines, names, now)
        for lab in status.labs:
            if lab.state in _WRONG:
                about = ", ".join(dict.fromkeys(item.subject for item in lab.differences)) or lab.note
                yield lines.below(Text.assemble((f"{lab.name} {lab.state}", STATES[lab.state][1]), f"  {about}"))


def _shown_as(status: Status) -> LabState:
    """What a member's labs come to: what is wrong, or else how far they are."""
    there = {lab.state for lab in status.labs}
    if wrong := next((state for state in STATES if state in there and state in _WRONG), None):
        return wrong
    if "not proved" in there:
        return "not proved"
    return "converged" if any(lab.done for lab in status.labs) else "not there"


def _status_row(name: str, status: Status, lines: Lines, names: int, now: float) -> RenderableType:
    done = sum(lab.done for lab in status.labs)
    unproved = sum(lab.state == "not proved" for lab in status.labs)
    glyph, style = STATES[_shown_as(status)]
    at = next((lab.name for lab in reversed(status.labs) if lab.state not in ("not there", "unknown")), "")
    lasts = [lab.last for lab in status.labs if lab.last]
    last = max(lasts, key=lambda one: one.started, default=None)
    table = Table.grid(padding=(0, 2))
    table.width = lines.row_width
    table.add_column(width=1)
    table.add_column(width=names, no_wrap=True, overflow="ellipsis")
    table.add_column(width=8, no_wrap=True, justify="right")
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", style="dim", no_wrap=True)
    following = Text(f"at {at}" if at else "not begun")
    if unproved:
        following.append(f", {unproved} not proved", STATES["not proved"][1])
    if status.following:
        following.append(f"  next {status.following.what.partition(' ')[2]}", "dim")
    sign = Text(getattr(lines.glyphs, glyph), style)
    table.add_row(sign, name, f"{done} of {len(status.labs)}", following, ago(last, now))
    return table


def summary_lines(
    rows: Sequence[MemberRow],
    groups: Sequence[SameCause],
    lines: Lines,
    *,
    seconds: float,
    following: Sequence[tuple[str, str]],
    found: Mapping[str, Status] | None = None,
) -> Iterator[RenderableType]:
    """`following` are commands worth typing, each with what it does. `found` is what was only looked for."""
    counts: Mapping[State, int] = {state: sum(row.state == state for row in rows) for state in _OVER}
    glyphs, whole = lines.glyphs, counts["done"] == len(rows)
    order: tuple[State, ...] = ("failed", "inconclusive", "cut off", "not begun")
    outcome, style = _GLYPHS["done" if whole else next(state for state in order if counts[state])]
    sign, did = glyphs.outcome(outcome), "done"
    rest = [f"{count} {state}" for state, count in counts.items() if count and state != "done"]
    if found is not None:
        did = "looked at"
        shown = [_shown_as(status) for status in found.values()]
        if whole and (wrong := [state for state in _WRONG if state in shown]):
            glyph, style = STATES[wrong[0]]
            sign = getattr(glyphs, glyph)
        rest += [f"{shown.count(state)} {state}" for state in STATES if state in _WRONG and state in shown]
    yield Text()
    yield Text.assemble(
        (f"{sign} {counts['done']} of {words.count(len(rows), 'member')} {did}", style),
        "  ",
        f" {glyphs.dot} ".join([*rest, words.duration(seconds)]),
    )
    for group in groups:
        yield Text()
        names = ", ".join(group.names[:_MOST_NAMES])
        names += f" and {len(group.names) - _MOST_NAMES} more" if len(group.names) > _MOST_NAMES else ""
        yield Text.assemble((words.count(len(group.names), "member"), "bold"), f" {group.state}: {names}")
        yield Padding(_trouble(group.trouble, lines), (0, 0, 0, 2))
    if following:
        yield Text()
    for command, about in following:
        yield Text.assemble(("  next  ", "dim"), (command, "bold cyan"), (f"  {about}", "dim"))


def _trouble(trouble: Trouble, lines: Lines) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.width = lines.row_width - 2
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_row("came back", Text(trouble.said, "red"))
    if trouble.cause:
        table.add_row("likely", trouble.cause)
    if trouble.next_command:
        table.add_row("next", Text(trouble.next_command, "bold cyan"))
    return table
