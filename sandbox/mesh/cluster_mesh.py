"""The mesh of one cluster, composed: data plane, ways in from outside, admission hooks, programs.

Envoy and the load balancers are there from the start. Everything that is Istio's begins to act when `istioctl
install` has put Istio's own objects and workloads into the cluster, and ends when they are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.api import webhooks
from sandbox.core.cluster import Cluster, Object
from sandbox.mesh import envoy_clusters, injection, istio_annotations, listeners, registry, validation
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.debounced_watch import DebouncedWatch
from sandbox.mesh.istio import ISTIOD
from sandbox.mesh.mesh_programs import programs
from sandbox.mesh.registry import DOMAIN, SLICES, Registry
from sandbox.mesh.xds.ads import Configuration

_OUTSIDE = "outside"


class Mesh:
    """Adds its admission hooks to `cluster`. `directory` is for Envoy's files; `programs` are for the node.

    A `lazy` one starts Envoy when there is something to listen for.
    """

    def __init__(self, cluster: Cluster, directory: Path, *, lazy: bool = False) -> None:
        self._cluster = cluster
        self.data_plane = DataPlane(directory, lazy=lazy)
        self.control_plane = ControlPlane(cluster, self.data_plane)
        self.programs = programs(self.control_plane, self.data_plane)
        injecting = {(*ISTIOD, "/inject"): injection.service(cluster)}
        validating = {(*ISTIOD, "/validate"): validation.validate}
        cluster.admission.append(webhooks.hook(cluster, "mutating", injecting))
        cluster.validation += [
            webhooks.hook(cluster, "validating", validating),
            validation.require_support,
            istio_annotations.require_support,
        ]

    async def run(self) -> None:
        """Until cancelled."""
        outside = DebouncedWatch(self._cluster, ("services", SLICES, "nodes"), self._publish_outside)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.data_plane.run())
            group.create_task(outside.run())

    async def _publish_outside(self) -> None:
        list_ = self._cluster.list
        services = list_("services")
        known = registry.build(services, list_(SLICES), ())
        made = _from_outside(services, list_("nodes"), known)
        await self.data_plane.publish({_OUTSIDE: made})


def _from_outside(services: Iterable[Object], nodes: Iterable[Object], registry: Registry) -> Configuration:
    """Listeners for all ports of services that are reached from outside."""
    node_addresses = [
        address["address"]
        for node in nodes
        for address in (node.get("status") or {}).get("addresses") or []
        if address["type"] == "InternalIP"
    ]
    found: dict[str, Any] = {}
    for service in services:
        metadata = service["metadata"]
        known = registry.by_host.get(f"{metadata['name']}.{metadata['namespace']}.{DOMAIN}")
        for port in service["spec"].get("ports") or []:
            where = [(address, port["nodePort"]) for address in node_addresses if port.get("nodePort")]
            where += [(address, port["port"]) for address in _balancer_addresses(service, port["port"])]
            if known and known.port(port["port"]) and where:
                name = f"outside|{port['port']}|{metadata['name']}.{metadata['namespace']}"
                found[name] = (where, known.endpoints[port["port"]])
    return Configuration(
        clusters={name: envoy_clusters.eds(name) for name in found},
        endpoints={
            name: envoy_clusters.assignment(name, envoy_clusters.locality(ready))
            for name, (_, ready) in found.items()
        },
        listeners={name: listeners.forward(name, where, name) for name, (where, _) in found.items()},
    )


def _balancer_addresses(service: Object, port: int) -> Iterable[str]:
    """The addresses given to a LoadBalancer service, but for ports whose status says they cannot be used."""
    status = (service.get("status") or {}).get("loadBalancer") or {}
    for ingress in status.get("ingress") or []:
        unusable = any(p["port"] == port and p.get("error") for p in ingress.get("ports") or [])
        if ingress.get("ip") and not unusable:
            yield ingress["ip"]
