"""Gateways as listeners and route tables of the pods they select.

Of several servers on a port the first (of the oldest Gateway) decides whether it is encrypted, and a host is the
first's that names it, as with Istio. Plain servers share one route table; an encrypted one is chosen by the name in
the TLS handshake and has a table of its own. One whose Secret is not there, or not usable, does not answer. What is
no HTTP, or is to stay encrypted (PASSTHROUGH), goes by `tcp` and `tls` rules instead of a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.core.addresses import INSTEAD, entered_at
from sandbox.core.cluster import Object
from sandbox.mesh import authorization, connection_routes, listeners, route_tables
from sandbox.mesh.authorization import Authorization
from sandbox.mesh.connection_routes import ConnectionRoute
from sandbox.mesh.http_routes import Context
from sandbox.mesh.istio import HEALTH_PORT
from sandbox.mesh.mesh_certificates import Credential
from sandbox.mesh.registry import Proxy, Registry
from sandbox.mesh.route_tables import TableCache
from sandbox.mesh.rules import Rules
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

PLAIN_PROTOCOLS = ("HTTP", "HTTP2", "GRPC")
ENCRYPTED = ("HTTPS", "TLS")
"""By a handshake. What is in it is HTTP for the first only."""
PLAIN_TCP = "TCP"
PASSTHROUGH = "PASSTHROUGH"
TLS_MODES: Mapping[str, bool] = {"SIMPLE": False, "MUTUAL": True, "OPTIONAL_MUTUAL": True, PASSTHROUGH: False}
"""Whether the mode needs a CA for clients' certificates."""

_MATCH = "filter_chain_match"
_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_VERSIONS = {"TLSV1_0": "TLSv1_0", "TLSV1_1": "TLSv1_1", "TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}
_DEFAULT_VERSION = "TLSV1_2"

Configured = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@dataclass
class _Port:
    """Servers, each with its Gateway, of one port of the pod."""

    kind: str
    """`http`, `tcp` or `tls`."""
    servers: list[tuple[Object, Object]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


def translate(
    proxy: Proxy, registry: Registry, rules: Rules, credentials: Mapping[str, Credential], cache: TableCache
) -> Configured:
    """The listeners and route tables of one gateway's pod."""
    opened = []
    own = []
    https_port = _https_port(proxy, registry)
    for port, found in _ports(proxy, registry, rules.gateways).items():
        if found.kind == "tcp":
            routes = _connection_routes(proxy, *found.servers[0], registry, rules)
            opened += [listeners.plain_port(proxy, port, route) for route in routes[:1]]
        elif found.kind == "tls":
            chains: list[dict[str, Any]] = []
            for gateway, server in found.servers:
                tls = server["tls"]
                passed = tls.get("mode", PASSTHROUGH) == PASSTHROUGH
                http = server["port"]["protocol"].upper() == "HTTPS"
                context = None if passed else _tls_context(tls, credentials, http=http)
                if passed or (context is not None and not http):
                    for at, route in enumerate(_connection_routes(proxy, gateway, server, registry, rules)):
                        name = f"{_chain_name(gateway, server)}.{at}"
                        chain = listeners.passing_chain(proxy, name, route, context)
                        if not any(one.get(_MATCH) == chain.get(_MATCH) for one in chains):
                            chains.append(chain)
                elif context is not None:
                    table = _table_name(proxy, gateway, server)
                    chains.append(listeners.tls_chain(proxy, port, table, _server_names(server), context))
                    only = [(gateway, server)]
                    own.append(
                        route_tables.gateway_table(proxy, port, only, registry, rules, name=table, cache=cache)
                    )
            if chains:
                opened.append(listeners.gateway(proxy, port, chains))
        else:
            opened.append(listeners.gateway(proxy, port))
            own.append(
                route_tables.gateway_table(
                    proxy, port, found.servers, registry, rules, https_port=https_port, cache=cache
                )
            )
    allowed = authorization.concerning(rules.authorization_policies, proxy.namespace, proxy.labels)
    if allowed.policies:
        opened = [_guarded(listener, allowed, f"{proxy.id}/") for listener in opened]
    return [listeners.health(proxy), *opened], own


def _guarded(listener: dict[str, Any], allowed: Authorization, stat_prefix: str) -> dict[str, Any]:
    """A listener whose requests are let in by the policies, and whose connections where nobody looks into them."""
    chains = []
    for chain in listener["filter_chains"]:
        *first, last = chain["filters"]
        made = last["typed_config"]
        if "http_filters" in made:
            made = {**made, "http_filters": [*allowed.http_filters(), *made["http_filters"]]}
            chains.append({**chain, "filters": [*first, {**last, "typed_config": made}]})
        else:
            chains.append({**chain, "filters": [*allowed.tcp_filters(stat_prefix), *first, last]})
    return {**listener, "filter_chains": chains}


def _ports(proxy: Proxy, registry: Registry, gateways: Iterable[Object]) -> dict[int, _Port]:
    found: dict[int, _Port] = {}
    for gateway in gateways:
        if (gateway["spec"].get("selector") or {}).items() <= proxy.labels.items():
            for server in gateway["spec"].get("servers") or []:
                kind = kind_of(server["port"]["protocol"])
                number = pod_port(proxy, server["port"]["number"], registry)
                port = found.setdefault(number, _Port(kind))
                names = set(_server_names(server))
                if port.kind == kind and not (kind == "tls" and names & port.hosts):
                    port.servers.append((gateway, server))
                    port.hosts |= names
    found.pop(HEALTH_PORT, None)
    return found


def _server_names(server: Object) -> list[str]:
    """A server's hosts without the namespaces they may be for."""
    return list(dict.fromkeys(host.rpartition("/")[2] for host in server["hosts"]))


def kind_of(protocol: str) -> str:
    """What a port with a server of this protocol is looked at as."""
    if protocol.upper() in ENCRYPTED:
        return "tls"
    return "tcp" if protocol.upper() == PLAIN_TCP else "http"


def _table_name(proxy: Proxy, gateway: Object, server: Object) -> str:
    return f"{proxy.id}/https.{_chain_name(gateway, server)}"


def _chain_name(gateway: Object, server: Object) -> str:
    port, metadata = server["port"], gateway["metadata"]
    return f"{port['number']}.{port['name']}.{metadata['name']}.{metadata['namespace']}"


def _connection_routes(
    proxy: Proxy, gateway: Object, server: Object, registry: Registry, rules: Rules
) -> list[ConnectionRoute]:
    """What a server that looks into no requests does with connections: by the names that `tls` rules have for it,
    or as the first of the `tcp` rules says. Where they were going does not count here, as with Istio."""
    metadata, tls = gateway["metadata"], server.get("tls") or {}
    context = Context(
        proxy, server["port"]["number"], f"{metadata['namespace']}/{metadata['name']}", registry, rules
    )
    concerned = [
        rule
        for rule in rules.of_gateway(gateway, proxy.namespace)
        if any(route_tables.common_hosts(server["hosts"], gateway, rule))
    ]
    passed = kind_of(server["port"]["protocol"]) == "tls" and tls.get("mode", PASSTHROUGH) == PASSTHROUGH
    if passed:
        routes = connection_routes.translate(concerned, "tls", context)
        return [replace(route, conditions=_by_names(route.names)) for route in routes]
    names = [name for name in _server_names(server) if tls and "*" not in _server_names(server)]
    first = next(connection_routes.translate(concerned, "tcp", context), None)
    return [] if first is None else [replace(first, conditions=_by_names(names))]


def _by_names(names: list[str]) -> dict[str, Any]:
    return {"server_names": names} if names else {}


def _tls_context(tls: Object, credentials: Mapping[str, Credential], *, http: bool) -> dict[str, Any] | None:
    """None when what it needs is not there."""
    credential = credentials.get(tls["credentialName"])
    mode = tls["mode"]
    if credential is None or (TLS_MODES[mode] and not credential.authority):
        return None
    common: dict[str, Any] = {
        **({"alpn_protocols": ["h2", "http/1.1"]} if http else {}),
        "tls_params": {
            "tls_minimum_protocol_version": _VERSIONS[_version(tls.get("minProtocolVersion")) or _DEFAULT_VERSION]
        },
        "tls_certificates": [
            {
                "certificate_chain": {"inline_string": credential.chain},
                "private_key": {"inline_string": credential.key},
            }
        ],
    }
    if most := _version(tls.get("maxProtocolVersion")):
        common["tls_params"]["tls_maximum_protocol_version"] = _VERSIONS[most]
    context = {"@type": TYPE_PREFIX + _TLS, "common_tls_context": common}
    if TLS_MODES[mode]:
        common["validation_context"] = {"trusted_ca": {"inline_string": credential.authority}}
        context["require_client_certificate"] = mode == "MUTUAL"
    return context


def _version(written: str | None) -> str | None:
    return None if written == "TLS_AUTO" else written


def pod_port(proxy: Proxy, number: int, registry: Registry) -> int:
    """Where a gateway's pod listens for a server's port: the target port of the gateway's own service.

    A Gateway speaks of the port that clients use. One that no service of the pod has is the pod's own, but for
    80 and 443 where a service has 8080 and 8443 instead.
    """
    known = _service_port(proxy, number, registry)
    for service in registry.services:
        if _is_before(service.selector, service.namespace, proxy) and known in service.target_ports:
            target = service.target_ports[known]
            if isinstance(target, int):
                return target
            for endpoint in service.endpoints[known]:
                if endpoint.address == proxy.address:
                    return endpoint.port
    return number


def _service_port(proxy: Proxy, number: int, registry: Registry) -> int:
    """What clients call a Gateway's port: itself, unless only its stand-in is a port of the pod's services."""
    ports = _service_ports(proxy, registry)
    instead = INSTEAD.get(number, number)
    return instead if number not in ports and instead in ports else number


def _service_ports(proxy: Proxy, registry: Registry) -> set[int]:
    return {
        port.number
        for service in registry.services
        if _is_before(service.selector, service.namespace, proxy)
        for port in service.ports
    }


def _https_port(proxy: Proxy, registry: Registry) -> int:
    """Where a redirect to HTTPS leads: to where a load balancer lets people in."""
    number = _service_port(proxy, 443, registry)
    return next(iter(entered_at(number, _service_ports(proxy, registry))), number)


def _is_before(selector: Mapping[str, str], namespace: str, proxy: Proxy) -> bool:
    return bool(selector) and selector.items() <= proxy.labels.items() and namespace == proxy.namespace
