"""What a plan and the doctor show: what a run would change, lab by lab and step by step, object by object and field
by field; and what would make it fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.console.differences import added_lines
from workshop.console.lines import Lines, error_lines
from workshop.console.verbatim import Commands, unbroken
from workshop.runbook.plan import Plan, StepPlan
from workshop.runbook.results import Finding


def plan_lines(plan: Plan, lines: Lines, *, commands: bool, brief: bool = False) -> Iterator[RenderableType]:
    """With `commands`, what a person would type for each change instead of what would differ. `brief`: labs asked
    for are folded as needs are, and of the others the unchanged steps are one line."""
    title = "What a run would do by hand" if commands else "What a run would change"
    yield Text.assemble((title, "bold"), (f"  {plan.target} {lines.glyphs.dot} nothing is changed now", "dim"))
    folds = [lab for lab in plan.labs if (brief or not lab.asked) and all(map(_is_quiet, lab.steps))]
    asked = [lab for lab in plan.labs if lab.asked]
    for lab in plan.labs:
        if folds and lab is asked[0]:
            steps = sum(len(lab.steps) for lab in folds)
            yield lines.folded(len(folds), steps, of_one=len(asked) == 1, brief=brief)
        if lab in folds:
            continue
        yield lines.heading(lab.name, lab.title)
        typed = Commands() if commands else None
        quiet = [step for step in lab.steps if brief and _is_quiet(step)]
        for step in lab.steps:
            if step not in quiet:
                yield from _step(step, lines, typed)
        if quiet:
            yield lines.unchanged(len(quiet))
    yield from _summary(plan, lines)


def _is_quiet(step: StepPlan) -> bool:
    """Nothing of it differs from what it should be."""
    return not (step.changes or step.unproved or step.error or step.check.added)


def _step(step: StepPlan, lines: Lines, commands: Commands | None) -> Iterator[RenderableType]:
    yield from _change(step, lines, commands)
    for line in added_lines(step.check.added, lines.glyphs):
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


_SIGN, _STATE, _GAP = 3, 4, 2
"""Columns of a finding's sign, of its state, and between all of them."""

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor_lines(target: str, findings: Sequence[Finding], lines: Lines) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("What a run would find", "bold"), (f"  {target} {lines.glyphs.dot} nothing is changed", "dim")
    )
    yield Text()
    signs = {"ok": lines.glyphs.changed, "warn": lines.glyphs.inconclusive, "fail": lines.glyphs.failed}
    names = max(cell_len(finding.name) for finding in findings)
    for finding in findings:
        yield _row(finding, signs[finding.state], names, lines.row_width)
        if finding.next_command and finding.state != "ok":
            # Outside the table, which would break it in a log as well: it is for copying.
            indent = " " * (_SIGN + _STATE + names + 3 * _GAP)
            yield unbroken(indent, (finding.next_command, "bold cyan"))
    yield Text()
    yield _diagnosis(findings, signs)


def _row(finding: Finding, sign: str, names: int, width: int) -> RenderableType:
    style = _STYLES[finding.state]
    table = Table.grid(padding=(0, _GAP))
    table.width = width
    table.add_column(width=_SIGN, justify="right")
    table.add_column(width=_STATE)
    table.add_column(width=names, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text(sign, style), Text(finding.state, style), finding.name, Text(finding.what))
    return table


def _diagnosis(findings: Sequence[Finding], signs: dict[str, str]) -> Text:
    failing = sum(finding.state == "fail" for finding in findings)
    doubtful = sum(finding.state == "warn" for finding in findings)
    if failing:
        said = f"{signs['fail']} {words.count(failing, 'problem')} would make a run fail"
        style = "bold red"
    else:
        said, style = f"{signs['ok']} Nothing would make a run fail", "bold green"
    text = Text(said, style)
    if doubtful:
        text.append(f"  {words.count(doubtful, 'thing')} to look at", "yellow")
    return text
