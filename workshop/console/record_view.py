"""What runs there were, from the journal: two lines each on the screen, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.lines import Lines
from workshop.console.verbatim import unbroken
from workshop.runbook.record import RunRecord

_STATES: dict[int | None, tuple[str, str, str]] = {
    0: ("changed", "converged", "green"),
    1: ("failed", "failed", "bold red"),
    2: ("failed", "refused", "bold red"),
    3: ("inconclusive", "inconclusive", "yellow"),
    130: ("skipped", "interrupted", "yellow"),
    None: ("failed", "cut off", "bold red"),
}
"""Glyph, word and style by exit status."""

_UNDER_WAY = ("more", "under way", "cyan")

_BELOW = 22
"""Columns left of a run's second line."""


def state_of(run: RunRecord) -> tuple[str, str, str]:
    """Glyph, word and style of what has become of a run."""
    return _UNDER_WAY if run.under_way else _STATES.get(run.exit_status, _STATES[1])


def moment(seconds: float) -> datetime:
    """In the time of where one is."""
    return datetime.fromtimestamp(seconds).astimezone()


def history_lines(runs: Sequence[RunRecord], lines: Lines) -> Iterator[RenderableType]:
    """The newest last, as it is what one looks for."""
    if not runs:
        yield Text("no run is written down yet", "dim")
    for run in runs:
        glyph, word, style = state_of(run)
        yield unbroken(
            f"{run.number:>4}  ",
            (f"{moment(run.started):%Y-%m-%d %H:%M}", "dim"),
            "  ",
            (f"{getattr(lines.glyphs, glyph)} {word}", style),
            "  ",
            (run.origin.command or " ".join(run.asked), "bold"),
        )
        facts = [
            run.target,
            words.count(len(run.labs), "lab"),
            *(f"{run.counts[kind]} {kind}" for kind in words.ORDER if run.counts.get(kind)),
        ]
        if run.part[1] > 1:
            facts.insert(0, "part {} of {}".format(*run.part))
        if run.seconds is not None:
            facts.append(words.duration(run.seconds))
        told = Text(f" {lines.glyphs.dot} ".join(facts), "dim")
        yield Padding(told, (0, 0, 0, _BELOW + 2), expand=False)


def run_as_data(run: RunRecord) -> dict[str, Any]:
    """A run's head, for programs."""
    return {
        "run": run.number,
        "command": run.origin.command,
        "started": moment(run.started).isoformat(timespec="seconds"),
        "seconds": run.seconds,
        "state": state_of(run)[1],
        "exit_status": run.exit_status,
        "part": list(run.part),
        "target": run.target,
        "place": run.origin.place,
        "asked": list(run.asked),
        "labs": [lab.name for lab in run.labs],
        "outcomes": run.counts,
    }
