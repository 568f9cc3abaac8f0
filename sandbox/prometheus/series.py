"""The time series: what was measured when, for a while.

A series ends with a marker: its target went, or no longer tells it. From then on nobody is told its last value,
where a series that is only late keeps it for five minutes.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbox.core.turns import Turns
from sandbox.prometheus.labels import NAME, Labels, Matcher

LARGEST = 2_000_000
"""Samples, of 16 bytes each."""


class Series:
    """One series. Times are milliseconds, ascending; a marker is a time in `ends` (its value is NaN)."""

    __slots__ = ("ends", "labels", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.times = array("q")
        self.values = array("d")
        self.ends: set[int] = set()


@dataclass(frozen=True, slots=True)
class Points:
    """What a query has taken of a series: a copy, so that what is scraped meanwhile is not in it."""

    labels: Labels
    times: Sequence[int]
    values: Sequence[float]
    ends: frozenset[int]

    def latest(self, after: int, until: int) -> tuple[int, float] | None:
        """The last sample in (after, until], unless the series had ended."""
        place = bisect_right(self.times, until) - 1
        if place < 0 or (time := self.times[place]) <= after or time in self.ends:
            return None
        return time, self.values[place]

    def between(self, after: int, until: int) -> tuple[Sequence[int], Sequence[float]]:
        """All in (after, until]."""
        first, last = bisect_right(self.times, after), bisect_right(self.times, until)
        return self.times[first:last], self.values[first:last]

    def without_ends(self) -> Points:
        if not self.ends:
            return self
        kept = [place for place, time in enumerate(self.times) if time not in self.ends]
        return Points(
            self.labels, [self.times[place] for place in kept], [self.values[place] for place in kept], frozenset()
        )


def copied(of: Sequence[Series], after: int, until: int) -> list[Points]:
    """What there is of them in (after, until]; a series without any is not among it."""
    taken = []
    for series in of:
        first, last = bisect_right(series.times, after), bisect_right(series.times, until)
        if first < last:
            times = series.times[first:last]
            ends = frozenset(series.ends.intersection(times)) if series.ends else frozenset[int]()
            taken.append(Points(series.labels, times, series.values[first:last], ends))
    return taken


class Store:
    """All series, by what names them."""

    def __init__(self, largest: int = LARGEST) -> None:
        self.samples = 0
        self.appended = 0
        self._largest = largest
        self._by_labels: dict[Labels, Series] = {}
        self._by_name: dict[str, dict[Labels, Series]] = {}

    def __len__(self) -> int:
        return len(self._by_labels)

    def series(self, labels: Labels) -> Series:
        """The one of these labels, made if there is none."""
        found = self._by_labels.get(labels)
        if found is None:
            found = self._by_labels[labels] = Series(labels)
            self._by_name.setdefault(labels[NAME], {})[labels] = found
        return found

    def living(self, series: Series) -> Series:
        """The one of its labels, which may have been forgotten and made anew."""
        return series if series.times else self.series(series.labels)

    @property
    def too_many(self) -> bool:
        """Whether it is time to forget."""
        return self.samples > self._largest

    def append(self, series: Series, time: int, value: float) -> bool:
        """Add a sample. Not one that is as old as the last one or older: False."""
        if series.times and time <= series.times[-1]:
            return False
        series.times.append(time)
        series.values.append(value)
        self.samples += 1
        self.appended += 1
        return True

    def end(self, series: Series, time: int) -> None:
        """Nothing more is known of it from this time on, or from after its last sample, until the next one."""
        if series.times:
            time = max(time, series.times[-1] + 1)
        self.append(series, time, math.nan)
        series.ends.add(time)

    def matching(self, matchers: Sequence[Matcher]) -> list[Series]:
        """Those that all of these match."""
        by_name = [matcher for matcher in matchers if matcher.name == NAME]
        rest = [(matcher.name, matcher.matches) for matcher in matchers if matcher.name != NAME]
        exact = next((matcher.value for matcher in by_name if matcher.operator == "="), None)
        names = self._by_name if exact is None else (exact,)
        found: list[Series] = []
        for name in names:
            if all(matcher.matches(name) for matcher in by_name):
                found += _where(self._by_name.get(name, {}).values(), rest)
        return found

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change."""
        return self.appended, self.samples

    async def forget(self, before: int) -> None:
        """Drop what is older; and where that leaves too many samples, what is oldest of the rest."""
        turns = Turns()
        await self._forget(before, turns)
        while self.too_many:
            oldest, newest = self._span()
            # A tenth of the time at once; at least what was written at one moment.
            await self._forget(max(oldest + (newest - oldest) // 10, oldest + 1), turns)

    def _span(self) -> tuple[int, int]:
        all_of_them = [series.times for series in self._by_labels.values()]
        return min(times[0] for times in all_of_them), max(times[-1] for times in all_of_them)

    async def _forget(self, before: int, turns: Turns) -> None:
        async for series in turns.between(list(self._by_labels.values())):
            count = bisect_left(series.times, before)
            if not count:
                if not series.times:
                    self._remove(series)
                continue
            del series.times[:count]
            del series.values[:count]
            series.ends = {time for time in series.ends if time >= before}
            self.samples -= count
            if not series.times:
                self._remove(series)

    def _remove(self, series: Series) -> None:
        name = series.labels[NAME]
        del self._by_labels[series.labels], self._by_name[name][series.labels]
        if not self._by_name[name]:
            del self._by_name[name]


def _where(candidates: Iterable[Series], conditions: Sequence[tuple[str, Callable[[str], bool]]]) -> list[Series]:
    if not conditions:
        return list(candidates)
    return [
        series
        for series in candidates
        if all(matches(series.labels.mapping.get(name, "")) for name, matches in conditions)
    ]
