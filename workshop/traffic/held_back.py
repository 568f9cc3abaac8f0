"""When a load had nothing under way but answers that are late on purpose.

A fault delays them, and a service gives up on them after so many seconds: no machine makes them come sooner, so
that time is told apart (`timings.py`). An answer is late on purpose by the lower bound of its category's time, just
below the wait that makes it so, and counts as such for so long before it came; what it took beyond that is the
machine's, as is all of the other answers' time. While any of that goes on, a moment is the machine's. Answers that
never came are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from workshop.runbook.timings import without
from workshop.traffic.client import Classify


class HeldBack:
    """`classify` does as the one given, and notes when each answer was held back: for `late` seconds, by its
    category."""

    def __init__(
        self, classify: Classify, late: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._classify, self._late, self._clock = classify, late, clock
        self._held: list[tuple[float, float]] = []
        self._busy: list[tuple[float, float]] = []

    def classify(self, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        ended = self._clock()
        category = self._classify(status, headers, body, seconds)
        held = ended - self._late.get(category or "", 0.0)
        self._busy.append((ended - seconds, held))
        self._held.append((held, ended))
        return category

    def moments(self) -> list[tuple[float, float]]:
        """From when to when, of the clock."""
        return without(self._held, self._busy)
