"""An explanation as a Markdown document, for a pipe or a file: its `sh` blocks, typed in their order, do the labs.

Texts are written as plain text; a sign that Markdown would take for more than itself is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workshop.console import words
from workshop.console.commands import PAGE, Commands
from workshop.console.explain_view import FIRST
from workshop.runbook.plan import LabExplanation

_CODE = re.compile(r"(`[^`\n]+`)")
_MORE_THAN_ITSELF = re.compile(
    r"[*`]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|\[(?=[^\]]*\][(:])|\\(?=[!-/:-@\[-`{-~])|&(?=#?\w+;)|~(?=~)"
)
_OPENS = re.compile(r"[-+*=_]+$|[>|]|#{1,6}$|~~~|\d{1,9}(?=[.)]$)")
"""What begins a list, a heading, a quotation, a table or a fence at the beginning of a line."""


def markdown(labs: Sequence[LabExplanation], first: Sequence[str] = ()) -> str:
    """`first` are the commands that make any shell fit for those of the labs."""
    names = [explained.lab.name for explained in labs]
    groups = dict.fromkeys(name.partition(".")[0] for name in names)
    blocks = [f"# By hand: {_escaped(', '.join(names if len(names) == 1 else groups))}"]
    if first:
        blocks += [_text(FIRST), _fenced("sh", Commands().typed(first))]
    for explained in labs:
        blocks += _lab(explained)
    return "\n\n".join(blocks) + "\n"


def _lab(explained: LabExplanation) -> Iterator[str]:
    lab, commands = explained.lab, Commands()
    yield f"## {_escaped(f'{lab.name}: {lab.title}')}"
    yield from map(_text, words.paragraphs(lab.text))
    if lab.all_needs:
        yield _text(f"Needs: {', '.join(lab.all_needs)}")
    if lab.options:
        yield "\n".join(_text(f"`--{option.name}` {option.help}", bullet="- ") for option in lab.options)
    for step in explained.steps:
        yield f"### {step.number}. {_escaped(step.title)}"
        if typed := list(commands.typed(step.explanation.commands)):
            yield _fenced("sh", typed)
        if yaml := step.explanation.yaml.strip():
            yield _fenced("yaml", [yaml])


def _fenced(language: str, parts: Iterator[str] | Sequence[str]) -> str:
    text = "\n".join(parts)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text) or [""]))
    return f"{fence}{language}\n{text}\n{fence}"


def _text(text: str, bullet: str = "") -> str:
    """A paragraph in lines of a page. No line begins with what would make another block of it."""
    lines = [bullet]
    for word in _escaped(text).split():
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


def _escaped(text: str) -> str:
    """What is not between two backticks."""
    parts = _CODE.split(text)
    return "".join(
        part if place % 2 else _MORE_THAN_ITSELF.sub(r"\\\g<0>", part) for place, part in enumerate(parts)
    )
