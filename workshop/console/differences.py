"""Values that differ, side by side so that it is seen how, and what somebody has added by hand.

Values stand as in YAML's flow style. Different values are different texts (the number 1 and the text "1", one blank
and two), so what is shown of them can differ as well. Where both do not fit they are cut: from the left up to a few
signs before the first difference, and then from the right. Both begin at the same place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from workshop.console import words
from workshop.console.words import Glyphs
from workshop.runbook.results import ABSENT, Difference

_CONTEXT = 12
"""Columns that are kept of what both have in front of the first difference."""

_AMBIGUOUS = re.compile(
    r"""[\[{"'&*!|>%@`#?~]|-(\s|$)|absent$|(true|false|null)$"""
    r"|[-+]?(\.\d+|\d[\d_]*(\.\d*)?)(e[-+]?\d+)?$|0[xob][\da-f_]+$|[-+]?\.?(inf|infinity|nan)$",
    re.IGNORECASE,
)
"""Begins so, or is, what YAML reads as something else than text; and the word for nothing."""

_SEPARATES = re.compile(r'[,\[\]{}"]|: |:$| #')
"""What text in a list or mapping would end at."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two texts, and in each of them where it begins to differ from the other and where it ends to."""

    found: str
    wanted: str

    def differing(self) -> tuple[slice, slice]:
        start = _in_common(self.found, self.wanted)
        same = _in_common(self.found[start:][::-1], self.wanted[start:][::-1])
        return slice(start, len(self.found) - same), slice(start, len(self.wanted) - same)

    @property
    def cells(self) -> int:
        return cell_len(self.found) + cell_len(self.wanted)


def contrast(found: Any, wanted: Any) -> Contrast:
    """Both in full."""
    return Contrast(flow(found), flow(wanted))


def shortened(both: Contrast, room: int, more: str = "…") -> Contrast:
    """Both in at most `room` columns together, 24 at least. `more` stands where something is left out. Different
    texts stay different."""
    if both.cells <= room:
        return both
    start = _in_common(both.found, both.wanted)
    before, found, wanted = both.found[:start], both.found[start:], both.wanted[start:]
    tails = cell_len(found) + cell_len(wanted)
    context = max((room - tails) // 2 - cell_len(more), min(_CONTEXT, room // 6))
    if cell_len(before) > context:
        before = more + _from_a_word_on(_last(before, context))
    room -= 2 * cell_len(before)
    half = room // 2
    found, wanted = (
        _first(text, max(half, room - cell_len(other)), more) for text, other in ((found, wanted), (wanted, found))
    )
    return Contrast(before + found, before + wanted)


def _in_common(one: str, other: str) -> int:
    """Signs at the beginning of both."""
    place = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        place += 1
    return place


def _first(text: str, cells: int, more: str) -> str:
    if cell_len(text) <= cells:
        return text
    kept = text[: cells - len(more)]
    while cell_len(kept) > cells - cell_len(more):
        kept = kept[:-1]
    return kept + more


def _last(text: str, cells: int) -> str:
    kept = text[-cells:]
    while cell_len(kept) > cells:
        kept = kept[1:]
    return kept


def _from_a_word_on(text: str) -> str:
    """Without the rest of a word at its beginning, when that is short."""
    found = re.search(r"[\W_]", text[: len(text) // 2])
    return text[found.start() :] if found else text


def flow(thing: Any, within: bool = False) -> str:
    """A value as it would stand in YAML, on one line; `within` a list or mapping."""
    if thing is ABSENT:
        return "absent"
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{flow(key, True)}: {flow(item, True)}" for key, item in thing.items()) + "}"
    if isinstance(thing, list | tuple):
        return "[" + ", ".join(flow(item, True) for item in thing) + "]"
    if isinstance(thing, str):
        return thing if _is_plain(thing, within) else _escaped(thing)
    return json.dumps(thing, default=str)


def _is_plain(text: str, within: bool) -> bool:
    if not text.isprintable() or text != " ".join(text.split()):
        return False
    return bool(text) and not _AMBIGUOUS.match(text) and not (within and _SEPARATES.search(text))


def _escaped(text: str) -> str:
    """In quotes, and without what would not be seen or would move what follows."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in quoted)


def added_lines(added: Sequence[Difference], glyphs: Glyphs) -> Iterator[RenderableType]:
    """Object by object, and field by field with the whole value that is there: nothing else shows it."""
    for subject, group in words.by_subject(added).items():
        yield Text.assemble((f"{glyphs.dot} {subject}", "cyan"), ("  by hand, left alone", "dim"))
        for item in group:
            if item.path:
                value = Text.assemble(item.path, "  ", (flow(item.found), "cyan"))
                yield Padding(value, (0, 0, 0, 4), expand=False)
