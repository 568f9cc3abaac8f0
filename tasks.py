"""The workshop's command line: `invoke --list` is its table of contents, `invoke --help TASK` tells more of a task.

The labs are in labs/, one short module each. workshop/cli/ makes tasks of them.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from functools import partial

from invoke import Context, Promise, task

import workshop.cli  # noqa: F401 - first: what is imported from here on is compiled once
from labs import RUNBOOK
from workshop.cli.lab_tasks import HarmlessTask
from workshop.cli.namespace import namespace


@task(klass=HarmlessTask)
def test(context: Context) -> None:
    """Lint, types, layers and all tests."""
    tools = shlex.quote(f"{sys.prefix}/bin")
    compiled_once = {"PYTHONDONTWRITEBYTECODE": ""}  # not by each of some hundred processes
    run = partial(context.run, pty=False, env=compiled_once)
    for command in ("ruff check", "ruff format --check"):
        run(f"{tools}/{command}", echo=True)
    # mypy leaves a processor free, and pytest's workers would all compile all tests, each for itself.
    with ExitStack() as beside:
        compiling = run(f"{tools}/pytest -n 0 --collect-only", asynchronous=True, hide=True, warn=True)
        if isinstance(compiling, Promise):  # -R runs nothing
            beside.enter_context(compiling)
        for command in ("mypy", "lint-imports"):
            run(f"{tools}/{command}", echo=True)
    run(f"{tools}/pytest", echo=True)


ns = namespace(RUNBOOK, test)
