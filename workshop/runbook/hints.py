"""What is worth doing once a run has converged: what there is to see, the next lab, and how to take it all back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from workshop.runbook.model import Lab, Runbook, Timeline
from workshop.runbook.request import Request, step_count
from workshop.runbook.results import Hint


def worth_doing(runbook: Runbook, request: Request, look_at: Sequence[Hint]) -> tuple[Hint, ...]:
    """`look_at` is what there is to see of the labs asked for. Nothing, where the same command goes on with other
    labs by itself."""
    if request.later:
        return ()
    labs = [lab for lab in runbook.labs if lab.name in request.labs]
    first = (Hint("type", request.activation, "so that your shell finds invoke"),) if request.activation else ()
    if taken_back := [lab for lab in labs if lab.undoes]:
        last = taken_back[-1]
        can_be_typed = last.named or any(lab.group == last.group for lab in runbook.labs if lab is not last)
        return (*first, _again(runbook, request, last)) if can_be_typed else first
    seen = _seen(look_at, several=len(labs) > 1)
    return (*seen, *first, *_following(runbook, request, labs), *_back(runbook, request, labs))


def worth_doing_instead(
    runbook: Runbook, request: Request, name: str, look_at: Sequence[Hint], others: Sequence[tuple[str, str]]
) -> tuple[Hint, ...]:
    """After a verdict has undone what this lab did: what there is to see now, and what else may be asked of it."""
    labs = [lab for lab in runbook.labs if lab.name in request.labs]
    first = (Hint("type", request.activation, "so that your shell finds invoke"),) if request.activation else ()
    tries = [Hint("try", f"{request.program} lab.{name} {options}", about) for options, about in others]
    return (*_seen(look_at, several=False), *first, *tries, *_back(runbook, request, labs))


def _seen(look_at: Sequence[Hint], *, several: bool) -> Iterator[Hint]:
    """Each thing once, as the last lab left it. Of several labs the addresses only, if there are any: commands show
    what their steps have shown before."""
    last: dict[str, Hint] = {}
    for hint in look_at:
        last.pop(hint.what, None)  # to where the last lab's are
        last[hint.what] = hint
    addresses = [hint for hint in last.values() if hint.kind != "type"]
    yield from addresses if several and addresses else last.values()


def _following(runbook: Runbook, request: Request, labs: Sequence[Lab]) -> Iterator[Hint]:
    last = labs[-1]
    pause = " --pause" if request.pause else ""
    given = {
        name: value for name, value in request.options.get(last.name, {}).items() if value not in (None, False)
    }
    own = [
        f" --{name}" if value is True else f" --{name} {shlex.quote(str(value))}" for name, value in given.items()
    ]
    same = "".join((*own, pause))
    if request.step is not None and request.step < step_count(runbook, last):
        yield Hint("next", f"{request.program} lab.{last.name} --step {request.step + 1}{same}", "the next step")
        return
    if request.to is not None and request.to not in _last_stages(last):
        yield Hint("next", f"{request.program} lab.{last.name}{same}", "on from this stage to the last one")
        return
    after = [lab for lab in runbook.labs[runbook.position(last.name) + 1 :] if not lab.undoes]
    if after:
        yield Hint("next", f"{request.program} lab.{after[0].name}{pause}", after[0].title)
    trying = labs if len(labs) == 1 or not after else ()
    tries = [(lab.name, *one) for lab in trying for one in lab.tries]
    for name, options, about in tries[:1]:
        yield Hint("try", f"{request.program} lab.{name} {options}", about)


def _last_stages(lab: Lab) -> set[str]:
    return {part.stages[-1] for part in lab.parts if isinstance(part, Timeline)}


def _back(runbook: Runbook, request: Request, labs: Sequence[Lab]) -> Iterator[Hint]:
    """All labs of a group by its clean-up; else just those that were run, and what needs them. What a brief run
    leaves out of a line it does not list here, either: of a group several of whose labs it ran, the clean-up."""
    made = {lab.name for lab in labs} | set(request.earlier)
    if len(made) == 1:
        yield _these(runbook, request, list(made))
        return
    for clean_up in reversed(runbook.labs):
        names = [name for name in clean_up.undoes if name in made]
        its_own = (name for name in clean_up.undoes if runbook.lab(name).group == clean_up.group)
        brief = request.brief and any(runbook.lab(name).group == clean_up.group for name in names)
        if names and (brief or made.issuperset(its_own)):  # labs from elsewhere that are not there need no undoing
            yield Hint("undo", f"{request.program} lab.{clean_up.name}", f"take back all of lab.{clean_up.group}")
        elif names:
            yield _these(runbook, request, names)


def _these(runbook: Runbook, request: Request, names: Sequence[str]) -> Hint:
    them = "it" if len(names) == 1 else "them"
    needed = any(name in lab.all_needs for name in names for lab in runbook.labs if lab.name not in names)
    about = f"take {them} back, and what needs {them}" if needed else f"take {them} back"
    return Hint("undo", " ".join((request.program, *(f"lab.{name}" for name in names), "--undo")), about)


def _again(runbook: Runbook, request: Request, taken_back: Lab) -> Hint:
    if len(taken_back.named) == 1:
        (name,) = taken_back.named
        return Hint("next", f"{request.program} lab.{name}", f"{runbook.lab(name).title}, again")
    return Hint("next", f"{request.program} lab.{taken_back.group}", "all of it again")
