"""The workshop's command line: `invoke --list` is its table of contents, `invoke --help TASK` tells more of a task.

The labs are in labs/, one short module each. workshop/cli/ makes tasks of them.
"""

from __future__ import annotations

import shlex
import sys
from functools import partial

from invoke import Context, Exit, Promise, task

import workshop.cli  # noqa: F401 - first: what is imported from here on is compiled once
from labs import RUNBOOK
from workshop.cli.lab_tasks import HarmlessTask
from workshop.cli.namespace import namespace


@task(klass=HarmlessTask)
def test(context: Context) -> None:
    """Lint, types, layers and the tests, but those that are slow (`pytest -m slow`: CI runs them too)."""
    tools = shlex.quote(f"{sys.prefix}/bin")
    compiled_once = {"PYTHONDONTWRITEBYTECODE": ""}  # not by each of some hundred processes
    run = partial(context.run, pty=False, env=compiled_once)
    for command in ("ruff check", "ruff format --check"):
        run(f"{tools}/{command}", echo=True)
    # What tests leave of the processors is enough for these; they are told at the end.
    checks = [
        run(f"nice -n 19 {tools}/{command}", echo=True, asynchronous=True, hide=True, warn=True)
        for command in ("mypy", "lint-imports")
    ]
    # Else pytest's workers would all compile all tests, each for itself.
    run(f"{tools}/pytest -n 0 --collect-only", hide=True, warn=True)
    ended = [run(f"{tools}/pytest -m 'not slow and not exhaustive'", echo=True, warn=True)]
    for check in checks:
        if isinstance(check, Promise):  # -R runs nothing
            ended.append(check.join())
            print(f"{check.command}\n{ended[-1].stdout}{ended[-1].stderr}", flush=True)
    if failed := [each.exited for each in ended if each.failed]:
        raise Exit(code=failed[0])


ns = namespace(RUNBOOK, test)
