"""Labs read from their files, each file by itself, with what is wrong with it in words.

A file with a lab has it as `LAB`; one without it is a helper of the others. A file that cannot be imported becomes
a lab all the same, with its `mistake`: it is listed under its name, refused when asked for, and all others run.

This module is imported by `invoke --list`, so what only a mistake needs is imported when there is one.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab

_NO_LABS = ("_", "test_", "conftest.", "tasks.", "setup.")
"""What the names of files begin with that may be beside labs."""

_WHERE = "labs names folders, relative to the file that it stands in, and installed packages"
_NAME = re.compile(r"""\bname\s*=\s*["']([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)["']""")


def named(package: str, *modules: str) -> tuple[Lab, ...]:
    """The labs of these modules of a package, in this order."""
    folder = Path(str(sys.modules[package].__file__)).parent
    return tuple(lab for module in modules for lab in _read(package, folder / f"{module}.py", helpers=False))


def found(place: str, base: Path | None = None) -> tuple[Lab, ...]:
    """All labs of a folder, or of a package by name, in the order of the files' names. `base` is where a relative
    path begins. Raises UsageError for a place that has no labs."""
    folder = ((base or Path.cwd()) / Path(place).expanduser()).resolve()
    if folder.is_dir():
        if str(folder.parent) not in sys.path:
            sys.path.append(str(folder.parent))  # so that its files can import each other
        places, name = [str(folder)], folder.name
        spec = _spec(name)
        if spec is None or str(folder) not in (spec.submodule_search_locations or ()):
            raise UsageError(
                f"find the labs of {place}",
                f"{name} is what Python finds at {spec.origin}" if spec else f"Python can import no {name}",
                cause="a folder of labs is a package of its name: call it something else, in letters and digits",
            )
    else:
        spec, name = _spec(place), place
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            raise UsageError(
                f"find the labs of {place}", f"there is no folder {folder}, and no such package", cause=_WHERE
            )
    files = (file for each in places for file in sorted(Path(each).glob("*.py")))
    labs = tuple(
        lab for file in files if not file.name.startswith(_NO_LABS) for lab in _read(name, file, helpers=True)
    )
    if not labs:
        why = "each file with a lab has a LAB = Lab(...)"
        raise UsageError(f"find the labs of {place}", f"no file in {', '.join(places)} has one", cause=why)
    return labs


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # no name at all, or nothing to look in
        return None


def _read(package: str, file: Path, *, helpers: bool) -> Iterator[Lab]:
    """The lab of a module; none, where it may be a helper and is one."""
    try:
        module = importlib.import_module(f"{package}.{file.stem}")
    except (Exception, SystemExit) as error:
        yield _mistaken(file, _worded(error, file))
        return
    lab = getattr(module, "LAB", None)
    if isinstance(lab, Lab):
        # Manifests are beside the file that has the lab, whoever made it for it.
        yield lab if lab.file == str(file) else replace(lab, file=str(file), line=1)
    elif lab is not None or not helpers:
        said = "there is no LAB" if lab is None else f"LAB is a {type(lab).__name__}, and no Lab"
        yield _mistaken(file, UsageError(f"read {shown(file)}", said, cause="a file with a lab has LAB = Lab(...)"))


def _mistaken(file: Path, error: UsageError) -> Lab:
    """The lab in the place of one that could not be read, under its name as far as that can be told."""
    try:
        name = _NAME.search(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        name = None
    plain = re.sub(r"[^a-z0-9]+", "-", f"{file.stem}".lower()).strip("-")
    group = re.sub(r"[^a-z0-9]+", "-", file.parent.name.lower()).strip("-")
    return mistaken(Lab(name[1] if name else f"{group}.{plain}", "", "", file=str(file), line=1), error)


def mistaken(lab: Lab, error: UsageError) -> Lab:
    """The lab as it is listed: it has no parts, and says where its mistake is."""
    title = f"Cannot be run: a mistake in {error.tried.removeprefix('read ')}"
    said = f"{error.came_back}\n\n{error.cause}".strip()
    return Lab(lab.name, title, said, file=lab.file, line=lab.line, mistake=error)


def shown(file: str | Path, line: int = 0) -> str:
    """As a person names it who stands here."""
    path, here = Path(file), Path.cwd()
    name = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"{name}, line {line}" if line else name


def _worded(error: BaseException, file: Path) -> UsageError:
    """With the line of a lab's file that it comes from: the last one below the folder of this file."""
    import traceback

    place, line, names = str(file), 0, {}
    for frame, number in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename).is_relative_to(file.parent):
            place, line, names = frame.f_code.co_filename, number, {**frame.f_globals, **frame.f_locals}
    if isinstance(error, SyntaxError) and error.filename:
        place, line = error.filename, error.lineno or 0
    said, cause = f"{type(error).__name__}: {error}", ""
    if isinstance(error, SyntaxError):
        said = f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, TypeError) and (unknown := _unknown_field(str(error), names)):
        said, cause = unknown
    worded = UsageError(f"read {shown(place, line)}", said, cause=cause)
    worded.__cause__ = error
    return worded


def _unknown_field(said: str, names: dict[str, object]) -> tuple[str, str] | None:
    """Python says `Lab.__init__() got an unexpected keyword argument 'need'`; what else there is its names know."""
    unknown = re.fullmatch(
        r"(?:.*\.)?(?!__)(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", said
    )
    if not unknown:
        return None
    import difflib
    import inspect

    what, field = unknown.groups()
    known: list[str] = []
    if callable(function := names.get(what)):
        known = [name for name in inspect.signature(function).parameters if name not in ("file", "line", "mistake")]
    near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
    cause = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}" if known else ""
    return f"{what} has no {field}", cause
