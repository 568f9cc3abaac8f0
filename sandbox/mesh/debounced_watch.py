"""Handle changes in the cluster, debounced: several in quick succession are handled at once, as istiod does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sandbox.core.cluster import Cluster, WatchEvent

log = logging.getLogger(__name__)

_DEBOUNCE_SECONDS = 0.005
"""How long it waits for more: well below what anybody could notice, and a rollout's burst is one change."""


class DebouncedWatch:
    """Calls `handle` once at the start, then after changes of `resources` that `relevant` lets through."""

    def __init__(
        self,
        cluster: Cluster,
        resources: tuple[str, ...],
        handle: Callable[[], Awaitable[None]],
        relevant: Callable[[WatchEvent], bool] = lambda event: True,
    ) -> None:
        self._cluster, self._resources = cluster, resources
        self._handle, self._relevant = handle, relevant
        self._changed = asyncio.Event()

    def trigger(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. What fails is logged, and the next change is handled all the same."""
        self.trigger()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                await self._changed.wait()
                await asyncio.sleep(_DEBOUNCE_SECONDS)
                self._changed.clear()
                try:
                    await self._handle()
                except Exception:
                    log.exception("a change was not handled")

    async def _watch(self) -> None:
        async for event in self._cluster.watch(*self._resources):
            if self._relevant(event):
                self.trigger()
