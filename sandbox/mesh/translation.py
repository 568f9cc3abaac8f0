"""From the cluster's services and Istio's rules to everything one proxy has in Envoy. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.mesh import clusters, endpoints, gateways, listeners, tables
from sandbox.mesh.clusters import Target
from sandbox.mesh.credentials import Credential
from sandbox.mesh.proxies import Proxy
from sandbox.mesh.registry import Registry
from sandbox.mesh.rules import Rules
from sandbox.mesh.xds.ads import Configuration


def shared() -> Configuration:
    """What all proxies use together."""
    return Configuration(clusters={clusters.PASSTHROUGH: clusters.passthrough()})


def from_services(proxy: Proxy, registry: Registry, targets: Iterable[Target]) -> Configuration:
    """What changes with services and DestinationRules only: clusters, and a sidecar's listeners."""
    targets = list(targets)
    own = {made["name"]: made for made in (clusters.cluster(proxy.id, target) for target in targets)}
    if proxy.kind == "gateway":
        return Configuration(own)
    traffic = {(target.service.host, target.port.number): target.traffic for target in targets if not target.subset}
    opened = (listeners.sidecar(proxy, registry, traffic), listeners.health(proxy))
    return Configuration(own, listeners={listener["name"]: listener for listener in opened})


def from_rules(
    proxy: Proxy, registry: Registry, rules: Rules, credentials: Mapping[str, Credential]
) -> Configuration:
    """What changes with VirtualServices and Gateways, too: route tables, and a gateway's listeners."""
    if proxy.kind == "gateway":
        opened, own = gateways.translate(proxy, registry, rules, credentials)
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
