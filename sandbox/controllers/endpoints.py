"""Where services lead: Endpoints and EndpointSlices of those with a selector, and slices that mirror the
Endpoints somebody wrote for a service without one.

A pod on its way out is not ready here before anything else happens to it, so nobody sends it anything new;
slices go on telling that it still serves what it has.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.controllers import endpoint_slices
from sandbox.controllers.controller import MANAGER, Controller, Name, name_of
from sandbox.controllers.endpoint_slices import MANAGED_BY, SERVICE_NAME, SLICES
from sandbox.controllers.service_backends import (
    Backend,
    Groups,
    Port,
    backends,
    labels_with,
    selects,
    written,
)
from sandbox.core.cluster import Cluster, Object, WatchEvent

_ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_ENDPOINTS_MANAGER = "endpoint-controller"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
_CONTROLLER, _MIRROR = "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"


class EndpointsOfServices(Controller[Name]):
    watches = ("services", "pods", "endpoints", SLICES)

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._labels: dict[Name, dict[str, str]] = {}
        """Labels of pods when last seen: a pod whose labels change leaves services, too."""

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        obj, (namespace, name) = event.object, name_of(event.object)
        if event.resource == "services":
            return ((namespace, name),)
        if event.resource == "pods":
            return self._services_of(event, namespace, name)
        if event.resource == "endpoints":
            return ((namespace, name),)
        labels = obj["metadata"].get("labels") or {}
        service = labels.get(SERVICE_NAME)
        return ((namespace, service),) if service and labels.get(MANAGED_BY) in (_CONTROLLER, _MIRROR) else ()

    def _services_of(self, event: WatchEvent, namespace: str, name: str) -> list[Name]:
        now: dict[str, str] = event.object["metadata"].get("labels") or {}
        before = self._labels.get((namespace, name), now)
        if event.type == "DELETED":
            self._labels.pop((namespace, name), None)
        else:
            self._labels[namespace, name] = now
        return [
            name_of(service)
            for service in self.cluster.list("services", namespace)
            if selects(service, now) or selects(service, before)
        ]

    def reconcile(self, key: Name) -> float | None:
        namespace, name = key
        service = self.cluster.find("services", namespace, name)
        if service is None:
            self._forget(namespace, name)
            return None
        if "deletionTimestamp" in service["metadata"]:
            return None  # a slice made now would hold up a foreground deletion, which waits for all of them
        if service["spec"].get("selector"):
            groups = backends(service, self.cluster.list("pods", namespace))
            endpoint_slices.write(self.cluster, service, groups, _CONTROLLER)
            self._write_endpoints(service, groups)
        else:
            self._mirror(service)
        return None

    def _mirror(self, service: Object) -> None:
        """Slices of what was written by hand; nothing when there is nothing, or slices were written, too."""
        endpoints = self.cluster.find("endpoints", *name_of(service))
        labels = (endpoints or {}).get("metadata", {}).get("labels") or {}
        if endpoints is None or labels.get(SKIP_MIRROR) == "true" or _ENDPOINTS_MANAGED_BY in labels:
            endpoint_slices.remove(self.cluster, service, _MIRROR)
        else:
            endpoint_slices.write(self.cluster, service, written(endpoints), _MIRROR)

    def _forget(self, namespace: str, name: str) -> None:
        """The service is gone. Its slices, which it owns, are the garbage collector's."""
        endpoints = self.cluster.find("endpoints", namespace, name)
        if endpoints and (endpoints["metadata"].get("labels") or {}).get(_ENDPOINTS_MANAGED_BY):
            self.cluster.delete("endpoints", namespace, name)

    def _write_endpoints(self, service: Object, groups: Groups) -> None:
        namespace, name = name_of(service)
        subsets = [subset for ports, group in groups.items() if (subset := _subset(ports, group))]
        labels = labels_with(service, {_ENDPOINTS_MANAGED_BY: _ENDPOINTS_MANAGER})

        def change(changed: Object) -> None:
            changed["metadata"]["labels"] = labels
            changed.pop("subsets", None)
            if subsets:
                changed["subsets"] = subsets

        if self.cluster.edit("endpoints", namespace, name, change, manager=MANAGER) is None:
            made: Object = {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": name, "namespace": namespace},
            }
            change(made)
            self.cluster.create("endpoints", made, manager=MANAGER)


def _subset(ports: tuple[Port, ...], group: list[Backend]) -> Object | None:
    """Endpoints know no pods on their way out."""
    ready: list[Object] = []
    other: list[Object] = []
    for backend in group:
        if backend.terminating and not backend.ready:
            continue
        address: Object = {"ip": backend.address, "targetRef": backend.reference}
        if backend.node:
            address["nodeName"] = backend.node
        (ready if backend.ready else other).append(address)
    if not ready and not other:
        return None
    subset: Object = {}
    if ready:
        subset["addresses"] = ready
    if other:
        subset["notReadyAddresses"] = other
    if ports:
        subset["ports"] = [
            {"port": number, "protocol": protocol}
            | ({"name": name} if name else {})
            | ({"appProtocol": application} if application else {})
            for name, number, protocol, application in ports
        ]
    return subset
