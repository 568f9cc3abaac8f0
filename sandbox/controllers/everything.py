"""Following all kinds, those of CRDs that come later included."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from sandbox.controllers.controller import Controller
from sandbox.core.cluster import Cluster, WatchEvent

_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_SHOWN_TWICE = frozenset({"events.events.k8s.io"})
"""The same objects as another kind's."""

K = TypeVar("K", bound=tuple[str, ...])


def kinds(cluster: Cluster) -> list[str]:
    """All kinds that have objects of their own, in the order in which they are served."""
    return [
        key for key in dict.fromkeys(resource.key for resource in cluster.resources()) if key not in _SHOWN_TWICE
    ]


class FollowsEverything(Controller[K]):
    """A controller of objects of whatever kind; `watches` is not asked."""

    watches = ()

    async def watch(self) -> None:
        followed = set(kinds(self.cluster))
        async with asyncio.TaskGroup() as tasks:
            crds = self.cluster.watch(_CRDS)
            tasks.create_task(self.follow(sorted(followed)))
            async for event in crds:
                # A watch of a kind goes on when its CRD goes and comes back, so it is only ever added.
                new = self._kind_of(event) - followed
                if new:
                    followed |= new
                    tasks.create_task(self.follow(sorted(new)))

    def _kind_of(self, event: WatchEvent) -> set[str]:
        return set() if event.type == "DELETED" else set(kinds(self.cluster))
