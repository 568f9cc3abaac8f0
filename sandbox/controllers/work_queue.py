"""Keys waiting to be looked at, each in line at most once, now or after a while."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """First in, first out. A key added again while it waits keeps its place; added while it is worked on, it
    comes again. So a burst of changes to one object is one look at it, and no change is missed.
    """

    def __init__(self) -> None:
        self._line: deque[K] = deque()
        self._waiting: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._added = asyncio.Event()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, key: K) -> None:
        if key not in self._waiting:
            self._waiting.add(key)
            self._line.append(key)
            self._added.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Add it in `seconds`, unless it was to be added sooner anyway."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    async def next(self) -> K:
        while not self._line:
            self._added.clear()
            await self._added.wait()
        key = self._line.popleft()
        self._waiting.discard(key)
        return key

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
