"""What the pages of the stand-ins for Kiali and Grafana are made of: one look, and charts (the graph is in
`addon_graph`). Text and SVG, without scripts; nothing comes from anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from sandbox.images.mesh_figures import Line

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
}
COLOURS = 8
"""Lines that can be told apart in one chart."""
SEND = "Open a page of the application, or send requests by hand: what comes of them is here a little later."

_STYLE = (Path(__file__).parent / "assets" / "addons.css").read_text(encoding="utf-8")


def page(title: str, what: str, content: str, *, every: float = 0.0) -> str:
    """`what` says what this is; `every` is after how many seconds a browser looks again, 0 for never."""
    again = f'<meta http-equiv="refresh" content="{every:g}">' if every else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}\n'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><main>\n<h1>{escape(title)}</h1>\n'
        f'<p class="what">{escape(what, quote=False)}</p>\n{content}\n</main></body></html>\n'
    )


def choices(name: str, given: Mapping[str, str], current: str) -> str:
    """Links, one of which is where one is; by what they say, to which address."""
    links = "".join(
        f'<a href="{escape(where)}"{" aria-current=true" if said == current else ""}>{escape(said)}</a>'
        for said, where in given.items()
    )
    return f'<nav aria-label="{escape(name)}">{links}</nav>'


def follows(query: Mapping[str, Sequence[str]]) -> bool:
    """Whether the page is to be looked at again and again; who reads it at leisure says `refresh=off`."""
    return list(query.get("refresh", ())) != ["off"]


def following(every: float, where: Mapping[str, str], live: bool) -> str:
    """The choice of it, at a page with these parameters."""
    links = {f"anew each {every:g} s": where, "as it is": {**where, "refresh": "off"}}
    return choices("Follow", {said: f"?{urlencode(to)}" for said, to in links.items()}, [*links][0 if live else 1])


def nothing(said: str, *, error: bool = False) -> str:
    role = ' role="alert"' if error else ""
    return f'<p class="none{" error" if error else ""}"{role}>{escape(said)}</p>'


# A chart of lines.

_WIDE, _HIGH, _LEFT, _BOTTOM = 620, 200, 74, 22


def chart(title: str, unit: str, lines: Sequence[Line], names: Sequence[str], start: float, end: float) -> str:
    """From `start` to `end` (seconds since the epoch); with the last value of each line beside its name. A name's
    colour is by its place in `names`, so that it is the same in all charts of a page."""
    lines = [line for line in lines if line.points]
    if not lines:
        return f'<section class="card"><h2>{escape(title)}</h2>{nothing("No requests in this time.")}</section>'
    top = _round_up(max(value for line in lines for _, value in line.points))
    across, up = (_WIDE - _LEFT) / (end - start), (_HIGH - _BOTTOM - 10) / top

    def place(at: float, value: float) -> str:
        return f"{_LEFT + (at - start) * across:.1f} {_HIGH - _BOTTOM - value * up:.1f}"

    def with_unit(value: float) -> str:
        return figure(value) + (unit if unit.startswith("/") else f" {unit}")

    def colour(line: Line) -> int:
        return names.index(line.name) % COLOURS

    marks = "".join(
        f'<path class="rule" d="M{place(start, top * part)} H{_WIDE}"/><text class="soft" x="{_LEFT - 8}" '
        f'y="{_HIGH - _BOTTOM - top * part * up + 4:.1f}" text-anchor="end">{escape(with_unit(top * part))}</text>'
        for part in (0.0, 0.5, 1.0)
    )
    curves = "".join(
        f'<path class="curve c{colour(line)}" d="M{" L".join(place(*point) for point in line.points)}">'
        f"<title>{escape(line.name)}</title></path>"
        for line in lines
    )
    legend = "".join(
        f'<li><i class="c{colour(line)}"></i>{escape(line.name)} '
        f"<b>{escape(with_unit(line.points[-1][1]))}</b></li>"
        for line in lines
    )
    ago = f"{(end - start) / 60:g} min ago"
    return (
        f'<section class="card"><h2>{escape(title)}</h2>'
        f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(title)}">'
        f'{marks}{curves}<text class="soft" x="{_LEFT}" y="{_HIGH - 4}">{ago}</text>'
        f'<text class="soft" x="{_WIDE}" y="{_HIGH - 4}" text-anchor="end">now</text></svg>'
        f'<ul class="legend">{legend}</ul></section>'
    )


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if value <= step * power * 1.0001), 10 * power)


def figure(value: float) -> str:
    """With three digits, as people write them."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
