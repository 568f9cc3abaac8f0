"""What a shell script is made of: the tree that `syntax` makes and `shell` runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


class SyntaxRefused(Exception):
    """The text is no shell, or more of one than there is here."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word. `text` is a literal, a variable's name, a command or an arithmetic expression."""

    kind: Literal["text", "variable", "command", "arithmetic"]
    text: str
    quoted: bool
    default: str | None = None
    """For `${NAME:-default}`."""


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    descriptor: int
    operator: str
    """`<`, `>`, `>>` or `>&` (then the word is a descriptor)."""
    target: Word


@dataclass(slots=True)
class Command:
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    commands: list[Node]
    negated: bool = False


@dataclass(slots=True)
class AndOr:
    first: Pipeline
    rest: list[tuple[str, Pipeline]]


@dataclass(slots=True)
class Sequence:
    items: list[AndOr]


@dataclass(slots=True)
class If:
    branches: list[tuple[Sequence, Sequence]]
    otherwise: Sequence | None


@dataclass(slots=True)
class Loop:
    condition: Sequence
    body: Sequence
    until: bool


@dataclass(slots=True)
class For:
    name: str
    words: list[Word]
    body: Sequence


@dataclass(slots=True)
class Group:
    """A compound command: `{ ...; }`, `( ... )`, or one of those above, with its redirections."""

    body: Sequence | If | Loop | For
    redirections: list[Redirection]
    subshell: bool = False


Node = Command | Group
