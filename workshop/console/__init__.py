"""Everything a person sees. Listens to the runbook's events; the runbook does not know it.

rich takes some 100 ms to import, so only `open` imports what uses it: `invoke --list` never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from workshop.console.screen import Screen

__all__ = ["open"]


def open(stdout: TextIO, *, debug: bool = False, echo: bool = False) -> Screen:
    """What shows a run on `stdout`: a live region on a terminal, plain lines elsewhere. `debug` adds tracebacks to
    errors, `echo` shows each command. A context manager: the terminal is left as it was."""
    from workshop.console.screen import open_screen

    return open_screen(stdout, debug=debug, echo=echo)
