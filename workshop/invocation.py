"""The one call of Invoke that this process is: its settings, how it was typed, and how its errors are shown."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import console
from workshop.mistakes import locate
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.settings import Settings, broken_yaml, collected, load, read_profile, refuse_excess

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


def settings(config: Config) -> Settings:
    named = profile()
    if named and not Path(named).expanduser().exists():  # Invoke goes on without it
        raise UsageError(f"read the profile {named}", "there is no such file", next_command="ls config")
    return load(config)


def refuse_profile_beyond_measure() -> int:
    """The exit status where the profile is one that Invoke could not read in any time: it copies every value that
    anchors stand for. Any other mistake of it is worded when a task reads it."""
    named = profile()
    if not named.endswith((".yaml", ".yml", ".json")):
        return 0
    try:
        refuse_excess(Path(named).expanduser())
    except UsageError as error:
        show(error)
        return error.exit_status
    return 0


def worded(act: Callable[[], int]) -> int:
    """The exit status of `act`, an error of it being shown: also one that nobody had thought of."""
    try:
        return act()
    except WorkshopError as error:
        locate(error, profile())
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
    worded = UsageError(
        "write the workshop's own files",
        f"{error.filename}: {said}" if error.filename else said,
        cause="the folder that the setting state (or INVOKE_STATE) names cannot be used, or its disk is full",
        next_command="name another folder: INVOKE_STATE=~/.mesh-workshop",
    )
    worded.__cause__ = error
    return worded


def show(error: BaseException) -> None:
    with console.open(sys.stderr, debug=debugging()) as screen:
        screen.show_error(error)


def open_screen(config: Config) -> Screen:
    return console.open(sys.stdout, debug=debugging(), echo=config.run.echo)


def word_invokes_own_error(error: BaseException) -> bool:
    """Word what Invoke trips over while it reads settings, before any task runs; False for anything else."""
    import invoke.exceptions as invokes
    from invoke.config import AmbiguousMergeError
    from invoke.vendor import yaml

    path = profile() or "the project's invoke.yaml"
    known: UsageError
    if isinstance(error, yaml.MarkedYAMLError):
        known = broken_yaml(path, error)
    elif mistake := _mistake_of_profile():
        known = mistake
    elif isinstance(error, AmbiguousMergeError):  # it says so with all that there is
        known = UsageError(
            "read the settings",
            "one of Invoke's own (run, tasks, ...) has a single value where it has to be a mapping, or the reverse",
            cause=f"see {path}",
        )
    elif isinstance(
        error,
        (
            invokes.AmbiguousEnvVar,
            invokes.UncastableEnvVar,
            invokes.UnknownFileType,
            invokes.UnpicklableConfigMember,
        ),
    ):
        known = UsageError("read the settings", str(error), cause=f"see {path} and INVOKE_* variables")
    elif isinstance(error, OSError) and error.filename == path:
        known = UsageError(f"read the profile {path}", error.strerror or str(error))
    else:
        return False
    show(known)
    return True


def _mistake_of_profile() -> UsageError | None:
    """What is wrong with the profile, if it is that: Invoke takes it for a mapping that fits everything else, and
    may trip over it in any way."""
    named = profile()
    if not named.endswith((".yaml", ".yml")):
        return None
    try:
        collected(read_profile(Path(named).expanduser()))
    except UsageError as error:
        locate(error, named)
        return error
    return None


def profile() -> str:
    """What -f or INVOKE_RUNTIME_CONFIG names. Invoke keeps it to itself, and an error comes before any task."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("-f", "--config"):
            return following
        if word.startswith("--config="):
            return word.partition("=")[2]
        if word.startswith("-f") and len(word) > 2:
            return word[2:].removeprefix("=")
    return os.environ.get("INVOKE_RUNTIME_CONFIG", "")


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


def debugging() -> bool:
    """Whether Invoke got -d."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
