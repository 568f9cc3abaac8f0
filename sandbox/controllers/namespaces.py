"""Namespaces: what each has from its beginning, and how it is emptied before it goes, whatever its content is of.

What makes other objects goes first, so that nothing is made again meanwhile; what is held (a pod that still
serves its last requests, somebody's finalizer) is waited for, and the namespace's conditions say for what. There
without anybody's asking are the API server's own service, and for each namespace a service account and the
certificates to trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from sandbox.controllers import readiness
from sandbox.controllers.controller import MANAGER, Controller, FollowsEverything, NamespacedName, kinds, name_of
from sandbox.controllers.endpoints import SERVICE_NAME, SKIP_MIRROR, SLICES
from sandbox.core.addresses import API_PORT, Network
from sandbox.core.cluster import Admission, AdmissionHook, ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import terminating

_KEPT = frozenset({"default", "kube-system", "kube-public"})
_FIRST = ("horizontalpodautoscalers.autoscaling", "deployments.apps", "replicasets.apps", "pods")
_AT_ONCE = 16
"""Objects that are deleted in one go."""
_FINALIZER = "kubernetes"
_ACCOUNT = "default"
_CERTIFICATES = "kube-root-ca.crt"


class Namespaces(FollowsEverything[NamespacedName]):
    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        namespace, name = name_of(event.object)
        if event.resource == "namespaces":
            return (("", name),)
        # Content that goes may be what a namespace waits for; content that changes may be held by less.
        home = self.cluster.find("namespaces", None, namespace) if namespace else None
        return (("", namespace),) if home is not None and terminating(home) else ()

    def reconcile(self, key: NamespacedName) -> float | None:
        name = key[1]
        namespace = self.cluster.find("namespaces", None, name)
        if namespace is None or not terminating(namespace):
            return None
        present, turns = kinds(self.cluster), _AT_ONCE
        for kind in sorted(present, key=lambda kind: _FIRST.index(kind) if kind in _FIRST else len(_FIRST)):
            for obj in self.cluster.list(kind, name):
                if not terminating(obj):
                    if not turns:
                        return 0.0  # the loop has other work
                    turns -= 1
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
                told = readiness.with_condition(told, kind, truth, reason, message)
            status["conditions"] = told

        self.cluster.edit("namespaces", None, name, change, manager=MANAGER, subresource="status")


def _conditions(left: dict[str, list[Object]]) -> Iterator[tuple[str, str, str, str]]:
    """Type, status, reason and message, in the words of Kubernetes' own controller
    (pkg/controller/namespace/deletion/status_condition_utils.go); of its conditions only those that tell what is
    left."""
    # A kind is named with its group, also where that is empty: "configmaps. has".
    amounts = sorted(
        f"{kind if '.' in kind else kind + '.'} has {len(objects)} resource instances"
        for kind, objects in left.items()
    )
    remaining = f"Some resources are remaining: {', '.join(amounts)}"
    yield "NamespaceContentRemaining", "True", "SomeResourcesRemain", remaining
    finalizers = Counter(
        finalizer
        for objects in left.values()
        for obj in objects
        for finalizer in obj["metadata"].get("finalizers") or ()
    )
    kind = "NamespaceFinalizersRemaining"
    if finalizers:
        held = ", ".join(sorted(f"{name} in {count} resource instances" for name, count in finalizers.items()))
        said = f"Some content in the namespace has finalizers remaining: {held}"
        yield kind, "True", "SomeFinalizersRemain", said
    else:
        yield kind, "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"


def keep_first_namespaces(admission: Admission) -> None:
    """An admission hook: what everything else takes for granted cannot be deleted."""
    if admission.operation == "DELETE" and admission.resource.key == "namespaces":
        name = admission.object["metadata"]["name"]
        if name in _KEPT:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise ApiError(403, "Forbidden", message)


def _finalize(namespace: Object) -> None:
    namespace["spec"]["finalizers"] = [one for one in namespace["spec"]["finalizers"] if one != _FINALIZER]


class NamespaceContent(Controller[NamespacedName]):
    """The `default` service account and the ConfigMap `kube-root-ca.crt`."""

    watches = ("namespaces", "serviceaccounts", "configmaps")

    def __init__(self, cluster: Cluster, certificates: str) -> None:
        super().__init__(cluster)
        self._certificates = certificates

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        namespace, name = name_of(event.object)
        if event.resource == "namespaces":
            return (("", name),)
        return (("", namespace),) if name in (_ACCOUNT, _CERTIFICATES) else ()

    def reconcile(self, key: NamespacedName) -> float | None:
        name = key[1]
        namespace = self.cluster.find("namespaces", None, name)
        if namespace is None or terminating(namespace):
            return None
        if self.cluster.find("serviceaccounts", name, _ACCOUNT) is None:
            account = {"metadata": {"name": _ACCOUNT, "namespace": name}}
            self.cluster.create("serviceaccounts", account, manager=MANAGER)
        trusted = {"ca.crt": self._certificates}

        def trust(changed: Object) -> None:
            changed["data"] = trusted

        if self.cluster.edit("configmaps", name, _CERTIFICATES, trust, manager=MANAGER) is None:
            note = "Trusts the certificate of the cluster's API server, and nothing else."
            metadata = {
                "name": _CERTIFICATES,
                "namespace": name,
                "annotations": {"kubernetes.io/description": note},
            }
            self.cluster.create("configmaps", {"metadata": metadata, "data": trusted}, manager=MANAGER)
        return None


def require_service_account(cluster: Cluster) -> AdmissionHook:
    """An admission hook: a pod runs as a service account that is there.

    `default` counts as there: it is made for every namespace, if only a moment after it.
    """

    def hook(admission: Admission) -> None:
        if admission.resource.key != "pods" or admission.operation != "CREATE":
            return
        pod = admission.object
        account = pod["spec"].get("serviceAccountName") or _ACCOUNT
        namespace = pod["metadata"]["namespace"]
        if account != _ACCOUNT and cluster.find("serviceaccounts", namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            # By the prefix, where the name was made up: trying again is then told as the same thing again.
            name = pod["metadata"].get("generateName") or pod["metadata"]["name"]
            raise ApiError(403, "Forbidden", f'pods "{name}" is forbidden: {why}')

    return hook


class ApiServerService(Controller[NamespacedName]):
    """Service `default/kubernetes` and where it leads, put back by whoever takes it away."""

    watches = ("services", "endpoints", SLICES)

    def __init__(self, cluster: Cluster, network: Network, address: str) -> None:
        super().__init__(cluster)
        self._server, self._address = network.api_address, address
        self.queue.add(("default", "kubernetes"))

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        name = name_of(event.object)
        return (name,) if name == ("default", "kubernetes") else ()

    def reconcile(self, key: NamespacedName) -> float | None:
        port = {"name": "https", "port": API_PORT, "protocol": "TCP"}
        service = {
            "type": "ClusterIP",
            "clusterIP": self._address,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT}],
        }
        subsets = {"subsets": [{"addresses": [{"ip": self._server}], "ports": [port]}]}
        endpoints = [{"addresses": [self._server], "conditions": {"ready": True}}]
        piece = {"addressType": "IPv4", "endpoints": endpoints, "ports": [port]}
        labels = {"component": "apiserver", "provider": "kubernetes"}
        self._ensure("services", key, labels, {"spec": service})
        self._ensure("endpoints", key, {SKIP_MIRROR: "true"}, subsets)
        self._ensure(SLICES, key, {SERVICE_NAME: "kubernetes"}, piece)
        return None

    def _ensure(self, kind: str, key: NamespacedName, labels: dict[str, str], content: Object) -> None:
        if self.cluster.find(kind, *key) is None:
            metadata = {"namespace": key[0], "name": key[1], "labels": labels}
            self.cluster.create(kind, {"metadata": metadata, **content}, manager="kube-apiserver")
