"""The mesh of one cluster, composed: data plane, ways in from outside, admission hooks, programs.

Envoy and the load balancers are there from the start. Everything that is Istio's begins to act when `istioctl
install` has put Istio's own objects and workloads into the cluster, and ends when they are gone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.api import admission_webhooks as webhooks
from sandbox.core.cluster import Cluster
from sandbox.mesh import injection, istio_annotations, mesh_config, validation
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.istio import ISTIOD
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.mesh_programs import programs
from sandbox.mesh.outside import Outside


class Mesh:
    """Adds its admission hooks to `cluster`. `directory` is for Envoy's files; `programs` are for the node.

    A `lazy` one starts Envoy when there is something to listen for.
    """

    def __init__(self, cluster: Cluster, directory: Path, *, lazy: bool = False) -> None:
        self.data_plane = DataPlane(directory, lazy=lazy)
        services = KnownServices(cluster)
        self.control_plane = ControlPlane(cluster, self.data_plane, services)
        self._outside = Outside(cluster, self.data_plane, services)
        self.programs = programs(self.control_plane, self.data_plane)
        injecting = {(*ISTIOD, "/inject"): injection.service(cluster)}
        validating = {(*ISTIOD, "/validate"): validation.validate}
        cluster.admission.append(webhooks.hook(cluster, "mutating", injecting))
        cluster.validation += [
            webhooks.hook(cluster, "validating", validating),
            validation.require_support,
            istio_annotations.require_support,
            mesh_config.require_support,
        ]

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.data_plane.run())
            group.create_task(self._outside.run())
