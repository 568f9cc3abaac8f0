"""Command lines as the real istioctl takes them, and what a command fails with.

Flags stand anywhere: `--flag value`, `--flag=value`, `-n value`, `-nvalue`. Exit statuses are the real one's
(istioctl/cmd/errors.go).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NOT_HERE = "the real istioctl has it, the sandbox's has not"


class IstioctlError(Exception):
    """Ends the command: the message goes to stderr after "Error: "."""

    status = 1


class UsageError(IstioctlError):
    """A command line that cannot be understood, or that the sandbox's istioctl does not do."""

    status = 64


class FileError(IstioctlError):
    """A file that is not there or not what it should be."""

    status = 65


class IssuesFound(IstioctlError):
    """`analyze` found an error."""

    status = 79


@dataclass(frozen=True, slots=True)
class Flag:
    """`switch`: it stands for true without a value. `many`: it may be given several times."""

    name: str
    short: str = ""
    help: str = ""
    switch: bool = False
    many: bool = False
    default: str = ""


@dataclass(slots=True)
class Arguments:
    words: list[str] = field(default_factory=list)
    command: tuple[str, ...] = ()
    values: dict[str, list[str]] = field(default_factory=dict)
    flags: Mapping[str, Flag] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The last value given, else the flag's default."""
        given = self.values.get(name)
        return given[-1] if given else self.flags[name].default

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def on(self, name: str) -> bool:
        return self.text(name) == "true"


def parse(argv: list[str], flags: Iterable[Flag], real: Collection[str] = ()) -> Arguments:
    """Words and flags of a command line. Raises UsageError; `real` are the names of flags that the real one has."""
    flags = list(flags)
    by_name = {flag.name: flag for flag in flags}
    by_short = {flag.short: flag for flag in flags if flag.short}
    found = Arguments(flags=by_name)
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.words += rest
            break
        if word.startswith("--"):
            _long(word, by_name, rest, found, real)
        elif word.startswith("-") and word != "-":
            _short(word, by_short, rest, found, real)
        else:
            found.words.append(word)
    return found


def _long(word: str, flags: Mapping[str, Flag], rest: list[str], found: Arguments, real: Collection[str]) -> None:
    name, equals, value = word[2:].partition("=")
    flag = flags.get(name)
    if flag is None:
        if name in real:
            raise UsageError(f"unsupported flag: --{name}: {NOT_HERE}")
        raise UsageError(f"unknown flag: --{name}")
    if not equals and not flag.switch:
        if not rest:
            raise UsageError(f"flag needs an argument: --{name}")
        value = rest.pop(0)
    _add(flag, value if equals or not flag.switch else "true", found)


def _short(word: str, flags: Mapping[str, Flag], rest: list[str], found: Arguments, real: Collection[str]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = flags.get(letter)
        if flag is None:
            if letter in real:
                raise UsageError(f"unsupported shorthand flag: '{letter}' in {word}: {NOT_HERE}")
            raise UsageError(f"unknown shorthand flag: '{letter}' in {word}")
        if flag.switch and not letters.startswith("="):
            _add(flag, "true", found)
            continue
        if not letters and not rest:
            raise UsageError(f"flag needs an argument: '{letter}' in {word}")
        _add(flag, letters.removeprefix("=") if letters else rest.pop(0), found)
        return


def _add(flag: Flag, value: str, found: Arguments) -> None:
    if flag.switch and value not in ("true", "false"):
        raise UsageError(f'invalid argument "{value}" for "--{flag.name}" flag: it is true or false')
    found.values.setdefault(flag.name, []).append(value)


def print_as(output: str, value: Any, indent: int | str = 2) -> None:
    """To stdout: `output` is json (with this indentation) or yaml."""
    if output == "json":
        print(json.dumps(value, indent=indent))
        return
    import yaml  # a fourth of what most commands take

    print(yaml.safe_dump(value, sort_keys=False).rstrip())
