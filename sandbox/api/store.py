"""Objects in memory, their revisions, and what happened to them lately.

One counter numbers all writes, as etcd's does: it is the resourceVersion of objects and of lists. The last
changes of every kind are kept so that a watch can resume from a resourceVersion; an older one is answered
410 Gone, on which clients list again. Objects are never changed in place: a write puts a new one, so that
whoever holds the former keeps a consistent view, and the history costs only what really changed.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Literal

from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import name_of, namespace_of

HISTORY = 500
"""Changes kept of each kind."""

Change = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Record:
    """A change: `old` is what was there before (None for ADDED), `object` what is (or was last) there."""

    revision: int
    type: Change
    key: str
    object: Object
    old: Object | None


class Subscription:
    """Changes of some kinds from one moment on, in order, none dropped."""

    def __init__(self, keys: frozenset[str]) -> None:
        self.keys = keys
        self._records: asyncio.Queue[Record | None] = asyncio.Queue()

    def add(self, record: Record | None) -> None:
        self._records.put_nowait(record)

    async def next(self) -> Record | None:
        """The next change; None once the kind is no longer served."""
        return await self._records.get()


class _Kind:
    def __init__(self, forgotten: int) -> None:
        self.objects: dict[tuple[str | None, str], Object] = {}
        self.history: deque[Record] = deque()
        self.forgotten = forgotten
        """Changes up to this revision are not in the history."""


class Store:
    def __init__(self, first_revision: int = 1) -> None:
        """`first_revision`: above all that an earlier process handed out, so that its clients are told 410."""
        self.revision = self._first = first_revision
        self._kinds: dict[str, _Kind] = {}
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()

    def get(self, key: str, namespace: str | None, name: str) -> Object | None:
        kind = self._kinds.get(key)
        return kind.objects.get((namespace, name)) if kind else None

    def put(self, key: str, obj: Object) -> Object:
        """Store `obj` (the store's from now on) under the next revision."""
        kind = self._kind(key)
        at = (namespace_of(obj), name_of(obj))
        old = kind.objects.get(at)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        kind.objects[at] = obj
        self._record(kind, Record(self.revision, "MODIFIED" if old else "ADDED", key, obj, old))
        return obj

    def remove(self, key: str, namespace: str | None, name: str) -> Object:
        """Remove what is there; the last state carries the revision of the removal, as watches show it."""
        kind = self._kind(key)
        old = kind.objects.pop((namespace, name))
        self.revision += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.revision)}}
        self._record(kind, Record(self.revision, "DELETED", key, last, old))
        return last

    def drop(self, key: str) -> None:
        """Forget an empty kind that is no longer served and end the watches that are only about it."""
        self._kinds[key] = _Kind(self.revision)
        for subscription in list(self._subscriptions):
            if subscription.keys == {key}:
                subscription.add(None)

    def subscribe(self, *keys: str) -> Subscription:
        """Changes from now on."""
        subscription = Subscription(frozenset(keys))
        self._subscriptions.add(subscription)
        return subscription

    def since(self, key: str, revision: int) -> list[Record]:
        """Changes after `revision`. Raises ApiError 410 when they are not all remembered."""
        kind = self._kind(key)
        if revision < kind.forgotten:
            raise expired(revision, kind.forgotten)
        return [record for record in kind.history if record.revision > revision]

    def list(self, key: str, namespace: str | None = None) -> list[Object]:
        """Sorted by namespace and name, as etcd's keys are."""
        kind = self._kinds.get(key)
        if kind is None:
            return []
        wanted = kind.objects if namespace is None else [at for at in kind.objects if at[0] == namespace]
        return [kind.objects[at] for at in sorted(wanted, key=_order)]

    def _kind(self, key: str) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self._first)
        return kind

    def _record(self, kind: _Kind, record: Record) -> None:
        kind.history.append(record)
        if len(kind.history) > HISTORY:
            kind.forgotten = kind.history.popleft().revision
        for subscription in list(self._subscriptions):
            if record.key in subscription.keys:
                subscription.add(record)


def _order(at: tuple[str | None, str]) -> tuple[str, str]:
    return at[0] or "", at[1]


def expired(revision: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {revision} ({oldest})")
