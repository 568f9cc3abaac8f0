"""Who owns what: ownerReferences, claiming the objects that a selector says are an owner's, and the garbage
collector: an object whose owners are all gone goes, too.

Deleting an owner in the background needs nothing here but that rule. In the foreground the owner stays, marked,
until the dependents that block it are gone. Orphaning takes the owner out of its dependents first. Both marks are
finalizers that only the garbage collector removes. Whether an owner is there is asked of the store; the index only
answers who an owner's dependents are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from sandbox.controllers.controller import MANAGER, FollowsEverything
from sandbox.core import label_selectors as selectors
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.constants import FOREGROUND, ORPHAN
from sandbox.core.objects import controller_of, manager_uid, name_of, namespace_of, terminating

ObjectKey = tuple[str, str, str]
"""Kind, namespace (empty for kinds without) and name."""


def is_controlled_by(obj: Object, owner: Object) -> bool:
    return manager_uid(obj) == str(owner["metadata"]["uid"])


def reference_to(owner: Object) -> Object:
    """A reference for what `owner` manages."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def claim(
    cluster: Cluster,
    owner: Object,
    resource: str,
    selector: Mapping[str, Any],
    adoptable: Callable[[Object], bool] = lambda obj: not terminating(obj),
) -> list[Object]:
    """The objects of `resource` that `owner` manages.

    Objects without a manager that the selector finds are adopted, which is how a Deployment made anew takes
    over what `--cascade=orphan` left; managed ones it finds no longer are released.
    """
    metadata = owner["metadata"]
    free_hands = not terminating(owner)
    claimed = []
    for obj in cluster.list(resource, metadata["namespace"], manager=metadata["uid"]):
        if selectors.selects(selector, obj):
            claimed.append(obj)
        elif free_hands and not terminating(obj):
            _release(cluster, resource, obj, metadata["uid"])
    if free_hands:
        for obj in cluster.list(resource, metadata["namespace"], selector.get("matchLabels"), manager=""):
            if adoptable(obj) and selectors.selects(selector, obj):
                adopted = _adopt(cluster, resource, obj, owner)
                if adopted is not None:
                    claimed.append(adopted)
    return sorted(claimed, key=name_of)


class Managers:
    """Who else is concerned when an object changes its manager: the one it had before."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}

    def of(self, event: WatchEvent, kind: str) -> Iterable[str]:
        """Names of the objects of `kind` that manage, or managed, what the event is about."""
        place = (namespace_of(event.object) or "", name_of(event.object))
        reference = controller_of(event.object)
        now = str(reference["name"]) if reference is not None and reference["kind"] == kind else None
        before = self._names.pop(place, None)
        if now is not None and event.type != "DELETED":
            self._names[place] = now
        return dict.fromkeys(name for name in (before, now) if name is not None)


def remove_references(obj: Object, uids: set[str]) -> None:
    metadata = obj["metadata"]
    kept = [one for one in metadata.get("ownerReferences") or () if one["uid"] not in uids]
    if kept:
        metadata["ownerReferences"] = kept
    else:
        metadata.pop("ownerReferences", None)


def _adopt(cluster: Cluster, resource: str, obj: Object, owner: Object) -> Object | None:
    def add(changed: Object) -> None:
        changed["metadata"].setdefault("ownerReferences", []).append(reference_to(owner))

    metadata = obj["metadata"]
    return cluster.edit(resource, metadata["namespace"], metadata["name"], add, manager=MANAGER)


def _release(cluster: Cluster, resource: str, obj: Object, uid: str) -> None:
    metadata = obj["metadata"]
    cluster.edit(
        resource,
        metadata["namespace"],
        metadata["name"],
        lambda changed: remove_references(changed, {uid}),
        manager=MANAGER,
    )


class GarbageCollector(FollowsEverything[ObjectKey]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._dependents: dict[str, dict[ObjectKey, None]] = {}
        """By the owner's uid."""
        self._owners: dict[ObjectKey, tuple[str, ...]] = {}

    def keys(self, event: WatchEvent) -> Iterable[ObjectKey]:
        obj = event.object
        metadata = obj["metadata"]
        place = (event.resource, metadata.get("namespace") or "", metadata["name"])
        former = self._owners.get(place, ())
        now = tuple(one["uid"] for one in metadata.get("ownerReferences") or ())
        if event.type == "DELETED":
            self._index(place, former, ())
            # Those it owned, and owners that waited for it.
            return [*self._dependents.get(metadata["uid"], ()), *self._waiting(event)]
        if former != now:
            self._index(place, former, now)
        elif not terminating(obj):
            return ()
        return (place,) if now or terminating(obj) else ()

    def _index(self, place: ObjectKey, former: tuple[str, ...], now: tuple[str, ...]) -> None:
        for uid in former:
            of_owner = self._dependents.get(uid, {})
            of_owner.pop(place, None)
            if not of_owner:
                self._dependents.pop(uid, None)
        for uid in now:
            self._dependents.setdefault(uid, {})[place] = None
        if now:
            self._owners[place] = now
        else:
            self._owners.pop(place, None)

    def _waiting(self, event: WatchEvent) -> Iterable[ObjectKey]:
        namespace = event.object["metadata"].get("namespace") or ""
        for reference in event.object["metadata"].get("ownerReferences") or ():
            kind = self._kind(reference)
            if kind is not None:
                yield kind[0], namespace if kind[1] else "", reference["name"]

    def _kind(self, reference: Object) -> tuple[str, bool] | None:
        """The key of the owner's kind and whether it is namespaced; None while it is not served."""
        group = reference["apiVersion"].rpartition("/")[0]
        for resource in self.cluster.resources():
            if resource.group == group and resource.kind == reference["kind"]:
                return resource.key, resource.namespaced
        return None

    def reconcile(self, key: ObjectKey) -> float | None:
        kind, namespace, name = key
        obj = self.cluster.find(kind, namespace or None, name)
        if obj is None:
            return None
        finalizers = obj["metadata"].get("finalizers") or ()
        if terminating(obj) and ORPHAN in finalizers:
            self._orphan(key, obj)
        elif terminating(obj) and FOREGROUND in finalizers:
            self._foreground(key, obj)
        elif obj["metadata"].get("ownerReferences"):
            self._judge(key, obj)
        return None

    def _orphan(self, place: ObjectKey, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        for dependent in list(self._dependents.get(uid, ())):
            self._edit(dependent, lambda changed: remove_references(changed, {uid}))
        self._release(place, ORPHAN)

    def _foreground(self, place: ObjectKey, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        blocked = False
        for dependent in list(self._dependents.get(uid, ())):
            obj = self._find(dependent)
            if obj is None:
                continue
            for reference in obj["metadata"].get("ownerReferences") or ():
                blocked |= reference["uid"] == uid and bool(reference.get("blockOwnerDeletion"))
            if not terminating(obj):
                self._judge(dependent, obj)
        if not blocked:
            self._release(place, FOREGROUND)

    def _judge(self, place: ObjectKey, obj: Object) -> None:
        """Delete what has no owner left; forget owners that are gone of what still has one."""
        solid, leaving, absent = False, set(), set()
        for reference in obj["metadata"]["ownerReferences"]:
            owner = self._owner(place, reference)
            if owner == "unknown":
                return
            if owner is None:
                absent.add(reference["uid"])
            elif terminating(owner) and FOREGROUND in (owner["metadata"].get("finalizers") or ()):
                leaving.add(reference["uid"])
            else:
                solid = True
        if solid:
            if gone := absent | leaving:
                self._edit(place, lambda changed: remove_references(changed, gone))
        elif not terminating(obj):
            has_dependents = bool(self._dependents.get(obj["metadata"]["uid"]))
            self._delete(place, obj, "Foreground" if leaving and has_dependents else "Background")

    def _owner(self, place: ObjectKey, reference: Object) -> Object | Literal["unknown"] | None:
        kind = self._kind(reference)
        if kind is None or (kind[1] and not place[1]):
            # Nobody can tell: a kind that is not served, or an owner in a namespace that is not said.
            return "unknown"
        owner = self.cluster.find(kind[0], place[1] if kind[1] else None, reference["name"])
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    def _delete(self, place: ObjectKey, obj: Object, how: Literal["Foreground", "Background"]) -> None:
        kind, namespace, name = place
        self.cluster.delete(kind, namespace or None, name, propagation=how, uid=obj["metadata"]["uid"])

    def _release(self, place: ObjectKey, finalizer: str) -> None:
        def change(changed: Object) -> None:
            metadata = changed["metadata"]
            metadata["finalizers"] = [one for one in metadata.get("finalizers") or () if one != finalizer]
            if not metadata["finalizers"]:
                del metadata["finalizers"]

        self._edit(place, change)

    def _find(self, place: ObjectKey) -> Object | None:
        return self.cluster.find(place[0], place[1] or None, place[2])

    def _edit(self, place: ObjectKey, change: Callable[[Object], None]) -> None:
        self.cluster.edit(place[0], place[1] or None, place[2], change, manager=MANAGER)
