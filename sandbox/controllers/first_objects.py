"""What is there without anybody's asking: the API server's own service, and for each namespace a service
account and the certificates to trust.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.controllers.controller import MANAGER, Controller, Name, name_of
from sandbox.controllers.endpoint_slices import SERVICE_NAME, SLICES
from sandbox.controllers.endpoints import SKIP_MIRROR
from sandbox.core.addresses import API_PORT, Network
from sandbox.core.cluster import Admission, AdmissionHook, ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import terminating

_ACCOUNT = "default"
_CERTIFICATES = "kube-root-ca.crt"


class NamespaceContent(Controller[Name]):
    """The `default` service account and the ConfigMap `kube-root-ca.crt`."""

    watches = ("namespaces", "serviceaccounts", "configmaps")

    def __init__(self, cluster: Cluster, certificates: str) -> None:
        super().__init__(cluster)
        self._certificates = certificates

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        namespace, name = name_of(event.object)
        if event.resource == "namespaces":
            return (("", name),)
        return (("", namespace),) if name in (_ACCOUNT, _CERTIFICATES) else ()

    def reconcile(self, key: Name) -> float | None:
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


class ApiServerService(Controller[Name]):
    """Service `default/kubernetes` and where it leads, put back by whoever takes it away."""

    watches = ("services", "endpoints", SLICES)

    def __init__(self, cluster: Cluster, network: Network, address: str) -> None:
        super().__init__(cluster)
        self._server, self._address = network.api_address, address
        self.queue.add(("default", "kubernetes"))

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        name = name_of(event.object)
        return (name,) if name == ("default", "kubernetes") else ()

    def reconcile(self, key: Name) -> float | None:
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

    def _ensure(self, kind: str, key: Name, labels: dict[str, str], content: Object) -> None:
        if self.cluster.find(kind, *key) is None:
            metadata = {"namespace": key[0], "name": key[1], "labels": labels}
            self.cluster.create(kind, {"metadata": metadata, **content}, manager="kube-apiserver")
