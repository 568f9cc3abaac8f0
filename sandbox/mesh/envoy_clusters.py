"""Clusters for Envoy and their endpoints (CDS, EDS): a service's port, or a subset of it, as one proxy sees it.

Each proxy has clusters of its own although they share one Envoy, so that limits and statistics are the proxy's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.addresses import is_pod, listen_port
from sandbox.mesh import localities, traffic_policies
from sandbox.mesh.localities import Localities
from sandbox.mesh.registry import Endpoint, Port, Protocol, Proxy, Service
from sandbox.mesh.rules import Policy
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

PASSTHROUGH = "PassthroughCluster"
"""Forwards to where the connection was going, for everything the mesh knows nothing about."""

BLACK_HOLE = "BlackHoleCluster"
"""Has no endpoints: for what may go nowhere."""

WAY_ON_METADATA, WAY_ON_KEY = "envoy.filters.listener.proxy_protocol", "endpoint"
"""Where a connection to a service's address says which endpoint it would come to, as kube-proxy would choose it for
the node: nobody listens at a service's address itself."""

_WHERE_IT_WAS_LED = {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
_ON_AS_IT_WAS_GOING: dict[str, Any] = {
    **_WHERE_IT_WAS_LED,
    "original_dst_lb_config": {"metadata_key": {"key": WAY_ON_METADATA, "path": [{"key": WAY_ON_KEY}]}},
}
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
"""Goes on to what a pod serves without a service."""


def _from(address: str) -> dict[str, Any]:
    return {"source_address": {"address": address, "port_value": 0}}


_FROM = _from("127.0.0.6")
"""Who a sidecar is for the programs of its pod."""
_FOR_EVER = "9223372035s"

XDS_SOURCE: dict[str, Any] = {"resource_api_version": "V3", "ads": {}}

_IDLE_SECONDS = 5
"""After which an unused connection to an endpoint is closed; a real proxy waits for an hour. Each takes some 50 KB
of the two proxies it is between, and 200 pages at a time leave 800 of them behind. Programs keep theirs open for
longer, so that it is Envoy who ends it and never a request that meets a connection being closed."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One cluster to be: a service's port, and the subset ("" for the whole service) with its labels. `meshed` says
    whether any of the service's pods has a sidecar: each proxy's context of TLS takes 22 KB and a millisecond."""

    service: Service
    port: Port
    subset: str
    labels: Mapping[str, str]
    traffic: Mapping[str, Any]
    origin: Mapping[str, Any]
    meshed: bool = False


def name(proxy_id: str, host: str, port: int, subset: str = "") -> str:
    """A cluster's name: the proxy's, then as Istio writes it."""
    return f"{proxy_id}/outbound|{port}|{subset}|{host}"


def name_of(proxy_id: str, destination: Destination) -> str:
    return name(proxy_id, destination.service.host, destination.port.number, destination.subset)


def destinations_of(service: Service, policy: Policy, *, meshed: bool = False) -> Iterator[Destination]:
    """All that a proxy that is told this policy can be sent to."""
    for port in service.ports:
        traffic = traffic_policies.of_port(policy.traffic, port.number)
        yield Destination(service, port, "", {}, traffic, policy.origin, meshed)
        for subset, chosen in policy.subsets.items():
            own = traffic_policies.of_port(chosen.get("trafficPolicy") or {}, port.number, traffic)
            yield Destination(service, port, subset, chosen.get("labels") or {}, own, policy.origin, meshed)


def cluster(proxy: Proxy, destination: Destination, spoken: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`spoken` is what the proxy speaks with it below HTTP and TCP. It comes from the pod's address, which tells
    the other side who it is."""
    cluster_name = name_of(proxy.id, destination)
    pool = destination.traffic.get("connectionPool") or {}
    if destination.service.forwarded:
        made: dict[str, Any] = {**_named(cluster_name), **_ON_AS_IT_WAS_GOING}
    else:
        made = {
            **eds(cluster_name),
            "upstream_bind_config": _from(proxy.address),
            **traffic_policies.load_balancer(destination.traffic.get("loadBalancer") or {}),
        }
    if destination.origin:
        made["metadata"] = destination.origin
    made.update(traffic_policies.connection(traffic_policies.with_threads(pool, proxy.threads)))
    made.update(traffic_policies.outlier_detection(destination.traffic.get("outlierDetection")))
    if localities.is_weighted(destination.traffic) and not destination.service.forwarded:
        made["common_lb_config"] = {**made.get("common_lb_config", {}), "locality_weighted_lb_config": {}}
    if destination.port.protocol != "tcp":
        made["typed_extension_protocol_options"] = _http_options(destination.port.protocol == "http2", pool)
    return {**made, **(spoken or {})}


def eds(cluster_name: str) -> dict[str, Any]:
    """A cluster whose endpoints come over the stream."""
    return {
        **_named(cluster_name),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": XDS_SOURCE},
        **traffic_policies.connection({}),
    }


def _named(cluster_name: str) -> dict[str, Any]:
    """As with Istio, statistics end the name by a semicolon, for dots do not."""
    return {"name": cluster_name, "alt_stat_name": f"{cluster_name};"}


def _http_options(http2: bool, pool: Mapping[str, Any]) -> dict[str, Any]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    version = (
        {"http2_protocol_options": traffic_policies.http2_options(pool)} if http2 else {"http_protocol_options": {}}
    )
    return {
        options: {
            "@type": TYPE_PREFIX + options,
            "common_http_protocol_options": {
                "idle_timeout": f"{_IDLE_SECONDS}s",
                **traffic_policies.http_options(pool),
            },
            "explicit_http_config": version,
        }
    }


def inbound(
    cluster_name: str, protocol: Protocol, pool: Mapping[str, Any], origin: Mapping[str, Any]
) -> dict[str, Any]:
    """What a sidecar's pod serves at one port."""
    made: dict[str, Any] = {
        **_named(cluster_name),
        **_WHERE_IT_WAS_LED,
        "cleanup_interval": _FOR_EVER,
        "upstream_bind_config": _FROM,
        **traffic_policies.connection(pool),
    }
    if origin:
        made["metadata"] = origin
    if protocol != "tcp":
        made["typed_extension_protocol_options"] = _http_options(protocol == "http2", pool)
    return made


def shared() -> list[dict[str, Any]]:
    """What all proxies have together."""
    forwards = {
        **traffic_policies.connection({}),
        "typed_extension_protocol_options": _http_options(False, {}),
    }
    return [
        {"name": PASSTHROUGH, **_ON_AS_IT_WAS_GOING, **forwards},
        {"name": INBOUND_PASSTHROUGH, **_WHERE_IT_WAS_LED, "upstream_bind_config": _FROM, **forwards},
        {"name": BLACK_HOLE, "type": "STATIC", **traffic_policies.connection({})},
    ]


# Endpoints


def selected(endpoints: Iterable[Endpoint], labels: Mapping[str, str]) -> list[Endpoint]:
    """Those whose pods have all of a subset's labels."""
    return [endpoint for endpoint in endpoints if labels.items() <= endpoint.labels.items()]


def localities_of(endpoints: Iterable[Endpoint], mutual: Callable[[Endpoint], bool]) -> Localities:
    """Endpoints as Envoy is told of them. `mutual` says which take mTLS."""
    return localities.grouped(endpoints, lambda endpoint: _described(endpoint, mutual(endpoint)))


_MUTUAL = {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}


def _described(endpoint: Endpoint, mutual: bool) -> dict[str, Any]:
    """What is no pod, such as another cluster's load balancer, listens where it says."""
    port = listen_port(endpoint.port) if is_pod(endpoint.address) else endpoint.port
    made: dict[str, Any] = {"endpoint": {"address": socket_address(endpoint.address, port)}}
    if endpoint.written:
        made["endpoint"]["hostname"] = endpoint.written
    if mutual:
        made["metadata"] = _MUTUAL
    return made if endpoint.weight == 1 else {**made, "load_balancing_weight": endpoint.weight}


def assignment(cluster: str, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster_name": cluster, "endpoints": endpoints}


def socket_address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
