"""Manifests as exercises: an attendee fills in what is left open.

    stage("half", ..., exercise=exercise("Send half of ...", "spec.http[*].route[*].weight"))

A handout shows the YAML with those fields open (`___`), unless it is made with the solution. The lab itself,
`--explain` and `--check` are the same with and without it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.results import LEFT_OPEN, Exercise

if TYPE_CHECKING:
    from workshop.kubernetes.manifests import Object

_PART = re.compile(r"([^.\[\]]+)|\[(\*|\d+)\]")


@dataclass(frozen=True, slots=True)
class OpenFields:
    """`task` says what is asked for. `paths` lead to the fields that are left open: "spec.http[0].match", where
    `[*]` is every entry of a list."""

    task: str
    paths: tuple[str, ...]

    def left_open(self, objects: Iterable[Object]) -> list[Object]:
        """Raises ValueError for a path that leads nowhere in all of the objects."""
        opened = [copy.deepcopy(obj) for obj in objects]
        for path in self.paths:
            holders = [found for obj in opened for found in _holders(obj, path)]
            for holder, key in holders:
                holder[key] = LEFT_OPEN
            if not holders:
                raise ValueError(f"no object of the step has {path}, which an exercise leaves open")
        return opened

    def of(self, commands: tuple[str, ...]) -> Exercise:
        """`commands` are those with the objects as they are left open."""
        return Exercise(self.task, commands)


def exercise(task: str, *paths: str) -> OpenFields:
    return OpenFields(task, paths)


def _holders(obj: Any, path: str) -> Iterator[tuple[Any, Any]]:
    """What holds the field, and its key there: for each place that the path leads to."""
    *before, last = [match[1] or match[2] for match in _PART.finditer(path)]
    places = [obj]
    for part in before:
        places = [inner for place in places for key in _keys(place, part) for inner in (place[key],)]
    for place in places:
        for key in _keys(place, last):
            yield place, key


def _keys(place: Any, part: str) -> list[Any]:
    if isinstance(place, list):
        numbers = range(len(place)) if part == "*" else [int(part)] if part.isdecimal() else []
        return [number for number in numbers if number < len(place)]
    return [part] if isinstance(place, dict) and part in place else []
