"""The Kubernetes API for callers in this process: `Cluster` on top of the store and the write path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal

from sandbox.api import api_errors as errors
from sandbox.api.custom_resources import CustomResources
from sandbox.api.kinds import Registry
from sandbox.api.store import Store, Subscription
from sandbox.api.writer import DeleteOptions, WriteOptions, Writer, delete
from sandbox.core.cluster import AdmissionHook, Object, Observer, Resource, WatchEvent
from sandbox.core.objects import clone
from sandbox.core.turns import Turns

_FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class LocalCluster:
    """A whole cluster's API. Needs nothing running; `LocalCluster()` is a fresh one."""

    def __init__(self, first_revision: int = 1) -> None:
        self.store = Store(first_revision)
        self.registry = Registry()
        self.writer = Writer(self.store, self.registry)
        self.admission: list[AdmissionHook] = self.writer.admission
        self.validation: list[AdmissionHook] = self.writer.validation
        CustomResources(self.writer)
        for name in _FIRST_NAMESPACES:
            self.create("namespaces", {"metadata": {"name": name}}, manager="kube-apiserver")

    def resources(self) -> list[Resource]:
        return self.registry.all()

    def get(self, resource: str, namespace: str | None, name: str) -> Object:
        kind = self.registry.by_key(resource)
        found = self.store.get(resource, namespace if kind.namespaced else None, name)
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def find(self, resource: str, namespace: str | None, name: str) -> Object | None:
        if not self.registry.serves(resource):
            return None
        kind = self.registry.by_key(resource)
        return self.store.get(resource, namespace if kind.namespaced else None, name)

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        manager: str | None = None,
    ) -> list[Object]:
        return self.store.list(resource, namespace, labels, manager)

    def observe(self, resource: str, observer: Observer) -> None:
        self.store.observe(resource, observer)

    def create(self, resource: str, obj: Object, *, manager: str) -> Object:
        kind = self.registry.by_key(resource)
        new = clone(obj)
        new.setdefault("apiVersion", kind.api_version)
        new.setdefault("kind", kind.kind)
        namespace = (new.get("metadata") or {}).get("namespace")
        return self.writer.create(kind, namespace, new, WriteOptions(manager))

    def edit(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        change: Callable[[Object], None],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> Object | None:
        live = self.find(resource, namespace, name)
        if live is None:
            return None
        new = clone(live)
        change(new)
        if new == live:
            return live
        kind = self.registry.by_key(resource)
        self.writer.replace(kind, live, new, WriteOptions(manager, subresource=subresource))
        return self.find(resource, namespace, name)

    def delete(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> Object | None:
        live = self.find(resource, namespace, name)
        if live is None or (uid and live["metadata"]["uid"] != uid):
            return None
        kind = self.registry.by_key(resource)
        last, _ = delete(self.writer, kind, live, DeleteOptions(propagation, grace_seconds))
        return last

    def watch(self, *resources: str) -> AsyncIterator[WatchEvent]:
        """Begins now, not with the first event asked for: what happens in between is not missed."""
        present = [(key, obj) for key in resources for obj in self.store.list(key)]
        return _follow(present, self.store.subscribe(*resources))


async def _follow(present: list[tuple[str, Object]], changes: Subscription) -> AsyncIterator[WatchEvent]:
    # Who follows may have much to do for each, and a burst of changes is there at once.
    turns = Turns()
    for key, obj in present:
        yield WatchEvent("ADDED", key, obj)
        await turns.give()
    while True:
        record = await changes.next()
        await turns.give()
        # None: the kind is not served any more. It may be again.
        if record is not None:
            yield WatchEvent(record.type, record.key, record.object)
