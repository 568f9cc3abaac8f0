"""Listeners for Envoy (LDS): where a proxy takes connections, and what it does with them by their destination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from sandbox.core.addresses import SIDECAR_PORT, WAY_ON, listen_port
from sandbox.core.cluster import Object
from sandbox.mesh import connection_routes, envoy_clusters, http_routes, traffic_policies
from sandbox.mesh.connection_routes import ConnectionRoute
from sandbox.mesh.envoy_clusters import socket_address
from sandbox.mesh.http_routes import NO_RULES, Context
from sandbox.mesh.identities import SPOKEN_OVER_HTTP
from sandbox.mesh.istio import HEALTH_PATH, HEALTH_PORT
from sandbox.mesh.kept import Kept
from sandbox.mesh.registry import Port, Proxy, Registry, Service
from sandbox.mesh.route_tables import table_name
from sandbox.mesh.rules import MESH, Rules
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX, Part

_EXTENSIONS = "envoy.extensions.filters"

Filter = dict[str, Any]

NO_POLICY: Mapping[str, Any] = {}


def sidecar(
    proxy: Proxy,
    registry: Registry,
    traffic: Mapping[tuple[str, int], Mapping[str, Any]],
    chains_kept: Kept[str, Part],
    rules: Rules = NO_RULES,
) -> dict[str, Any]:
    """Takes all that leaves the pod; the PROXY protocol header says where it was going.

    On a port where services speak HTTP one chain serves them all, for the request names the host. TCP goes by
    the service's address; of several services with the same one the first counts. Where nobody said what a port
    speaks, the first bytes decide. The rest is passed on. `traffic` are policies by host and port. VirtualServices
    may say otherwise of connections, and of those with some name in their TLS handshake.
    `chains_kept` are the chains as they were made last, by name.
    """
    chains: list[Part] = []
    guessed: list[int] = []
    first, first_of_http = _worker_filter(proxy), _http_filter(proxy)
    named: list[int] = []
    taken: list[Mapping[str, Any]] = []
    in_force = rules.of_mesh(proxy.namespace) if rules.of_connections else None
    for number, serving in registry.by_port.items():
        http = partial(_http, f"{proxy.id}/outbound_0.0.0.0_{number};", table_name(proxy, number))
        speaks_http = any(port.protocol != "tcp" for _, port in serving)
        if speaks_http:
            chains.append(
                _kept(chains_kept, f"http_{number}", {"destination_port": number}, None, first_of_http, http)
            )
        for service, match in _by_destination(number, serving, wildcard=not speaks_http):
            port = service.port(number)
            if port is not None and port.protocol == "auto":
                guessed.append(number)
                spoken = {**match, "application_protocols": ["http/1.0", "http/1.1", "h2c"]}
                name = f"http_{service.host}_{number}"
                chains.append(_kept(chains_kept, name, spoken, None, first_of_http, http))
            candidates = in_force.candidates(service.host) if in_force else []
            routes = list(_connection_routes(candidates, Context(proxy, number, MESH, registry, rules)))
            if all(route.conditions for route in routes):
                routes.append(_to_itself(proxy, service, number))
            for at, route in enumerate(routes):
                conditions = {**match, **route.conditions}
                if "prefix_ranges" in route.conditions and conditions in taken:
                    continue  # another service's rule has said it of these addresses
                taken += [conditions] if route.conditions else []
                named += [number] if route.names else []
                policy = traffic.get(route.destination, NO_POLICY)
                name = f"tcp_{service.host}_{number}" + (f"_{at}" if at else "")
                forward = partial(_connections, route, policy)
                chains.append(_kept(chains_kept, name, conditions, (policy, route), first, forward))
    return {
        "name": f"{proxy.id}/outbound",
        "stat_prefix": f"{proxy.id}/0.0.0.0_{SIDECAR_PORT}",
        "address": socket_address(proxy.address, SIDECAR_PORT),
        "listener_filters": [_proxy_protocol(), *inspectors(guessed, named)],
        "filter_chains": chains,
        "default_filter_chain": _rest(registry, first),
        "continue_on_listener_filters_timeout": True,
        "listener_filters_timeout": "1s",
        "traffic_direction": "OUTBOUND",
    }


def gateway(
    proxy: Proxy, port: int, chains: list[dict[str, Any]] | None = None, *, look: bool = True
) -> dict[str, Any]:
    """A port that a Gateway opens; `port` is the pod's. Plain HTTP, unless it has other `chains`, which are chosen
    by a `look` at the TLS handshake."""
    table = table_name(proxy, port)
    inspector = [listener_filter(*_TLS_INSPECTOR)] if chains and look else []
    return {
        "name": f"{proxy.id}/{port}",
        "stat_prefix": f"{proxy.id}/0.0.0.0_{port}",
        "address": socket_address(proxy.address, listen_port(port)),
        "listener_filters": inspector,
        "filter_chains": chains or [chain("http", {}, *_http_filter(proxy), _at_edge(proxy, port, table))],
        "traffic_direction": "OUTBOUND",
    }


def plain_port(proxy: Proxy, port: int, route: ConnectionRoute) -> dict[str, Any]:
    """A port that a Gateway opens for connections that nobody looks into."""
    return gateway(
        proxy, port, [chain("tcp", route.conditions, *_worker_filter(proxy), _connections(route))], look=False
    )


def passing_chain(
    proxy: Proxy, name: str, route: ConnectionRoute, context: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a gateway does with connections of one name: passes them on, after it has decrypted them if there is a
    TLS `context`."""
    made = chain(f"{proxy.id}/{name}", route.conditions, *_worker_filter(proxy), _connections(route))
    return made if context is None else {**made, "transport_socket": _transport(context)}


def _transport(context: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def tls_chain(
    proxy: Proxy, port: int, table: str, names: Iterable[str], context: Mapping[str, Any]
) -> dict[str, Any]:
    """What a gateway does with connections that ask for one of `names` in their TLS handshake ("*" for any)."""
    http = {
        **_at_edge(proxy, port, table),
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": True, "cert": True, "dns": True, "uri": True},
    }
    names = list(names)
    match = {} if "*" in names else {"server_names": names}
    return {**chain(table, match, *_http_filter(proxy), http), "transport_socket": _transport(context)}


def _at_edge(proxy: Proxy, port: int, table: str) -> Filter:
    return _http(f"{proxy.id}/outbound_0.0.0.0_{port};", table, edge=True)


def health(proxy: Proxy) -> dict[str, Any]:
    """What answers a proxy's probes: it listens as soon as the proxy has its configuration."""
    match = {"match": {"path": HEALTH_PATH}, "direct_response": {"status": 200}}
    http = {
        **connection_manager("health"),
        "route_config": {"virtual_hosts": [{"name": "health", "domains": ["*"], "routes": [match]}]},
    }
    return {
        "name": f"{proxy.id}/health",
        "address": socket_address(proxy.address, HEALTH_PORT),
        "filter_chains": [chain("health", {}, http)],
    }


def forward(name: str, addresses: Iterable[tuple[str, int]], cluster: str) -> dict[str, Any]:
    """Plain TCP from some addresses to one cluster: a load balancer's or a node's port."""
    first, *others = [socket_address(address, port) for address, port in addresses]
    return {
        "name": name,
        "address": first,
        "additional_addresses": [{"address": address} for address in others],
        "filter_chains": [chain("forward", {}, tcp(cluster))],
    }


def _by_destination(
    number: int, serving: Iterable[tuple[Service, Port]], *, wildcard: bool
) -> Iterator[tuple[Service, dict[str, Any]]]:
    """Services that may speak plain TCP on a port, with what their connections are told by.

    A forwarded one without addresses takes all of the port that nobody else has, if it may (`wildcard`).
    """
    taken: set[str] = set()
    for service, port in serving:
        if port.protocol in ("tcp", "auto"):
            prefixes = [address for address in service.addresses if address not in taken]
            taken.update(prefixes)
            if prefixes:
                yield (
                    service,
                    {
                        "destination_port": number,
                        "prefix_ranges": [connection_routes.prefix(one) for one in prefixes],
                    },
                )
            elif wildcard and service.forwarded and not service.addresses and "" not in taken:
                taken.add("")
                yield service, {"destination_port": number}


def _kept(
    kept: Kept[str, Part],
    name: str,
    match: Mapping[str, Any],
    policy: Any,
    first: list[Filter],
    make: Callable[[], Filter],
) -> Part:
    return kept.get(name, (match, policy), lambda: Part(chain(name, match, *first, make())))


def chain(name: str, match: Mapping[str, Any], *network_filters: Filter) -> dict[str, Any]:
    # By the names that everybody knows, `istioctl proxy-config listeners` tells what a chain does.
    filters = [
        {"name": f"envoy.filters.network.{one['@type'].split('.')[-3]}", "typed_config": one}
        for one in network_filters
    ]
    return {"name": name, "filters": filters, **({"filter_chain_match": match} if match else {})}


def listener_filter(module: str, message: str) -> dict[str, Any]:
    kind = f"{TYPE_PREFIX}{_EXTENSIONS}.listener.{module}.v3.{message}"
    return {"name": f"envoy.filters.listener.{module}", "typed_config": {"@type": kind}}


def _rest(registry: Registry, first: list[Filter]) -> dict[str, Any]:
    """Of connections to what the registry does not know."""
    if registry.closed:
        return chain("blackhole", {}, *first, tcp(envoy_clusters.BLACK_HOLE))
    return chain("passthrough", {}, *first, tcp(envoy_clusters.PASSTHROUGH))


def _proxy_protocol() -> dict[str, Any]:
    """Reads where a connection was going, and the endpoint there (see `envoy_clusters.WAY_ON_METADATA`)."""
    made = listener_filter("proxy_protocol", "ProxyProtocol")
    made["typed_config"]["rules"] = [{"tlv_type": WAY_ON, "on_tlv_present": {"key": envoy_clusters.WAY_ON_KEY}}]
    return made


def inspectors(http: list[int], tls: list[int]) -> list[dict[str, Any]]:
    """Look at the first bytes on these ports only: elsewhere the server may be the one to speak first."""
    return [
        {**listener_filter(*inspector), "filter_disabled": {"not_match": _among(ports)}}
        for inspector, ports in ((_TLS_INSPECTOR, tls), (("http_inspector", "HttpInspector"), http))
        if ports
    ]


_TLS_INSPECTOR = ("tls_inspector", "TlsInspector")


def _among(ports: Iterable[int]) -> dict[str, Any]:
    these = [{"destination_port_range": {"start": port, "end": port + 1}} for port in sorted(set(ports))]
    return these[0] if len(these) == 1 else {"or_match": {"rules": these}}


def tcp(cluster: str, traffic: Mapping[str, Any] = NO_POLICY) -> Filter:
    kind = f"{TYPE_PREFIX}{_EXTENSIONS}.network.tcp_proxy.v3.TcpProxy"
    return {"@type": kind, "stat_prefix": cluster, "cluster": cluster, **traffic_policies.tcp_proxy(traffic)}


def _connection_routes(rules: list[Object], context: Context) -> Iterator[ConnectionRoute]:
    for kind in connection_routes.KINDS if rules else ():
        for route in connection_routes.translate(rules, kind, context):
            yield route
            if not route.conditions:
                return


def _to_itself(proxy: Proxy, service: Service, port: int) -> ConnectionRoute:
    """Where a service's connections go when no rule says it."""
    cluster = envoy_clusters.name(proxy.id, service.host, port)
    return ConnectionRoute({}, ((cluster, 1),), (service.host, port))


def _connections(route: ConnectionRoute, traffic: Mapping[str, Any] = NO_POLICY) -> Filter:
    made = tcp(route.clusters[0][0], traffic)
    if len(route.clusters) > 1:
        del made["cluster"]
        made["weighted_clusters"] = {
            "clusters": [{"name": name, "weight": share} for name, share in route.clusters]
        }
    return made


def _http(stat_prefix: str, table: str, *, edge: bool = False) -> Filter:
    manager = connection_manager(stat_prefix)
    manager["rds"] = {"route_config_name": table, "config_source": envoy_clusters.XDS_SOURCE}
    manager["use_remote_address"] = edge
    if not edge:
        manager["server_name"] = "envoy"  # as the real one's outbound listeners, which do not say
    return manager


def connection_manager(stat_prefix: str) -> Filter:
    kind = f"{TYPE_PREFIX}{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "@type": kind,
        "stat_prefix": stat_prefix,
        "server_name": "istio-envoy",
        "normalize_path": True,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": HTTP_FILTERS,
    }


HTTP_FILTERS = [
    {"name": name, "typed_config": {"@type": kind}}
    for name, kind in (
        (http_routes.FAULT_FILTER, http_routes.FAULT_TYPE),
        (http_routes.CORS_FILTER, http_routes.CORS_TYPE),
        ("envoy.filters.http.router", f"{TYPE_PREFIX}{_EXTENSIONS}.http.router.v3.Router"),
    )
]
"""In Istio's order. All but the router do nothing unless a route tells them to, so every proxy can have them."""


# Worker threads

_WORKER = "sandbox.worker"
_ALPN_OF_HTTP = ",".join(SPOKEN_OVER_HTTP)


def filter_state(*objects: Filter) -> Filter:
    """A filter that tells what comes after it, and connections to where it leads, something of a connection."""
    kind = f"{TYPE_PREFIX}{_EXTENSIONS}.network.set_filter_state.v3.Config"
    return {"@type": kind, "on_new_connection": list(objects)}


def state_object(key: str, text: str, **more: Any) -> Filter:
    return {"object_key": key, "format_string": {"text_format_source": {"inline_string": text}}, **more}


def _worker_filter(proxy: Proxy) -> list[Filter]:
    told = worker(proxy)
    return [filter_state(*told)] if told else []


def _http_filter(proxy: Proxy) -> list[Filter]:
    """The same where HTTP is spoken. Other sidecars are told that in the handshake (ALPN), also for a port of which
    nobody has said it, as Istio's own filter does."""
    told = state_object("envoy.network.application_protocols", _ALPN_OF_HTTP, shared_with_upstream="ONCE")
    return [filter_state(*worker(proxy), told)]


def worker(proxy: Proxy) -> list[Filter]:
    """Which of its threads a connection is the proxy's, as far as that shows.

    Envoy's threads know nothing of each other: each has connections of its own to everywhere, and may open one
    whatever a limit says. All proxies share one Envoy on one thread here, so a proxy of several has as many pools
    of connections instead: Envoy keeps them apart by what connections are told. A real kernel spreads connections
    over the threads by their addresses; here they take turns, so two of the same moment are on two threads.
    """
    if proxy.threads == 1:
        return []
    told = f"%CEL(connection.id % {proxy.threads}u)%"
    return [state_object(_WORKER, told, factory_key="envoy.hashable_string", shared_with_upstream="ONCE")]
