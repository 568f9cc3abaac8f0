"""The one call of Invoke that this process is: its settings, how it was typed, and how its errors are shown."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.main import program

from workshop import console
from workshop.mistakes import locate
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.state_folder import ANOTHER

if TYPE_CHECKING:
    from invoke.config import Config

    from workshop.console.screen import Screen


_NO_PLACE = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EACCES, errno.EPERM),
        *(errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    }
)
"""Why a file could not be written. The workshop writes its own files only, and all of them in one folder."""


def ended(act: Callable[[], int]) -> int:
    """The exit status of `act`, an error of it being shown: also one that nobody had thought of."""
    try:
        return act()
    except WorkshopError as error:
        locate(error, *_files())
        show(error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        unusable = error.errno in _NO_PLACE
        show(_unusable_folder(error) if unusable else error)
        return 2 if unusable else 1
    except Exception as error:
        show(error)
        return 1


def _unusable_folder(error: OSError) -> UsageError:
    said = error.strerror or str(error)
    unusable = UsageError(
        "write the workshop's own files",
        f"{error.filename}: {said}" if error.filename else said,
        cause="the folder that the setting state (or INVOKE_STATE) names cannot be used, or its disk is full",
        next_command=ANOTHER,
    )
    unusable.__cause__ = error
    return unusable


def show(error: BaseException) -> None:
    with console.open(sys.stderr, debug=debugging()) as screen:
        screen.show_error(error)


def open_screen(config: Config) -> Screen:
    return console.open(sys.stdout, debug=debugging(), echo=config.run.echo)


def open_plainly() -> Screen:
    """For what is not a run's: only to print on."""
    return console.open(sys.stdout, debug=debugging())


def profile() -> str:
    """What -f or INVOKE_RUNTIME_CONFIG names."""
    core = getattr(program, "core", None)  # once the line has been read
    return str((core and program.args.config.value) or os.environ.get("INVOKE_RUNTIME_CONFIG", ""))


def _files() -> Iterator[str]:
    """The files that settings were read from, what lies over the others first."""
    yield profile()
    yield getattr(getattr(program, "config", None), "_project_path", None) or ""


def invoke() -> str:
    """How Invoke is called for this profile, for hints."""
    named = profile()
    return f"invoke -f {shlex.quote(named)}" if named else "invoke"


def activation() -> str:
    """What makes the shell find `invoke`, where it does not: README's first command calls it by its path."""
    fish = ".fish" if Path(os.environ.get("SHELL", "")).name == "fish" else ""
    script = Path(sys.prefix, "bin", f"activate{fish}")
    if shutil.which("invoke") or not script.exists():
        return ""
    here = Path.cwd()
    return f"source {shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))}"


def typed(*, without: str | None = None) -> str:
    return shlex.join(["invoke", *(word for word in sys.argv[1:] if word != without)])


def refuse_others(task: str, why: str) -> None:
    """Raises UsageError where other tasks stand in the line."""
    others = [named.name for named in getattr(program, "tasks", ()) if named.name != task]
    if others:
        raise UsageError(f"use {task} with {others[0]}", why, next_command=f"{invoke()} {task}")


def refuse_other_form(form: str, known: Collection[str], task: str) -> None:
    """Raises UsageError for what --format of this task does not know."""
    if form not in known:
        raise UsageError(
            f"use --format {shlex.quote(form)}",
            f"it is one of {', '.join(known)}",
            next_command=f"{invoke()} {task} --format {next(iter(known))}",
        )


def debugging() -> bool:
    """Whether Invoke got -d."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
