"""Commands as a person types them, to be copied from the screen.

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

_PROMPT = "$ "
_SETS = re.compile(r"(\w+)=")
_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+")
"""A word may have quoted blanks, at which nothing can be broken."""


class Commands:
    """Of one lab. What sets a variable is shown once, as the shell that it is typed into keeps it."""

    def __init__(self) -> None:
        self._set: dict[str, str] = {}

    def lines(self, commands: Iterable[str]) -> Iterator[RenderableType]:
        for command in commands:
            if sets := _SETS.match(command):
                if self._set.get(sets[1]) == command:
                    continue
                self._set[sets[1]] = command
            yield _typed(command)


def unbroken(*parts: str | Text | tuple[str, str]) -> RenderableType:
    """A line that no break is put into, but by the terminal, whose breaks are not copied."""
    # In a group: a console that is given text itself may break it.
    return Group(Text.assemble(*parts, no_wrap=True, overflow="ignore"))


def _typed(command: str) -> RenderableType:
    line, newline, document = command.partition("\n")
    text = Text.assemble((_PROMPT, "dim"), (_broken(line), "blue"), no_wrap=True, overflow="ignore")
    if newline:
        yaml, _, word = document.rpartition("\n")
        text.append("\n").append_text(highlighted(yaml)).append(f"\n{word}", "blue")
    return Group(text)  # a console that is given text itself may break it


def highlighted(yaml: str) -> Text:
    """Without the blanks that fill the lines of a box."""
    text = Syntax("", "yaml", theme="ansi_dark", background_color="default").highlight(yaml)
    text.rstrip()
    return text


def _broken(command: str) -> str:
    """Into lines of a page. A comment does not go on after a backslash: each of its lines is one."""
    if command.startswith("# "):
        return textwrap.fill(command, PAGE - len(_PROMPT), subsequent_indent="# ", break_long_words=False)
    lines, room = [""], PAGE - len(_PROMPT)
    for word in _WORD.findall(command):
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if len(longer) + len(" \\") <= room or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines.append(f"    {word}")
            room = PAGE
    return " \\\n".join(lines)
