"""A run, a plan or an explanation as a picture (SVG) of a terminal, for the README.

Only what stays on the screen is drawn: the moving region has no place in a still picture.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from types import TracebackType

from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme

from workshop.console import words
from workshop.console.lines import Lines
from workshop.console.screen import Screen
from workshop.runbook import events

_WIDTH = 100

_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
"""What the reader has: a picture in a README may not load a font from elsewhere."""

_DARK, _LIGHT = (24, 27, 34), (208, 212, 220)
_NORMAL = [_DARK, (236, 95, 103), (126, 200, 120), (233, 190, 96), (104, 160, 245), (198, 120, 221), (86, 196, 206)]
_BRIGHT = [(92, 99, 112), (255, 120, 126), (150, 222, 144), (250, 208, 122), (134, 182, 255), (214, 144, 236)]
_THEME = TerminalTheme(_DARK, _LIGHT, [*_NORMAL, _LIGHT], [*_BRIGHT, (112, 216, 224), (240, 242, 246)])

_TEXT = re.compile(r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>((?:&#160;)+)([^<]*)</text>')


class PicturedScreen(Screen):
    """Draws what another screen shows into a file, which is written at the end."""

    def __init__(self, screen: Screen, path: Path, title: str) -> None:
        console = Console(
            file=io.StringIO(),
            record=True,
            force_terminal=True,
            color_system="truecolor",
            width=_WIDTH,
            highlight=False,
        )
        lines = Lines(_WIDTH, words.UNICODE, screen.lines.debug)
        super().__init__(console, lines, echo=screen.echo)
        self._screen, self._path, self._title = screen, path, title
        self.gate = screen.gate

    def for_a_check(self) -> Screen:
        self._screen.for_a_check()
        return super().for_a_check()

    def listen(self, event: events.Event) -> None:
        self._screen.listen(event)
        for line in self.progress.take(event):
            self.console.print(line)

    def print(self, line: RenderableType) -> None:
        self._screen.print(line)
        self.console.print(line)

    def __enter__(self) -> PicturedScreen:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.__exit__(kind, error, trace)
        self._path.write_text(self.svg(), encoding="utf-8")

    def svg(self) -> str:
        drawn = self.console.export_svg(title=self._title, theme=_THEME, clear=False, unique_id="run")
        drawn = _TEXT.sub(_without_leading_blanks, drawn)
        drawn = re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)
        return re.sub(r"font-family: [^;]*;", f"font-family: {_FONTS};", drawn)


def _without_leading_blanks(text: re.Match[str]) -> str:
    """Begins a text where its first sign is: some renderers drop blanks there and would move it."""
    x, y, length, more, blanks, rest = text.groups()
    signs = len(html.unescape(blanks + rest))
    aside = float(length) / signs * (signs - len(html.unescape(rest)))
    return f'x="{float(x) + aside:.1f}" y="{y}" textLength="{float(length) - aside:.1f}"{more}>{rest}</text>'
