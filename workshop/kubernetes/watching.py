"""What is at some places, kept current while somebody waits there.

A list, and then a watch: the API server tells of each change as it comes, so a wait ends when what it waits for is
there, and asks nothing in between. All who wait at a place share its watch, which ends with the last of them.

A watch may end, be too old (410), or break; then the list is asked for again. It may also just say nothing any
more, as a connection does whose other end is gone: so after some seconds of silence all is asked for anew as well.
Where the API server is not reached this way (see `api_proxy`), kubectl is asked for the lists, every half second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from workshop.kubernetes import api_reading
from workshop.kubernetes.api_proxy import ProxyFailed
from workshop.kubernetes.api_reading import Refused
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Object
from workshop.runbook.errors import WorkshopError

_SILENT_SECONDS = 5.0
_ANSWERS_WITHIN = 30.0
_AGAIN_AFTER = 0.05
"""Seconds after a watch that has ended: there may be a server that ends each at once."""
_ASKED_EVERY = 0.5
"""Seconds between two lists, where there is no watch."""


class Watched:
    """The places, as they are now."""

    def __init__(self, watches: Sequence[_Watch], changes: asyncio.Event) -> None:
        self._watches, self._changes = watches, changes

    def objects(self, kind: str) -> list[Object]:
        """Those of a kind, of all the places."""
        return [obj for watch in self._watches if watch.place.kind == kind for obj in watch.objects.values()]

    async def changed(self, seconds: float) -> None:
        """Returns when something has changed since this was called last, at the latest after `seconds`. Raises the
        error that a watch has ended with."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changes.wait(), seconds)
        self._changes.clear()
        for watch in self._watches:
            watch.refuse_if_failed()


@contextlib.asynccontextmanager
async def watched(kubectl: Kubectl, places: Sequence[Place]) -> AsyncIterator[Watched]:
    """Entering returns when all of it has been looked at. Raises KubectlError, ToolMissing, ToolTimeout."""
    shared = kubectl.proxy().shared
    watches = [shared.setdefault(place, _Watch(kubectl, place, shared)) for place in places]
    changes = asyncio.Event()
    for watch in watches:
        watch.begin(changes)
    try:
        for watch in watches:
            await watch.first_look()
        yield Watched(watches, changes)
    finally:
        for watch in watches:
            watch.leave(changes)


class _Watch:
    """Of one place, for all who wait there. `shared` is where they find it."""

    def __init__(self, kubectl: Kubectl, place: Place, shared: dict[object, Any]) -> None:
        self.place, self.objects = place, dict[tuple[str, str], Object]()
        self._kubectl, self._shared = kubectl, shared
        self._waiting: list[asyncio.Event] = []
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, changes: asyncio.Event) -> None:
        self._waiting.append(changes)
        if self._task is None:
            self._task = asyncio.create_task(self._keep())

    def leave(self, changes: asyncio.Event) -> None:
        self._waiting.remove(changes)
        if not self._waiting and self._task:
            self._task.cancel()
            if self._shared.get(self.place) is self:
                del self._shared[self.place]

    async def first_look(self) -> None:
        assert self._task
        looked = asyncio.ensure_future(self._looked.wait())
        try:
            await asyncio.wait((looked, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            looked.cancel()
        self.refuse_if_failed()

    def refuse_if_failed(self) -> None:
        """Raises what has ended it; who comes later begins another one."""
        if self._task and self._task.done():
            if self._shared.get(self.place) is self:
                del self._shared[self.place]
            self._task.result()

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    await self._list_and_watch()
                    await asyncio.sleep(_AGAIN_AFTER)
                except (ProxyFailed, Refused, TimeoutError):
                    self._see((await self._kubectl.look([self.place]))[self.place] or ())
                    await asyncio.sleep(_ASKED_EVERY)
        except WorkshopError:
            self._tell()
            raise

    async def _list_and_watch(self) -> None:
        """Until the watch ends, or is silent. Raises ProxyFailed and Refused."""
        proxy = self._kubectl.proxy()
        async with asyncio.timeout(_ANSWERS_WITHIN):
            found = await api_reading.read(proxy, self.place)
        self._see(found.items or ())
        if not found.watch:
            await asyncio.sleep(_ASKED_EVERY)
            return
        async with contextlib.aclosing(proxy.stream(found.watch)) as events:
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(_SILENT_SECONDS):
                        event = await anext(events, None)
                    if event is None or event["type"] == "ERROR":
                        return
                    self._apply(event["type"], event["object"])

    def _see(self, objects: Sequence[Object]) -> None:
        self.objects = {_key(obj): obj for obj in objects}
        self._looked.set()
        self._tell()

    def _apply(self, what: str, obj: Object) -> None:
        if what == "DELETED":
            self.objects.pop(_key(obj), None)
        elif what != "BOOKMARK":
            self.objects[_key(obj)] = obj
        self._tell()

    def _tell(self) -> None:
        for changes in self._waiting:
            changes.set()


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
