"""Ways into the cluster from outside, with or without a mesh: LoadBalancer addresses and node ports.

Envoy listens on a load balancer's own address and on the nodes' addresses, and forwards TCP to ready pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import clusters, endpoints, listeners
from sandbox.mesh.registry import Registry
from sandbox.mesh.xds.ads import Configuration


def translate(services: Iterable[Object], nodes: Iterable[Object], registry: Registry) -> Configuration:
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
        known = registry.by_host.get(f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local")
        for port in service["spec"].get("ports") or []:
            where = [(address, port["nodePort"]) for address in node_addresses if port.get("nodePort")]
            where += [(address, port["port"]) for address in _balancer_addresses(service, port["port"])]
            if known and known.port(port["port"]) and where:
                name = f"outside|{port['port']}|{metadata['name']}.{metadata['namespace']}"
                found[name] = (where, known.endpoints[port["port"]])
    return Configuration(
        clusters={name: clusters.eds(name) for name in found},
        endpoints={
            name: endpoints.assignment(name, endpoints.locality(ready)) for name, (_, ready) in found.items()
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
