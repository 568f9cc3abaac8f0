"""Who owns what: ownerReferences, and claiming the objects that a selector says are an owner's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.controllers.controller import MANAGER
from sandbox.core import label_selectors as selectors
from sandbox.core.cluster import Cluster, Object
from sandbox.core.objects import terminating


def controller_of(obj: Object) -> Object | None:
    """The reference to the one owner that manages `obj`."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


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
    for obj in cluster.list(resource, metadata["namespace"]):
        manager = controller_of(obj)
        if manager is not None:
            if manager["uid"] != metadata["uid"]:
                continue
            if selectors.selects(selector, obj):
                claimed.append(obj)
            elif free_hands and not terminating(obj):
                _release(cluster, resource, obj, metadata["uid"])
        elif free_hands and adoptable(obj) and selectors.selects(selector, obj):
            adopted = _adopt(cluster, resource, obj, owner)
            if adopted is not None:
                claimed.append(adopted)
    return claimed


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
