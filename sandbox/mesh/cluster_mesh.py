"""The mesh of one cluster, composed: data plane, ways in from outside, admission hooks, programs.

Envoy and the load balancers are there from the start. Everything that is Istio's begins to act when `istioctl
install` has put Istio's own objects and workloads into the cluster, and ends when they are gone.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from sandbox.api import admission_webhooks as webhooks
from sandbox.core.cluster import Cluster
from sandbox.mesh import injection, istio_annotations, mesh_config, validation
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.gateway_names import Entrance, GatewayNames, Neighbours
from sandbox.mesh.istio import ISTIOD
from sandbox.mesh.istio_metrics import IstioMetrics
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.mesh_programs import programs
from sandbox.mesh.outside import Outside
from sandbox.mesh.proxy_statistics import ProxyStatistics


class Mesh:
    """Adds its admission hooks to `cluster`. `directory` is for Envoy's files; `programs` are for the node.

    A `lazy` one starts Envoy when there is something to listen for. `neighbours` are the clusters whose gateways it
    knows by name.
    """

    def __init__(
        self, cluster: Cluster, directory: Path, *, lazy: bool = False, neighbours: Neighbours | None = None
    ) -> None:
        self.data_plane = DataPlane(directory, lazy=lazy)
        services = KnownServices(cluster)
        self.control_plane = ControlPlane(cluster, self.data_plane, services)
        self._outside = Outside(cluster, self.data_plane, services)
        self._neighbours, self._name = neighbours or Neighbours(), str(directory)
        self._names = GatewayNames(cluster, lambda: self._neighbours.changed(self._name))
        self.control_plane.resolve = self._resolve
        metrics = IstioMetrics(cluster, self.data_plane.proxies, services)
        self.statistics = ProxyStatistics(self.data_plane, metrics)
        self.programs = programs(self.control_plane, self.data_plane, self.statistics)
        injecting = {(*ISTIOD, "/inject"): injection.service(cluster)}
        validating = {(*ISTIOD, "/validate"): partial(validation.validate, resolve=self._resolve)}
        cluster.admission.append(webhooks.hook(cluster, "mutating", injecting))
        cluster.validation += [
            webhooks.hook(cluster, "validating", validating),
            validation.require_support,
            istio_annotations.require_support,
            mesh_config.require_support,
        ]

    async def run(self) -> None:
        """Until cancelled."""
        self._neighbours.join(self._name, self._names, self.control_plane.refresh)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.data_plane.run())
                group.create_task(self._outside.run())
        finally:
            self._neighbours.leave(self._name)

    def _resolve(self, name: str) -> Entrance | None:
        return self._neighbours.lookup(self._name, name)
