"""The one path of every write: defaults, admission, validation, optimistic lock, store.

A request over HTTP and a call of a controller in this process both end here. Everything is synchronous, so a
write never interleaves with another; the optimistic lock is about clients that read earlier.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from ..cluster import Admission, AdmissionHook, Object, Resource
from . import errors, strategies
from .kinds import Registry, storage_key
from .objects import name_of, namespace_of, terminating, timestamp
from .store import Store

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks alike, so that a generated name is never a word."""

Finished = Callable[[str, Object], None]


@dataclass(slots=True)
class Write:
    """How a write is meant. `warnings` collects what the client is told beside the answer."""

    manager: str
    dry_run: bool = False
    subresource: str | None = None
    warnings: list[str] = field(default_factory=list)


class Writer:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.admission: list[AdmissionHook] = []
        self.after_write: list[Callable[[Resource, Object], None]] = []
        """Called with what was stored; how the API notices CRDs."""
        self.after_removal: list[Callable[[Resource, Object], None]] = []

    def create(self, resource: Resource, namespace: str | None, obj: Object, write: Write) -> Object:
        """Store a new object; `obj` becomes the store's."""
        key = storage_key(resource)
        metadata = self._new_metadata(resource, namespace, obj)
        strategies.prepare_create(resource, obj)
        name = metadata["name"]
        self._may_create_in(resource, namespace, name)
        if self.store.get(key, namespace, name) is not None:
            raise errors.already_exists(resource, name)
        self._admit("CREATE", resource, obj, None, write)
        if strategies.counts_generations(resource, self.registry.is_custom(key)):
            metadata["generation"] = 1
        if write.dry_run:
            return obj
        self.store.put(key, obj)
        for noticed in self.after_write:
            noticed(resource, obj)
        return obj

    def replace(self, resource: Resource, old: Object, new: Object, write: Write) -> Object:
        """Store `new` in place of `old`, the live object. Storing what is there already changes nothing."""
        key = storage_key(resource)
        self._keep_identity(resource, old, new)
        strategies.prepare_update(resource, new, old, write.subresource)
        if write.subresource is None:
            self._admit("UPDATE", resource, new, old, write)
        if new == old:
            return old
        custom = self.registry.is_custom(key)
        if strategies.counts_generations(resource, custom) and _generation_changed(resource, old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if write.dry_run:
            return new
        stored = self.store.put(key, new)
        for noticed in self.after_write:
            noticed(resource, stored)
        self.remove_if_done(resource, stored)
        return stored

    def remove_if_done(self, resource: Resource, obj: Object) -> bool:
        """Remove a terminating object that nothing holds any more."""
        metadata = obj["metadata"]
        held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
        if resource.key == "namespaces":
            held = held or (obj.get("spec") or {}).get("finalizers")
        if not terminating(obj) or held:
            return False
        self.remove(resource, obj)
        return True

    def remove(self, resource: Resource, obj: Object) -> Object:
        last = self.store.remove(storage_key(resource), namespace_of(obj), name_of(obj))
        for noticed in self.after_removal:
            noticed(resource, last)
        return last

    def _new_metadata(self, resource: Resource, namespace: str | None, obj: Object) -> Object:
        metadata: Object = obj.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        for server_side in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(server_side, None)
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                missing = errors.cause(
                    "metadata.name", "Required value: name or generateName is required", "FieldValueRequired"
                )
                raise errors.invalid(resource, "", [missing])
            metadata["name"] = self._generate_name(resource, namespace, metadata["generateName"])
        if resource.namespaced:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp()
        metadata.pop("generation", None)
        return metadata

    def _generate_name(self, resource: Resource, namespace: str | None, prefix: str) -> str:
        while True:
            name = prefix[:58] + "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311 - not a secret
            if self.store.get(storage_key(resource), namespace, name) is None:
                return name

    def _may_create_in(self, resource: Resource, namespace: str | None, name: str) -> None:
        if not resource.namespaced:
            return
        namespaces = self.registry.by_key("namespaces")
        if not namespace:
            raise errors.bad_request("an object of this kind needs a namespace")
        home = self.store.get("namespaces", None, namespace)
        if home is None:
            raise errors.not_found(namespaces, namespace)
        if terminating(home):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            refusal = errors.forbidden(resource, name, why)
            refusal.details["causes"] = [
                errors.cause(
                    "metadata.namespace", f"namespace {namespace} is being terminated", "NamespaceTerminating"
                )
            ]
            raise refusal

    def _keep_identity(self, resource: Resource, old: Object, new: Object) -> None:
        was, now = old["metadata"], new.setdefault("metadata", {})
        name = was["name"]
        if now.get("uid") not in (None, "", was["uid"]):
            why = f"Precondition failed: UID in precondition: {now['uid']}, UID in object meta: {was['uid']}"
            raise errors.conflict(resource, name, why)
        if now.get("resourceVersion") not in (None, "", was["resourceVersion"]):
            raise errors.modified(resource, name)
        for field_name in (
            *("name", "namespace", "uid", "creationTimestamp", "generateName", "generation"),
            *("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
        ):
            if field_name in was:
                now[field_name] = was[field_name]
            else:
                now.pop(field_name, None)
        now.pop("selfLink", None)
        if terminating(old):
            added = set(now.get("finalizers") or ()) - set(was.get("finalizers") or ())
            if added:
                message = (
                    "Forbidden: no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers {sorted(added)}"
                )
                raise errors.invalid(
                    resource, name, [errors.cause("metadata.finalizers", message, "FieldValueForbidden")]
                )

    def _admit(self, operation: str, resource: Resource, obj: Object, old: Object | None, write: Write) -> None:
        admission = Admission(operation, resource, obj, old, write.dry_run)  # type: ignore[arg-type]
        for hook in list(self.admission):
            hook(admission)
        write.warnings.extend(admission.warnings)


def _generation_changed(resource: Resource, old: Object, new: Object) -> bool:
    ignored = {"metadata", "apiVersion", "kind"}
    if "status" in resource.subresources:
        ignored.add("status")
    keys = (old.keys() | new.keys()) - ignored
    return any(old.get(key) != new.get(key) for key in keys)
