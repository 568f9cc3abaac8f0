"""Long work gives the event loop its turns: what the loop carries beside it must not wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_LONGEST = 0.004
"""Seconds of work between two turns: a fifth of the pause that nobody may notice (20 ms), for pieces differ."""


class Turns:
    """Of one piece of work: `give` between its parts, wherever what it reads may change without harm."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def give(self) -> None:
        """Let the loop's other work go on, if this has gone on for long enough."""
        if time.perf_counter() - self._since > _LONGEST:
            await asyncio.sleep(0)
            self._since = time.perf_counter()

    async def between(self, parts: Iterable[T]) -> AsyncIterator[T]:
        """Give between each of these and the next."""
        for part in parts:
            yield part
            await self.give()
