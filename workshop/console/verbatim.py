"""Text that is shown as it is: commands to be copied, and what a step told, with the tables of kubectl.

Commands are copied from the screen, so nothing stands in front of them but the edge. They begin in the first
column, as the last line of a here-document must be its word and nothing else, and YAML's documents begin with three
dashes there. A command that is longer than the page goes on in the next line after a backslash, which a shell
understands; YAML that is longer is left to the terminal, whose breaks are not copied.

Of what a step told nothing is broken within a word. A table that is too wide for a terminal gets narrower in this
order: smaller gaps; without what `-o wide` adds; cells with commas over several lines; without other columns that
tell little. Which columns are not shown is said below it. A log has no edge: there all stands as it was told.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.syntax import Syntax
from rich.text import Text

PAGE = 80
"""Columns of running text, and of a command."""

_HERE = re.compile(r"<<'?\w+'?\n")
_SETS = re.compile(r"(\w+)=")
_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+")
"""A word may have quoted blanks, at which nothing can be broken."""


class Commands:
    """Of one lab. What sets a variable is shown once, as the shell that it is typed into keeps it."""

    def __init__(self) -> None:
        self._set: dict[str, str] = {}

    def lines(self, commands: Iterable[str]) -> Iterator[RenderableType]:
        """For a terminal, in the colour of commands."""
        return map(_shown, self.typed(commands))

    def typed(self, commands: Iterable[str]) -> Iterator[str]:
        """As they are typed, in lines of a page."""
        for command in commands:
            if sets := _SETS.match(command):
                if self._set.get(sets[1]) == command:
                    continue
                self._set[sets[1]] = command
            line, newline, document = command.partition("\n")
            yield f"{_on_a_page(line)}{newline}{document}"


def unbroken(*parts: str | Text | tuple[str, str]) -> RenderableType:
    """A line that no break is put into, but by the terminal, whose breaks are not copied."""
    # In a group: a console that is given text itself may break it.
    return Group(Text.assemble(*parts, no_wrap=True, overflow="ignore"))


def _shown(command: str) -> RenderableType:
    if command.startswith("# "):
        return unbroken((command, "dim"))
    if not (here := _HERE.search(command)):
        return unbroken((command, "blue"))
    yaml, newline, word = command[here.end() :].rpartition("\n")
    return unbroken((command[: here.end()], "blue"), highlighted(yaml), (f"{newline}{word}", "blue"))


def highlighted(yaml: str) -> Text:
    """Without the blanks that fill the lines of a box."""
    text = Syntax("", "yaml", theme="ansi_dark", background_color="default").highlight(yaml)
    text.rstrip()
    return text


def _on_a_page(command: str) -> str:
    """Into lines of a page. A comment does not go on after a backslash: each of its lines is one."""
    if command.startswith("# "):
        return textwrap.fill(command, PAGE, subsequent_indent="# ", break_long_words=False)
    lines = [""]
    for word in _WORD.findall(command):
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if len(longer) + len(" \\") <= PAGE or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines.append(f"    {word}")
    return " \\\n".join(lines)


HANGING = 4
"""Columns further in that a line goes on which is too long."""

_GAP = 2
"""Columns between two of a table, where there is little room. kubectl's are 3."""

_WIDE = (
    "READINESS GATES",
    "NOMINATED NODE",
    "SELECTOR",
    "KERNEL-VERSION",
    "CONTAINER-RUNTIME",
    "OS-IMAGE",
    "IMAGES",
    "CONTAINERS",
    "NODE",
    "IP",
)
"""Columns that `-o wide` adds on the right, those that tell least first."""

_SPARED = ("AGE", "CLUSTER-IP", "UP-TO-DATE", "MINPODS", "MAXPODS", "RESTARTS")
"""Columns that tell something, which a reader misses least."""

_TITLE = r"[A-Z][A-Z0-9()/_-]*(?: [A-Z][A-Z0-9()/_-]*)*"
_HEADER = re.compile(rf"{_TITLE}(?: {{2,}}{_TITLE})+ *")
_CELL = re.compile(r"\S+(?: \S+)*")
_AFTER_COMMA = re.compile(r"[^,]+,*|,+")
_AFTER_COMMA_OR_BLANK = re.compile(r"[^, ]+,* *|,+ *")


def told_blocks(texts: Sequence[str]) -> Iterator[RenderableType]:
    """With a line between two tables."""
    before = ""
    for text in texts:
        if "\n" in before and "\n" in text:
            yield Text()
        yield AsTold(text)
        before = text


@dataclass(frozen=True, slots=True)
class AsTold:
    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width if console.is_terminal else 0
        for line in told_lines(self.text, room):
            yield Text(line, no_wrap=True, overflow="ignore")


def told_lines(text: str, room: int = 0) -> Iterator[str]:
    """Lines of at most `room` columns, 0 for any, but for words that are longer."""
    lines = text.splitlines()
    while lines:
        if room and _HEADER.fullmatch(lines[0]) and (table := _parsed(lines)):
            rows = [lines.pop(0).rstrip() for _ in table.rows]
            yield from rows if max(map(cell_len, rows)) <= room else table.fitted(room)
        else:
            yield from _broken(lines.pop(0), room)


def _broken(line: str, room: int) -> Iterator[str]:
    """Text into lines, between words."""
    shown, indent = "", " " * (len(line) - len(line.lstrip()) + HANGING)
    for word in re.findall(r"\s*\S+", line):
        if room and shown and cell_len(shown + word) > room:
            yield shown
            shown = indent + word.lstrip()
        else:
            shown += word
    yield shown


@dataclass(frozen=True, slots=True)
class _Table:
    """The first of `rows` are the titles of the columns."""

    rows: tuple[tuple[str, ...], ...]

    def fitted(self, room: int) -> Iterator[str]:
        tries = [(table, widths, room - _needed(widths)) for table, widths in self._narrower()]
        table, widths, left = next((each for each in tries if each[2] >= 0), tries[-1])
        if left < 0:
            yield from table._one_after_the_other(room)
        else:
            for place, width in enumerate(table._widths()):
                more = min(width - widths[place], left)
                widths[place], left = widths[place] + more, left - more
            yield from table._lines(widths)
        if dropped := [title for title in self.rows[0] if title not in table.rows[0]]:
            yield from _broken(f"(not shown: {', '.join(dropped)})", room)

    def _narrower(self) -> Iterator[tuple[_Table, list[int]]]:
        """This one and others with the widths of their columns, one narrower than the other."""
        table = self
        yield table, table._widths()
        for title in self._added():
            table = table._without(title)
            yield table, table._widths()
        yield table, table._least()
        for title in _SPARED:
            if title in table.rows[0]:
                table = table._without(title)
                yield table, table._least()

    def _added(self) -> list[str]:
        """What `-o wide` has added: right of AGE. Elsewhere, somebody has asked for a column of that name."""
        titles = self.rows[0]
        right = titles[titles.index("AGE") :] if "AGE" in titles else ()
        return [title for title in _WIDE if title in right]

    def _without(self, title: str) -> _Table:
        place = self.rows[0].index(title)
        return _Table(tuple((*row[:place], *row[place + 1 :]) for row in self.rows))

    def _widths(self) -> list[int]:
        return [max(map(cell_len, column)) for column in zip(*self.rows, strict=True)]

    def _least(self) -> list[int]:
        """How wide the columns are with their cells broken wherever that is allowed."""
        columns = list(zip(*self.rows, strict=True))
        pieces = [
            [piece for cell in column for piece in _pieces(cell, place == len(columns))]
            for place, column in enumerate(columns, 1)
        ]
        return [max(cell_len(piece.rstrip()) for piece in column) for column in pieces]

    def _lines(self, widths: Sequence[int]) -> Iterator[str]:
        for row in self.rows:
            last = len(row) - 1
            cells = [_into(cell, widths[place], place == last) for place, cell in enumerate(row)]
            for number in range(max(map(len, cells))):
                parts = [cell[number] if number < len(cell) else "" for cell in cells]
                padded = (part + " " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True))
                yield (" " * _GAP).join(padded).rstrip()

    def _one_after_the_other(self, room: int) -> Iterator[str]:
        """Each row goes on below where it does not fit."""
        widths = self._widths()
        for row in self.rows:
            line, begun = "", False
            for place, cell in enumerate(row):
                for piece in _pieces(cell, place == len(row) - 1):
                    if line.strip() and cell_len(line + piece.rstrip()) > room:
                        yield line.rstrip()
                        line, begun = " " * HANGING, True
                    line += piece
                line += " " * (_GAP if begun else widths[place] - cell_len(cell) + _GAP)
            yield line.rstrip()


def _parsed(lines: Sequence[str]) -> _Table | None:
    """The table that begins here, None where lines are not in its columns."""
    starts = [cell.start() for cell in _CELL.finditer(lines[0])]
    ends = [*starts[1:], None]
    rows = []
    for line in lines:
        if not line.strip():
            break
        if any(line[start - 1 : start].strip() for start in starts[1:]):
            return None
        rows.append(tuple(line[start:end].strip() for start, end in zip(starts, ends, strict=True)))
    return _Table(tuple(rows))


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _pieces(cell: str, last: bool) -> list[str]:
    """Where a cell may be broken: after a comma, and in the last column, where messages are, also at a blank."""
    return (_AFTER_COMMA_OR_BLANK if last else _AFTER_COMMA).findall(cell)


def _into(cell: str, width: int, last: bool) -> list[str]:
    lines = [""]
    for piece in _pieces(cell, last):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
