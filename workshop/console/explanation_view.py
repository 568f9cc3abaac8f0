"""An explanation: the lab's text, and for each step what a person would type instead, with YAML. On a terminal, or
as a Markdown document for a pipe or a file, whose `sh` blocks, typed in their order, do the labs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.console.markdown import escaped, fenced, paragraph
from workshop.console.verbatim import PAGE, Commands, highlighted
from workshop.runbook.model import Lab
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
        for block in words.paragraphs(lab.text):
            yield Text()
            yield _page(Text(block))
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


def markdown(labs: Sequence[LabExplanation], first: Sequence[str] = ()) -> str:
    """`first` are the commands that make any shell fit for those of the labs."""
    names = [explained.lab.name for explained in labs]
    groups = dict.fromkeys(name.partition(".")[0] for name in names)
    blocks = [f"# By hand: {escaped(', '.join(names if len(names) == 1 else groups))}"]
    if first:
        blocks += [paragraph(FIRST), fenced("sh", Commands().typed(first))]
    for explained in labs:
        blocks += _lab(explained)
    return "\n\n".join(blocks) + "\n"


def lab_head(lab: Lab) -> Iterator[str]:
    """Blocks of Markdown: what it is about, what it needs, and its options."""
    yield f"## {escaped(f'{lab.name}: {lab.title}')}"
    yield from map(paragraph, words.paragraphs(lab.text))
    if lab.all_needs:
        yield paragraph(f"Needs: {', '.join(lab.all_needs)}")
    if lab.options:
        yield "\n".join(paragraph(f"`--{option.name}` {option.help}", bullet="- ") for option in lab.options)


def _lab(explained: LabExplanation) -> Iterator[str]:
    commands = Commands()
    yield from lab_head(explained.lab)
    for step in explained.steps:
        yield f"### {step.number}. {escaped(step.title)}"
        if typed := list(commands.typed(step.explanation.commands)):
            yield fenced("sh", typed)
        if yaml := step.explanation.yaml.strip():
            yield fenced("yaml", [yaml])
