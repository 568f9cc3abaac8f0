"""Outcomes, times, numbers and differences in words, the same for every view."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workshop.runbook.results import ABSENT, Bar, Difference, Outcome


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs of an output that can show them, and of one that is ASCII only."""

    changed: str = "✓"
    unchanged: str = "="
    failed: str = "✗"
    inconclusive: str = "?"
    skipped: str = "-"
    full: str = "█"
    eighths: str = " ▏▎▍▌▋▊▉"
    heights: str = " ▁▂▃▄▅▆▇█"
    track: str = "·"
    axis: str = "─"
    tick: str = "┴"
    arrow: str = "→"
    dot: str = "·"
    dash: str = "\u2013"
    more: str = "\u2026"
    """Something is left out here."""
    spinner: str = "dots"

    def outcome(self, outcome: Outcome) -> str:
        return str(getattr(self, outcome))


UNICODE = Glyphs()
ASCII = Glyphs(
    changed="+",
    failed="x",
    full="#",
    eighths=" ",
    heights=" .:#",
    track=".",
    axis="-",
    tick="+",
    arrow="->",
    dot="|",
    dash="-",
    more="...",
    spinner="line",
)

STYLES: dict[Outcome, str] = {
    "changed": "green",
    "unchanged": "dim",
    "failed": "bold red",
    "inconclusive": "yellow",
    "skipped": "dim",
}

ORDER: tuple[Outcome, ...] = ("failed", "inconclusive", "changed", "unchanged", "skipped")

PHASES = {"check": "checking", "ask": "asking", "apply": "applying", "verify": "verifying", "undo": "undoing"}


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


def latency(seconds: float) -> str:
    """Two digits at least, as the time of an answer has: "3.2 ms", "47 ms", "6.02 s"."""
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def count(number: int, what: str, plural: str = "") -> str:
    """`count(2, "object")` is "2 objects"."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def accepted(bar: Bar, glyphs: Glyphs = UNICODE) -> str:
    """The range, "45.0-55.5 %"; empty where there is none."""
    if bar.accepted is None:
        return ""
    low, high = bar.accepted
    return percent(high) if low == high else f"{low * 100:.1f}{glyphs.dash}{percent(high)}"


def by_subject(differences: Iterable[Difference]) -> dict[str, list[Difference]]:
    grouped: dict[str, list[Difference]] = {}
    for difference in differences:
        grouped.setdefault(difference.subject, []).append(difference)
    return grouped


def kind_of_change(differences: Sequence[Difference]) -> str:
    """What happens to a subject: "create", "remove" or "change"."""
    for difference in differences:
        if not difference.path and difference.found is ABSENT:
            return "create"
        if not difference.path and difference.wanted is ABSENT:
            return "remove"
    return "change"


def totals(differences: Iterable[Difference], past: bool = False) -> str:
    """ "2 to create, 1 to change", or, of the past, "2 created, 1 changed"."""
    kinds = Counter(kind_of_change(group) for group in by_subject(differences).values())
    words = {"create": "created", "change": "changed", "remove": "removed"}
    return ", ".join(
        f"{kinds[kind]:,} {done if past else 'to ' + kind}" for kind, done in words.items() if kinds[kind]
    )


def paragraphs(text: str) -> list[str]:
    """Text as a docstring has it, with its lines joined again; the page breaks them where it ends."""
    return [" ".join(block.split()) for block in inspect.cleandoc(text).split("\n\n") if block.strip()]
