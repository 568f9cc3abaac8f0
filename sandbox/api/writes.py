"""The one path of every write: decoding, defaults, admission, validation, optimistic lock, store.

A request over HTTP and a call of a controller in this process both end here. Everything is synchronous, so a
write never interleaves with another; the optimistic lock is about clients that read earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.api import errors, strategies
from sandbox.api.conversion import as_stored
from sandbox.api.kinds import Registry, storage_key
from sandbox.api.metadata import keep_identity, new_metadata
from sandbox.api.store import Store
from sandbox.core.cluster import Admission, AdmissionHook, ApiError, Object, Resource
from sandbox.core.objects import clone, name_of, namespace_of, terminating, timestamp
from sandbox.schema.apply import track_update
from sandbox.schema.decode import Strictness, decode
from sandbox.schema.defaults import default
from sandbox.schema.validate import check

Notice = Callable[[Resource, Object], None]


@dataclass(slots=True)
class Write:
    """How a write is meant."""

    manager: str
    dry_run: bool = False
    subresource: str | None = None
    strictness: Strictness = "Strict"
    duplicates: Sequence[str] = ()
    """Fields that were there twice in the request's body."""
    patch: Any = None
    """What made the object from the live one; findings of the decoder are then about the patch."""
    tracked: bool = False
    """managedFields are up to date already (server-side apply keeps them itself)."""
    warnings: list[str] = field(default_factory=list)
    """What the client is told beside the answer."""


class Writer:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.admission: list[AdmissionHook] = []
        self.validation: list[AdmissionHook] = []
        self.after_write: list[Notice] = []
        """Called with what was stored; how the API notices CRDs."""
        self.after_removal: list[Notice] = []

    def create(self, resource: Resource, namespace: str | None, obj: Object, write: Write) -> Object:
        """Store a new object of `resource`; `obj` becomes the store's."""
        key = storage_key(resource)
        obj = self._decoded(resource, obj, write)
        resource = self.registry.by_key(key)
        metadata = new_metadata(resource, namespace, obj, lambda name: self.find(resource, namespace, name))
        strategies.prepare_create(resource, obj)
        self._may_create_in(resource, namespace, metadata["name"])
        if self.find(resource, namespace, metadata["name"]) is not None:
            raise errors.already_exists(resource, metadata["name"])
        kind = self.registry.type_of(resource)
        default(resource, obj, kind)
        _ask(self.admission, Admission("CREATE", resource, obj, None, write.dry_run), write)
        default(resource, obj, kind)
        check(resource, obj, None, kind)
        _ask(self.validation, Admission("CREATE", resource, obj, None, write.dry_run), write)
        strategies.complete_create(resource, obj)
        if strategies.counts_generations(resource, self.registry.is_custom(key)):
            metadata["generation"] = 1
        if not write.tracked:
            track_update(resource, None, obj, write.manager, timestamp(), "", kind)
        return obj if write.dry_run else self.put(resource, obj)

    def replace(self, resource: Resource, old: Object, new: Object, write: Write) -> Object:
        """Store `new` in place of `old`, the live object. Storing what is there already changes nothing."""
        key = storage_key(resource)
        new = self._decoded(resource, new, write)
        resource, custom = self.registry.by_key(key), self.registry.is_custom(key)
        keep_identity(resource, old, new, custom=custom)
        strategies.prepare_update(resource, new, old, write.subresource)
        kind = self.registry.type_of(resource)
        default(resource, new, kind)
        if write.subresource is None:
            _ask(self.admission, Admission("UPDATE", resource, new, old, write.dry_run), write)
            default(resource, new, kind)
        if write.subresource is None or custom:
            check(resource, new, old, kind)
        if write.subresource is None:
            _ask(self.validation, Admission("UPDATE", resource, new, old, write.dry_run), write)
        if strategies.counts_generations(resource, custom) and _generation_changed(resource, old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if not write.tracked and new != old:
            track_update(resource, old, new, write.manager, timestamp(), write.subresource or "", kind)
        if _same(old, new):
            return old
        if write.dry_run:
            return new
        stored = self.put(resource, new)
        self.remove_if_done(resource, stored)
        return stored

    def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return self.store.get(storage_key(resource), namespace if resource.namespaced else None, name)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store without further questions, and let those know who asked to."""
        stored = self.store.put(storage_key(resource), obj)
        for noticed in self.after_write:
            noticed(resource, stored)
        return stored

    def remove(self, resource: Resource, obj: Object) -> Object:
        last = self.store.remove(storage_key(resource), namespace_of(obj), name_of(obj))
        for noticed in self.after_removal:
            noticed(resource, last)
        return last

    def remove_if_done(self, resource: Resource, obj: Object) -> None:
        """Remove a terminating object that nothing holds any more."""
        metadata = obj["metadata"]
        held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
        if resource.key == "namespaces":
            held = held or (obj.get("spec") or {}).get("finalizers")
        if terminating(obj) and not held and self.find(resource, namespace_of(obj), name_of(obj)) is obj:
            self.remove(resource, obj)

    def _decoded(self, resource: Resource, obj: Object, write: Write) -> Object:
        """`obj` in the version that is stored, with only the fields it knows."""
        kind = self.registry.type_of(resource)
        found = decode(resource, obj, write.strictness, write.duplicates, kind, patch=write.patch)
        write.warnings.extend(found)
        return as_stored(obj, resource, self.registry.by_key(storage_key(resource)))

    def _may_create_in(self, resource: Resource, namespace: str | None, name: str) -> None:
        crd = self.registry.crds.get(resource.key)
        if crd is not None and terminating(crd):
            why = "create not allowed while custom resource definition is terminating"
            raise ApiError(405, "MethodNotAllowed", why, errors.details(resource, name))
        if not resource.namespaced:
            return
        if not namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        home = self.store.get("namespaces", None, namespace)
        if home is None:
            raise errors.not_found(self.registry.by_key("namespaces"), namespace)
        # Events still tell what happens while the rest of a namespace goes; the real API refuses them, too.
        if terminating(home):
            raise errors.namespace_terminating(resource, name, namespace)


def _ask(hooks: Sequence[AdmissionHook], admission: Admission, write: Write) -> None:
    for hook in list(hooks):
        hook(admission)
    write.warnings.extend(admission.warnings)


def _generation_changed(resource: Resource, old: Object, new: Object) -> bool:
    ignored = {"metadata", "apiVersion", "kind"}
    if "status" in resource.subresources:
        ignored.add("status")
    keys = (old.keys() | new.keys()) - ignored
    return any(old.get(key) != new.get(key) for key in keys)


def _same(old: Object, new: Object) -> bool:
    """Whether nothing changed but when somebody wrote it."""
    if new == old:
        return True
    if any(old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - {"metadata"}):
        return False
    return _timeless(old["metadata"]) == _timeless(new["metadata"])


def _timeless(metadata: Object) -> Object:
    managers = clone(metadata.get("managedFields") or [])
    for entry in managers:
        entry.pop("time", None)
    return {**metadata, "managedFields": managers}
