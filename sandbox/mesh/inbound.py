"""A sidecar's inbound side: the listener that takes what comes to the pod, and a cluster for each port that
services have it serve, as istiod makes them.

There is one listener, `virtualInbound`. A real one is at 15006, where the pod's packet filter leads everything;
here it is at the pod's ports themselves as well. What no service speaks of is passed through. Where a connection
goes is the pod's inside (`addresses.inside`), which a filter in front tells the clusters: they are of the same kind
as real ones, which go on to where a connection was led.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.core.addresses import INBOUND_PORT, NOT_REDIRECTED, SIDECAR_PORT, inside, listen_port
from sandbox.core.cluster import Object
from sandbox.mesh import authorization, envoy_clusters, listeners, peer_authentication, traffic_policies
from sandbox.mesh.authorization import Authorization
from sandbox.mesh.envoy_clusters import socket_address
from sandbox.mesh.identities import OVER_HTTP, OVER_TCP, Authority
from sandbox.mesh.kept import Kept
from sandbox.mesh.listeners import Filter
from sandbox.mesh.peer_authentication import Mode, PeerMode
from sandbox.mesh.registry import Endpoint, Protocol, Proxy, Registry, Service
from sandbox.mesh.rules import Rules
from sandbox.mesh.xds.envoy_messages import Part

LISTENER = "virtualInbound"
_NOBODYS = frozenset({*NOT_REDIRECTED, SIDECAR_PORT, INBOUND_PORT})
_ORIGINAL = "envoy.network.transport_socket.original_dst_address"
_PLAIN_HTTP = ("http/1.1", "h2c")
TLS_MODE_LABEL = "security.istio.io/tlsMode"
"""What injection tells others of a pod."""

_Match = dict[str, Any]


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


@dataclass(frozen=True)
class Around:
    """What decides what a sidecar takes, of the whole cluster: services and rules, PeerAuthentications and
    AuthorizationPolicies, the oldest first."""

    services: Registry
    rules: Rules
    peers: tuple[Object, ...]
    policies: tuple[Object, ...]

    def guard(self, proxy: Proxy, authority: Authority) -> Guard:
        return Guard(
            peer_authentication.peer_mode(self.peers, proxy.namespace, proxy.labels),
            authorization.concerning(self.policies, proxy.namespace, proxy.labels),
            authority.socket_of_server(proxy.identity),
        )


@dataclass(frozen=True)
class Guard:
    """How one workload is to be spoken to, and by whom."""

    modes: PeerMode
    authorization: Authorization
    socket: Mapping[str, Any]
    """Of its mTLS."""


def has_sidecars(service: Service) -> bool:
    """Whether any pod behind it does."""
    return any(one.labels.get(TLS_MODE_LABEL) == "istio" for port in service.endpoints.values() for one in port)


def takes_mutual_tls(peers: Iterable[Object], namespace: str, endpoint: Endpoint) -> bool:
    """Whether an endpoint in `namespace` is a pod with a sidecar that does."""
    if endpoint.labels.get(TLS_MODE_LABEL) != "istio":
        return False
    return peer_authentication.peer_mode(peers, namespace, endpoint.labels).of(endpoint.port) != "DISABLE"


def listener(proxy: Proxy, found: Iterable[Served], guard: Guard, kept: Kept[str, Part]) -> dict[str, Any]:
    """`kept` are its chains as they were made last, by name."""
    by_port = {one.port: one for one in found}
    others = sorted(filter(proxy.leads_in, proxy.ports - by_port.keys() - _NOBODYS))
    chains: list[Part] = []
    guessed = [listen_port(port) for port in (*others, *by_port) if _guessed(by_port.get(port))]

    def add(name: str, match: _Match, origin: object, make: Callable[[], dict[str, Any]]) -> None:
        chains.append(kept.get(name, (match, origin), lambda: Part(make())))

    for ways in (
        *(_Way(f"0.0.0.0_{port}", guard.modes.of(port), port, one) for port, one in by_port.items()),
        *(
            _Way(f"virtualInbound_{port}", guard.modes.of(port), port)
            for port in others
            if port in guard.modes.ports
        ),
        *([_Way("virtualInbound", guard.modes.mode)] if others else ()),
    ):
        for name, match, encrypted, http in ways.matches():
            add(name, match, (ways, guard), partial(_chain, proxy, ways, guard, name, match, encrypted, http))
    nowhere = listeners.tcp(envoy_clusters.BLACK_HOLE)
    only = {"destination_port": INBOUND_PORT}
    add("blackhole", only, None, lambda: listeners.chain("virtualInbound-blackhole", only, nowhere))
    ports = sorted(filter(proxy.leads_in, {*by_port, *others}))
    made = {
        "name": f"{proxy.id}/{LISTENER}",
        "stat_prefix": f"{proxy.id}/0.0.0.0_{INBOUND_PORT}",
        "address": socket_address(proxy.address, INBOUND_PORT),
        "listener_filters": [
            listeners.listener_filter("tls_inspector", "TlsInspector"),
            *listeners.inspectors(guessed, []),
        ],
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


def _guessed(one: Served | None) -> bool:
    return one is None or one.protocol == "auto"


_OVER_ISTIO = [*OVER_TCP[::-1], *OVER_HTTP]


@dataclass(frozen=True)
class _Way:
    """One port's, or (without a port) all that nothing else is said of: by `mode` what takes which connections."""

    name: str
    mode: Mode
    port: int | None = None
    served: Served | None = None

    def matches(self) -> Iterator[tuple[str, _Match, bool, bool]]:
        """Name and match of chains, whether they decrypt, and whether they are for HTTP."""
        where: _Match = {"destination_port": listen_port(self.port)} if self.port is not None else {}
        tls, plain = {**where, "transport_protocol": "tls"}, {**where, "transport_protocol": "raw_buffer"}
        guessed = _guessed(self.served)
        http = guessed or (self.served is not None and self.served.protocol != "tcp")
        tcp = guessed or not http
        if self.mode != "DISABLE":
            strict = self.mode == "STRICT"
            if guessed:
                yield f"{self.name}_mtls-http", {**tls, **_speaking(OVER_HTTP)}, True, True
                yield f"{self.name}_mtls", tls if strict else {**tls, **_speaking(OVER_TCP)}, True, False
            else:
                yield f"{self.name}_mtls", tls if strict else {**tls, **_speaking(_OVER_ISTIO)}, True, http
        if self.mode == "STRICT":
            return
        if tcp:
            yield f"{self.name}_tls", tls, False, False
        if http:
            yield f"{self.name}_http", {**plain, **_speaking(_PLAIN_HTTP)} if guessed else plain, False, True
        if tcp:
            yield f"{self.name}_tcp", plain, False, False


def _speaking(protocols: Iterable[str]) -> _Match:
    return {"application_protocols": list(protocols)}


def _chain(
    proxy: Proxy, way: _Way, guard: Guard, name: str, match: _Match, encrypted: bool, http: bool
) -> dict[str, Any]:
    one = way.served
    if one is None:
        cluster, port = envoy_clusters.INBOUND_PASSTHROUGH, "%DOWNSTREAM_LOCAL_PORT%"
    else:
        cluster, port = cluster_name(proxy, one.port), str(listen_port(one.port))
    told = listeners.filter_state(
        listeners.state_object(_ORIGINAL, f"{inside(proxy.address)}:{port}"), *listeners.worker(proxy)
    )
    if http:
        filters = [_http(proxy, one, cluster, guard.authorization)]
    else:
        pool = {"connectionPool": one.pool} if one else {}
        prefix = f"{proxy.id}/"
        counted = cluster if cluster.startswith(prefix) else prefix + cluster
        filters = [
            *(made["typed_config"] for made in guard.authorization.tcp_filters(prefix)),
            {**listeners.tcp(cluster, pool), "stat_prefix": counted},
        ]
    made = listeners.chain(name, match, told, *filters)
    return {**made, "transport_socket": guard.socket} if encrypted else made


def _http(proxy: Proxy, one: Served | None, cluster: str, allowed: Authorization) -> Filter:
    if one is None:
        stat_prefix, route = f"{proxy.id}/{cluster};", _route(cluster, "inbound|http|0", ":0/*")
    else:
        stat_prefix = f"{proxy.id}/inbound_0.0.0.0_{one.port};"
        host = f"{one.host}:{one.service_port}"
        route = _route(
            cluster.removeprefix(f"{proxy.id}/"), f"inbound|http|{one.service_port}", f"{host}/*", cluster
        )
    manager = listeners.connection_manager(stat_prefix)
    return {
        **manager,
        "http_filters": [*allowed.http_filters(), *manager["http_filters"]],
        "route_config": route,
        "use_remote_address": False,
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
    }


def _route(name: str, host: str, operation: str, cluster: str = "") -> dict[str, Any]:
    action = {
        "cluster": cluster or name,
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
    return {"name": name, "virtual_hosts": hosts, "validate_clusters": False}
