"""The runbook as tasks: what `invoke --list` shows is its table of contents.

Every lab becomes a task `lab.<name>`, every group of labs (`lab.istio`) a task that runs them in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.tasks import Task

from workshop.runbook.model import Lab, Runbook, Timeline
from workshop.runbook.options import Option

_COMMON = (
    Option("plan", "Show what would change; change nothing.", False),
    Option("explain", "Show the text, the YAML and the commands to type instead.", False),
    Option(
        "check",
        "Check and measure what is there, and change nothing: ends with 0, 1 or 3 (cannot tell).",
        False,
    ),
    Option("only", "Refuse when a lab this one needs has not converged, instead of running it.", False),
    Option(
        "verify",
        "A run that also measures again what has converged, and goes on to what has not (--check only looks).",
        False,
    ),
    Option("pause", "Wait for Enter between steps.", False),
    Option("timings", "End with a table of where the time went, lab by lab.", False),
    Option("yes", "Do not ask before something is deleted.", False),
)
_UNDO = Option("undo", "Take back what this lab has made, and first what needs it.", False)
_STEP = Option("step", "Run only this step (a number as shown by --plan).")
_STAGES = (
    Option("to", "Move straight to this stage ({stages}); back as well as forth."),
    Option("restart", "Begin at the first stage again.", False),
)

MODES = tuple(option.name for option in (*_COMMON, _UNDO))
"""The flags about a call, which hold for all labs of it. The others are about the lab they are typed after."""

_IDLE = (
    *("pty", "warn-only", "hide", "prompt-for-sudo-password", "command-timeout"),
    *("list-depth", "list-format", "no-dedupe"),
)
"""Flags of Invoke's own that are about shell commands of tasks, or about `--list`."""


class WorkshopTask(Task[Any]):
    """A task whose function returns an exit status."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if status := super().__call__(*args, **kwargs):
            raise Exit(code=status)


class HarmlessTask(WorkshopTask):
    """A task that changes nothing, or nothing with Invoke's --dry: it may stand in a call that only looks."""


class LabTask(WorkshopTask):
    """Runs labs of the runbook, by name."""

    about_flags = f"{', '.join(f'--{mode}' for mode in MODES)}: each holds for all labs of a call."

    def __init__(
        self, runbook: Runbook, labs: tuple[str, ...], name: str, text: str, options: Sequence[Option]
    ) -> None:
        def run(context: Context, **given: Any) -> int:
            from workshop import command

            return command.run_labs(context.config, runbook, **given)  # as LabExecutor has put them together

        run.__doc__, run.__name__ = text, name
        super().__init__(run, name=name, positional=())
        self.runbook, self.labs, self._options = runbook, labs, options

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Those of the labs' options, and no short ones: -e, -R and -f are Invoke's own."""
        return [
            Argument(
                name=option.name,
                attr_name=parameter(option) if "-" in option.name else None,
                kind=bool if option.default is False else str,
                default=option.default,
                help=option.help,
            )
            for option in self._options
        ]

    def __eq__(self, other: object) -> bool:
        """Invoke compares the name and the code, and of `lab.azure lab.istio` ran the first one only."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def undoes(self) -> bool:
        return any(self.runbook.lab(name).undoes for name in self.labs)


def collection(runbook: Runbook) -> Collection:
    """`lab.istio.install`, ... in the order of the runbook; a lab's name before the dot is its collection."""
    root = Collection("lab")
    root.add_task(_group_task(runbook, "", runbook.labs), default=True)
    for group in dict.fromkeys(lab.name.partition(".")[0] for lab in runbook.labs):
        labs = [lab for lab in runbook.labs if lab.name.startswith(f"{group}.")]
        inner = Collection(group)
        inner.add_task(_group_task(runbook, group, labs), default=True)
        for lab in labs:
            inner.add_task(_lab_task(runbook, lab))
        root.add_collection(inner)
    return root


def _lab_task(runbook: Runbook, lab: Lab) -> LabTask:
    options = [*_COMMON, *(() if lab.undoes else (_STEP, _UNDO))]
    for timeline in (part for part in lab.parts if isinstance(part, Timeline)):
        stages = ", ".join((timeline.start, *timeline.stages))
        options += [Option(item.name, item.help.format(stages=stages), item.default) for item in _STAGES]
    options += [_ungiven(option) for option in lab.options]
    return LabTask(runbook, (lab.name,), lab.name.rpartition(".")[2], f"{lab.title}\n\n{lab.text}", options)


def _group_task(runbook: Runbook, name: str, labs: Iterable[Lab]) -> LabTask:
    names = tuple(lab.name for lab in labs if not lab.undoes)
    which = f"{name.capitalize()} labs" if name else "labs"
    return LabTask(runbook, names, "all", f"All {which} in order, without the clean-up.", _COMMON)


def _ungiven(option: Option) -> Option:
    """Without its default, which the engine knows: so it can tell what was typed."""
    return Option(option.name, option.help, False if option.default is False else None)


def parameter(option: Option) -> str:
    """Invoke makes the dashes of a flag out of underscores."""
    return option.name.replace("-", "_")


class WordsAfterDashes(ParseError):
    """Invoke takes what stands after --, and drops it."""

    def __init__(self) -> None:
        super().__init__("no task takes words after --")


class IdleFlag(ParseError):
    """A flag of Invoke's own that means nothing to labs: a run is not what was meant."""

    why = "it is Invoke's own, and means nothing to labs"

    def __init__(self, argument: Argument) -> None:
        super().__init__(f"{argument.name}: {self.why}")
        self.argument = argument


def refuse_idle(core: ParserContext, tasks: Sequence[ParserContext], among: Collection) -> None:
    """Raises IdleFlag for the first one that was given, where some of the tasks are labs."""
    if any(isinstance(among[task.name], LabTask) for task in tasks):
        for argument in (core.args[name] for name in _IDLE if name in core.args):
            if argument.got_value:
                raise IdleFlag(argument)
