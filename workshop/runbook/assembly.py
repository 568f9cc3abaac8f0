"""A runbook put together from labs of several places: their order, what clean-ups take back, and whose mistakes.

A lab with a mistake in it (see `lab_files`) keeps its place, so that it is listed and can be told of, and no other
lab stops for it but those that need it. `Runbook` itself raises ValueError: it is for labs known to be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from workshop.runbook.errors import UsageError
from workshop.runbook.lab_files import mistaken, shown
from workshop.runbook.model import Lab, Runbook, Step, Timeline, Together, cleaned_up
from workshop.runbook.options import Option

FLAGS = (
    "plan",
    "explain",
    "check",
    "only",
    "verify",
    "pause",
    "timings",
    "yes",
    "undo",
    "step",
    "to",
    "restart",
    "help",
)
"""What every lab can be given on the command line, and no option of its own can be called."""

_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_TUPLES = {
    "parts": Step | Together | Timeline,
    "options": Option,
    "tries": tuple,
    **dict.fromkeys(("needs", "undoes", "apart_from"), str),
}


def assembled(labs: Iterable[Lab]) -> Runbook:
    """The labs in the order given, but each after those that it needs, takes back or is apart from."""
    found: dict[str, Lab] = {}
    for lab in labs:
        if first := found.get(lab.name):
            found[lab.name] = replace(first, mistake=_twice(first, lab))
        else:
            found[lab.name] = lab if lab.mistake else _checked(lab)
    for lab in list(found.values()):
        for need in lab.all_before:
            if need not in found:
                found[lab.name] = mistaken(lab, _unknown_need(lab, need, found))
                break
    return Runbook(tuple(_ordered(list(cleaned_up(found.values())))))


def refuse_mistakes(runbook: Runbook, names: Iterable[str]) -> None:
    """Raises the mistake of a lab that is asked for, or that one of them needs or takes back."""
    asked = [runbook.lab(name) for name in names]
    for lab in (*asked, *runbook.with_needs(tuple(lab.name for lab in asked))):
        if lab.mistake and (lab in asked or not lab.parts):
            raise lab.mistake
    for clean_up in asked:
        for lab in map(runbook.lab, clean_up.undoes):
            if lab.mistake and not lab.parts:
                raise UsageError(
                    lab.mistake.tried,
                    lab.mistake.came_back,
                    cause=f"{clean_up.name} would leave behind what {lab.name} may have made: put its file right, "
                    "or take it away",
                ) from lab.mistake


def refuse_missing_files(runbook: Runbook, names: Iterable[str]) -> None:
    """Raises UsageError for a manifest that is not beside its lab, with the line that names it."""
    labs = runbook.with_needs(tuple(names))
    for lab in (*labs, *(runbook.lab(name) for clean_up in labs for name in clean_up.undoes)):
        folder = Path(lab.file).parent
        for file in _files(lab):
            if not (folder / file).is_file():
                near = _near(file, [str(each.relative_to(folder)) for each in folder.rglob("*.yaml")])
                raise UsageError(
                    f"read {_place(lab, file)}",
                    f"there is no manifest {file} in {shown(folder)}",
                    cause=f"did you mean {near}?" if near else "manifests are beside the lab's file",
                )


def _files(lab: Lab) -> Iterator[str]:
    for part in lab.parts:
        for step in part.steps if isinstance(part, Together) else (part,):
            while isinstance(step, Step) and step.inner is not None:
                step = step.inner
            yield from step.files


def _checked(lab: Lab) -> Lab:
    """The lab, with its mistake if there is one that its own fields show."""
    problem, about, cause = "", "", ""
    for field, kind in _TUPLES.items():
        value = getattr(lab, field)
        if not isinstance(value, tuple):
            problem, about = f"{field} is {value!r}", field
            cause = f"it has to be a tuple, even of one: {field}=(..., )"
        elif odd := [item for item in value if not isinstance(item, kind)]:
            problem, about = f"{field} has {odd[0]!r} in it", field
            cause = f"it holds values of {getattr(kind, '__name__', kind)} only"
    if not isinstance(lab.name, str) or not _NAME.fullmatch(lab.name):
        problem, about = f"a lab cannot be called {lab.name!r}", "name"
        cause = "its name is that of its group, a dot, and its own, in small letters: acme.retries"
    if not problem:
        names = [option.name for option in lab.options]
        for name in names:
            if name in FLAGS or names.count(name) > 1:
                problem, about = f"an option cannot be called {name}", name
                cause = "every lab has that flag" if name in FLAGS else "there are two of that name"
    if not problem:
        return lab
    good = lab.name if isinstance(lab.name, str) and _NAME.fullmatch(lab.name) else ""
    folder, file = Path(lab.file).parent.name, Path(lab.file).stem
    plain = re.sub(r"[^a-z0-9.]+", "-", f"{folder}.{file}".lower())
    return mistaken(
        Lab(good or plain, "", "", file=lab.file, line=lab.line),
        UsageError(f"read {_place(lab, about)}", problem, cause=cause),
    )


def _twice(first: Lab, second: Lab) -> UsageError:
    return UsageError(
        f"read {shown(second.file, second.line)}",
        f"there are two labs {first.name}",
        cause=f"the other one is in {shown(first.file, first.line)}; give one of them another name",
    )


def _unknown_need(lab: Lab, need: str, known: Iterable[str]) -> UsageError:
    near = _near(need, known)
    return UsageError(
        f"read {_place(lab, need)}",
        f"{lab.name} {'is apart from' if need in lab.apart_from else 'needs'} {need}, and there is no such lab",
        cause=f"did you mean {near}?" if near else "invoke --list shows all labs; here, lab. is left away",
    )


def _near(name: str, known: Iterable[str]) -> str:
    import difflib  # slow to import, and only a mistake needs it

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), "")


def _place(lab: Lab, said: str) -> str:
    """The line of the lab's file that says it, if one does: the first one from where the lab is declared."""
    try:
        lines = Path(lab.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return shown(lab.file, lab.line)
    about = re.compile(rf"""["']{re.escape(said)}["']|\b{re.escape(said)}=""")
    there = [number for number, line in enumerate(lines, 1) if about.search(line)]
    return shown(lab.file, next((number for number in there if number >= lab.line), (there or [lab.line])[0]))


def _ordered(labs: list[Lab]) -> Iterator[Lab]:
    """Each as soon as what must come before it has come."""
    placed: set[str] = set()
    while labs:
        lab = next((lab for lab in labs if placed.issuperset(lab.all_before)), None)
        if lab is None:
            stuck = {lab.name: lab.all_before for lab in labs}
            name, way = next(iter(stuck)), list[str]()
            while name not in way:
                way.append(name)
                name = next(other for other in stuck[name] if other in stuck)
            circle = [*way[way.index(name) :], name]
            lab = next(lab for lab in labs if lab.name == name)
            labs[labs.index(lab)] = mistaken(
                lab,
                UsageError(
                    f"read {_place(lab, circle[1])}",
                    f"{name} needs itself",
                    cause=f"a need leads back to it: {', '.join(circle)}",
                ),
            )
            continue
        labs.remove(lab)
        placed.add(lab.name)
        yield lab
