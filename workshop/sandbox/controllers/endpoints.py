"""Endpoints and EndpointSlices of services with a selector.

A pod on its way out is not ready here before anything else happens to it, so nobody sends it anything new;
slices go on telling that it still serves what it has.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..cluster import Cluster, Object, WatchEvent
from . import owners
from .controller import MANAGER, Controller, Name, name_of
from .service_backends import Backend, Port, backends, is_headless, selects

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_HEADLESS = "service.kubernetes.io/headless"
_SLICE_MANAGER = "endpointslice-controller.k8s.io"
_ENDPOINTS_MANAGER = "endpoint-controller"
_LARGEST_SLICE = 100

Groups = dict[tuple[Port, ...], list[Backend]]


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
        # Only what others did to them; changes of our own are what they should be already.
        labels = obj["metadata"].get("labels") or {}
        if event.resource == "endpoints":
            return ((namespace, name),) if labels.get(_ENDPOINTS_MANAGED_BY) == _ENDPOINTS_MANAGER else ()
        service = labels.get(SERVICE_NAME)
        return ((namespace, service),) if service and labels.get(_MANAGED_BY) == _SLICE_MANAGER else ()

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
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            # What it has stays, from now on anybody's to change.
            return None
        groups = backends(service, self.cluster.list("pods", namespace))
        self._write_slices(service, groups)
        self._write_endpoints(service, groups)
        return None

    def _forget(self, namespace: str, name: str) -> None:
        """The service is gone. Its slices, which it owns, are the garbage collector's."""
        endpoints = self.cluster.find("endpoints", namespace, name)
        if endpoints and (endpoints["metadata"].get("labels") or {}).get(_ENDPOINTS_MANAGED_BY):
            self.cluster.delete("endpoints", namespace, name)

    def _write_slices(self, service: Object, groups: Groups) -> None:
        namespace, name = name_of(service)
        present: dict[tuple[Port, ...], list[Object]] = {}
        for piece in self.cluster.list(SLICES, namespace, {SERVICE_NAME: name, _MANAGED_BY: _SLICE_MANAGER}):
            if owners.is_controlled_by(piece, service):
                present.setdefault(_ports_of(piece), []).append(piece)
        labels = _labels(service, {SERVICE_NAME: name, _MANAGED_BY: _SLICE_MANAGER})
        # A service without pods has one slice without endpoints, so that there is something to watch.
        for ports, group in (groups or {(): []}).items():
            pieces = present.pop(ports, [])
            for start in range(0, max(len(group), 1), _LARGEST_SLICE):
                endpoints = [_endpoint(one) for one in group[start : start + _LARGEST_SLICE]]
                self._write_slice(service, pieces.pop(0) if pieces else None, labels, ports, endpoints)
            present[ports] = pieces
        for piece in (piece for pieces in present.values() for piece in pieces):
            self.cluster.delete(SLICES, *name_of(piece))

    def _write_slice(
        self,
        service: Object,
        piece: Object | None,
        labels: Object,
        ports: tuple[Port, ...],
        endpoints: list[Object],
    ) -> None:
        if piece is not None:

            def change(changed: Object) -> None:
                changed["metadata"]["labels"] = labels
                changed["endpoints"] = endpoints

            self.cluster.edit(SLICES, *name_of(piece), change, manager=MANAGER)
            return
        namespace, name = name_of(service)
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{name}-",
                "namespace": namespace,
                "labels": labels,
                "ownerReferences": [owners.reference_to(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [_slice_port(port) for port in ports],
        }
        self.cluster.create(SLICES, made, manager=MANAGER)

    def _write_endpoints(self, service: Object, groups: Groups) -> None:
        namespace, name = name_of(service)
        subsets = [subset for ports, group in groups.items() if (subset := _subset(ports, group))]
        labels = _labels(service, {_ENDPOINTS_MANAGED_BY: _ENDPOINTS_MANAGER})

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


def _labels(service: Object, own: dict[str, str]) -> dict[str, str]:
    labels = {**(service["metadata"].get("labels") or {}), **own}
    if is_headless(service):
        labels[_HEADLESS] = ""
    return labels


def _ports_of(piece: Object) -> tuple[Port, ...]:
    return tuple(
        (port.get("name") or "", port["port"], port.get("protocol", "TCP"), port.get("appProtocol"))
        for port in piece.get("ports") or ()
    )


def _slice_port(port: Port) -> Object:
    name, number, protocol, application = port
    made: Object = {"name": name, "port": number, "protocol": protocol}
    return {**made, "appProtocol": application} if application else made


def _endpoint(backend: Backend) -> Object:
    made: Object = {
        "addresses": [backend.address],
        "conditions": {"ready": backend.ready, "serving": backend.serving, "terminating": backend.terminating},
        "targetRef": backend.reference,
    }
    if backend.node:
        made["nodeName"] = backend.node
    return made


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
