"""An explanation on a terminal: the lab's text, and for each step what a person would type instead, with YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.commands import PAGE, Commands, highlighted
from workshop.console.lines import Lines
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
    from rich.constrain import Constrain

    return Constrain(text, PAGE)
