"""Commands as a person types them, to be copied from the screen: nothing stands in front of them but the edge.

They begin in the first column, as the last line of a here-document must be its word and nothing else, and YAML's
documents begin with three dashes there. A command that is longer than the page goes on in the next line after a
backslash, which a shell understands; YAML that is longer is left to the terminal, whose breaks are not copied.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
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
            yield f"{_broken(line)}{newline}{document}"


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


def _broken(command: str) -> str:
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
