"""Markdown (CommonMark): texts are plain text, and a sign that would be taken for more than itself is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from workshop.console.verbatim import PAGE

_CODE = re.compile(r"(`[^`\n]+`)")
_MORE_THAN_ITSELF = re.compile(
    r"[*`]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|\[(?=[^\]]*\][(:])|\\(?=[!-/:-@\[-`{-~])|&(?=#?\w+;)|~(?=~)"
)
_OPENS = re.compile(r"[-+*=_]+$|[>|]|#{1,6}$|~~~|\d{1,9}(?=[.)]$)")
"""What begins a list, a heading, a quotation, a table or a fence at the beginning of a line."""


def fenced(language: str, parts: Iterable[str]) -> str:
    content = "\n".join(parts)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", content) or [""]))
    return f"{fence}{language}\n{content}\n{fence}"


def paragraph(said: str, bullet: str = "") -> str:
    """A paragraph in lines of a page. No line begins with what would make another block of it."""
    lines = [bullet]
    for word in escaped(said).split():
        begun = lines[-1].strip() not in ("", bullet.strip())
        if begun and len(lines[-1]) + 1 + len(word) > PAGE and not _OPENS.match(word):
            lines.append(" " * len(bullet) + word)
        elif begun:
            lines[-1] += f" {word}"
        else:
            lines[-1] += _OPENS.sub(_closed, word, count=1) if _OPENS.match(word) else word
    return "\n".join(lines)


def _closed(opening: re.Match[str]) -> str:
    return f"{opening[0]}\\" if opening[0].isdigit() else f"\\{opening[0]}"


def escaped(said: str) -> str:
    """What is not between two backticks."""
    parts = _CODE.split(said)
    return "".join(
        part if place % 2 else _MORE_THAN_ITSELF.sub(r"\\\g<0>", part) for place, part in enumerate(parts)
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The cells are plain text, in one line each."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(_cell(cell) for cell in cells)} |"

    return "\n".join((line(heads), line("---" for _ in heads), *map(line, rows)))


def _cell(said: str) -> str:
    return " ".join(escaped(said).split()).replace("|", "\\|")
