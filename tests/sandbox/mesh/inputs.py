"""What translations are made of, from objects as data."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.core.istio_exports import by_age
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.registry import SLICES, Registry
from sandbox.mesh.rules import Rules, in_force


def known(services: Iterable[Object], slices: Iterable[Object] = (), pods: Iterable[Object] = ()) -> Registry:
    """The registry of a cluster that has these."""
    cluster = LocalCluster()
    for kind, objects in (("services", services), (SLICES, slices), ("pods", pods)):
        for obj in objects:
            cluster.store.put(kind, obj)
    return KnownServices(cluster).registry()


def rules(
    gateways: Iterable[Object] = (),
    virtual_services: Iterable[Object] = (),
    destination_rules: Iterable[Object] = (),
) -> Rules:
    return in_force(tuple(by_age(gateways)), tuple(by_age(virtual_services)), tuple(by_age(destination_rules)))
