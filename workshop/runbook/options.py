"""A lab's own options on the command line, plain or with a value of some kind: whole numbers, durations, words.

    DELAY = Duration("delay", "How long a delayed call waits.", "7s", low=0.1, high=60)
    DELAY.of(run.options)  # 7.0, seconds

A value is looked at before a run begins (request.py), so steps take it as good. This module is imported by
`invoke --list`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from workshop.runbook.lazy_dataclass import dataclass

Options = Mapping[str, str | bool | None]
"""What a lab was given, by the names of its options."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")


@dataclass(frozen=True, slots=True)
class Option:
    """A lab's own option on the command line. Values arrive as text (or bool); the kinds below parse
    theirs. One that is `about` another option means nothing without it."""

    name: str
    help: str
    default: str | bool | None = None
    about: str = field(default="", kw_only=True)

    def problem(self, given: str | bool | None) -> str:
        """What is wrong with a value, "" when nothing is."""
        return ""

    def text(self, options: Options) -> str:
        """The value as a manifest has it."""
        return str(options.get(self.name, self.default))


@dataclass(frozen=True, slots=True)
class Number(Option):
    """A whole number from `low` to `high`, both included."""

    low: int = 0
    high: int = 100

    def of(self, options: Options) -> int:
        return int(self.text(options))

    def problem(self, given: str | bool | None) -> str:
        text = str(given)
        if text.isascii() and text.isdigit() and self.low <= int(text) <= self.high:
            return ""
        return f"it is a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Duration(Option):
    """A time such as 7s, 500ms or 1.5s, from `low` to `high` seconds."""

    low: float = 0.0
    high: float = 60.0

    def of(self, options: Options) -> float:
        """In seconds. Raises ValueError for what `problem` refuses."""
        found = _DURATION.fullmatch(self.text(options))
        if found is None:
            raise ValueError(self.problem(self.text(options)))
        return float(found[1]) * _UNITS[found[2]]

    def problem(self, given: str | bool | None) -> str:
        if self._within(str(given)):
            return ""
        examples = [text for text in (str(self.default), "500ms", "1500ms") if self._within(text)]
        return f"it is a time from {self.low:g}s to {self.high:g}s, such as {' or '.join(examples[:2])}"

    def _within(self, text: str) -> bool:
        found = _DURATION.fullmatch(text)
        return found is not None and self.low <= float(found[1]) * _UNITS[found[2]] <= self.high


@dataclass(frozen=True, slots=True)
class Word(Option):
    """Text that a regular expression matches as a whole; `means` says in words what that is."""

    pattern: str = r"[A-Za-z0-9][A-Za-z0-9._-]*"
    means: str = "letters, digits, dots, dashes and underscores"

    def of(self, options: Options) -> str:
        return self.text(options)

    def problem(self, given: str | bool | None) -> str:
        return "" if re.fullmatch(self.pattern, str(given)) else f"it is made of {self.means}"
