"""From the cluster's services and Istio's rules to everything one proxy has in Envoy. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workshop.sandbox.cluster import Object

from . import clusters, endpoints, listeners, tables
from .clusters import Target
from .proxies import Proxy
from .registry import Registry
from .rules import Rules
from .xds.ads import Configuration

HTTP_PROTOCOLS = ("HTTP", "HTTP2", "GRPC")
"""What a Gateway's server may speak."""
_INSTEAD = {80: 8080, 443: 8443}
"""Ports that tutorials' Gateways name, and where the ingress gateway's service has them, as nobody but root may
listen on the former."""


def shared() -> Configuration:
    """What all proxies use together."""
    return Configuration(clusters={clusters.PASSTHROUGH: clusters.passthrough()})


def from_services(proxy: Proxy, registry: Registry, targets: Iterable[Target]) -> Configuration:
    """What changes with services and DestinationRules only: clusters, and a sidecar's listener."""
    targets = list(targets)
    own = {made["name"]: made for made in (clusters.cluster(proxy.id, target) for target in targets)}
    if proxy.kind == "gateway":
        return Configuration(own)
    traffic = {(target.service.host, target.port.number): target.traffic for target in targets if not target.subset}
    listener = listeners.sidecar(proxy, registry, traffic)
    return Configuration(own, listeners={listener["name"]: listener})


def from_rules(proxy: Proxy, registry: Registry, rules: Rules) -> Configuration:
    """What changes with VirtualServices and Gateways, too: route tables, and a gateway's listeners."""
    if proxy.kind == "gateway":
        opened, own = _gateway(proxy, registry, rules)
    else:
        opened, own = [], list(tables.sidecar_tables(proxy, registry, rules))
    return Configuration(
        listeners={made["name"]: made for made in opened}, routes={made["name"]: made for made in own}
    )


def localities(targets: Iterable[Target]) -> list[tuple[Target, list[dict[str, Any]]]]:
    """The ready endpoints of each target, in Envoy's words."""
    return [
        (target, endpoints.locality(endpoints.selected(target.endpoints, target.labels)))
        for target in targets
        if not target.service.forwarded
    ]


def assignments(
    proxy: Proxy, by_target: Iterable[tuple[Target, list[dict[str, Any]]]]
) -> Mapping[str, dict[str, Any]]:
    """A proxy's endpoints by cluster."""
    found = {}
    for target, locality in by_target:
        name = clusters.name(proxy.id, target.service.host, target.port.number, target.subset)
        found[name] = endpoints.assignment(name, locality)
    return found


def _gateway(proxy: Proxy, registry: Registry, rules: Rules) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    opened: dict[int, list[tuple[Object, Object]]] = {}
    for gateway in rules.gateways:
        if (gateway["spec"].get("selector") or {}).items() <= proxy.labels.items():
            for server in gateway["spec"].get("servers") or []:
                if server["port"]["protocol"].upper() in HTTP_PROTOCOLS:
                    port = pod_port(proxy, server["port"]["number"], registry)
                    opened.setdefault(port, []).append((gateway, server))
    opened.pop(listeners.HEALTH_PORT, None)
    return (
        [listeners.health(proxy), *(listeners.gateway(proxy, port) for port in opened)],
        [tables.gateway_table(proxy, port, servers, registry, rules) for port, servers in opened.items()],
    )


def pod_port(proxy: Proxy, number: int, registry: Registry) -> int:
    """Where a gateway's pod listens for a server's port: the target port of the gateway's own service.

    A Gateway speaks of the port that clients use. One that no service of the pod has is the pod's own, but for
    80 and 443 where a service has 8080 and 8443 instead.
    """
    for candidate in (number, _INSTEAD.get(number, number)):
        for service in registry.services:
            selects = service.selector and service.selector.items() <= proxy.labels.items()
            if selects and service.namespace == proxy.namespace and candidate in service.target_ports:
                target = service.target_ports[candidate]
                if isinstance(target, int):
                    return target
                for endpoint in service.endpoints[candidate]:
                    if endpoint.address == proxy.address:
                        return endpoint.port
    return number
