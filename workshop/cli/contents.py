"""The runbook as tasks: what `invoke --list` shows is its table of contents.

Every lab becomes a task `lab.<name>`, every group of labs (`lab.istio`) a task that runs them in order.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

from workshop.cli.program import end
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


class Harmless(Task[Any]):
    """A task that changes nothing, or nothing with Invoke's --dry: it may stand in a call that only looks."""


class LabTask(Task[Any]):
    """Runs labs of the runbook, by name."""

    about_flags = f"{', '.join(f'--{mode}' for mode in MODES)}: each holds for all labs of a call."

    def __init__(
        self, runbook: Runbook, labs: tuple[str, ...], name: str, text: str, options: list[Option]
    ) -> None:
        def body(context: Context, **given: Any) -> None:
            from workshop import command

            end(command.run_labs(context.config, runbook, **given))  # as LabExecutor has put them together

        parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)]
        parameters += [
            inspect.Parameter(parameter(option), inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for option in options
        ]
        body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        body.__doc__, body.__name__ = text, name
        helps = {parameter(option): option.help for option in options}
        super().__init__(body, name=name, auto_shortflags=False, help=helps)  # -e, -R and -f are Invoke's own
        self.runbook, self.labs = runbook, labs

    def __eq__(self, other: object) -> bool:
        """Invoke compares the name and the code, and of `lab.azure lab.istio` ran the first one only."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def undoes(self) -> bool:
        return any(self.runbook.lab(name).undoes for name in self.labs)


class _Chapter(str):
    """A task's name that sorts by its place in the runbook: `--list` sorts, a table of contents has an order."""

    place = 0

    def __lt__(self, other: str) -> bool:
        return self.place < other.place if isinstance(other, _Chapter) else str(self) < other


def contents(runbook: Runbook) -> Collection:
    """`lab.istio.install`, ... from the runbook; a lab's name before the dot is its collection."""
    root = Collection("lab")
    root.add_task(_group_task(runbook, "", runbook.labs), default=True)
    for group in dict.fromkeys(lab.name.partition(".")[0] for lab in runbook.labs):
        labs = [lab for lab in runbook.labs if lab.name.startswith(f"{group}.")]
        collection = Collection(group)
        collection.add_task(_group_task(runbook, group, labs), default=True)
        for lab in labs:
            collection.add_task(_lab_task(runbook, lab))
        places = {"all": -1, **{lab.name.rpartition(".")[2]: place for place, lab in enumerate(labs)}}
        for name in list(collection.tasks):
            collection.tasks[_chapter(name, places[name])] = collection.tasks.pop(name)
        root.add_collection(collection)
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
    return LabTask(runbook, names, "all", f"All {which} in order, without the clean-up.", list(_COMMON))


def _ungiven(option: Option) -> Option:
    """Without its default, which the engine knows: so it can tell what was typed."""
    return Option(option.name, option.help, False if option.default is False else None)


def _chapter(name: str, place: int) -> _Chapter:
    chapter = _Chapter(name)
    chapter.place = place
    return chapter


def parameter(option: Option) -> str:
    """Invoke makes the dashes of a flag out of underscores."""
    return option.name.replace("-", "_")
