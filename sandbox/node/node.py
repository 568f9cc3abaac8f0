"""The nodes of the sandbox: what runs the pods bound to them, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sandbox.core.addresses import Network
from sandbox.core.cluster import Cluster, Object
from sandbox.core.node_pool import NodePool
from sandbox.images.program import Factory
from sandbox.network.directory import Directory
from sandbox.node.machines import Machines
from sandbox.node.pod_run import PodRun
from sandbox.node.pod_support import PodSupport
from sandbox.node.streams import StreamServer

_POOL = NodePool()


class Node:
    """All nodes at once: one kubelet's work for each pod that was bound to any of them.

    `run` until cancelled, then `stop`. `streams` answers the pods' log, exec, attach and portforward requests.
    """

    def __init__(
        self, cluster: Cluster, network: Network, programs: Mapping[str, Factory], pool: NodePool = _POOL
    ) -> None:
        self._cluster, self._network, self._programs = cluster, network, programs
        self._machines = Machines(cluster, network)
        self._directory = Directory(cluster)
        self._pods: dict[str, PodRun] = {}
        self.streams = StreamServer(self.find)
        cluster.admission.append(PodSupport())
        self._machines.register(pool)

    def scale(self, pool: NodePool) -> None:
        """Have the nodes of this pool from now on. Pods of a node that goes are lost."""
        self._machines.register(pool)

    def find(self, pod: Object) -> PodRun | None:
        """What runs this pod here."""
        return self._pods.get(pod["metadata"]["uid"])

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._directory.run(), name="directory")
            group.create_task(self._machines.keep(), name="leases")
            group.create_task(self._follow_pods(group), name="kubelet")

    async def _follow_pods(self, group: asyncio.TaskGroup) -> None:
        async for event in self._cluster.watch("pods"):
            uid = event.object["metadata"]["uid"]
            run = self._pods.get(uid)
            if event.type == "DELETED":
                if run is not None:
                    del self._pods[uid]
                    group.create_task(run.removed())
            elif run is not None:
                run.update(event.object)
            elif address := self._machines.addresses.get(event.object["spec"].get("nodeName", "")):
                run = self._pods[uid] = PodRun(
                    event.object, self._cluster, self._network, self._directory, self._programs, address
                )
                run.update(event.object)

    async def stop(self) -> None:
        """End all pods at once; their objects stay."""
        runs = list(self._pods.values())
        self._pods.clear()
        await asyncio.gather(*(run.removed() for run in runs))
