"""What stands for istiod: while it runs, services and rules become the proxies' configuration, and every namespace
has its root certificate.

When it stops, what is in effect stays, as with the real one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sandbox.core import service_entry_hosts as service_entries
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.core.istio_exports import ByAge
from sandbox.core.turns import Turns
from sandbox.mesh import (
    delegates,
    envoy_clusters,
    gateway_names,
    mesh_certificates,
    mesh_config,
    rules,
    telemetry,
    tracing,
    zipkin_relay,
)
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.debounced_watch import DebouncedWatch
from sandbox.mesh.gateway_names import Entrance, Resolve
from sandbox.mesh.identities import Authority
from sandbox.mesh.inbound import Around
from sandbox.mesh.istio import ISTIO_NAMESPACE
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.mesh_certificates import RootCertificates
from sandbox.mesh.mesh_config import MeshConfig
from sandbox.mesh.proxy_translation import NamespaceView, ProxyTranslation
from sandbox.mesh.registry import SLICES, Proxy
from sandbox.mesh.rules import Rules
from sandbox.mesh.sidecar_scopes import Scope, Scopes
from sandbox.mesh.validation import find_problems
from sandbox.mesh.xds.ads import Configuration

log = logging.getLogger(__name__)

GATEWAYS = "gateways.networking.istio.io"
VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
DESTINATION_RULES = "destinationrules.networking.istio.io"
SIDECARS = "sidecars.networking.istio.io"
PEER_AUTHENTICATIONS = "peerauthentications.security.istio.io"
AUTHORIZATION_POLICIES = "authorizationpolicies.security.istio.io"
TELEMETRIES = "telemetries.telemetry.istio.io"
_RULES = (
    *(GATEWAYS, VIRTUAL_SERVICES, DESTINATION_RULES, SIDECARS, service_entries.RESOURCE),
    *(PEER_AUTHENTICATIONS, AUTHORIZATION_POLICIES, TELEMETRIES),
)
_WATCHED = ("services", SLICES, "pods", "nodes", "secrets", "configmaps", *_RULES)


_Seer = tuple[str, Scope | None]
"""A namespace, and what a Sidecar says that its proxies (or some of them) know of the mesh."""


class ControlPlane:
    """`start` and `stop` are called by each replica of istiod; any of them being there is enough."""

    def __init__(
        self,
        cluster: Cluster,
        data_plane: DataPlane,
        services: KnownServices | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._cluster, self._data_plane = cluster, data_plane
        self._services = services or KnownServices(cluster)
        self._replicas = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.authority = authority or Authority()
        self._roots = RootCertificates(cluster, self.authority)
        self.resolve: Resolve = _nowhere
        """Where names that are not of this cluster lead to."""
        self._watch = DebouncedWatch(cluster, _WATCHED, self._translate, self._relevant)
        self._noted = 0
        """Of the services' changes, those that are translated."""
        self._written = {kind: ByAge() for kind in _RULES}
        for kind, aged in self._written.items():
            cluster.observe(kind, aged)
        self._rules = Rules()
        self._entries: tuple[tuple[Object, ...], list[service_entries.Host]] = ((), [])
        """ServiceEntries, and their hosts."""
        self._mesh: tuple[Object | None, MeshConfig] = (None, MeshConfig())
        """The ConfigMap, and what it says."""
        self._views: dict[_Seer, NamespaceView] = {}
        self._translations: dict[str, ProxyTranslation] = {}
        self._credentials: frozenset[str] = frozenset()
        data_plane.changed.append(self._watch.trigger)

    def refresh(self) -> None:
        """Something that it does not watch may have changed, such as where names lead to."""
        self._watch.trigger()

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
        """All but Secrets and ConfigMaps of others, and what happens to pods and nodes and leaves services as they
        are."""
        if event.resource == "secrets":
            return event.object["metadata"]["name"] in self._credentials
        if event.resource == "configmaps":
            metadata = event.object["metadata"]
            return (metadata["namespace"], metadata["name"]) == (ISTIO_NAMESPACE, mesh_config.NAME)
        return event.resource not in ("pods", "nodes") or self._services.noted != self._noted

    async def _translate(self) -> None:
        """What makes no sense, and came in while no webhook was asked, is for Envoy to refuse. When it cannot even
        be translated, the rules that make sense have their effect without it."""
        written = {kind: aged.all() for kind, aged in self._written.items()}
        try:
            await self._publish(written)
        except Exception:
            valid = {kind: tuple(filter(_is_valid, found)) for kind, found in written.items()}
            if valid == written:
                raise
            await self._publish(valid)

    async def _publish(self, written: Mapping[str, tuple[Object, ...]]) -> None:
        own, self._noted = self._services.registry(), self._services.noted
        turns = Turns()
        if self._entries[0] != (found := gateway_names.resolved(written[service_entries.RESOURCE], self.resolve)):
            self._entries = (found, [host async for host in turns.between(service_entries.hosts(found))])
        in_force = self._rules = rules.in_force(
            written[GATEWAYS],
            delegates.resolved(written[VIRTUAL_SERVICES]),
            written[DESTINATION_RULES],
            self._rules,
            authorization_policies=written[AUTHORIZATION_POLICIES],
        )
        self._credentials = mesh_certificates.credential_names(in_force.gateways)
        around = Around(own, in_force, written[PEER_AUTHENTICATIONS], written[AUTHORIZATION_POLICIES])
        proxies = list(self._data_plane.proxies.values())
        scopes = Scopes(written[SIDECARS])
        seers = {proxy.id: (proxy.namespace, scopes.of(proxy)) for proxy in proxies}
        self._views = {
            seer: self._views.get(seer) or NamespaceView(*seer) for seer in dict.fromkeys(seers.values())
        }
        for (namespace, _), view in self._views.items():
            secrets = self._cluster.list("secrets", namespace) if self._credentials else ()
            by_name = {secret["metadata"]["name"]: secret for secret in secrets}
            peers = written[PEER_AUTHENTICATIONS]
            await view.update(own, self._entries[1], in_force, by_name, self._credentials, turns, peers)
        self._translations = {proxy.id: self._translation(proxy) for proxy in proxies}
        mesh = self._mesh_config()
        for translation in self._translations.values():
            proxy, view = translation.proxy, self._views[seers[translation.proxy.id]]
            labels = self._services.labels_of_pod(proxy.namespace, proxy.name)
            concerned = telemetry.concerning(written[TELEMETRIES], proxy.namespace, proxy.labels)
            log = telemetry.access_log(concerned, mesh)
            if log.file:
                self._data_plane.access_logs.open()
            traced = tracing.of_proxy(proxy, concerned, mesh, view.services)
            await translation.update(view, around, turns, log, traced, labels)
        # Some may have ended, or come anew under their name, while the loop had its turns.
        present = {
            proxy.id: self._translations[proxy.id].told
            for proxy in proxies
            if self._data_plane.proxies.get(proxy.id) is proxy
        }
        relay = _RELAY if any(provider.kind == "zipkin" for provider in mesh.providers) else _NOTHING
        await self._data_plane.publish({"shared": _SHARED, "zipkin": relay, **present})

    def _mesh_config(self) -> MeshConfig:
        """What came in while the sandbox's own check was not there counts as nothing."""
        found = self._cluster.find("configmaps", ISTIO_NAMESPACE, mesh_config.NAME)
        if found is not self._mesh[0]:
            try:
                wanted = mesh_config.read(((found or {}).get("data") or {}).get(mesh_config.KEY) or "")
            except ValueError as error:
                log.warning("the mesh's configuration is left out: %s", error)
                wanted = MeshConfig()
            self._mesh = found, wanted
        return self._mesh[1]

    def _translation(self, proxy: Proxy) -> ProxyTranslation:
        """A later pod may have the name of an earlier one, and then it has another address."""
        known = self._translations.get(proxy.id)
        return known if known is not None and known.proxy is proxy else ProxyTranslation(proxy, self.authority)


_SHARED = Configuration(clusters={cluster["name"]: cluster for cluster in envoy_clusters.shared()})
"""What all proxies use together."""
_RELAY, _NOTHING = zipkin_relay.shared(), Configuration()


def _nowhere(name: str) -> Entrance | None:
    return None


def _is_valid(rule: Object) -> bool:
    problems = list(find_problems(rule["kind"], rule))
    if problems:
        name = f"{rule['kind']} {rule['metadata']['namespace']}/{rule['metadata']['name']}"
        log.warning("%s is left out: %s", name, "; ".join(problems))
    return not problems
