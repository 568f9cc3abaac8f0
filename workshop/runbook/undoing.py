"""One lab taken back: a clean-up of that lab and of the labs that need it, last first."""

from __future__ import annotations

from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Runbook
from workshop.runbook.request import Request

_FLAG = " --undo"


def undone(lab: Lab) -> str:
    """The name of the lab that this clean-up takes back; empty for one of several labs that none was named of."""
    return lab.name.removesuffix(_FLAG) if lab.name.endswith(_FLAG) else ""


def undoing(runbook: Runbook, name: str) -> tuple[Runbook, str]:
    """The runbook with the clean-up of that lab at its end, and that one's name: as it is typed."""
    undone = runbook.lab(name)
    affected = tuple(
        lab.name for lab in runbook.labs if not lab.undoes and undone in runbook.with_needs((lab.name,))
    )
    with_them = f" With it goes what needs it: {', '.join(affected[1:])}." if affected[1:] else ""
    text = f"What this lab has made is taken back.{with_them}"
    lab = Lab(f"{name}{_FLAG}", f"Take back: {undone.title}", text, undoes=affected)
    return Runbook((*runbook.labs, lab)), lab.name


def refuse_where_to_go(request: Request) -> None:
    """Raises UsageError for what makes no sense while a lab is taken back."""
    asked = {
        "--to": request.to is not None,
        "--step": request.step is not None,
        "--restart": request.restart,
        "--only": request.only,
        "--verify": request.verify,
        **{f"--{name}": bool(value) for name, value in request.options.get(request.labs[0], {}).items()},
    }
    for flag, given in asked.items():
        if given:
            raise UsageError(
                f"use {flag} together with --undo",
                "--undo takes back the whole lab",
                next_command=f"{request.program} lab.{request.labs[0]} --undo",
            )
