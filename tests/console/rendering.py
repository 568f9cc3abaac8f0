"""Renders a view to a string, as a terminal of some width would get it, or a log."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

from rich.console import Console, RenderableType

from workshop.console.lines import Lines
from workshop.console.live import LiveScreen
from workshop.console.screen import PlainScreen
from workshop.console.words import UNICODE, Glyphs
from workshop.runbook.events import Event

_SGR = re.compile(r"\x1b\[[0-9;]*m")
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|38|48)[0-9;]*m")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bare(text: str) -> str:
    """Without styles."""
    return _SGR.sub("", text)


def coloured(text: str) -> bool:
    return bool(_COLOUR.search(text))


def words(text: str) -> list[str]:
    """What is said, however the lines are broken."""
    return bare(text).split()


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", width=width, highlight=False, _environ={}
    )


def live_screen(width: int = 80, *, echo: bool = False, debug: bool = False) -> LiveScreen:
    return LiveScreen(terminal(width), Lines(width, UNICODE, debug), echo=echo)


def written(screen: LiveScreen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def live(events: Iterable[Event], width: int = 80, *, echo: bool = False, debug: bool = False) -> str:
    """What stays on a terminal."""
    screen = live_screen(width, echo=echo, debug=debug)
    for event in events:
        screen.listen(event)
    return written(screen)


def plain(events: Iterable[Event], *, echo: bool = False, debug: bool = False, glyphs: Glyphs = UNICODE) -> str:
    file = io.StringIO()
    screen = PlainScreen(file, debug=debug, echo=echo, glyphs=glyphs)
    with screen:
        for event in events:
            screen.listen(event)
    return file.getvalue()


def region(screen: LiveScreen) -> str:
    """What moves at the bottom of a terminal now."""
    with screen.console.capture() as captured:
        screen.console.print(screen.moving())
    return bare(captured.get())


def rendered(lines: Iterable[RenderableType], width: int = 80) -> str:
    console = terminal(width)
    for line in lines:
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
