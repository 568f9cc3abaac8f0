"""What the task `handout` does: it writes the workshop as attendees get it, for their target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import invocation, written_files
from workshop.runbook import plan as planning
from workshop.runbook.assembly import refuse_missing_files
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Runbook
from workshop.runbook.plan import LabExplanation
from workshop.runbook.request import Request
from workshop.settings import Settings, load
from workshop.target import ACCOUNT, Target, Use, describe

if TYPE_CHECKING:
    from invoke.config import Config

FORMS = {"html": "html", "markdown": "md"}
"""How it can be written, and what its file's name ends with."""


def handout(config: Config, runbook: Runbook, *, labs: str, form: str, to: str, solution: bool, force: bool) -> int:
    """Of these `labs` (names or groups), or of all that a person can type on the target."""

    def act() -> int:
        from workshop.console.handout import MADE_BY, Handout, handout_markdown, handout_page

        invocation.refuse_other_form(form, FORMS, "handout")
        settings = load(config)
        names = _names(runbook, labs, settings)
        target = _target(settings, runbook, account=False)
        explained = tuple(_explained(settings, runbook, names))
        place = "the sandbox's cluster" if settings.target == "sandbox" else target.which
        made = Handout(explained, place, invocation.invoke(), solution)
        text = handout_page(made) if form == "html" else handout_markdown(made)
        exercises = sum(step.explanation.exercise is not None for one in explained for step in one.steps)
        of = f"{len(explained)} labs and {exercises} exercises"
        what = f"the handout of {of}{', solved,' if solution else ''}"
        file = to or f"handout{'-with-solutions' if solution else ''}.{FORMS[form]}"
        written_files.write(file, text, made_by=MADE_BY, force=force, what=what)
        return 0

    return invocation.ended(act)


def _names(runbook: Runbook, asked: str, settings: Settings) -> tuple[str, ...]:
    """In the runbook's order. Raises UsageError for what is none, and for what nobody can type on the target."""
    words = re.split(r"[ ,]+", asked.strip()) if asked.strip() else []
    known = {lab.name: lab for lab in runbook.labs}
    groups = {lab.group for lab in runbook.labs}
    typed_on_azure = settings.target == "azure"
    command = f"{invocation.invoke()} handout"
    for word in words:
        if word not in known and word not in groups:
            raise UsageError(
                f"write a handout of {word}",
                "it is neither a lab nor a group of labs",
                cause=f"the groups are {', '.join(sorted(groups))}",
                next_command=f"{invocation.invoke()} --list lab",
            )
        if f"{word}.".startswith(ACCOUNT) and not typed_on_azure:
            raise UsageError(
                f"write a handout of {word} for the target {settings.target}",
                "its commands are for Azure, and az does not reach this target",
                cause="a profile with the target azure has them",
                next_command=f"{command} --labs {' '.join(sorted(groups - {ACCOUNT.strip('.')}))}",
            )
    return tuple(
        name
        for name, lab in known.items()
        if (typed_on_azure or not name.startswith(ACCOUNT)) and (not words or {name, lab.group} & set(words))
    )


def _explained(settings: Settings, runbook: Runbook, names: tuple[str, ...]) -> Iterator[LabExplanation]:
    """In the order of the runbook, each as its own ground has it."""
    refuse_missing_files(runbook, names)
    account = tuple(name for name in names if name.startswith(ACCOUNT))
    for these in (account, tuple(name for name in names if name not in account)):
        if these:
            target = _target(settings, runbook, account=these is account)
            request = Request(these, program=invocation.invoke())
            for one in planning.explain(runbook, request, target.toolbox):
                yield _for_others(one, settings)


def _target(settings: Settings, runbook: Runbook, *, account: bool) -> Target:
    """Described only: what is yet to be made, and is somebody else's anyway, need not be there."""
    use = Use(account=account, made=settings.target == "azure" and not account, command=invocation.invoke())
    return describe(settings, use).with_labs(runbook)


def _for_others(one: LabExplanation, settings: Settings) -> LabExplanation:
    """Files of the workshop's as they are called in everybody's checkout, not where they are in this one."""
    folder = settings.state_folder
    here = Path.cwd()

    def there(commands: tuple[str, ...]) -> tuple[str, ...]:
        if not folder.is_relative_to(here):
            return commands
        return tuple(command.replace(str(folder), str(folder.relative_to(here))) for command in commands)

    steps = []
    for step in one.steps:
        explanation = replace(step.explanation, commands=there(step.explanation.commands))
        if explanation.exercise:
            exercise = replace(explanation.exercise, commands=there(explanation.exercise.commands))
            explanation = replace(explanation, exercise=exercise)
        steps.append(replace(step, explanation=explanation))
    return replace(one, steps=tuple(steps))
