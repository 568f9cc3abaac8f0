"""A plan: lab by lab and step by step what a run would change, object by object and field by field."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from workshop.console import words
from workshop.console.by_hand import added_lines
from workshop.console.commands import Commands
from workshop.console.errors import error_lines
from workshop.console.lines import Lines
from workshop.runbook.plan import LabPlan, Plan, StepPlan


def plan_lines(plan: Plan, lines: Lines, *, commands: bool) -> Iterator[RenderableType]:
    """With `commands`, what a person would type for each change instead of what would differ."""
    title = "What a run would do by hand" if commands else "What a run would change"
    yield Text.assemble((title, "bold"), (f"  {plan.target} {lines.glyphs.dot} nothing is changed now", "dim"))
    needs = [lab for lab in plan.labs if _is_quiet_need(lab)]
    asked = [lab for lab in plan.labs if lab.asked]
    for lab in plan.labs:
        if needs and lab is asked[0]:
            yield lines.folded(len(needs), sum(len(lab.steps) for lab in needs), of_one=len(asked) == 1)
        if lab in needs:
            continue
        yield lines.heading(lab.name, lab.title)
        typed = Commands() if commands else None
        for step in lab.steps:
            yield from _step(step, lines, typed)
    yield from _summary(plan, lines)


def _is_quiet_need(lab: LabPlan) -> bool:
    """Nothing of it differs, and nobody asked for it: all of them are one line."""
    return not lab.asked and not any(
        step.changes or step.unproved or step.error or step.check.added for step in lab.steps
    )


def _step(step: StepPlan, lines: Lines, commands: Commands | None) -> Iterator[RenderableType]:
    yield from _change(step, lines, commands)
    for line in added_lines(step.check.added, lines):
        yield lines.below(line)


def _change(step: StepPlan, lines: Lines, commands: Commands | None) -> Iterator[RenderableType]:
    number = str(step.number)
    body = lines.titled(step.title, step.check.note)
    if step.error:
        yield lines.row(Text(lines.glyphs.failed, "bold red"), Text("fails", "bold red"), number, body, None)
        yield lines.below(error_lines(step.error, debug=lines.debug))
        return
    if step.unproved:
        body = lines.titled(step.title, "applied, not proved: a run proves it")
        yield lines.row(Text(lines.glyphs.inconclusive, "yellow"), Text("unproved", "yellow"), number, body, None)
        return
    if not step.changes:
        yield lines.row(Text(lines.glyphs.unchanged, "dim"), Text("unchanged", "dim"), number, body, None)
        return
    word, style = ("remove", "red") if step.destroys else ("change", "yellow")
    yield lines.row(Text("-" if step.destroys else "~", style), Text(word, style), number, body, None)
    if commands is None:
        for line in lines.differences(step.check.differences, whole=True):
            yield lines.below(line)
        return
    yield from commands.lines(step.explanation.commands)
    if not step.explanation.commands:
        yield lines.below(Text("no command does this alone; --explain says more", "dim"))


def _summary(plan: Plan, lines: Lines) -> Iterator[RenderableType]:
    changing = [step for step in plan.steps if step.changes]
    unproved = [step for step in plan.steps if step.unproved]
    yield Text()
    if failing := sum(1 for step in plan.steps if step.error):
        yield Text(f"{lines.glyphs.failed} {words.count(failing, 'step')} would fail", "bold red")
    elif not changing and not unproved:
        yield Text.assemble(
            (f"{lines.glyphs.changed} Converged", "bold green"), ("  a run would change nothing", "dim")
        )
        return
    if changing or not unproved:
        of = f"{len(changing)} of {words.count(len(plan.steps), 'step')} would change something"
        objects = words.totals(difference for step in changing for difference in step.check.differences)
        yield Text.assemble((of, "bold"), (f"  {objects}" if objects else "", "dim"))
    if unproved:
        were = "was" if len(unproved) == 1 else "were"
        said = f"{words.count(len(unproved), 'step')} {were} applied before and not proved"
        yield Text.assemble((f"{lines.glyphs.inconclusive} {said}", "yellow"), ("  a run proves it", "dim"))
