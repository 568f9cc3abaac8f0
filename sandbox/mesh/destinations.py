"""Where a rule's destination leads: the cluster that stands for it, and what chooses among its endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.mesh import clusters, hosts, policies
from sandbox.mesh.proxies import Proxy
from sandbox.mesh.registry import Registry
from sandbox.mesh.rules import Rules

NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Context:
    """Who routes: the proxy, the port requests come in on, and through which gateway (`mesh` for a sidecar).

    `tls` is whether they come in encrypted.
    """

    proxy: Proxy
    port: int
    gateway: str
    registry: Registry
    rules: Rules = NO_RULES
    tls: bool = False


def cluster(destination: Mapping[str, Any], context: Context, namespace: str) -> str:
    """The destination's cluster. It need not exist: requests to one that does not are answered with 503."""
    host, port = _host_and_port(destination, context, namespace)
    return clusters.name(context.proxy.id, host, port, destination.get("subset", ""))


def hash_policy(destination: Mapping[str, Any], context: Context, namespace: str) -> list[dict[str, Any]]:
    """Envoy's, where a DestinationRule has the endpoint depend on the request."""
    if not context.rules.hash:
        return []
    host, port = _host_and_port(destination, context, namespace)
    service = context.registry.by_host.get(host)
    if service is None:
        return []
    policy = context.rules.policy(host, service.namespace, context.proxy.namespace)
    traffic = policies.of_port(policy.traffic, port)
    if subset := policy.subsets.get(destination.get("subset", "")):
        traffic = policies.of_port(subset.get("trafficPolicy") or {}, port, traffic)
    return policies.hash_policy(traffic)


def _host_and_port(destination: Mapping[str, Any], context: Context, namespace: str) -> tuple[str, int]:
    """Without a port a service's only one is meant, else the one the request came to."""
    host = hosts.resolve(destination["host"], namespace)
    if "port" in destination:
        return host, destination["port"]["number"]
    service = context.registry.by_host.get(host)
    only_one = service is not None and len(service.ports) == 1
    return host, service.ports[0].number if service is not None and only_one else context.port
