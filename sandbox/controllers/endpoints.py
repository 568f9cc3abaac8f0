"""Where services lead: Endpoints and EndpointSlices, both written from one answer to which pods stand behind a
service, on which ports.

A pod on its way out is not ready here before anything else happens to it, so nobody sends it anything new; slices
go on telling that it still serves what it has. Endpoints that somebody writes for a service without a selector are
refused (unsupported_fields.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.controllers import ownership, readiness
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.label_selectors import Selector
from sandbox.core.objects import terminating
from sandbox.core.selector_index import SelectorIndex

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_ENDPOINTS_MANAGER = "endpoint-controller"
_SLICES_MANAGER = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"
_LARGEST = 100

Port = tuple[str, int, str, str | None]
"""Name (empty without), number, protocol, application protocol."""


@dataclass(frozen=True, slots=True)
class Backend:
    address: str
    node: str | None
    reference: Object
    """The pod."""
    ready: bool
    """May be sent to: ready and staying, or published in any case."""
    serving: bool
    terminating: bool


BackendsByPorts = dict[tuple[Port, ...], list[Backend]]
"""Backends by the ports they serve."""


class EndpointsOfServices(Controller[NamespacedName]):
    watches = ("services", "pods", "endpoints", SLICES)

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._labels: dict[NamespacedName, dict[str, str]] = {}
        """Labels of pods when last seen: a pod whose labels change leaves services, too."""
        self._selectors = SelectorIndex(_selector)
        cluster.observe("services", self._selectors)

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        obj, (namespace, name) = event.object, name_of(event.object)
        if event.resource in ("services", "endpoints"):
            return ((namespace, name),)
        if event.resource == "pods":
            return self._services_of(event, namespace, name)
        labels = obj["metadata"].get("labels") or {}
        service = labels.get(SERVICE_NAME)
        return ((namespace, service),) if service and labels.get(_MANAGED_BY) == _SLICES_MANAGER else ()

    def _services_of(self, event: WatchEvent, namespace: str, name: str) -> list[NamespacedName]:
        now: dict[str, str] = event.object["metadata"].get("labels") or {}
        before = self._labels.get((namespace, name), now)
        if event.type == "DELETED":
            self._labels.pop((namespace, name), None)
        else:
            self._labels[namespace, name] = now
        found = self._selectors.find(namespace, now)
        return found if before == now else [*found, *self._selectors.find(namespace, before)]

    def reconcile(self, key: NamespacedName) -> float | None:
        namespace, name = key
        service = self.cluster.find("services", namespace, name)
        if service is None:
            self._forget(namespace, name)
            return None
        if "deletionTimestamp" in service["metadata"]:
            return None  # a slice made now would hold up a foreground deletion, which waits for all of them
        if selector := service["spec"].get("selector"):
            groups = _backends(service, self.cluster.list("pods", namespace, selector))
            _write_slices(self.cluster, service, groups)
            self._write_endpoints(service, groups)
        else:
            for piece in _slices(self.cluster, service):
                self.cluster.delete(SLICES, *name_of(piece))
        return None

    def _forget(self, namespace: str, name: str) -> None:
        """The service is gone. Its slices, which it owns, are the garbage collector's."""
        endpoints = self.cluster.find("endpoints", namespace, name)
        if endpoints and (endpoints["metadata"].get("labels") or {}).get(ENDPOINTS_MANAGED_BY):
            self.cluster.delete("endpoints", namespace, name)

    def _write_endpoints(self, service: Object, groups: BackendsByPorts) -> None:
        namespace, name = name_of(service)
        subsets = [subset for ports, group in groups.items() if (subset := _subset(ports, group))]
        labels = _labels(service, {ENDPOINTS_MANAGED_BY: _ENDPOINTS_MANAGER})

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
    subset: Object = {"addresses": ready, "notReadyAddresses": other}
    if not ready and not other:
        return None
    subset["ports"] = [
        {"port": number, "protocol": protocol}
        | ({"name": name} if name else {})
        | ({"appProtocol": application} if application else {})
        for name, number, protocol, application in ports
    ]
    return subset


def _selector(service: Object) -> Selector | None:
    """A service without one selects nothing."""
    labels = service["spec"].get("selector")
    return {"matchLabels": labels} if labels else None


def _labels(service: Object, own: Mapping[str, str]) -> dict[str, str]:
    """Labels of what tells a service's backends: the service's, and some of its own."""
    labels = {**(service["metadata"].get("labels") or {}), **own}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    return labels


def _backends(service: Object, pods: Iterable[Object]) -> BackendsByPorts:
    """The service's pods by the ports they serve, the eldest first. A port with a name may be another number in
    each pod, or not be there.
    """
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    found: BackendsByPorts = {}
    for pod in sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
        address = (pod.get("status") or {}).get("podIP")
        if not address or readiness.has_ended(pod):
            continue
        serving, leaving = readiness.is_ready(pod), terminating(pod)
        ready = always or (serving and not leaving)
        metadata = pod["metadata"]
        reference = {"kind": "Pod", **{field: metadata[field] for field in ("name", "namespace", "uid")}}
        backend = Backend(address, pod["spec"].get("nodeName"), reference, ready, serving, leaving)
        found.setdefault(_ports(service, pod), []).append(backend)
    return found


def _ports(service: Object, pod: Object) -> tuple[Port, ...]:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = _number(port, pod)
        if number is not None:
            protocol = port.get("protocol", "TCP")
            ports.append((port.get("name") or "", number, protocol, port.get("appProtocol")))
    return tuple(ports)


def _number(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    restartable = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *restartable]:
        for offered in container.get("ports") or ():
            same = offered.get("protocol", "TCP") == port.get("protocol", "TCP")
            if offered.get("name") == target and same:
                number: int = offered["containerPort"]
                return number
    return None


def _write_slices(cluster: Cluster, service: Object, groups: BackendsByPorts) -> None:
    """Have the slices of this service tell `groups`, with as few changes as that needs."""
    present: dict[tuple[Port, ...], list[Object]] = {}
    for piece in _slices(cluster, service):
        present.setdefault(_ports_of(piece), []).append(piece)
    labels = _labels(service, {SERVICE_NAME: service["metadata"]["name"], _MANAGED_BY: _SLICES_MANAGER})
    # A service without pods has one slice without endpoints, so that there is something to watch.
    for ports, group in (groups or {(): []}).items():
        pieces = present.get(ports, [])
        for start in range(0, max(len(group), 1), _LARGEST):
            endpoints = [_endpoint(one) for one in group[start : start + _LARGEST]]
            if pieces:
                _change(cluster, pieces.pop(0), labels, endpoints)
            else:
                _make(cluster, service, labels, ports, endpoints)
    for piece in (piece for pieces in present.values() for piece in pieces):
        cluster.delete(SLICES, *name_of(piece))


def _slices(cluster: Cluster, service: Object) -> list[Object]:
    """Not those of an earlier service of the same name, which are about to go with it."""
    namespace, name = name_of(service)
    found = cluster.list(SLICES, namespace, {SERVICE_NAME: name, _MANAGED_BY: _SLICES_MANAGER})
    return [piece for piece in found if ownership.is_controlled_by(piece, service)]


def _change(cluster: Cluster, piece: Object, labels: dict[str, str], endpoints: list[Object]) -> None:
    if piece["metadata"].get("labels") == labels and piece.get("endpoints") == endpoints:
        return

    def change(changed: Object) -> None:
        changed["metadata"]["labels"] = labels
        changed["endpoints"] = endpoints

    cluster.edit(SLICES, *name_of(piece), change, manager=MANAGER)


def _make(
    cluster: Cluster, service: Object, labels: dict[str, str], ports: tuple[Port, ...], endpoints: list[Object]
) -> None:
    namespace, name = name_of(service)
    metadata = {
        "generateName": f"{name}-",
        "namespace": namespace,
        "labels": labels,
        "ownerReferences": [ownership.reference_to(service)],
    }
    told = [
        {"name": name, "port": number, "protocol": protocol} | ({"appProtocol": application} if application else {})
        for name, number, protocol, application in ports
    ]
    made = {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": told}
    cluster.create(SLICES, made, manager=MANAGER)


def _ports_of(piece: Object) -> tuple[Port, ...]:
    return tuple(
        (port.get("name") or "", port["port"], port.get("protocol", "TCP"), port.get("appProtocol"))
        for port in piece.get("ports") or ()
    )


def _endpoint(backend: Backend) -> Object:
    made: Object = {
        "addresses": [backend.address],
        "conditions": {"ready": backend.ready, "serving": backend.serving, "terminating": backend.terminating},
        "targetRef": backend.reference,
    }
    if backend.node:
        made["nodeName"] = backend.node
    return made
