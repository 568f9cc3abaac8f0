"""What all controllers have in common: watch, a queue of keys, reconcile; and following all kinds there are.

A controller is level-triggered: an event only says *which* object to look at; `reconcile` then reads what is
there and does whatever is missing, so it does not matter which events led to it or how often it runs. Reads
come straight from the store in this process, so unlike a real controller it never acts on an old view.

Between two objects the loop gets its turn: the same loop carries the sandbox's requests.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.constants import CRDS

log = logging.getLogger(__name__)

MANAGER = "kube-controller-manager"

NamespacedName = tuple[str, str]
"""Namespace (empty for kinds without) and name."""

K = TypeVar("K", bound=tuple[str, ...])

_FIRST_RETRY, _LAST_RETRY = 0.005, 10.0
"""Seconds until a failed key is tried again; they double from one to the other."""


def name_of(obj: Object) -> NamespacedName:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def seconds_since(timestamp: str) -> float:
    """How old an API object's timestamp is."""
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def write_status(cluster: Cluster, resource: str, obj: Object, status: Object) -> None:
    """Replace the status of `obj`, if that changes anything: mostly it does not, and then this is cheap."""
    if obj.get("status") == status:
        return

    def write(changed: Object) -> None:
        changed["status"] = status

    namespace, name = name_of(obj)
    cluster.edit(resource, namespace or None, name, write, manager=MANAGER, subresource="status")


class Controller(ABC, Generic[K]):
    watches: ClassVar[tuple[str, ...]]
    """The kinds whose changes matter, as `Resource.key`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.queue: WorkQueue[K] = WorkQueue()
        self._failures: dict[K, int] = {}

    @abstractmethod
    def keys(self, event: WatchEvent) -> Iterable[K]:
        """What to look at again because of this change."""

    @abstractmethod
    def reconcile(self, key: K) -> float | None:
        """Bring one object to where it should be. Returns after how many seconds to look again, if at all.

        Whatever it raises, the key is tried again later.
        """

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.watch())
                tasks.create_task(self._work())
        finally:
            self.queue.close()

    async def watch(self) -> None:
        await self.follow(self.watches)

    async def follow(self, resources: Iterable[str]) -> None:
        async for event in self.cluster.watch(*resources):
            for key in self.keys(event):
                self.queue.add(key)

    async def _work(self) -> None:
        while True:
            key = await self.queue.next()
            try:
                again = self.reconcile(key)
            except Exception as error:
                self._retry(key, error)
            else:
                self._failures.pop(key, None)
                if again is not None:
                    self.queue.add_after(key, again)
            await asyncio.sleep(0)

    def _retry(self, key: K, error: Exception) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        if isinstance(error, ApiError):
            log.debug("%s: %s: %s", type(self).__name__, "/".join(key), error.message)
        else:
            log.error("%s: %s", type(self).__name__, "/".join(key), exc_info=error)
        self.queue.add_after(key, min(_FIRST_RETRY * 2 ** min(failures, 20), _LAST_RETRY))


class WorkQueue(Generic[K]):
    """First in, first out. A key added again while it waits keeps its place; added while it is worked on, it
    comes again. So a burst of changes to one object is one look at it, and no change is missed.
    """

    def __init__(self) -> None:
        self._line: deque[K] = deque()
        self._waiting: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._added = asyncio.Event()

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


def kinds(cluster: Cluster) -> list[str]:
    """All kinds, in the order in which they are served."""
    return list(dict.fromkeys(resource.key for resource in cluster.resources()))


class FollowsEverything(Controller[K]):
    """A controller of objects of whatever kind, those of CRDs that come later included; `watches` is not asked."""

    watches = ()

    async def watch(self) -> None:
        followed = set(kinds(self.cluster))
        async with asyncio.TaskGroup() as tasks:
            crds = self.cluster.watch(CRDS)
            tasks.create_task(self.follow(sorted(followed)))
            async for event in crds:
                # A watch of a kind goes on when its CRD goes and comes back, so it is only ever added.
                new = self._kind_of(event) - followed
                if new:
                    followed |= new
                    tasks.create_task(self.follow(sorted(new)))

    def _kind_of(self, event: WatchEvent) -> set[str]:
        return set() if event.type == "DELETED" else set(kinds(self.cluster))
