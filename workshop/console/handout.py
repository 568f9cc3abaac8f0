"""The workshop as its attendees get it, as one page or as Markdown: each lab's text, what to type, what there is to
see, and the command that checks what was typed.

It is made of what `--explain` shows, so it says what the labs do. A step that is an exercise has its YAML with
fields left open, unless the handout is made with the `solution`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workshop.console import words
from workshop.console.explanation_view import lab_head
from workshop.console.markdown import escaped, fenced, paragraph
from workshop.console.verbatim import Commands
from workshop.console.web_page import Child, Markup, links, listed, page, prose, tag
from workshop.runbook.model import Lab
from workshop.runbook.plan import LabExplanation, StepExplanation
from workshop.runbook.results import LEFT_OPEN

MADE_BY = "Mesh Workshop handout"
"""By which a file is known to be one."""

_TITLE = "Mesh Workshop"


@dataclass(frozen=True, slots=True)
class Handout:
    """`place` is the cluster in words, `program` how Invoke is called for it."""

    labs: Sequence[LabExplanation]
    place: str
    program: str
    solution: bool = False

    def command(self, lab: Lab, *flags: str) -> str:
        return " ".join((self.program, f"lab.{lab.name}", *flags))

    def beginnings(self) -> Iterator[tuple[str, str]]:
        """What to type first, and what for."""
        yield "source .venv/bin/activate", "in the workshop's folder, so that your shell finds invoke"
        yield f"{self.program} doctor", "says what would make a lab fail, before it does"
        yield f"{self.program} shell", f"opens a shell whose kubectl and istioctl talk to {self.place}"
        yield f"{self.program} --list", "is the table of contents"

    def ways(self, lab: Lab) -> Iterator[tuple[str, str]]:
        """What each does, and its command."""
        if not lab.undoes:
            yield "check yourself", self.command(lab, "--check")
        yield "let it be done", self.command(lab)
        for options, about in lab.tries:
            yield about, self.command(lab, options)
        if not lab.undoes:
            yield "take it back", self.command(lab, "--undo")

    def is_exercise(self, step: StepExplanation) -> bool:
        return step.explanation.exercise is not None and not self.solution


_INTRODUCTION = (
    "Each lab has a text, and steps to type. What it needs comes before it. Whoever would rather watch lets the"
    " workshop do a lab; whoever has typed it has it checked, which measures what is there and changes nothing."
)
_FILL_IN = f"Fill in what is left open ({LEFT_OPEN}), type it, and have it checked:"


def handout_page(handout: Handout) -> str:
    entries: list[tuple[str, Child, Sequence[tuple[str, Child]]]] = [("begin", "Before you begin", ())]
    entries += [(_id(one.lab), f"{one.lab.name}: {one.lab.title}", ()) for one in handout.labs]
    first = [(tag("code", command), about) for command, about in handout.beginnings()]
    body = [
        tag("h1", _title(handout)),
        tag(
            "section",
            tag("h2", "Before you begin", id="begin"),
            tag("p", _INTRODUCTION),
            tag("ul", [tag("li", command, " ", about) for command, about in first]),
        ),
        [_lab(handout, one) for one in handout.labs],
    ]
    return page(_title(handout), links(entries), body, made_by=MADE_BY, style=_STYLE)


def _title(handout: Handout) -> str:
    return f"{_TITLE}, with the solutions" if handout.solution else _TITLE


def _id(lab: Lab) -> str:
    return f"lab-{lab.name}"


def _lab(handout: Handout, one: LabExplanation) -> Markup:
    lab, commands = one.lab, Commands()
    return tag(
        "section",
        tag("h2", f"{lab.name}: {lab.title}", id=_id(lab)),
        [tag("p", prose(text)) for text in words.paragraphs(lab.text)],
        listed(
            [
                ("needs", ", ".join(lab.all_needs)),
                *((tag("code", f"--{option.name}"), prose(option.help)) for option in lab.options),
            ]
        ),
        [_step(handout, lab, step, commands) for step in one.steps],
        listed([(prose(about), tag("code", command)) for about, command in handout.ways(lab)], "facts ways keep"),
        class_="lab",
    )


def _step(handout: Handout, lab: Lab, step: StepExplanation, commands: Commands) -> Markup:
    explanation, exercise = step.explanation, step.explanation.exercise
    open_ = handout.is_exercise(step)
    given = exercise.commands if exercise and open_ else explanation.commands
    typed = "\n".join(commands.typed(given))
    asked: Child = None
    if exercise:
        after = tag("p", _FILL_IN, " ", tag("code", _check(handout, lab, step))) if open_ else tag("p", "Solution:")
        asked = tag("div", tag("p", tag("b", "Exercise. "), prose(exercise.task)), after, class_="exercise keep")
    return tag(
        "section",
        tag("h3", f"{step.number}. {step.title}"),
        asked,
        tag("pre", tag("code", _opened(typed))) if typed else None,
        tag("pre", tag("code", explanation.yaml.strip())) if explanation.yaml.strip() else None,
        _seen(explanation.seen),
    )


def _check(handout: Handout, lab: Lab, step: StepExplanation) -> str:
    return handout.command(lab, f"--step {step.number}", "--check")


def _opened(typed: str) -> Child:
    """What is left open stands out."""
    pieces = typed.split(LEFT_OPEN)
    return [piece for part in pieces[:-1] for piece in (part, tag("mark", LEFT_OPEN))] + [pieces[-1]]


def _seen(seen: Sequence[str]) -> Child:
    if not seen:
        return None
    return tag("div", tag("p", "What to see:"), tag("ul", [tag("li", one) for one in seen]), class_="seen keep")


def handout_markdown(handout: Handout) -> str:
    blocks = [f"<!-- {MADE_BY} -->", f"# {_title(handout)}", "## Before you begin", paragraph(_INTRODUCTION)]
    blocks.append(
        "\n".join(paragraph(f"`{command}` {about}", bullet="- ") for command, about in handout.beginnings())
    )
    for one in handout.labs:
        blocks += _lab_blocks(handout, one)
    return "\n\n".join(blocks) + "\n"


def _lab_blocks(handout: Handout, one: LabExplanation) -> Iterator[str]:
    lab, commands = one.lab, Commands()
    yield from lab_head(lab)
    for step in one.steps:
        yield from _step_blocks(handout, lab, step, commands)
    yield "\n".join(paragraph(f"{about}: `{command}`", bullet="- ") for about, command in handout.ways(lab))


def _step_blocks(handout: Handout, lab: Lab, step: StepExplanation, commands: Commands) -> Iterator[str]:
    explanation, exercise = step.explanation, step.explanation.exercise
    open_ = handout.is_exercise(step)
    yield f"### {step.number}. {escaped(step.title)}"
    if exercise:
        yield paragraph(f"Exercise. {exercise.task}")
        yield paragraph(f"{_FILL_IN} `{_check(handout, lab, step)}`") if open_ else "Solution:"
    given = exercise.commands if exercise and open_ else explanation.commands
    if typed := list(commands.typed(given)):
        yield fenced("sh", typed)
    if yaml := explanation.yaml.strip():
        yield fenced("yaml", [yaml])
    if explanation.seen:
        yield "What to see:"
        yield "\n".join(paragraph(one, bullet="- ") for one in explanation.seen)


_STYLE = """
.lab { break-before: page; }
.exercise { border-left: 4px solid var(--link); background: var(--soft); padding: 0.4rem 1rem; margin: 0.75rem 0; }
.seen p { margin-bottom: 0; color: var(--dim); }
.seen ul { margin-top: 0.2rem; }
.ways { border-top: 1px solid var(--line); padding-top: 0.75rem; margin-top: 1.25rem; }
mark { background: var(--doubt-soft); color: var(--doubt); font-weight: 700; padding: 0 0.3em; }
"""
