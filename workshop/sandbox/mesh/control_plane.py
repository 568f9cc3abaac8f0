"""What stands for istiod: while it runs, services and rules become the proxies' configuration.

When it stops, what is in effect stays, as with the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from workshop.sandbox.cluster import Cluster, Object, WatchEvent

from . import clusters, registry, rules, translation
from .data_plane import DataPlane
from .reaction import Reaction
from .xds.ads import Configuration

GATEWAYS = "gateways.networking.istio.io"
VIRTUAL_SERVICES = "virtualservices.networking.istio.io"
DESTINATION_RULES = "destinationrules.networking.istio.io"
_SLICES = "endpointslices.discovery.k8s.io"
_WATCHED = ("services", _SLICES, "pods", GATEWAYS, VIRTUAL_SERVICES, DESTINATION_RULES)


@dataclass
class _Kept:
    """Proxies' configuration made from `origin`; good for as long as that stays the same."""

    origin: object
    made: dict[str, Configuration] = field(default_factory=dict)

    def still(self, origin: object) -> _Kept:
        return self if self.origin == origin else _Kept(origin)


class ControlPlane:
    """`start` and `stop` are called by each replica of istiod; any of them being there is enough."""

    def __init__(self, cluster: Cluster, data_plane: DataPlane) -> None:
        self._cluster, self._data_plane = cluster, data_plane
        self._replicas = 0
        self._task: asyncio.Task[None] | None = None
        self._reaction = Reaction(cluster, _WATCHED, self._translate, self._relevant)
        self._labels: dict[str, Object] = {}
        self._services = self._rules = _Kept(None)
        data_plane.changed.append(self._reaction.trigger)

    @property
    def running(self) -> bool:
        return self._replicas > 0

    def start(self) -> None:
        self._replicas += 1
        if self._task is None:
            self._task = asyncio.create_task(self._reaction.run())

    async def stop(self) -> None:
        self._replicas -= 1
        if self._replicas == 0 and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _relevant(self, event: WatchEvent) -> bool:
        """Everything but what happens to pods while their labels stay: endpoints say the rest."""
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
        list_ = self._cluster.list
        services = registry.build(list_("services"), list_(_SLICES), list_("pods"))
        in_force = rules.build(list_(GATEWAYS), list_(VIRTUAL_SERVICES), list_(DESTINATION_RULES))
        self._services = self._services.still((services, in_force.destination_rules))
        self._rules = self._rules.still((services, in_force))
        targets = {}
        parts = {"shared": translation.shared()}
        for proxy in list(self._data_plane.proxies.values()):
            if proxy.namespace not in targets:
                found = list(clusters.targets(services, in_force, proxy.namespace))
                targets[proxy.namespace] = found, translation.localities(found)
            found, localities = targets[proxy.namespace]
            if proxy.id not in self._services.made:
                self._services.made[proxy.id] = translation.from_services(proxy, services, found)
            if proxy.id not in self._rules.made:
                self._rules.made[proxy.id] = translation.from_rules(proxy, services, in_force)
            one, other = self._services.made[proxy.id], self._rules.made[proxy.id]
            parts[proxy.id] = Configuration(
                one.clusters,
                translation.assignments(proxy, localities),
                {**one.listeners, **other.listeners},
                other.routes,
            )
        await self._data_plane.publish(parts)
