"""Several labs in one call: one run where that is possible, and the flags about a call hold for all of them.

Invoke runs one task after the other, each with the flags that are typed after it. `lab.azure.group lab.azure.vnet
--plan` made the group, and planned the network. Here the modes (lab_tasks.MODES) hold for all labs of the call,
wherever they stand. Labs in the runbook's order are one run, whose plan knows what the labs before will have
changed. A clean-up, a lab with flags of its own (`--to v1`) and labs in another order are runs one after the other:
no plan of the second one could be true, so it is refused before anything is looked at.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from invoke.executor import Executor
from invoke.parser.context import ParserContext

from workshop import invocation
from workshop.cli.config import refuse
from workshop.cli.lab_tasks import MODES, HarmlessTask, LabTask, parameter
from workshop.runbook.errors import UsageError
from workshop.runbook.request import Request

_LOOKING = ("plan", "explain", "check")
"""The modes in which nothing is changed."""

_OF_A_REQUEST = {field.name for field in fields(Request)}


@dataclass(frozen=True)
class TypedTask:
    """A task as it stands in the line, with the flags that were typed after it."""

    context: ParserContext
    task: Any

    @property
    def name(self) -> str:
        """The shortest one: lab.istio, not lab.istio.all."""
        return min((self.context.name or "", *self.context.aliases), key=len)

    @property
    def flags(self) -> dict[str, Any]:
        return {name: value for name, value in self.context.as_kwargs.items() if value not in (None, False)}

    @property
    def is_lab(self) -> bool:
        return isinstance(self.task, LabTask)

    @property
    def own(self) -> dict[str, Any]:
        """The flags that are about this task alone."""
        return {name: value for name, value in self.flags.items() if name not in MODES}

    @property
    def words(self) -> list[str]:
        """As they were typed, without the modes."""
        flags = [(f"--{name.replace('_', '-')}", value) for name, value in self.own.items()]
        return [self.name, *(word for flag in flags for word in flag if word is not True)]

    @property
    def given(self) -> list[str]:
        """As they were typed, of a task that is no lab: without --plan."""
        words = [self.name]
        for argument in self.context.args.values():
            if argument.got_value and argument.name != "plan":
                flag, value = argument.name.replace("_", "-"), argument.value
                words += [f"--no-{flag}" if value is False else f"--{flag}"]
                words += [] if isinstance(value, bool) else [str(value)]
        return words

    def goes_with(self, before: TypedTask) -> bool:
        """In one run."""
        if any(typed.own or typed.task.undoes for typed in (before, self)):
            return False
        position = self.task.runbook.position
        return bool(position(before.task.labs[-1]) < position(self.task.labs[0]))


class LabExecutor(Executor):
    def execute(self, *tasks: Any) -> Any:
        """Raises Exit for a line that is refused."""
        self.config.load_shell_env()
        line = [TypedTask(context, self.collection[context.name]) for context in tasks]
        try:
            calls = list(calls_of(line, dry=self.config.run.dry))
        except UsageError as error:
            refuse(error)
        return super().execute(*calls)


Batch = list[TypedTask]
"""Labs that go in one run."""


def calls_of(line: Sequence[TypedTask], *, dry: bool) -> Iterator[ParserContext | tuple[str, dict[str, Any]]]:
    """What Invoke is to execute: lab tasks that stand beside each other are one. Raises UsageError."""
    stretches = [(is_lab, list(stretch)) for is_lab, stretch in groupby(line, lambda typed: typed.is_lab)]
    runs = [list(_batches(stretch)) for is_lab, stretch in stretches if is_lab]
    modes = [mode for mode in MODES if any(mode in typed.flags for typed in line if typed.is_lab)]
    instead = ["plan", *modes] if dry and "plan" not in modes else modes
    _refuse_what_is_not_for_all(line, modes, instead)
    if looks := next((f"--{mode}" for mode in _LOOKING if mode in modes), "--dry" if dry else ""):
        _refuse_others(line, looks, instead)
    if "undo" in modes and len(runs) > 1:
        raise UsageError(
            "take back labs with another task between them",
            "they go together, last first",
            next_command=_command([typed for typed in line if typed.is_lab], instead),
        )
    if "undo" not in modes and (dry or "plan" in modes) and sum(map(len, runs)) > 1:
        _refuse_plan(line, instead)
    asked = {mode: True for mode in modes if mode not in _OF_A_REQUEST}
    for is_lab, stretch in stretches:
        if not is_lab:
            yield from (typed.context for typed in stretch)
        else:
            yield stretch[0].name, {"requests": [_request(run, modes) for run in _batches(stretch)], **asked}


def _batches(labs: Iterable[TypedTask]) -> Iterator[Batch]:
    """Without what is there twice, which Invoke leaves out as well."""
    run: Batch = []
    seen: list[TypedTask] = []
    for typed in labs:
        if any((typed.task, typed.own) == (other.task, other.own) for other in seen):
            continue
        seen.append(typed)
        if run and not typed.goes_with(run[-1]):
            yield run
            run = []
        run.append(typed)
    if run:
        yield run


def _request(run: Batch, modes: Sequence[str]) -> Request:
    names = tuple(name for typed in run for name in typed.task.labs)
    own = run[0].own
    step, to, restart = own.get("step"), own.get("to"), own.get("restart", False)
    lab = run[0].task.runbook.lab(names[0])
    options = {option.name: own[parameter(option)] for option in lab.options if parameter(option) in own}
    program = invocation.invoke()
    request = Request(
        names,
        command=invocation.typed(),
        program=program,
        activation=invocation.activation(),
        step=None if step is None else _number(step, f"{program} lab.{names[0]} --plan"),
        to=to,
        restart=restart,
        options={names[0]: options} if options else {},
    )
    given: dict[str, Any] = {mode: True for mode in modes if mode in _OF_A_REQUEST}
    return replace(request, **given)


def _number(step: str, listing: str) -> int:
    if not step.isdecimal():
        raise UsageError(
            f"run step {step!r}", "it is a step's number, as --plan and --explain show it", next_command=listing
        )
    return int(step)


def _refuse_what_is_not_for_all(line: Sequence[TypedTask], modes: Sequence[str], instead: Sequence[str]) -> None:
    labs = [typed for typed in line if typed.is_lab]
    for mode in modes:
        if without := [typed.name for typed in labs if mode not in typed.context.args]:
            able = [typed for typed in labs if typed.name not in without]
            raise UsageError(
                f"use --{mode} for all labs of this call",
                f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no --{mode}",
                cause=f"--{mode} holds for all labs of a call, wherever it stands",
                next_command=_command(able, instead),
            )


def _refuse_others(line: Sequence[TypedTask], looks: str, instead: Sequence[str]) -> None:
    others = [typed for typed in line if not typed.is_lab and not isinstance(typed.task, HarmlessTask)]
    if others:
        left = [typed for typed in line if typed not in others]
        following = _command(left, instead) if any(typed.is_lab for typed in left) else ""
        if not left and len(others) == 1 and "plan" in others[0].context.args:  # such as reset, in its own words
            following = f"{invocation.invoke()} {shlex.join([*others[0].given, '--plan'])}"
        raise UsageError(
            f"use {looks} with other tasks than labs",
            f"{others[0].name} is no lab, and would be done all the same",
            next_command=following,
        )


def _refuse_plan(line: Sequence[TypedTask], instead: Sequence[str]) -> None:
    """Of several runs, in the order that would be one, if there is such a one."""
    labs = [typed for typed in line if typed.is_lab]
    ordered = sorted(labs, key=lambda typed: typed.task.runbook.position(typed.task.labs[0]))
    in_order = len(list(_batches(ordered))) == 1
    raise UsageError(
        f"plan {', then '.join(shlex.join(typed.words) for typed in labs)}",
        "they are runs one after the other, and the plan of one cannot know what those before it will have changed",
        cause="in the runbook's order, and beside each other, they would be one run"
        if in_order
        else "a clean-up, a lab with flags of its own, and one that a group before it has, are runs by themselves",
        next_command=_command(ordered if in_order else labs[:1], instead),
    )


def _command(line: Sequence[TypedTask], modes: Iterable[str]) -> str:
    """The command, with the modes after its last lab."""
    last = max(place for place, typed in enumerate(line) if typed.is_lab)
    before = [word for typed in line[: last + 1] for word in typed.words]
    after = [word for typed in line[last + 1 :] for word in typed.words]
    return f"{invocation.invoke()} {shlex.join([*before, *(f'--{mode}' for mode in modes), *after])}"
