"""EndpointSlices of one service: made, changed and removed until they tell what they should."""

from __future__ import annotations

from sandbox.controllers import owners
from sandbox.controllers.controller import MANAGER, name_of
from sandbox.controllers.service_backends import Backend, Groups, Port, labels_with
from sandbox.core.cluster import Cluster, Object

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_LARGEST = 100


def write(cluster: Cluster, service: Object, groups: Groups, manager: str) -> None:
    """Have the slices of `manager` for this service tell `groups`, with as few changes as that needs."""
    present: dict[tuple[Port, ...], list[Object]] = {}
    for piece in _present(cluster, service, manager):
        present.setdefault(_ports_of(piece), []).append(piece)
    labels = labels_with(service, {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: manager})
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


def remove(cluster: Cluster, service: Object, manager: str) -> None:
    for piece in _present(cluster, service, manager):
        cluster.delete(SLICES, *name_of(piece))


def _present(cluster: Cluster, service: Object, manager: str) -> list[Object]:
    """Not those of an earlier service of the same name, which are about to go with it."""
    namespace, name = name_of(service)
    found = cluster.list(SLICES, namespace, {SERVICE_NAME: name, MANAGED_BY: manager})
    return [piece for piece in found if owners.is_controlled_by(piece, service)]


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
        "ownerReferences": [owners.reference_to(service)],
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
    }
    if backend.reference:
        made["targetRef"] = backend.reference
    if backend.node:
        made["nodeName"] = backend.node
    return made
