"""Where the time of a run went: one line at its end, and with --timings a table of its labs above.

The line and the table's last column are of the run's longest chain of steps, so they add up to what it took. The
other figures of a lab are its own, as if no other had run beside it (see `workshop/runbook/timings.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workshop.console import words
from workshop.runbook.timings import KINDS, Kind, LabTimings, Seconds, Timings

_NAMES: Mapping[Kind, str] = {"delays": "delays on purpose", "answers": "your answers"}
"""Where there is room for more than the kind's own name."""

_SHOWN = 0.05
"""Seconds; a figure of less would be 0.0."""

_LEFT = 2
"""Columns left of both."""


def timings_line(timings: Timings) -> Iterator[RenderableType]:
    if said := spent(timings.seconds):
        yield Padding(Text(said, "dim"), (0, 0, 0, _LEFT), expand=False)


def spent(seconds: Seconds) -> str:
    """In words: "looking 0.3, applying 1.2"."""
    shown = {kind: of_kind for kind in KINDS if (of_kind := seconds.get(kind, 0.0)) >= _SHOWN}
    return ", ".join(f"{_NAMES.get(kind, kind)} {of_kind:.1f}" for kind, of_kind in shown.items())


def timings_table(timings: Timings, seconds: float) -> Iterator[RenderableType]:
    kinds = [kind for kind in KINDS if any(kind in each.seconds for each in timings.labs)]
    if not kinds:
        return
    long = [lab for lab in timings.labs if lab.total >= _SHOWN or lab.of_run >= _SHOWN]
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    for _ in range(len(kinds) + 2):
        table.add_column(min_width=6, justify="right", no_wrap=True)
    table.add_row(*(Text(head, "dim") for head in ("seconds", *kinds, "all", "of run")))
    for lab in long:
        table.add_row(Text(lab.lab, "cyan"), *_figures(lab, kinds), _figure(lab.of_run))
    if others := len(timings.labs) - len(long):
        more = " more" if long else ""
        table.add_row(Text(f"{words.count(others, 'lab')}{more}", "dim"), *[_figure(0.0)] * (len(kinds) + 2))
    run = [timings.seconds.get(kind, 0.0) for kind in kinds]
    table.add_row(Text("the run", "bold"), *map(_figure, (*run, seconds, seconds)))
    yield Padding(table, (0, 0, 0, _LEFT), expand=False)


def _figures(lab: LabTimings, kinds: list[Kind]) -> Iterator[Text]:
    for seconds in (*(lab.seconds.get(kind, 0.0) for kind in kinds), lab.total):
        yield _figure(seconds)


def _figure(seconds: float) -> Text:
    return Text(f"{seconds:.1f}") if seconds >= _SHOWN else Text("-", "dim")
