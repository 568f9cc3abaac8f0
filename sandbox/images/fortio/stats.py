"""fortio's histogram: its buckets, and percentiles interpolated in them.

The bounds are fortio's (`stats/stats.go`): each bucket holds what is above the bound before it and at most its own,
in units of the resolution (1 ms); the first holds what is not positive, the last what is above 100,000.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sandbox.images.gofmt import shortest

BOUNDS: tuple[int, ...] = (
    *range(13),
    *range(14, 21, 2),
    *range(25, 51, 5),
    *range(60, 101, 10),
    *range(120, 201, 20),
    *range(250, 501, 50),
    *range(600, 1001, 100),
    *(2000, 3000, 4000, 5000, 7500, 10000),
    *(20000, 30000, 40000, 50000, 75000, 100000),
)


@dataclass(frozen=True, slots=True)
class Bucket:
    start: float
    end: float
    percent: float
    """Of all values, up to the end of this bucket."""
    count: int


class Histogram:
    def __init__(self, resolution: float, offset: float = 0.0) -> None:
        self._resolution, self._offset = resolution, offset
        self._counts = [0] * (len(BOUNDS) + 1)
        self._squares = 0.0
        self.count, self.sum, self.min, self.max = 0, 0.0, 0.0, 0.0

    def record(self, value: float) -> None:
        if self.count == 0:
            self.min = self.max = value
        elif value < self.min:
            self.min = value
        elif value > self.max:
            self.max = value
        self.count += 1
        self.sum += value
        self._squares += value * value
        self._counts[bisect_left(BOUNDS, (value - self._offset) / self._resolution)] += 1

    def add(self, other: Histogram) -> None:
        """Count what `other`, of the same resolution, has counted."""
        if other.count:
            self.min = min(self.min, other.min) if self.count else other.min
            self.max = max(self.max, other.max) if self.count else other.max
        self.count, self.sum = self.count + other.count, self.sum + other.sum
        self._squares += other._squares
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]

    @property
    def average(self) -> float:
        return self.sum / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        if not self.count:
            return 0.0
        return math.sqrt(max(0.0, (self._squares - self.sum * self.sum / self.count) / self.count))

    @property
    def not_positive(self) -> int:
        return self._counts[0]

    def buckets(self) -> list[Bucket]:
        """Those that hold anything, from the smallest to the largest value."""
        found: list[Bucket] = []
        total = 0
        for place, count in enumerate(self._counts):
            if not count:
                continue
            total += count
            start = self.min if not found else self._bound(max(place - 1, 0))
            end = self._bound(place) if place < len(BOUNDS) else self.max
            found.append(Bucket(start, end, 100.0 * total / self.count, count))
        if found:
            found[-1] = replace(found[-1], end=self.max)
        return found

    def _bound(self, place: int) -> float:
        return self._resolution * float(BOUNDS[place]) + self._offset

    def percentile(self, wanted: float) -> float:
        """The value that `wanted` percent are at most, linear within its bucket."""
        before = 100.0 / self.count
        if wanted <= before:
            return self.min
        for bucket in self.buckets():
            if wanted <= bucket.percent:
                return bucket.start + (wanted - before) / (bucket.percent - before) * (bucket.end - bucket.start)
            before = bucket.percent
        return self.max

    # As text and JSON.

    def summary(self, title: str) -> str:
        return (
            f"{title} : count {self.count} avg {self.average:.8g} +/- {self.deviation:.4g}"
            f" min {shortest(self.min)} max {shortest(self.max)} sum {self.sum:.9g}\n"
        )

    def targets(self, percentiles: Sequence[float]) -> str:
        if not self.count:
            return ""
        return "".join(f"# target {shortest(one)}% {self.percentile(one):.6g}\n" for one in percentiles)

    def text(self, title: str, percentiles: Sequence[float] = ()) -> str:
        if not self.count:
            return f"{title} : no data\n"
        lines = [self.summary(title), "# range, mid point, percentile, count\n"]
        for number, one in enumerate(self.buckets()):
            above, middle = ">" if number else ">=", (one.start + one.end) / 2
            lines.append(
                f"{above} {one.start:.6g} <= {one.end:.6g} , {middle:.6g} , {one.percent:.2f}, {one.count}\n"
            )
        return "".join(lines) + self.targets(percentiles)

    def exported(self, percentiles: Sequence[float] = ()) -> dict[str, Any]:
        data = [
            {"Start": one.start, "End": one.end, "Percent": one.percent, "Count": one.count}
            for one in self.buckets()
        ]
        found: dict[str, Any] = {
            "Count": self.count,
            "Min": self.min,
            "Max": self.max,
            "Sum": self.sum,
            "Avg": self.average,
            "StdDev": self.deviation,
            "Data": data or None,
        }
        if percentiles and self.count:
            found["Percentiles"] = [{"Percentile": one, "Value": self.percentile(one)} for one in percentiles]
        return found
