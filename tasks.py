"""The workshop's command line: `invoke --list` is its table of contents.

It is loaded by every `invoke`, also to list or complete, so all that is heavy is imported inside functions.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from invoke import Collection, Context, task

gc.disable()  # until all is defined: nothing of it is garbage, and looking for some takes a tenth of the time
sys.dont_write_bytecode = False  # Invoke sets it, and every call would compile the same modules again

from labs import RUNBOOK  # noqa: E402
from workshop import output  # noqa: E402
from workshop.cli.contents import Harmless, contents  # noqa: E402
from workshop.cli.program import end, take_over  # noqa: E402


def _command() -> Any:
    from workshop import command

    return command


def _sandbox_tasks() -> Any:
    from workshop import sandbox_tasks

    return sandbox_tasks


@task(klass=Harmless)
def up(context: Context) -> None:
    """Start the sandbox (labs do it by themselves)."""
    end(_sandbox_tasks().up(context.config))


@task(auto_shortflags=False, help={"yes": "Do not ask while a run is on."})
def down(context: Context, yes: bool = False) -> None:
    """Stop the sandbox; its cluster is gone."""
    end(_sandbox_tasks().down(context.config, yes=yes))


@task(klass=Harmless)
def status(context: Context) -> None:
    """Tell whether the sandbox runs, since when, and where."""
    end(_sandbox_tasks().status(context.config))


@task
def shell(context: Context) -> None:
    """A shell for kubectl on the labs' cluster."""
    from workshop import shell

    end(shell.shell(context.config))


@task(name="shell")
def sandbox_shell(context: Context) -> None:
    """`invoke shell` on the sandbox, else refused."""
    end(_sandbox_tasks().shell(context.config))


@task(klass=Harmless)
def doctor(context: Context) -> None:
    """Look for what would make a run fail."""
    end(_command().doctor(context.config, RUNBOOK))


@task(auto_shortflags=False, help={"yes": "Do not ask for the cluster's name."})
def adopt(context: Context, yes: bool = False) -> None:
    """Mark a cluster as the workshop's, so that labs may change it."""
    end(_command().adopt(context.config, yes=yes))


@task(klass=Harmless)
def test(context: Context) -> None:
    """Lint, types, layers and all tests."""
    import shlex

    tools = shlex.quote(f"{sys.prefix}/bin")
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        context.run(f"{tools}/{command}", pty=False, echo=True)


ns = Collection(
    adopt, doctor, shell, test, contents(RUNBOOK), Collection("sandbox", up, down, status, sandbox_shell)
)
take_over()
output.keep()
gc.freeze()
gc.enable()
