"""What can go wrong in a run, as data; the console words it.

An error says what was tried, what came back, the likeliest cause and the next command to type.
"""

from __future__ import annotations

from collections.abc import Mapping


class WorkshopError(Exception):
    """A step, or something it used, failed. Ends a run with exit status 1."""

    exit_status = 1
    everywhere = False
    """Whether every other step would end with the same, as nothing can be looked at."""

    def __init__(self, tried: str, came_back: str = "", *, cause: str = "", next_command: str = "") -> None:
        super().__init__(": ".join(part for part in (tried, came_back) if part))
        self.tried, self.came_back, self.cause, self.next_command = tried, came_back, cause, next_command


class UsageError(WorkshopError):
    """Wrong usage or configuration: nothing was changed. Exit status 2."""

    exit_status = 2


class WrongFlags(UsageError):
    """`instead` are the flags that put the line right, by name, each with its value, or None when it has to go. The
    engine, which knows what was typed, makes the next command of it: all other flags stay."""

    def __init__(self, tried: str, came_back: str, instead: Mapping[str, str | None], *, cause: str = "") -> None:
        super().__init__(tried, came_back, cause=cause)
        self.instead = instead
