"""What a step told, as the output takes it: text, and the tables of kubectl.

Nothing is broken within a word. A table that is too wide for a terminal gets narrower in this order: smaller gaps;
without what `-o wide` adds; cells with commas over several lines; without other columns that tell little. Which
columns are not shown is said below it. A log has no edge: there all stands as it was told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

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
