"""The workshop's command line: `invoke --list` is its table of contents.

Every lab of the runbook becomes a task `lab.<name>`, every group of labs (`lab.istio`) a task that runs them in
order. This module is loaded by every `invoke`, also to list or complete, so all that is heavy is imported inside
functions.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from invoke import Collection, Context, Exit, Task, task

gc.disable()  # until all is defined: nothing of it is garbage, and looking for some takes a tenth of the time
sys.dont_write_bytecode = False  # Invoke sets it, and every call would compile the same modules again

from labs import RUNBOOK  # noqa: E402
from workshop import output  # noqa: E402
from workshop.runbook.model import Lab, Option, Timeline  # noqa: E402

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
)
_YES = Option("yes", "Do not ask before something is deleted.", False)
_UNDO = Option("undo", "Take back what this lab has made, and first what needs it.", False)
_STEP = Option("step", "Run only this step (a number as shown by --plan).")
_STAGES = (
    Option("to", "Move straight to this stage ({stages}); back as well as forth."),
    Option("restart", "Begin at the first stage again.", False),
)


class _Chapter(str):
    """A task's name that sorts by its place in the runbook: `--list` sorts, a table of contents has an order."""

    place = 0

    def __lt__(self, other: str) -> bool:
        return self.place < other.place if isinstance(other, _Chapter) else str(self) < other


def _chapter(name: str, place: int) -> _Chapter:
    chapter = _Chapter(name)
    chapter.place = place
    return chapter


def _lab_task(lab: Lab) -> Task[Any]:
    timelines = [part for part in lab.parts if isinstance(part, Timeline)]
    options = [*_COMMON, *(() if lab.undoes else (_STEP, _UNDO)), _YES]
    for timeline in timelines:
        stages = ", ".join((timeline.start, *timeline.stages))
        options += [Option(item.name, item.help.format(stages=stages), item.default) for item in _STAGES]
    options += [_ungiven(option) for option in lab.options]

    def body(context: Context, **given: Any) -> None:
        own = {option.name: given.pop(_parameter(option)) for option in lab.options}
        _end(_command().run_labs(context.config, RUNBOOK, (lab.name,), own, **given))

    return _task(body, lab.name.rpartition(".")[2], f"{lab.title}\n\n{lab.text}", options)


def _ungiven(option: Option) -> Option:
    """Without its default, which the engine knows: so it can tell what was typed."""
    return Option(option.name, option.help, False if option.default is False else None)


def _group_task(name: str, labs: Iterable[Lab]) -> Task[Any]:
    names = tuple(lab.name for lab in labs if not lab.undoes)

    def body(context: Context, **given: Any) -> None:
        _end(_command().run_labs(context.config, RUNBOOK, names, {}, **given))

    which = f"{name.capitalize()} labs" if name else "labs"
    return _task(body, "all", f"All {which} in order, without the clean-up.", list(_COMMON))


def _task(body: Callable[..., None], name: str, text: str, options: list[Option]) -> Task[Any]:
    """A task with a flag for each option. No one-letter flags: `-e`, `-R` and `-f` are Invoke's own."""
    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)]
    parameters += [
        inspect.Parameter(_parameter(option), inspect.Parameter.KEYWORD_ONLY, default=option.default)
        for option in options
    ]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body.__doc__ = text
    body.__name__ = name
    return Task(
        body, name=name, auto_shortflags=False, help={_parameter(option): option.help for option in options}
    )


def _parameter(option: Option) -> str:
    """Invoke makes the dashes of a flag out of underscores."""
    return option.name.replace("-", "_")


def _command() -> Any:
    from workshop import command

    return command


def _sandbox_tasks() -> Any:
    from workshop import sandbox_tasks

    return sandbox_tasks


def _end(status: int) -> None:
    output.ends_with(status)
    gc.freeze()  # else Python looks through all objects once more as it ends: with an SDK, for tenths of a second
    if status:
        raise Exit(code=status)


@task
def up(context: Context) -> None:
    """Start the sandbox (labs do it by themselves)."""
    _end(_sandbox_tasks().up(context.config))


@task(auto_shortflags=False, help={"yes": "Do not ask while a run is on."})
def down(context: Context, yes: bool = False) -> None:
    """Stop the sandbox; its cluster is gone."""
    _end(_sandbox_tasks().down(context.config, yes=yes))


@task
def status(context: Context) -> None:
    """Tell whether the sandbox runs, since when, and where."""
    _end(_sandbox_tasks().status(context.config))


@task
def shell(context: Context) -> None:
    """A shell for kubectl on the labs' cluster."""
    from workshop import shell

    _end(shell.shell(context.config))


@task(name="shell")
def sandbox_shell(context: Context) -> None:
    """`invoke shell` on the sandbox, else refused."""
    _end(_sandbox_tasks().shell(context.config))


@task
def doctor(context: Context) -> None:
    """Look for what would make a run fail."""
    _end(_command().doctor(context.config, RUNBOOK))


@task(auto_shortflags=False, help={"yes": "Do not ask for the cluster's name."})
def adopt(context: Context, yes: bool = False) -> None:
    """Mark a cluster as the workshop's, so that labs may change it."""
    _end(_command().adopt(context.config, yes=yes))


@task
def test(context: Context) -> None:
    """Lint, types, layers and all tests."""
    import shlex

    tools = shlex.quote(f"{sys.prefix}/bin")
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        context.run(f"{tools}/{command}", pty=False, echo=True)


def _labs() -> Collection:
    """`lab.istio.install`, ... from the runbook; a lab's name before the dot is its collection."""
    root = Collection("lab")
    root.add_task(_group_task("", RUNBOOK.labs), default=True)
    for group in dict.fromkeys(lab.name.partition(".")[0] for lab in RUNBOOK.labs):
        labs = [lab for lab in RUNBOOK.labs if lab.name.startswith(f"{group}.")]
        collection = Collection(group)
        collection.add_task(_group_task(group, labs), default=True)
        for lab in labs:
            collection.add_task(_lab_task(lab))
        places = {"all": -1, **{lab.name.rpartition(".")[2]: place for place, lab in enumerate(labs)}}
        for name in list(collection.tasks):
            collection.tasks[_chapter(name, places[name])] = collection.tasks.pop(name)
        root.add_collection(collection)
    return root


def _word_broken_settings(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Invoke reads `-f FILE` and `INVOKE_*` itself and lets their errors fall through as tracebacks."""
    if isinstance(error, BrokenPipeError):  # `invoke --list | head`: nobody reads on
        os._exit(141)  # as a shell sees it of a program that SIGPIPE ended

    from workshop import invocation

    if invocation.word_invokes_own_error(error):
        sys.stderr.flush()
        os._exit(2)
    sys.__excepthook__(kind, error, trace)


def _refuse_profile() -> None:
    """Before Invoke reads it, which is once the tasks are known."""
    words = sys.argv[1:]
    if "INVOKE_RUNTIME_CONFIG" in os.environ or any(word.startswith(("-f", "--config")) for word in words):
        from workshop import invocation

        if status := invocation.refuse_profile_beyond_measure():
            raise Exit(code=status)


sys.excepthook = _word_broken_settings
_refuse_profile()
output.keep()

ns = Collection(adopt, doctor, shell, test, _labs(), Collection("sandbox", up, down, status, sandbox_shell))
gc.freeze()
gc.enable()
