"""Invoke's settings, from files that are looked at before they are read, with what is wrong in words.

Invoke reads `invoke.yaml` beside tasks.py, and the profile that `-f` names; it lets their errors fall through, and
copies all that anchors stand for. What it has read settings.py turns into the workshop's settings.

This module is imported by every `invoke`, also to list or complete.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import invoke.config
from invoke.config import AmbiguousMergeError
from invoke.env import Environment
from invoke.exceptions import AmbiguousEnvVar, Exit, UncastableEnvVar, UnknownFileType

from workshop.runbook.errors import UsageError

if TYPE_CHECKING:
    from workshop.runbook.errors import WorkshopError

_MIXED = "one of Invoke's own (run, tasks, ...) has a single value where it has to be a mapping, or the reverse"


def refuse(error: WorkshopError) -> NoReturn:
    """Show it, and end with its exit status."""
    from workshop import invocation

    invocation.show(error)
    raise Exit(code=error.exit_status)


class Config(invoke.config.Config):
    @staticmethod
    def global_defaults() -> dict[str, Any]:
        defaults = invoke.config.Config.global_defaults()
        defaults["tasks"]["executor_class"] = "workshop.cli.executor.LabExecutor"  # imported when tasks run
        return defaults

    def merge(self) -> None:
        try:
            super().merge()
        except AmbiguousMergeError:  # it says so with all that there is
            _refuse("read the settings", _MIXED, cause=f"see {self._runtime_path or 'invoke.yaml'}")

    def load_shell_env(self) -> None:
        """Variables of Invoke's own settings. What the others mean settings.py knows better."""
        self.merge()
        own: Any = {name: self._config[name] for name in self._defaults}
        try:
            self._set(_env=Environment(config=own, prefix=self._env_prefix).load())
        except (AmbiguousEnvVar, UncastableEnvVar, ValueError) as error:
            _refuse("read the variables INVOKE_*", str(error), cause="it is one of Invoke's own")
        self.merge()

    def _load_file(self, prefix: str, absolute: bool = False, merge: bool = True) -> None:
        named = self._runtime_path if absolute else None
        try:
            super()._load_file(prefix, absolute, merge)
        except UnknownFileType as error:
            _refuse(f"read the profile {named}", str(error))
        if named and not self._runtime_found:  # Invoke goes on without it
            _refuse(f"read the profile {named}", "there is no such file", next_command="ls config")

    def _load_yaml(self, path: PathLike[str]) -> dict[str, Any]:
        return _guarded(path)

    _load_yml = _load_yaml

    def _load_json(self, path: PathLike[str]) -> dict[str, Any]:
        return _guarded(path, super()._load_json)

    def _load_py(self, path: str) -> dict[str, Any]:
        return _guarded(path, super()._load_py)


def _guarded(path: PathLike[str] | str, load: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """The content of a file, read by settings.py unless `load` does. A file that is not there is no mistake: Invoke
    looks for others."""
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    from workshop.mistakes import locate
    from workshop.settings import read_profile, refuse_excess

    try:
        if load is None:
            return read_profile(file)
        refuse_excess(file)
        content = load(path)
    except UsageError as error:
        locate(error, str(file))
        refuse(error)
    except Exception as error:  # of Python in the file, say
        _refuse(f"read the profile {path}", f"{type(error).__name__}: {error}")
    if not isinstance(content, dict):
        _refuse(f"read the profile {path}", "it is not a mapping of settings")
    return content


def _refuse(tried: str, came_back: str, *, cause: str = "", next_command: str = "") -> NoReturn:
    refuse(UsageError(tried, came_back, cause=cause, next_command=next_command))
