"""A sidecar's inbound side: the listener that takes what comes to the pod, and a cluster for each port that
services have it serve, as istiod makes them.

There is one listener, `virtualInbound`. A real one is at 15006, where the pod's packet filter leads everything;
here it is at the pod's ports themselves as well. What no service speaks of is passed through. Where a connection
goes is the pod's inside (`addresses.inside`), which a filter in front tells the clusters: they are of the same kind
as real ones, which go on to where a connection was led.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.core.addresses import INBOUND_PORT, inside, listen_port
from sandbox.mesh import envoy_clusters, listeners, traffic_policies
from sandbox.mesh.envoy_clusters import socket_address
from sandbox.mesh.istio import HEALTH_PORT
from sandbox.mesh.kept import Kept
from sandbox.mesh.listeners import Filter
from sandbox.mesh.registry import Protocol, Proxy, Service
from sandbox.mesh.rules import Rules
from sandbox.mesh.xds.envoy_messages import Part

_NOBODYS = frozenset({HEALTH_PORT, 15001, INBOUND_PORT})
_ORIGINAL = "envoy.network.transport_socket.original_dst_address"
_OVER_HTTP = ["http/1.0", "http/1.1", "h2c"]


@dataclass(frozen=True)
class Served:
    """A port of the pod that a service leads to. Of several services the first one counts."""

    port: int
    protocol: Protocol
    host: str
    service_port: int
    pool: Mapping[str, Any]
    origin: Mapping[str, Any]


def served(proxy: Proxy, services: Iterable[Service], rules: Rules) -> tuple[Served, ...]:
    """`services` are those of the proxy's namespace. Of a DestinationRule only the pool of connections counts."""
    found: dict[int, Served] = {}
    for service in services:
        if not service.selector or not service.selector.items() <= proxy.labels.items():
            continue
        policy = rules.policy(service.host, service.namespace, proxy.namespace)
        for port in service.ports:
            target = service.target_ports.get(port.number, port.number)
            number = proxy.named_ports.get(target) if isinstance(target, str) else target
            if number is None or number in found or number in _NOBODYS:
                continue
            pool = traffic_policies.of_port(policy.traffic, port.number).get("connectionPool") or {}
            found[number] = Served(number, port.protocol, service.host, port.number, pool, policy.origin)
    return tuple(found[number] for number in sorted(found))


def cluster_name(proxy: Proxy, port: int) -> str:
    return f"{proxy.id}/inbound|{port}||"


def cluster(proxy: Proxy, one: Served) -> dict[str, Any]:
    return envoy_clusters.inbound(cluster_name(proxy, one.port), one.protocol, one.pool, one.origin)


def listener(proxy: Proxy, found: Iterable[Served], kept: Kept[str, Part]) -> dict[str, Any]:
    """`kept` are its chains as they were made last, by name."""
    by_port = {one.port: one for one in found}
    others = sorted(proxy.ports - by_port.keys() - _NOBODYS)
    chains, guessed = [], [listen_port(port) for port in others]
    for port, one in by_port.items():
        if one.protocol == "auto":
            guessed.append(listen_port(port))
        for name, match, filters in _served_chains(proxy, one):
            chains.append(kept.get(name, (match, one), partial(_part, name, match, filters)))
    for name, match, filters in _passed_through(proxy) if others else ():
        chains.append(kept.get(name, match, partial(_part, name, match, filters)))
    blackhole = listeners.tcp(envoy_clusters.BLACK_HOLE)
    chains.append(
        kept.get(
            "virtualInbound-blackhole",
            None,
            lambda: _part("virtualInbound-blackhole", {"destination_port": INBOUND_PORT}, [blackhole]),
        )
    )
    ports = sorted({*by_port, *others})
    made = {
        "name": f"{proxy.id}/virtualInbound",
        "stat_prefix": f"{proxy.id}/0.0.0.0_{INBOUND_PORT}",
        "address": socket_address(proxy.address, INBOUND_PORT),
        "listener_filters": listeners.inspectors(guessed),
        "filter_chains": chains,
        "continue_on_listener_filters_timeout": True,
        "listener_filters_timeout": "0s",
        "traffic_direction": "INBOUND",
    }
    if ports:
        made["additional_addresses"] = [
            {"address": socket_address(proxy.address, listen_port(port))} for port in ports
        ]
    return made


_Chain = tuple[str, dict[str, Any], list[Filter]]


def _served_chains(proxy: Proxy, one: Served) -> Iterator[_Chain]:
    name, where = f"0.0.0.0_{one.port}", {"destination_port": listen_port(one.port)}
    cluster = cluster_name(proxy, one.port)
    before = _told(proxy, str(listen_port(one.port)))
    if one.protocol != "tcp":
        match = {**where, "application_protocols": _OVER_HTTP} if one.protocol == "auto" else where
        yield f"{name}_http", match, [before, _http(proxy, one, cluster)]
    if one.protocol in ("tcp", "auto"):
        yield f"{name}_tcp", where, [before, listeners.tcp(cluster, {"connectionPool": one.pool})]


def _passed_through(proxy: Proxy) -> Iterator[_Chain]:
    before, cluster = _told(proxy, "%DOWNSTREAM_LOCAL_PORT%"), envoy_clusters.INBOUND_PASSTHROUGH
    http = _connection_manager(f"{proxy.id}/{cluster};", _route(cluster, "inbound|http|0", ":0/*"))
    yield "virtualInbound-catchall-http", {"application_protocols": _OVER_HTTP}, [before, http]
    yield "virtualInbound", {}, [before, {**listeners.tcp(cluster), "stat_prefix": f"{proxy.id}/{cluster}"}]


def _part(name: str, match: Mapping[str, Any], filters: list[Filter]) -> Part:
    return Part(listeners.chain(name, match, *filters))


def _told(proxy: Proxy, port: str) -> Filter:
    """Where a connection goes on to, and which of the proxy's threads it is on."""
    return listeners.filter_state(
        listeners.state_object(_ORIGINAL, f"{inside(proxy.address)}:{port}"), *listeners.worker(proxy)
    )


def _http(proxy: Proxy, one: Served, cluster: str) -> Filter:
    route = _route(cluster, f"inbound|http|{one.service_port}", f"{one.host}:{one.service_port}/*")
    return _connection_manager(f"{proxy.id}/inbound_0.0.0.0_{one.port};", route)


def _connection_manager(stat_prefix: str, route: dict[str, Any]) -> Filter:
    return {
        **listeners.connection_manager(stat_prefix),
        "route_config": route,
        "use_remote_address": False,
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
    }


def _route(cluster: str, host: str, operation: str) -> dict[str, Any]:
    action = {
        "cluster": cluster,
        "timeout": "0s",
        "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
    }
    only = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": action,
        "decorator": {"operation": operation},
    }
    hosts = [{"name": host, "domains": ["*"], "routes": [only]}]
    return {"name": cluster, "virtual_hosts": hosts, "validate_clusters": False}
