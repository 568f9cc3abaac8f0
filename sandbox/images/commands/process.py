"""A running command: what it was called with, its streams, and the container it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.images.program import Container


@dataclass(slots=True)
class Process:
    container: Container
    arguments: list[str]
    """Without the command's own name."""
    env: dict[str, str]
    stdin: asyncio.StreamReader
    out: Callable[[bytes], None]
    err: Callable[[bytes], None]
    name: str = ""
    directory: str = "/"
    tty: bool = False
    exported: set[str] = field(default_factory=set)

    def print(self, text: str) -> None:
        self.out(text.encode() + b"\n")

    def complain(self, message: str, status: int = 1) -> int:
        """Tell on the error stream; the status to return."""
        self.err(f"{self.name}: {message}\n".encode())
        return status

    def path(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.directory.rstrip('/')}/{path}"

    async def input(self, path: str = "-") -> bytes:
        """A file's content, or all of standard input. Raises OSError."""
        return await self.stdin.read() if path == "-" else self.container.files.read(self.path(path))


CommandFunction = Callable[[Process], Awaitable[int]]


class UsageError(Exception):
    """An option or argument that is not there: said on the error stream, exit status 2."""


def options(
    arguments: Sequence[str], flags: str | Mapping[str, str], valued: str | Mapping[str, str] = ""
) -> tuple[dict[str, list[str]], list[str]]:
    """Options (by name, each with its values; a flag's are empty) and operands.

    `flags` and `valued` are letters, or long names by letter or long name. Raises UsageError for anything else.
    """
    flag_names = dict.fromkeys(flags) if isinstance(flags, str) else flags
    value_names = dict.fromkeys(valued) if isinstance(valued, str) else valued
    found: dict[str, list[str]] = {}
    operands: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            operands += waiting
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in value_names and not equals:
                value = _value(word, waiting)
            elif name not in value_names and (name not in flag_names or equals):
                raise UsageError(f"unrecognized option '{word}'")
            canonical = (value_names if name in value_names else flag_names).get(name) or name
            found.setdefault(canonical, []).append(value)
        elif word.startswith("-") and len(word) > 1:
            _letters(word[1:], flag_names, value_names, found, waiting)
        else:
            operands.append(word)
    return found, operands


def _letters(
    letters: str,
    flags: Mapping[str, str | None],
    valued: Mapping[str, str | None],
    found: dict[str, list[str]],
    waiting: list[str],
) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in flags:
            found.setdefault(flags[letter] or letter, []).append("")
        elif letter in valued:
            value = letters or _value(f"-{letter}", waiting)
            found.setdefault(valued[letter] or letter, []).append(value)
            return
        else:
            raise UsageError(f"unrecognized option '-{letter}'")


def _value(option: str, waiting: list[str]) -> str:
    if not waiting:
        raise UsageError(f"option '{option}' requires an argument")
    return waiting.pop(0)
