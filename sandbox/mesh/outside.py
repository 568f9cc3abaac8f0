"""The ways into a cluster from outside: node ports, and addresses of load balancers. Only services that have one
are looked at, however many others there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.core import addresses
from sandbox.core.addresses import INSTEAD
from sandbox.core.cluster import Cluster, Object, WatchEvent
from sandbox.mesh import envoy_clusters, listeners, stats_matchers
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.debounced_watch import DebouncedWatch
from sandbox.mesh.istio import PORTS_NOTE
from sandbox.mesh.kept import Kept
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.registry import DOMAIN, SERVICE_NAME, SLICES
from sandbox.mesh.xds.ads import Configuration

_PART = "outside"
_BYTES = "upstream_cx_rx_bytes_total"
"""What is counted of each way in: what comes back out of the cluster."""
TRAFFIC = f"/stats?usedonly&filter=%5Ecluster%5C.outside%5C%7C.*{_BYTES}%24"
"""What Envoy is asked for that."""


class Outside:
    """`run` tells the data plane of them, until cancelled."""

    def __init__(self, cluster: Cluster, data_plane: DataPlane, services: KnownServices) -> None:
        self._cluster, self._data_plane, self._services = cluster, data_plane, services
        self._open: dict[tuple[str, str], None] = {}
        """The services that are reached from outside."""
        self._touched = False
        """Whether one of them came, changed or went."""
        self._clusters: Kept[str, dict[str, Any]] = Kept()
        self._endpoints: Kept[str, dict[str, Any]] = Kept()
        self._listeners: Kept[str, dict[str, Any]] = Kept()
        cluster.observe("services", self._note)

    async def run(self) -> None:
        watched = ("services", SLICES, "nodes")
        await DebouncedWatch(self._cluster, watched, self._publish, self._relevant).run()

    def _note(self, old: Object | None, new: Object | None) -> None:
        for service in (old, new):
            if service is None:
                continue
            place = (service["metadata"]["namespace"], service["metadata"]["name"])
            if service is old:
                self._touched |= self._open.pop(place, "") is None
            elif any(ways_in(service, port, ["node"]) for port in service["spec"].get("ports") or ()):
                self._open[place] = None
                self._touched = True

    def _relevant(self, event: WatchEvent) -> bool:
        metadata = event.object["metadata"]
        if event.resource == "services":
            return self._touched
        if event.resource == SLICES:
            owner = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
            return self._touched or (metadata["namespace"], owner) in self._open
        return True

    async def _publish(self) -> None:
        self._touched = False
        nodes = [
            address["address"]
            for node in self._cluster.list("nodes")
            for address in (node.get("status") or {}).get("addresses") or []
            if address["type"] == "InternalIP"
        ]
        known = self._services.registry().by_host
        for kept in (self._clusters, self._endpoints, self._listeners):
            kept.turn()
        clusters, endpoints, opened = {}, {}, {}
        for namespace, name in sorted(self._open):
            service, host = self._cluster.get("services", namespace, name), f"{name}.{namespace}.{DOMAIN}"
            for port in service["spec"].get("ports") or []:
                where, number = ways_in(service, port, nodes), port["port"]
                if where and host in known and known[host].port(number):
                    way = f"outside|{number}|{name}.{namespace}"
                    ready = envoy_clusters.localities_of(known[host].endpoints[number], lambda _: False).alike
                    counted = stats_matchers.only(envoy_clusters.eds(way), _BYTES)
                    clusters[way] = self._clusters.same(way, counted)
                    endpoints[way] = self._endpoints.same(way, envoy_clusters.assignment(way, ready))
                    opened[way] = self._listeners.same(way, listeners.forward(way, where, way))
        await self._data_plane.publish({_PART: Configuration(clusters, endpoints, opened)})


def ways_in(service: Object, port: Object, nodes: Iterable[str]) -> list[tuple[str, int]]:
    """Addresses and ports at which a service's port is reached."""
    where = [(address, port["nodePort"]) for address in nodes if port.get("nodePort")]
    number, every = port["port"], {one["port"] for one in service["spec"].get("ports") or ()}
    numbers = [*addresses.entered_at(number, every), *_well_known(service, number, every)]
    return where + [(address, one) for address in _balancer_addresses(service) for one in numbers]


def _well_known(service: Object, number: int, every: set[int]) -> list[int]:
    """80 for 8080 and 443 for 8443 of a gateway whose Service has these in their stead, where the kernel lets
    anybody listen there: `http://HOST/` leads to it then, as on a real cluster."""
    noted = PORTS_NOTE in (service["metadata"].get("annotations") or {})
    instead = {stand_in: known for known, stand_in in INSTEAD.items()}.get(number)
    return [instead] if noted and instead and instead not in every and addresses.may_listen(instead) else []


def _balancer_addresses(service: Object) -> Iterable[str]:
    status = (service.get("status") or {}).get("loadBalancer") or {}
    return [ingress["ip"] for ingress in status.get("ingress") or () if ingress.get("ip")]
