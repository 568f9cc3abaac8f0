"""React to changes in the cluster: several in quick succession cause one reaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sandbox.core.cluster import Cluster, WatchEvent

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.005
"""How long a reaction waits for more: well below what anybody could notice, and a rollout's burst is one change."""


def every_event(event: WatchEvent) -> bool:
    return True


class Reaction:
    """Calls `react` once at the start, then after changes of `resources` that `relevant` lets through."""

    def __init__(
        self,
        cluster: Cluster,
        resources: tuple[str, ...],
        react: Callable[[], Awaitable[None]],
        relevant: Callable[[WatchEvent], bool] = every_event,
    ) -> None:
        self._cluster, self._resources = cluster, resources
        self._react, self._relevant = react, relevant
        self._changed = asyncio.Event()

    def trigger(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. A reaction that fails is logged, and the next change is reacted to all the same."""
        self.trigger()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                await self._changed.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                self._changed.clear()
                try:
                    await self._react()
                except Exception:
                    log.exception("a change was not reacted to")

    async def _watch(self) -> None:
        async for event in self._cluster.watch(*self._resources):
            if self._relevant(event):
                self.trigger()
