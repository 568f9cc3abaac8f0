"""Namespaces: emptied before they go, whatever kinds their content is of.

What makes other objects goes first, so that nothing is made again meanwhile; what is held (a pod that still
serves its last requests, somebody's finalizer) is waited for, and the namespace's conditions say for what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from sandbox.controllers import conditions
from sandbox.controllers.controller import MANAGER, Name, name_of
from sandbox.controllers.everything import FollowsEverything, kinds
from sandbox.core.cluster import Admission, ApiError, Object, WatchEvent
from sandbox.core.objects import terminating

_KEPT = frozenset({"default", "kube-system", "kube-public"})
_FIRST = ("horizontalpodautoscalers.autoscaling", "deployments.apps", "replicasets.apps", "pods")
_FINALIZER = "kubernetes"


class Namespaces(FollowsEverything[Name]):
    def keys(self, event: WatchEvent) -> Iterable[Name]:
        namespace, name = name_of(event.object)
        if event.resource == "namespaces":
            return (("", name),)
        # Content that goes may be what a namespace waits for; content that changes may be held by less.
        home = self.cluster.find("namespaces", None, namespace) if namespace else None
        return (("", namespace),) if home is not None and terminating(home) else ()

    def reconcile(self, key: Name) -> float | None:
        name = key[1]
        namespace = self.cluster.find("namespaces", None, name)
        if namespace is None or not terminating(namespace):
            return None
        present = kinds(self.cluster)
        for kind in sorted(present, key=lambda kind: _FIRST.index(kind) if kind in _FIRST else len(_FIRST)):
            for obj in self.cluster.list(kind, name):
                if not terminating(obj):
                    self.cluster.delete(kind, name, obj["metadata"]["name"], uid=obj["metadata"]["uid"])
        left = {kind: objects for kind in present if (objects := self.cluster.list(kind, name))}
        if left:
            self._tell(name, left)
        elif _FINALIZER in (namespace["spec"].get("finalizers") or ()):
            self.cluster.edit("namespaces", None, name, _finalize, manager=MANAGER, subresource="finalize")
        return None

    def _tell(self, name: str, left: dict[str, list[Object]]) -> None:
        def change(changed: Object) -> None:
            status = changed.setdefault("status", {})
            told = status.get("conditions")
            for kind, truth, reason, message in _conditions(left):
                told = conditions.merge(told, kind, truth, reason, message)
            status["conditions"] = told

        self.cluster.edit("namespaces", None, name, change, manager=MANAGER, subresource="status")


def _conditions(left: dict[str, list[Object]]) -> Iterator[tuple[str, str, str, str]]:
    """Type, status, reason and message of each, in the order and the words of Kubernetes' own controller
    (pkg/controller/namespace/deletion/status_condition_utils.go)."""
    yield (
        "NamespaceDeletionDiscoveryFailure",
        "False",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    )
    yield (
        "NamespaceDeletionGroupVersionParsingFailure",
        "False",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    )
    yield (
        "NamespaceDeletionContentFailure",
        "False",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    )
    # A kind is named with its group, also where that is empty: "configmaps. has".
    amounts = sorted(
        f"{kind if '.' in kind else kind + '.'} has {len(objects)} resource instances"
        for kind, objects in left.items()
    )
    yield (
        "NamespaceContentRemaining",
        "True",
        "SomeResourcesRemain",
        f"Some resources are remaining: {', '.join(amounts)}",
    )
    holders = Counter(
        finalizer
        for objects in left.values()
        for obj in objects
        for finalizer in obj["metadata"].get("finalizers") or ()
    )
    if not holders:
        yield (
            "NamespaceFinalizersRemaining",
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        )
        return
    held = sorted(f"{finalizer} in {count} resource instances" for finalizer, count in holders.items())
    yield (
        "NamespaceFinalizersRemaining",
        "True",
        "SomeFinalizersRemain",
        f"Some content in the namespace has finalizers remaining: {', '.join(held)}",
    )


def keep_first_namespaces(admission: Admission) -> None:
    """An admission hook: what everything else takes for granted cannot be deleted."""
    if admission.operation == "DELETE" and admission.resource.key == "namespaces":
        name = admission.object["metadata"]["name"]
        if name in _KEPT:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise ApiError(403, "Forbidden", message)


def _finalize(namespace: Object) -> None:
    namespace["spec"]["finalizers"] = [one for one in namespace["spec"]["finalizers"] if one != _FINALIZER]
