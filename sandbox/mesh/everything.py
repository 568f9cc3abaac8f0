"""The mesh of one cluster, composed: data plane, ways in from outside, admission hooks, programs.

Envoy and the load balancers are there from the start. Everything that is Istio's begins to act when `istioctl
install` has put Istio's own objects and workloads into the cluster, and ends when they are gone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.api import webhooks
from sandbox.core.cluster import Cluster
from sandbox.mesh import injection, load_balancers, registry, validation
from sandbox.mesh.annotations import require_support
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.programs import programs
from sandbox.mesh.reaction import Reaction
from sandbox.mesh.version import ISTIOD

_SLICES = "endpointslices.discovery.k8s.io"
_OUTSIDE = "outside"


class Mesh:
    """Adds its admission hooks to `cluster`. `directory` is for Envoy's files; `programs` are for the node.

    A `lazy` one starts Envoy when there is something to listen for.
    """

    def __init__(self, cluster: Cluster, directory: Path, *, lazy: bool = False) -> None:
        self._cluster = cluster
        self.data_plane = DataPlane(directory, lazy=lazy)
        self.control_plane = ControlPlane(cluster, self.data_plane)
        self.programs = programs(self.control_plane, self.data_plane)
        injecting = {(*ISTIOD, "/inject"): injection.service(cluster)}
        validating = {(*ISTIOD, "/validate"): validation.validate}
        cluster.admission.append(webhooks.hook(cluster, "mutating", injecting))
        cluster.validation += [
            webhooks.hook(cluster, "validating", validating),
            validation.require_support,
            require_support,
        ]

    async def run(self) -> None:
        """Until cancelled."""
        outside = Reaction(self._cluster, ("services", _SLICES, "nodes"), self._publish_outside)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.data_plane.run())
            group.create_task(outside.run())

    async def _publish_outside(self) -> None:
        list_ = self._cluster.list
        services = list_("services")
        known = registry.build(services, list_(_SLICES), ())
        made = load_balancers.translate(services, list_("nodes"), known)
        await self.data_plane.publish({_OUTSIDE: made})
