"""Objects in memory, their revisions, and what happened to them lately.

One counter numbers all writes, as etcd's does: it is the resourceVersion of objects and of lists. The last
changes of every kind are kept so that a watch can resume from a resourceVersion; an older one is answered
410 Gone, on which clients list again. Objects are never changed in place: a write puts a new one, so that
whoever holds the former keeps a consistent view; the two share what is equal in them, so that the history costs
only what really changed.

Every kind is indexed by namespace, by each label and by the owner that manages an object, so that a list costs what
it finds and not what there is. What else is derived of a kind's objects is kept by an observer, which is called
within each write: it is never behind.
"""

from __future__ import annotations

import asyncio
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.core.cluster import ApiError, Object, Observer
from sandbox.core.objects import manager_uid, name_of, namespace_of, sharing

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


Term = tuple[str, str] | str
"""What objects are found by: a label's key and value, or the uid of the owner that manages them ("" for none)."""


def terms(obj: Object) -> frozenset[Term]:
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return frozenset((*labels.items(), manager_uid(obj)))


class _Namespace:
    """A kind's objects in one namespace (None for a kind without), by name."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._names: list[str] = []
        """In order."""
        self._found_by: dict[Term, set[str]] = {}

    def put(self, name: str, obj: Object) -> None:
        old = self.objects.get(name)
        self.objects[name] = obj
        if old is None:
            insort(self._names, name)
        was, now = terms(old) if old is not None else frozenset(), terms(obj)
        if was != now:
            self._forget(name, was - now)
            for term in now - was:
                self._found_by.setdefault(term, set()).add(name)

    def remove(self, name: str) -> Object:
        old = self.objects.pop(name)
        del self._names[bisect_left(self._names, name)]
        self._forget(name, terms(old))
        return old

    def _forget(self, name: str, gone: frozenset[Term]) -> None:
        for term in gone:
            names = self._found_by[term]
            names.discard(name)
            if not names:
                del self._found_by[term]

    def select(self, wanted: list[Term]) -> list[Object]:
        """Those that all of `wanted` are true of, in the order of names."""
        if not wanted:
            return [self.objects[name] for name in self._names]
        found = sorted((self._found_by.get(term) or set() for term in wanted), key=len)
        return [self.objects[name] for name in sorted(found[0].intersection(*found[1:]))]


class _Kind:
    def __init__(self, forgotten: int) -> None:
        self.namespaces: dict[str | None, _Namespace] = {}
        self.history: deque[Record] = deque()
        self.forgotten = forgotten
        """Changes up to this revision are not in the history."""

    def in_order(self, namespace: str | None) -> Iterator[_Namespace]:
        """All, or one of them."""
        if namespace is not None:
            if (found := self.namespaces.get(namespace)) is not None:
                yield found
            return
        for name in sorted(self.namespaces, key=lambda name: name or ""):
            yield self.namespaces[name]


class Store:
    def __init__(self, first_revision: int = 1) -> None:
        """`first_revision`: above all that an earlier process handed out, so that its clients are told 410."""
        self.revision = self._first = first_revision
        self._kinds: dict[str, _Kind] = {}
        self._subscriptions: dict[str, weakref.WeakSet[Subscription]] = {}
        """By kind."""
        self._observers: dict[str, list[Observer]] = {}

    def get(self, key: str, namespace: str | None, name: str) -> Object | None:
        kind = self._kinds.get(key)
        home = kind.namespaces.get(namespace) if kind else None
        return home.objects.get(name) if home else None

    def put(self, key: str, obj: Object) -> Object:
        """Store `obj` (the store's from now on) under the next revision."""
        kind = self._kind(key)
        namespace, name = namespace_of(obj), name_of(obj)
        home = kind.namespaces.get(namespace)
        if home is None:
            home = kind.namespaces[namespace] = _Namespace()
        old = home.objects.get(name)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        obj = sharing(obj, old)
        home.put(name, obj)
        self._record(kind, Record(self.revision, "MODIFIED" if old else "ADDED", key, obj, old))
        return obj

    def remove(self, key: str, namespace: str | None, name: str) -> Object:
        """Remove what is there; the last state carries the revision of the removal, as watches show it."""
        kind = self._kind(key)
        home = kind.namespaces[namespace]
        old = home.remove(name)
        if not home.objects:
            del kind.namespaces[namespace]
        self.revision += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.revision)}}
        self._record(kind, Record(self.revision, "DELETED", key, last, old))
        return last

    def drop(self, key: str) -> None:
        """Forget an empty kind that is no longer served and end the watches that are only about it."""
        self._kinds[key] = _Kind(self.revision)
        for subscription in list(self._subscriptions.get(key, ())):
            if subscription.keys == {key}:
                subscription.add(None)

    def subscribe(self, *keys: str) -> Subscription:
        """Changes from now on."""
        subscription = Subscription(frozenset(keys))
        for key in subscription.keys:
            self._subscriptions.setdefault(key, weakref.WeakSet()).add(subscription)
        return subscription

    def observe(self, key: str, observer: Observer) -> None:
        """Have it called for what is there, and then within each change."""
        for obj in self.list(key):
            observer(None, obj)
        self._observers.setdefault(key, []).append(observer)

    def since(self, key: str, revision: int) -> list[Record]:
        """Changes after `revision`. Raises ApiError 410 when they are not all remembered."""
        kind = self._kind(key)
        if revision < kind.forgotten:
            raise expired(revision, kind.forgotten)
        return [record for record in kind.history if record.revision > revision]

    def list(
        self,
        key: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        manager: str | None = None,
    ) -> list[Object]:
        """Sorted by namespace and name, as etcd's keys are."""
        kind = self._kinds.get(key)
        if kind is None:
            return []
        wanted: list[Term] = [*(labels or {}).items()]
        if manager is not None:
            wanted.append(manager)
        return [obj for home in kind.in_order(namespace) for obj in home.select(wanted)]

    def _kind(self, key: str) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self._first)
        return kind

    def _record(self, kind: _Kind, record: Record) -> None:
        kind.history.append(record)
        if len(kind.history) > HISTORY:
            kind.forgotten = kind.history.popleft().revision
        for subscription in list(self._subscriptions.get(record.key, ())):
            subscription.add(record)
        for observer in self._observers.get(record.key, ()):
            observer(record.old, None if record.type == "DELETED" else record.object)


def expired(revision: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {revision} ({oldest})")
