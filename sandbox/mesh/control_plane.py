"""What stands for istiod: while it runs, services and rules become the proxies' configuration, and every namespace
has its root certificate.

When it stops, what is in effect stays, as with the real one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sandbox.core import service_entry_hosts as service_entries
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.mesh import envoy_clusters, gateways, listeners, mesh_certificates, registry, route_tables, rules
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.debounced_watch import DebouncedWatch
from sandbox.mesh.envoy_clusters import Destination
from sandbox.mesh.mesh_certificates import Credential, RootCertificates
from sandbox.mesh.registry import SLICES, Proxy, Registry
from sandbox.mesh.registry import from_entries as from_entries
from sandbox.mesh.rules import Rules
from sandbox.mesh.validation import find_problems
from sandbox.mesh.xds.ads import Configuration

log = logging.getLogger(__name__)

GATEWAYS = "gateways.networking.istio.io"
VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
DESTINATION_RULES = "destinationrules.networking.istio.io"
_RULES = (GATEWAYS, VIRTUAL_SERVICES, DESTINATION_RULES, service_entries.RESOURCE)
_WATCHED = ("services", SLICES, "pods", "secrets", *_RULES)


@dataclass
class _Cache:
    """Proxies' configuration made from `origin`; good for as long as that stays the same."""

    origin: object
    made: dict[str, tuple[Proxy, Configuration]] = field(default_factory=dict)

    def valid_for(self, origin: object) -> _Cache:
        return self if self.origin == origin else _Cache(origin)

    def get(self, proxy: Proxy, make: Callable[[], Configuration]) -> Configuration:
        """A later pod may have the name of an earlier one, and then it has another address."""
        known = self.made.get(proxy.id)
        if known is None or known[0] is not proxy:
            known = self.made[proxy.id] = (proxy, make())
        return known[1]


_NOTHING = _Cache(None)


@dataclass(frozen=True, slots=True)
class _NamespaceView:
    """The mesh as proxies of one namespace see it, and what they were made of it."""

    services: Registry
    destinations: list[Destination]
    localities: list[tuple[Destination, list[dict[str, Any]]]]
    credentials: dict[str, Credential]
    by_services: _Cache
    by_rules: _Cache


class ControlPlane:
    """`start` and `stop` are called by each replica of istiod; any of them being there is enough."""

    def __init__(self, cluster: Cluster, data_plane: DataPlane) -> None:
        self._cluster, self._data_plane = cluster, data_plane
        self._replicas = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._roots = RootCertificates(cluster)
        self._watch = DebouncedWatch(cluster, _WATCHED, self._translate, self._relevant)
        self._labels: dict[str, Object] = {}
        self._views: dict[str, _NamespaceView] = {}
        self._credentials: frozenset[str] = frozenset()
        data_plane.changed.append(self._watch.trigger)

    def start(self) -> None:
        self._replicas += 1
        if not self._tasks:
            both = (self._watch, self._roots.watch)
            self._tasks = [asyncio.create_task(watch.run()) for watch in both]

    async def stop(self) -> None:
        self._replicas -= 1
        if self._replicas == 0:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _relevant(self, event: WatchEvent) -> bool:
        """All but what happens to pods while their labels stay (endpoints say the rest), and Secrets of others."""
        if event.resource == "secrets":
            return event.object["metadata"]["name"] in self._credentials
        if event.resource != "pods":
            return True
        metadata = event.object["metadata"]
        labels = metadata.get("labels") or {}
        if event.type == "DELETED":
            self._labels.pop(metadata["uid"], None)
            return False
        before = self._labels.get(metadata["uid"])
        self._labels[metadata["uid"]] = labels
        return before is not None and before != labels

    async def _translate(self) -> None:
        """What makes no sense, and came in while no webhook was asked, is for Envoy to refuse. When it cannot even
        be translated, the rules that make sense have their effect without it."""
        written = {kind: self._cluster.list(kind) for kind in _RULES}
        try:
            await self._publish(written)
        except Exception:
            valid = {kind: list(filter(_is_valid, found)) for kind, found in written.items()}
            if valid == written:
                raise
            self._views = {}
            await self._publish(valid)

    async def _publish(self, written: Mapping[str, list[Object]]) -> None:
        list_ = self._cluster.list
        own = registry.build(list_("services"), list_(SLICES), list_("pods"))
        entries = list(service_entries.hosts(written[service_entries.RESOURCE]))
        in_force = rules.build(*(written[kind] for kind in (GATEWAYS, VIRTUAL_SERVICES, DESTINATION_RULES)))
        self._credentials = mesh_certificates.credential_names(in_force.gateways)
        views: dict[str, _NamespaceView] = {}
        parts = {"shared": _shared()}
        for proxy in list(self._data_plane.proxies.values()):
            if proxy.namespace not in views:
                views[proxy.namespace] = self._view(proxy.namespace, own, entries, in_force)
            view = views[proxy.namespace]
            by_services, by_rules = view.by_services, view.by_rules
            services, secrets = view.services, view.credentials
            one = by_services.get(proxy, partial(_from_services, proxy, services, view.destinations))
            other = by_rules.get(proxy, partial(_from_rules, proxy, services, in_force, secrets))
            parts[proxy.id] = Configuration(
                one.clusters,
                envoy_clusters.assignments(proxy.id, view.localities),
                {**one.listeners, **other.listeners},
                other.routes,
            )
        self._views = views
        await self._data_plane.publish(parts)

    def _view(
        self, namespace: str, own: Registry, entries: list[service_entries.Host], in_force: Rules
    ) -> _NamespaceView:
        """What a namespace sees, with what was made for its proxies before as far as it is still good."""
        seen = service_entries.preferred(entries, namespace).values()
        services = own.with_others(from_entries(seen)) if seen else own
        before = self._views.get(namespace)
        secrets = self._cluster.list("secrets", namespace) if self._credentials else ()
        usable = mesh_certificates.credentials(
            self._credentials, {secret["metadata"]["name"]: secret for secret in secrets}
        )
        destinations = list(envoy_clusters.destinations(services, in_force, namespace))
        return _NamespaceView(
            services,
            destinations,
            envoy_clusters.localities(destinations),
            usable,
            (before.by_services if before else _NOTHING).valid_for((services, in_force.destination_rules)),
            (before.by_rules if before else _NOTHING).valid_for((services, in_force, usable)),
        )


def _is_valid(rule: Object) -> bool:
    problems = list(find_problems(rule["kind"], rule))
    if problems:
        name = f"{rule['kind']} {rule['metadata']['namespace']}/{rule['metadata']['name']}"
        log.warning("%s is left out: %s", name, "; ".join(problems))
    return not problems


# From services and rules to everything one proxy has in Envoy: pure functions


def _shared() -> Configuration:
    """What all proxies use together."""
    return Configuration(clusters={envoy_clusters.PASSTHROUGH: envoy_clusters.passthrough()})


def _from_services(proxy: Proxy, registry: Registry, destinations: Iterable[Destination]) -> Configuration:
    """What changes with services and DestinationRules only: clusters, and a sidecar's listeners."""
    destinations = list(destinations)
    own = {
        made["name"]: made
        for made in (envoy_clusters.cluster(proxy.id, destination) for destination in destinations)
    }
    if proxy.kind == "gateway":
        return Configuration(own)
    traffic = {
        (destination.service.host, destination.port.number): destination.traffic
        for destination in destinations
        if not destination.subset
    }
    opened = (listeners.sidecar(proxy, registry, traffic), listeners.health(proxy))
    return Configuration(own, listeners={listener["name"]: listener for listener in opened})


def _from_rules(
    proxy: Proxy, registry: Registry, rules: Rules, credentials: Mapping[str, Credential]
) -> Configuration:
    """What changes with VirtualServices and Gateways, too: route tables, and a gateway's listeners."""
    if proxy.kind == "gateway":
        opened, own = gateways.translate(proxy, registry, rules, credentials)
    else:
        opened, own = [], list(route_tables.sidecar_tables(proxy, registry, rules))
    return Configuration(
        listeners={made["name"]: made for made in opened}, routes={made["name"]: made for made in own}
    )
