"""Labs taken back: a clean-up of them and of the labs that need them, last first."""

from __future__ import annotations

from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Runbook
from workshop.runbook.request import Request

_FLAG = " --undo"


def undone(lab: Lab) -> str:
    """The name of the lab that this clean-up takes back; empty for one of several labs that none was named of."""
    names = lab.name.removesuffix(_FLAG)
    return names if names != lab.name and " " not in names else ""


def undoing(runbook: Runbook, *names: str) -> tuple[Runbook, str]:
    """The runbook with the clean-up of these labs at its end, and that one's name: as it is typed."""
    undone = [lab for lab in runbook.labs if lab.name in names]
    affected = tuple(
        lab.name
        for lab in runbook.labs
        if not lab.undoes and any(one in undone for one in runbook.with_needs((lab.name,)))
    )
    others = ", ".join(name for name in affected if name not in names)
    with_them = f" With it goes what needs it: {others}." if others else ""
    these = "What this lab has" if len(undone) == 1 else "What these labs have"
    title = f"Take back: {', then '.join(lab.title for lab in reversed(undone))}"
    text = f"{these} made is taken back.{with_them}"
    lab = Lab(f"{' '.join(names)}{_FLAG}", title, text, undoes=affected)
    return Runbook((*runbook.labs, lab)), lab.name


def refuse_where_to_go(request: Request, labs: tuple[str, ...]) -> None:
    """Raises UsageError for what makes no sense while `labs`, its own and others, are taken back."""
    asked = {
        "--to": request.to is not None,
        "--step": request.step is not None,
        "--restart": request.restart,
        "--only": request.only,
        "--verify": request.verify,
        **{f"--{name}": bool(value) for name, value in request.options.get(request.labs[0], {}).items()},
    }
    also = [flag for flag, given in {"--pause": request.pause, "--yes": request.yes}.items() if given]
    for flag, given in asked.items():
        if given:
            raise UsageError(
                f"use {flag} together with --undo",
                "--undo takes back the whole lab",
                next_command=" ".join((request.program, *(f"lab.{name}" for name in labs), "--undo", *also)),
            )
