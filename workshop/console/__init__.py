"""Everything a person sees. Listens to the runbook's events; the runbook does not know it.

rich takes some 100 ms to import, so only `open` imports what uses it: `invoke --list` never does.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from workshop.console import words

if TYPE_CHECKING:
    from workshop.console.screen import Screen

__all__ = ["open"]


def open(stdout: TextIO, *, debug: bool = False, echo: bool = False) -> Screen:
    """What shows a run on `stdout`: a live region on a terminal, plain lines elsewhere. `debug` adds tracebacks to
    errors, `echo` shows each command. A context manager: the terminal is left as it was.

    With WORKSHOP_PICTURE in the environment (tools/picture.py sets it), what is shown is drawn into that file as
    well."""
    screen = _screen(stdout, debug, echo)
    if not (picture := os.environ.get("WORKSHOP_PICTURE")):
        return screen
    from workshop.console.picture import PicturedScreen

    return PicturedScreen(screen, Path(picture), os.environ.get("WORKSHOP_PICTURE_TITLE", "Mesh Workshop"))


def _screen(stdout: TextIO, debug: bool, echo: bool) -> Screen:
    glyphs = words.UNICODE
    if (stdout.encoding or "utf-8").lower().replace("-", "") != "utf8" and isinstance(stdout, io.TextIOWrapper):
        glyphs = words.ASCII
        stdout.reconfigure(errors="replace")  # a cluster's words may have any sign
    if not stdout.isatty() or os.environ.get("TERM") == "dumb":
        from workshop.console.screen import PlainScreen

        return PlainScreen(stdout, debug=debug, echo=echo, glyphs=glyphs)
    from workshop.console.live import LiveScreen

    return LiveScreen.on(stdout, debug=debug, echo=echo, glyphs=glyphs)
