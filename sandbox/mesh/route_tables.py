"""Route tables for Envoy (RDS): per proxy and port, which host's requests go by which routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import envoy_clusters, http_routes, rules
from sandbox.mesh.http_routes import Context
from sandbox.mesh.registry import Port, Proxy, Registry, Service
from sandbox.mesh.rules import MESH, MeshRules, Rules


def table_name(proxy: Proxy, port: int) -> str:
    """As Istio's, behind the proxy's id: the port, or `http.` and the port of a gateway's pod."""
    return f"{proxy.id}/{'http.' if proxy.kind == 'gateway' else ''}{port}"


def sidecar_tables(proxy: Proxy, registry: Registry, rules: Rules) -> Iterator[dict[str, Any]]:
    """A table for every port on which some service speaks HTTP. Unknown hosts are passed through."""
    in_force = rules.of_mesh(proxy.namespace)
    others = list(in_force.others(registry))
    for number, serving in registry.by_port.items():
        speaking = [(service, port) for service, port in serving if port.protocol != "tcp"]
        if speaking:
            context = Context(proxy, number, MESH, registry, rules)
            virtual_hosts = [
                _virtual_host(f"{host}:{number}", [host], http_routes.translate(rule, context))
                for rule, names, ports in others
                if number in ports
                for host in names
            ]
            virtual_hosts += [_service_host(context, service, port, in_force) for service, port in speaking]
            virtual_hosts.append(
                _virtual_host("allow_any", ["*"], http_routes.to_cluster(envoy_clusters.PASSTHROUGH))
            )
            yield _table(table_name(proxy, number), virtual_hosts)


def gateway_table(
    proxy: Proxy,
    port: int,
    servers: Iterable[tuple[Object, Object]],
    registry: Registry,
    rules: Rules,
    *,
    name: str | None = None,
    https_port: int = 443,
) -> dict[str, Any]:
    """The table of a gateway's `port`: `servers` are the Gateways (and their servers) that open it.

    A host gets the routes of all VirtualServices for it, the oldest first, but a route that takes everything comes
    last. What no rule is for is answered with 404. A server may send all its hosts' requests to `https_port`.
    """
    found: dict[str, list[http_routes.Route]] = {}
    for gateway, server in servers:
        full_name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        context = Context(proxy, server["port"]["number"], full_name, registry, rules, name is not None)
        redirected = (server.get("tls") or {}).get("httpsRedirect", False)
        for rule in rules.of_gateway(gateway, proxy.namespace):
            for host in _common_hosts(server["hosts"], gateway, rule):
                chosen = http_routes.to_https(https_port) if redirected else http_routes.translate(rule, context)
                found.setdefault(host, []).extend(chosen)
        if redirected:
            for host in server["hosts"]:
                found.setdefault(host.rpartition("/")[2], []).extend(http_routes.to_https(https_port))
    return _table(
        name or table_name(proxy, port),
        [
            _virtual_host(f"{host}:{port}", [host], sorted(host_routes, key=http_routes.takes_everything))
            for host, host_routes in found.items()
        ],
    )


def _common_hosts(server_hosts: list[str], gateway: Object, virtual_service: Object) -> Iterator[str]:
    """The hosts a gateway's server and a VirtualService agree on; a server may say for which namespace."""
    metadata = virtual_service["metadata"]
    for server_host in server_hosts:
        namespace, slash, host = server_host.rpartition("/")
        namespace = gateway["metadata"]["namespace"] if namespace == "." else namespace
        if slash and namespace not in ("*", metadata["namespace"]):
            continue
        for rule_host in virtual_service["spec"]["hosts"]:
            common = rules.overlap(host, rules.full_host(rule_host, metadata["namespace"]))
            if common is not None:
                yield common


def _service_host(context: Context, service: Service, port: Port, in_force: MeshRules) -> dict[str, Any]:
    names = service.domains(context.proxy.namespace)
    for rule in in_force.candidates(service.host):
        if chosen := http_routes.translate(rule, context):
            return _virtual_host(f"{service.host}:{port.number}", names, chosen)
    plain = {"host": service.host, "port": {"number": port.number}}
    return _virtual_host(f"{service.host}:{port.number}", names, http_routes.to(plain, context))


def _virtual_host(name: str, domains: list[str], chosen: list[http_routes.Route]) -> dict[str, Any]:
    return {"name": name, "domains": domains, "routes": chosen, "include_request_attempt_count": True}


def _table(name: str, virtual_hosts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "virtual_hosts": list(_without_duplicates(virtual_hosts)),
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 1024 * 1024,
    }


def _without_duplicates(virtual_hosts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A name stays where it is first, and one without routes is left to the next: Envoy takes none twice."""
    taken: set[str] = set()
    for virtual_host in virtual_hosts:
        if virtual_host["routes"]:
            domains = [name for name in dict.fromkeys(virtual_host["domains"]) if name not in taken]
            if domains:
                taken.update(domains)
                yield {**virtual_host, "domains": domains}
