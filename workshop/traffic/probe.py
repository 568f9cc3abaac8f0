"""Measured traffic, as a lab declares it: where to send requests, how to tell the answers apart, what to expect.

Declarations only, as `invoke --list` imports this module; `measuring` does what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workshop.runbook.model import Verdict
    from workshop.runbook.run import Run
    from workshop.traffic.login import Login
    from workshop.traffic.verdict import Plan


@dataclass(frozen=True, slots=True)
class Category:
    """Answers of one kind: of this `status`, with a body that has the regular expression or passes the test."""

    label: str
    body: str | Callable[[str], bool]
    colour: str = ""
    status: int = 200

    def matches(self, status: int, body: str) -> bool:
        if status != self.status:
            return False
        return re.search(self.body, body) is not None if isinstance(self.body, str) else self.body(body)


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests to `path` and the share of them that each category is expected to get.

    `expected` are shares in the order of `categories`, adding up to 1. `deviation` is the smallest one that must be
    noticed in any category (0.10 is ten percentage points); it decides the number of requests.
    An answer of no category, or of several, is an error. Times are in seconds: `visible_within` for the change to
    arrive, `within` for the measurement as a whole, `request_timeout` for each request.
    """

    title: str
    path: str
    categories: tuple[Category, ...]
    expected: tuple[float, ...]
    deviation: float = 0.10
    headers: tuple[tuple[str, str], ...] = ()
    login: Login | None = None
    concurrency: int = 16
    request_timeout: float = 15.0
    visible_within: float = 30.0
    within: float = 120.0

    def __post_init__(self) -> None:
        labels = {category.label for category in self.categories}
        if len(self.expected) != len(self.categories) or len(labels) != len(self.categories):
            raise ValueError(f"probe {self.title!r}: each category needs a label of its own and a share")

    def plan(self) -> Plan:
        """Raises ValueError for shares that do not add up to 1."""
        from workshop.traffic.verdict import plan

        shares = zip(self.categories, self.expected, strict=True)
        return plan({category.label: share for category, share in shares}, self.deviation)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        text = body.decode(errors="replace")
        found = [category.label for category in self.categories if category.matches(status, text)]
        return found[0] if len(found) == 1 else None

    async def measure(self, run: Run, base_url: str) -> Verdict:
        """Wait until the change is visible at `base_url` (scheme, host and port), then measure once."""
        from workshop.traffic.measuring import measure

        return await measure(self, run, base_url)
