"""Clusters for Envoy (CDS): a service's port, or a subset of it, as one proxy sees it.

Each proxy has clusters of its own although they share one Envoy, so that limits and statistics are the proxy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .registry import Endpoint, Port, Registry, Service
from .rules import Policy, Rules
from .xds.protobuf import TYPE_PREFIX

PASSTHROUGH = "PassthroughCluster"
"""Forwards to where the connection was going, for everything the mesh knows nothing about."""

LOAD_BALANCERS = {
    "UNSPECIFIED": "ROUND_ROBIN",
    "LEAST_CONN": "LEAST_REQUEST",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
    "ROUND_ROBIN": "ROUND_ROBIN",
}
"""DestinationRule's `simple` load balancers as Envoy calls them.

Where a rule says nothing Istio's API promises "an appropriate default"; the real one is least requests. That
favours the fastest version as soon as requests overlap (42 %, 30 % and 28 % for reviews v1, v2 and v3 with 16 at a
time), and the workshop teaches that without rules all three are asked in turn. So here it is round robin.
"""

XDS_SOURCE: dict[str, Any] = {"resource_api_version": "V3", "ads": {}}

_IDLE_SECONDS = 30
"""After which an unused connection to an endpoint is closed. Programs keep theirs open for longer, so that it is
Envoy who ends it and never a request that meets a connection being closed."""

_NO_LIMIT = 2**32 - 1
_UNLIMITED = {
    "thresholds": [
        dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _NO_LIMIT)
    ]
}
"""Envoy's own default is 1024 connections and requests, and three retries; Istio has none unless a rule says so."""


@dataclass(frozen=True, slots=True)
class Target:
    """One cluster to be: a service's port, and the subset ("" for the whole service) with its labels."""

    service: Service
    port: Port
    subset: str
    labels: Mapping[str, str]
    traffic: Mapping[str, Any]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.service.endpoints[self.port.number]


def name(proxy_id: str, host: str, port: int, subset: str = "") -> str:
    """A cluster's name: the proxy's, then as Istio writes it."""
    return f"{proxy_id}/outbound|{port}|{subset}|{host}"


def targets(registry: Registry, rules: Rules, namespace: str) -> Iterator[Target]:
    """All that a proxy in `namespace` can be sent to."""
    for service in registry.services:
        policy = rules.policy(service.host, service.namespace, namespace)
        for port in service.ports:
            yield Target(service, port, "", {}, policy.traffic)
            yield from _subsets(service, port, policy)


def _subsets(service: Service, port: Port, policy: Policy) -> Iterator[Target]:
    for name_, subset in policy.subsets.items():
        traffic = {**policy.traffic, **(subset.get("trafficPolicy") or {})}
        yield Target(service, port, name_, subset.get("labels") or {}, traffic)


def cluster(proxy_id: str, target: Target) -> dict[str, Any]:
    cluster_name = name(proxy_id, target.service.host, target.port.number, target.subset)
    made = eds(cluster_name)
    simple = (target.traffic.get("loadBalancer") or {}).get("simple") or "UNSPECIFIED"
    made["lb_policy"] = LOAD_BALANCERS[simple]
    if target.port.protocol != "tcp":
        made["typed_extension_protocol_options"] = _http_options(target.port.protocol == "http2")
    return made


def eds(cluster_name: str) -> dict[str, Any]:
    """A cluster whose endpoints come over the stream."""
    return {
        "name": cluster_name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": XDS_SOURCE},
        "connect_timeout": "10s",
        "circuit_breakers": _UNLIMITED,
    }


def _http_options(http2: bool) -> dict[str, Any]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    version = "http2_protocol_options" if http2 else "http_protocol_options"
    return {
        options: {
            "@type": TYPE_PREFIX + options,
            "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
            "explicit_http_config": {version: {}},
        }
    }


def passthrough() -> dict[str, Any]:
    return {
        "name": PASSTHROUGH,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",
        "circuit_breakers": _UNLIMITED,
        "typed_extension_protocol_options": _http_options(False),
    }
