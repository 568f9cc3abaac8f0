"""The part of an object that is the API's own: names, identity, and what a client may not change of them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

from sandbox.api import errors
from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import terminating, timestamp
from sandbox.schema.findings import bad_value, forbidden, invalid, required

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks alike, so that a generated name is never a word."""
_LONGEST_PREFIX = 58

_KEPT = (
    *("name", "namespace", "uid", "creationTimestamp", "generateName", "generation"),
    *("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
)


def new_metadata(
    resource: Resource, namespace: str | None, obj: Object, find: Callable[[str], Object | None]
) -> Object:
    """Fill in a new object's metadata and return it. `find` looks up by name."""
    metadata: Object = obj.setdefault("metadata", {})
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    for ours in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(ours, None)
    if not metadata.get("name"):
        prefix = metadata.get("generateName")
        if not prefix:
            raise invalid(resource, "", [required("metadata.name", "name or generateName is required")])
        metadata["name"] = _generated(prefix, find)
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()
    return metadata


def _generated(prefix: str, find: Callable[[str], Object | None]) -> str:
    while True:
        name = prefix[:_LONGEST_PREFIX] + "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311 - no secret
        if find(name) is None:
            return name


def keep_identity(resource: Resource, old: Object, new: Object, *, custom: bool) -> None:
    """Check what `new` says about the object it replaces, and put the API's own fields back."""
    was, now = old["metadata"], new.setdefault("metadata", {})
    name = was["name"]
    if now.get("uid") not in (None, "", was["uid"]):
        why = f"Precondition failed: UID in precondition: {now['uid']}, UID in object meta: {was['uid']}"
        raise errors.conflict(resource, name, why)
    if not now.get("resourceVersion") and custom:
        detail = "must be specified for an update"
        raise invalid(resource, name, [bad_value("metadata.resourceVersion", 0, detail)])
    if now.get("resourceVersion") not in (None, "", was["resourceVersion"]):
        raise errors.modified(resource, name)
    for field in _KEPT:
        if field in was:
            now[field] = was[field]
        else:
            now.pop(field, None)
    now.pop("selfLink", None)
    if "managedFields" not in now and "managedFields" in was:
        now["managedFields"] = was["managedFields"]
    added = set(now.get("finalizers") or ()) - set(was.get("finalizers") or ())
    if terminating(old) and added:
        detail = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
        )
        raise invalid(resource, name, [forbidden("metadata.finalizers", detail)])
