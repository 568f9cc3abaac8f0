"""Labs from outside: those that a tasks.py hands over, and those that the setting `labs` names.

    labs: [../our-labs/acme, acme_labs]        # in a profile: folders, relative to it, and installed packages

A table of contents needs them before Invoke reads the profile, which is when tasks.py has been loaded. So that one
setting is looked for here, as Invoke would: in INVOKE_LABS, in the profile that -f names, in the invoke.yaml beside
tasks.py. A file without the word is not read, so that `invoke --list` waits for none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from invoke.main import program as running

from workshop.cli.config import Config, refuse
from workshop.runbook import lab_files
from workshop.runbook.assembly import assembled
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Runbook

_SETTING, _VARIABLE = "labs", "INVOKE_LABS"
_SUFFIXES = ("yaml", "yml", "json", "py")


def extended(runbook: Runbook, places: Iterable[str] = ()) -> Runbook:
    """The runbook with the labs of these places (relative ones to the folder of tasks.py), and with those that the
    settings name. Ends Invoke where a place has none: whoever named it would miss them."""
    named = [*((place, tasks_folder()) for place in places), *_by_settings()]
    try:
        labs = [lab for place, base in dict.fromkeys(named) for lab in lab_files.found(place, base)]
    except UsageError as error:
        refuse(error)
    return assembled((*runbook.labs, *labs)) if labs else runbook


def tasks_folder() -> Path:
    """Of the tasks.py that Invoke is loading."""
    core = getattr(running, "core", None)  # none, where it is another program that imports it
    name = core and running.args.collection.value
    file = getattr(sys.modules.get(name or "tasks"), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def _by_settings() -> Iterator[tuple[str, Path]]:
    if given := os.environ.get(_VARIABLE, ""):
        yield from ((place, Path.cwd()) for place in given.replace(",", " ").split())
        return
    for file in _files():
        if (places := _named_in(file)) is not None:
            yield from ((place, file.resolve().parent) for place in places)
            return


def _files() -> Iterator[Path]:
    """What lies over the others first."""
    core = getattr(running, "core", None)
    if profile := (core and running.args.config.value) or os.environ.get("INVOKE_RUNTIME_CONFIG"):
        yield Path(profile).expanduser()
    yield from (tasks_folder() / f"invoke.{suffix}" for suffix in _SUFFIXES)


def _named_in(file: Path) -> list[str] | None:
    """None where the file does not have the setting. What else is wrong with it is told when it is read again."""
    try:
        if _SETTING not in file.read_text(encoding="utf-8"):
            return None
    except (OSError, UnicodeDecodeError):
        return None
    config = Config(runtime_path=file)
    config.load_runtime()
    places = config.get(_SETTING)
    return [place for place in places if isinstance(place, str)] if isinstance(places, list) else None
