"""Route tables for Envoy (RDS): per proxy and port, which host's requests go by which routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import envoy_clusters, http_routes, rules
from sandbox.mesh.http_routes import Context
from sandbox.mesh.kept import Kept
from sandbox.mesh.registry import Proxy, Registry, Service
from sandbox.mesh.rules import MESH, Policies, Rules
from sandbox.mesh.xds.envoy_messages import Part


def table_name(proxy: Proxy, port: int) -> str:
    """As Istio's, behind the proxy's id: the port, or `http.` and the port of a gateway's pod."""
    return f"{proxy.id}/{'http.' if proxy.kind == 'gateway' else ''}{port}"


Domains = tuple[str, list[str], list[http_routes.Route]]
"""A virtual host to be: its name, what it is asked for by, and its routes."""


class TableCache:
    """One proxy's tables as they were made last: virtual hosts and routes of rules that did not change are the same
    objects, so that neither they are made anew nor what Envoy is told of them."""

    def __init__(self) -> None:
        self._translations: Kept[tuple[Any, ...], _Translation] = Kept()
        self._plain: Kept[tuple[str, int], list[http_routes.Route]] = Kept()
        self._virtual_hosts: Kept[tuple[str, str], Part] = Kept()
        self._tables: Kept[str, dict[str, Any]] = Kept()
        self._registry: Registry | None = None
        self._policies: Policies | None = None
        self._age = 0

    def turn(self, registry: Registry, rules: Rules) -> None:
        """All tables are about to be made once more, of these."""
        for kept in (self._translations, self._plain, self._virtual_hosts, self._tables):
            kept.turn()
        if self._registry != registry or self._policies is not rules.policies:
            self._age += 1
        self._registry, self._policies = registry, rules.policies

    def translate(self, rule: Object, context: Context) -> list[http_routes.Route]:
        """A rule's routes: they depend on it, on who asks, and on the ports (and perhaps policies) of the services
        that it leads to."""
        metadata = rule["metadata"]
        key = (metadata["namespace"], metadata["name"], context.port, context.gateway, context.tls)
        made = self._translations.get(key, rule, lambda: _Translation(http_routes.translate(rule, context)))
        if made.age != self._age:
            stands_on = http_routes.stands_on(rule, context)
            if made.stands_on not in (None, stands_on):
                made.routes = http_routes.translate(rule, context)
            made.age, made.stands_on = self._age, stands_on
        return made.routes

    def of_service(self, service: Service, candidates: list[Object], context: Context) -> list[http_routes.Route]:
        for rule in candidates:
            if chosen := self.translate(rule, context):
                return chosen
        origin = (service, context.rules.policies if context.rules.policies.hash else None)
        plain = {"host": service.host, "port": {"number": context.port}}
        return self._plain.get((service.host, context.port), origin, lambda: http_routes.to(plain, context))

    def table(self, name: str, wanted: Iterable[Domains]) -> dict[str, Any]:
        hosts = [
            self._virtual_hosts.get((name, host), (domains, routes), partial(_virtual_host, host, domains, routes))
            for host, domains, routes in _without_duplicates(wanted)
        ]
        return self._tables.get(name, hosts, lambda: _table(name, hosts))


@dataclass
class _Translation:
    """Good at the cache's `age`, and for as long as what it `stands_on` is the same."""

    routes: list[http_routes.Route]
    age: int = -1
    stands_on: object = None


def sidecar_tables(
    proxy: Proxy, registry: Registry, rules: Rules, cache: TableCache | None = None
) -> Iterator[dict[str, Any]]:
    """A table for every port on which some service speaks HTTP. Unknown hosts are passed through, or refused."""
    cache = cache or TableCache()
    in_force = rules.of_mesh(proxy.namespace)
    others = in_force.others(registry)
    for number, serving in registry.by_port.items():
        speaking = [service for service, port in serving if port.protocol != "tcp"]
        if speaking:
            context = Context(proxy, number, MESH, registry, rules)
            wanted: list[Domains] = [
                (f"{host}:{number}", [host], cache.translate(rule, context))
                for rule, names, ports in others
                if number in ports
                for host in names
            ]
            wanted += [
                (
                    f"{service.host}:{number}",
                    service.domains(proxy.namespace),
                    cache.of_service(service, in_force.candidates(service.host), context),
                )
                for service in speaking
            ]
            wanted.append(("block_all" if registry.closed else "allow_any", ["*"], _OTHERS[registry.closed]))
            yield cache.table(table_name(proxy, number), wanted)


_OTHERS = {False: http_routes.passing(envoy_clusters.PASSTHROUGH), True: http_routes.refusing(502)}


def gateway_table(
    proxy: Proxy,
    port: int,
    servers: Iterable[tuple[Object, Object]],
    registry: Registry,
    rules: Rules,
    *,
    name: str | None = None,
    https_port: int = 443,
    cache: TableCache | None = None,
) -> dict[str, Any]:
    """The table of a gateway's `port`: `servers` are the Gateways (and their servers) that open it.

    A host gets the routes of all VirtualServices for it, the oldest first, but a route that takes everything comes
    last. What no rule is for is answered with 404. A server may send all its hosts' requests to `https_port`.
    """
    cache = cache or TableCache()
    found: dict[str, list[http_routes.Route]] = {}
    for gateway, server in servers:
        full_name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        context = Context(proxy, server["port"]["number"], full_name, registry, rules, name is not None)
        redirected = (server.get("tls") or {}).get("httpsRedirect", False)
        for rule in rules.of_gateway(gateway, proxy.namespace):
            for host in common_hosts(server["hosts"], gateway, rule):
                chosen = http_routes.to_https(https_port) if redirected else cache.translate(rule, context)
                found.setdefault(host, []).extend(chosen)
        if redirected:
            for host in server["hosts"]:
                found.setdefault(host.rpartition("/")[2], []).extend(http_routes.to_https(https_port))
    return cache.table(
        name or table_name(proxy, port),
        [
            (f"{host}:{port}", [host], sorted(host_routes, key=http_routes.takes_everything))
            for host, host_routes in found.items()
        ],
    )


def common_hosts(server_hosts: list[str], gateway: Object, virtual_service: Object) -> Iterator[str]:
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


def _virtual_host(name: str, domains: list[str], chosen: list[http_routes.Route]) -> Part:
    return Part(name=name, domains=domains, routes=chosen, include_request_attempt_count=True)


def _table(name: str, virtual_hosts: list[Part]) -> dict[str, Any]:
    return {
        "name": name,
        "virtual_hosts": virtual_hosts,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 1024 * 1024,
    }


def _without_duplicates(wanted: Iterable[Domains]) -> Iterator[Domains]:
    """A domain stays where it is first, and one without routes is left to the next: Envoy takes none twice."""
    taken: set[str] = set()
    for host, names, routes in wanted:
        if routes and (domains := [name for name in dict.fromkeys(names) if name not in taken]):
            taken.update(domains)
            yield host, domains, routes
