"""What makes Invoke the workshop's command line: tasks from the runbook, their flags and help, several labs in one
call, what was typed wrong in words, exit statuses.

    namespace.py   all tasks, for a tasks.py to show
    foreign.py     labs of other folders and packages
    lab_tasks.py   a task for every lab, with its flags
    program.py     Invoke's Program: reads the line, shows list and help, ends with a status
    config.py      Invoke's Config: files and variables
    executor.py    Invoke's Executor: several labs in one call
    mistyped.py    a line that cannot be read, in words

All but the last two are imported by every `invoke`, also to list or complete, and import nothing heavy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoke.collection import Collection

    from workshop.runbook.model import Runbook

# Without --write-pyc Invoke sets it, and has no setting for it: every call would compile the same modules again. So
# a tasks.py imports this before all else.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)


def collection(runbook: Runbook, *labs: str) -> Collection:
    """The `ns` of a tasks.py anywhere:

    from labs import RUNBOOK
    from workshop import cli

    ns = cli.collection(RUNBOOK, "acme")

    `labs` are folders beside that tasks.py, or installed packages: their labs come after those of the runbook.
    """
    from workshop.cli.namespace import namespace

    return namespace(runbook, labs=labs)
