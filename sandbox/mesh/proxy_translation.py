"""From services and rules to everything one proxy has in Envoy, kept in pieces: what a change does not touch stays
the same object, all the way to what Envoy is told.

It is what a translation from nothing would give at any moment; only the work follows the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.core import service_entry_hosts as service_entries
from sandbox.core.cluster import Object
from sandbox.core.turns import Turns
from sandbox.mesh import envoy_clusters, gateways, inbound, listeners, mesh_certificates, route_tables, tracing
from sandbox.mesh.access_logs import LoggedListeners
from sandbox.mesh.envoy_clusters import Destination
from sandbox.mesh.identities import Authority
from sandbox.mesh.inbound import Around, Served
from sandbox.mesh.kept import Kept
from sandbox.mesh.localities import Localities
from sandbox.mesh.mesh_certificates import Credential
from sandbox.mesh.mesh_config import OFF, AccessLog
from sandbox.mesh.registry import Endpoint, Proxy, Registry, Service, from_entry, names_in
from sandbox.mesh.route_tables import TableCache
from sandbox.mesh.rules import Rules
from sandbox.mesh.sidecar_scopes import Scope
from sandbox.mesh.stats_matchers import StatsMatchers
from sandbox.mesh.tracing import TracedListeners, Tracing
from sandbox.mesh.xds.ads import Configuration
from sandbox.mesh.xds.envoy_messages import Part

_Resources = Mapping[str, dict[str, Any]]


class NamespaceView:
    """The mesh as proxies of one namespace see it, or as much of it as is in their `scope`."""

    def __init__(self, namespace: str, scope: Scope | None = None) -> None:
        self.namespace, self._scope = namespace, scope
        self.rules = self._in_force = Rules()
        """Those of all that are in force that are known."""
        self.services = self.shape = Registry(())
        """`shape` is an earlier state of `services` that differs by endpoints at most."""
        self.destinations: list[Destination] = []
        self.localities: list[tuple[Destination, Localities]] = []
        """The ready endpoints of each destination that has any of its own."""
        self.credentials: dict[str, Credential] = {}
        self._made_of: tuple[object, ...] = (None, None, None)
        self._peers: tuple[Object, ...] = ()
        """PeerAuthentications: whoever takes no mTLS is not spoken to with it."""
        self._of_entry: Kept[tuple[str, str, str], Service] = Kept()
        self._of_service: Kept[str, list[Destination]] = Kept()
        self._meshed: Kept[str, bool] = Kept()
        self._of_endpoints: Kept[tuple[str, int, str], Localities] = Kept()

    async def update(
        self,
        own: Registry,
        entries: list[service_entries.Host],
        rules: Rules,
        secrets: Mapping[str, Object],
        wanted_secrets: frozenset[str],
        turns: Turns,
        peers: tuple[Object, ...] = (),
    ) -> None:
        self._peers = peers
        scope = self._scope
        if self._in_force is not rules:
            known_rules = scope.rules(rules) if scope else rules
            self.rules = self.rules if self.rules == known_rules else known_rules
            self._in_force = rules
        rules = self.rules
        made_of = (own, entries, rules if scope else None)
        if any(a is not b for a, b in zip(made_of, self._made_of, strict=True)):
            seen = scope.entries(entries) if scope else service_entries.preferred(entries, self.namespace)
            self._of_entry.turn()
            others = [
                service async for service in turns.between(self._from_entry(host, own) for host in seen.values())
            ]
            self.services = own.with_others(others) if others else own
            if scope is not None:
                known = turns.between(scope.services(self.services, rules))
                self.services = Registry(tuple([service async for service in known]), scope.closed)
            self._made_of = made_of
            await turns.give()
        if self.shape != self.services:
            self.shape = self.services
        self.services.stood_on.turn()
        usable = mesh_certificates.credentials(wanted_secrets, secrets)
        self.credentials = self.credentials if self.credentials == usable else usable
        self._of_service.turn()
        self._meshed.turn()
        found: list[Destination] = []
        async for destinations in turns.between(self._destinations(one, rules) for one in self.services.services):
            found += destinations
        self.destinations = self.destinations if self.destinations == found else found
        self._of_endpoints.turn()
        by_destination = [
            (destination, found_there)
            async for destination, found_there in turns.between(
                (destination, self._localities(destination))
                for destination in self.destinations
                if not destination.service.forwarded
            )
        ]
        self.localities = self.localities if self.localities == by_destination else by_destination

    def _from_entry(self, host: service_entries.Host, own: Registry) -> Service:
        named = {name: own.by_host[name] for name in names_in(host.entry["spec"]) if name in own.by_host}
        origin = (host, [service.endpoints for service in named.values()])
        return self._of_entry.get(
            (host.namespace, host.entry["metadata"]["name"], host.name), origin, partial(from_entry, host, named)
        )

    def _destinations(self, service: Service, rules: Rules) -> list[Destination]:
        policy = rules.policy(service.host, service.namespace, self.namespace)
        meshed = self._meshed.get(service.host, service.endpoints, lambda: inbound.has_sidecars(service))
        return self._of_service.get(
            service.host,
            (service, policy, meshed),
            lambda: list(envoy_clusters.destinations_of(service, policy, meshed=meshed)),
        )

    def _localities(self, destination: Destination) -> Localities:
        host, port = destination.service.host, destination.port.number
        # The destination's own service may be of before its endpoints changed.
        endpoints: tuple[Endpoint, ...] = self.services.by_host[host].endpoints[port]
        return self._of_endpoints.get(
            (host, port, destination.subset),
            (endpoints, destination.labels, self._peers),
            lambda: envoy_clusters.localities_of(
                envoy_clusters.selected(endpoints, destination.labels),
                partial(inbound.takes_mutual_tls, self._peers, destination.service.namespace),
            ),
        )


class ProxyTranslation:
    """What one proxy was told last."""

    def __init__(self, proxy: Proxy, authority: Authority) -> None:
        self.proxy, self._authority = proxy, authority
        self.told = Configuration()
        # Each with what it was made of: a translation may fail halfway, and go on from there.
        self._seen: tuple[object, ...] = ()
        self._destinations: list[Destination] | None = None
        self._connections: tuple[Object, ...] = ()
        self._localities: list[tuple[Destination, Localities]] | None = None
        self._labels: Mapping[str, str] = {}
        """The pod's, with where it is."""
        self._own_clusters: _Resources = {}
        self._own_endpoints: _Resources = {}
        self._tables = TableCache()
        self._clusters: Kept[tuple[str, int, str], dict[str, Any]] = Kept()
        self._assignments: Kept[str, dict[str, Any]] = Kept()
        self._chains: Kept[str, Part] = Kept()
        self._listeners: Kept[str, dict[str, Any]] = Kept()
        self._logged, self._logged_inbound = LoggedListeners(proxy), LoggedListeners(proxy)
        self._traced, self._traced_inbound = TracedListeners(proxy.id), TracedListeners(proxy.id)
        self._log, self._tracing = OFF, tracing.OFF
        self._matchers = StatsMatchers(proxy)
        self._own: list[dict[str, Any]] = []
        """A sidecar's listeners."""
        self._inbound: Kept[str, dict[str, Any]] = Kept()
        self._inbound_chains: Kept[str, Part] = Kept()
        self._inbound_seen: tuple[object, ...] = ()
        self._inbound_clusters: _Resources = {}
        self._inbound_listeners: list[dict[str, Any]] = []
        self._by_rules: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
        """A gateway's listeners, and route tables."""

    async def update(
        self,
        view: NamespaceView,
        around: Around,
        turns: Turns,
        log: AccessLog = OFF,
        tracing: Tracing = tracing.OFF,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Follow what has changed; `told` is it, wholly translated, afterwards. `labels` are the pod's, with where
        it is.

        What comes in does not depend on how much of the mesh the proxy knows: `around` is all of it.
        """
        rules = view.rules
        if (self._log, self._tracing) != (log, tracing):
            self._log, self._tracing, self._destinations = log, tracing, None
        if self._destinations is not view.destinations:
            self._clusters.turn()
            self._own_clusters = {
                cluster["name"]: cluster
                async for cluster in turns.between(self._cluster(destination) for destination in view.destinations)
            }
        if self._destinations is not view.destinations or self._connections != rules.of_connections:
            if self.proxy.kind == "sidecar":
                self._own = self._make_own(view, rules)
                await turns.give()
            self._destinations, self._connections = view.destinations, rules.of_connections
        labels = self.proxy.labels if labels is None else labels
        if self._localities is not view.localities or self._labels != labels:
            self._labels = labels
            self._assignments.turn()
            self._own_endpoints = {
                assignment["cluster_name"]: assignment
                async for assignment in turns.between(self._assignment(*each) for each in view.localities)
            }
            self._localities = view.localities
            await turns.give()
        await self._apply_rules(view, rules, turns)
        if self.proxy.kind == "sidecar":
            self._follow_inbound(around)
        told, (opened, tables) = self.told, self._by_rules
        every = (*self._own, *self._inbound_listeners, *opened)
        self.told = Configuration(
            _kept(told.clusters, {**self._own_clusters, **self._inbound_clusters}),
            _kept(told.endpoints, self._own_endpoints),
            _kept(told.listeners, {listener["name"]: listener for listener in every}),
            _kept(told.routes, {table["name"]: table for table in tables}),
        )
        await turns.give()

    def _follow_inbound(self, around: Around) -> None:
        proxy = self.proxy
        services = around.services.by_namespace.get(proxy.namespace, ())
        told = (self._log, self._tracing)
        seen = (services, around.rules, around.peers, around.policies, frozenset(proxy.ports), told)
        if self._inbound_seen == seen:
            return
        found = inbound.served(proxy, services, around.rules)
        guard = around.guard(proxy, self._authority)
        self._inbound.turn()
        self._inbound_chains.turn()
        made = [
            self._inbound.get(str(one.port), (one, self._tracing.possible), partial(self._inbound_cluster, one))
            for one in found
        ]
        self._inbound_clusters = {cluster["name"]: cluster for cluster in made}
        listener = inbound.listener(proxy, found, guard, self._inbound_chains)
        logged = self._logged_inbound.of([listener], self._log)
        (traced,) = self._traced_inbound.of(logged, self._tracing)
        self._inbound_listeners = [self._inbound.same("", self._matchers.of_listener(traced))]
        self._inbound_seen = seen

    def _inbound_cluster(self, one: Served) -> dict[str, Any]:
        return self._matchers.of_cluster(self._tracing.named(inbound.cluster(self.proxy, one)))

    def _cluster(self, destination: Destination) -> dict[str, Any]:
        key = (destination.service.host, destination.port.number, destination.subset)
        origin = (destination, self._tracing.possible)
        return self._clusters.get(key, origin, partial(self._make_cluster, destination))

    def _make_cluster(self, destination: Destination) -> dict[str, Any]:
        mode = (destination.traffic.get("tls") or {}).get("mode", "")
        if not mode and (destination.service.forwarded or not destination.meshed):
            mode = "DISABLE"  # nobody knows who is there, or nobody there has a sidecar
        http = destination.port.protocol in ("http", "http2")
        spoken = self._authority.spoken_to(self.proxy.identity, mode, http=http)
        made = envoy_clusters.cluster(self.proxy, destination, spoken)
        return self._matchers.of_cluster(self._tracing.named(made))

    def _assignment(self, destination: Destination, localities: Localities) -> dict[str, Any]:
        name, traffic = envoy_clusters.name_of(self.proxy.id, destination), destination.traffic
        origin = (localities, traffic, self._labels) if localities.depends(traffic) else localities
        return self._assignments.get(
            name, origin, lambda: envoy_clusters.assignment(name, localities.seen_from(self._labels, traffic))
        )

    def _make_own(self, view: NamespaceView, rules: Rules) -> list[dict[str, Any]]:
        traffic = {
            (destination.service.host, destination.port.number): destination.traffic
            for destination in view.destinations
            if not destination.subset
        }
        self._chains.turn()
        outbound = listeners.sidecar(self.proxy, view.services, traffic, self._chains, rules)
        opened = (outbound, listeners.health(self.proxy))
        return self._same(opened)

    async def _apply_rules(self, view: NamespaceView, rules: Rules, turns: Turns) -> None:
        """What changes with VirtualServices and Gateways, too: route tables, and a gateway's listeners."""
        proxy = self.proxy
        if proxy.kind == "gateway":
            seen: tuple[object, ...] = (view.services, rules, view.credentials, self._log, self._tracing)
        else:
            seen = (view.shape, rules)
        if self._seen and all(a is b for a, b in zip(seen, self._seen, strict=True)):
            return
        self._tables.turn(view.services, rules)
        if proxy.kind == "gateway":
            opened, tables = gateways.translate(proxy, view.services, rules, view.credentials, self._tables)
            self._by_rules = (self._same(opened), tables)
        else:
            made = []
            for table in route_tables.sidecar_tables(proxy, view.services, rules, self._tables):
                made.append(table)
                await turns.give()
            self._by_rules = ([], made)
        self._seen = seen

    def _same(self, opened: Any) -> list[dict[str, Any]]:
        self._listeners.turn()
        opened = self._traced.of(self._logged.of(opened, self._log), self._tracing)
        return [self._listeners.same(one["name"], self._matchers.of_listener(one)) for one in opened]


def _kept(before: _Resources, now: _Resources) -> _Resources:
    """The same mapping if it holds the same objects."""
    if before is now:
        return before
    return before if len(before) == len(now) and all(before.get(k) is v for k, v in now.items()) else now
