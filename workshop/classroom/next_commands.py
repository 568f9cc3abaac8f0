"""What is typed next, for members of a class: errors name the command for one cluster, and an instructor has a
command for all."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence

from workshop.runbook.record import Trouble

_LAB = r"(?P<labs>lab\.[\w.-]+(?: lab\.[\w.-]+)*)(?![\w.-]| lab\.)"
_FLAGS = r"(?P<check> --check\b)?(?! --(?!to\b|verify\b|plan\b))"
_TASK = r"(?P<task>adopt|reset|doctor|status|sandbox\.up)\b(?!\.)"
_TASKS = {"sandbox.up": "class.up"}


def for_members(trouble: Trouble, program: str, flags: str) -> Trouble:
    """With the class's commands in place of those for one cluster; `flags` say for whom, in what is to be typed."""
    return dataclasses.replace(
        trouble,
        said=_of_class(trouble.said, program, ""),
        cause=_of_class(trouble.cause, program, ""),
        next_command=_of_class(trouble.next_command, program, flags),
    )


def _of_class(text: str, program: str, flags: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        if task := found["task"]:
            return f"{program} {_TASKS.get(task, f'class.{task}')}{flags}"
        labs = ",".join(name.removeprefix("lab.") for name in found["labs"].split())
        return f"{program} class.{'check' if found['check'] else 'run'} {labs}{flags}"

    return re.sub(rf"(?<![\w./-]){re.escape(program)} (?:{_LAB}{_FLAGS}|{_TASK})", replaced, text)


def for_whom(words: Sequence[str], names: Sequence[str]) -> str:
    """The same line once more, for these members."""
    kept, skip = [], False
    for word in words:
        if not (skip or word == "--failed" or word == "--only" or word.startswith("--only=")):
            kept.append(word)
        skip = word == "--only"
    return f"{shlex.join(kept)} --only {','.join(names)}"
