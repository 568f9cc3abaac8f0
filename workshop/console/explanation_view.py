"""An explanation: the lab's text, and for each step what a person would type instead, with YAML. On a terminal, or
as a Markdown document for a pipe or a file, whose `sh` blocks, typed in their order, do the labs.

Texts are written as plain text; a sign that Markdown would take for more than itself is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.console.verbatim import PAGE, Commands, highlighted
from workshop.runbook.plan import LabExplanation, StepExplanation

FIRST = "In a shell of your own, type this first; it makes the tools talk to this cluster."


def explanation_lines(
    labs: Sequence[LabExplanation], lines: Lines, first: Sequence[str] = ()
) -> Iterator[RenderableType]:
    """`first` are the commands that make any shell fit for those of the labs."""
    if first:
        yield _page(Text(FIRST, "dim"))
        yield from Commands().lines(first)
        yield Text()
    for place, explained in enumerate(labs):
        lab = explained.lab
        if place:
            yield Text()
        yield Text.assemble((lab.name, "bold cyan"), "  ", (lab.title, "bold"))
        for paragraph in words.paragraphs(lab.text):
            yield Text()
            yield _page(Text(paragraph))
        if lab.all_needs:
            yield Text()
            yield Text.assemble(("needs  ", "dim"), ", ".join(lab.all_needs))
        if lab.options:
            yield Text()
        for option in lab.options:
            yield _page(Text.assemble((f"--{option.name}  ", "bold"), (option.help, "dim")))
        commands = Commands()
        for step in explained.steps:
            yield from _step(step, commands)


def _step(step: StepExplanation, commands: Commands) -> Iterator[RenderableType]:
    yield Text()
    yield _page(Text.assemble((f"{step.number:>2}  ", "dim"), (step.title, "bold")))
    yield from commands.lines(step.explanation.commands)
    if step.explanation.yaml.strip():
        yield Padding(highlighted(step.explanation.yaml.strip()), (0, 0, 0, 4), expand=False)


def _page(text: Text) -> RenderableType:
    """Text broken to the page, not to the terminal."""
    return Constrain(text, PAGE)


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
