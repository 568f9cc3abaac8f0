"""The nodes of the sandbox: objects that are always there and ready, and what runs the pods bound to them.

They look like the node pool of the cluster the workshop makes on Azure. Nothing runs *in* them: a node is an
address and a name pods are bound to, and all pods run in this process.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping

from sandbox.controllers.readiness import has_ended
from sandbox.core.addresses import Network
from sandbox.core.cluster import Cluster, Object
from sandbox.core.constants import SANDBOX_VERSION
from sandbox.core.node_pool import NodePool
from sandbox.core.objects import micro_timestamp, timestamp
from sandbox.images.program import Factory
from sandbox.network.directory import Directory
from sandbox.node.environment import NODE_CPU, NODE_MEMORY
from sandbox.node.pod_run import PodRun
from sandbox.node.pod_support import PodSupport
from sandbox.node.streams import StreamServer

RENEW_SECONDS = 10
_LEASE = "leases.coordination.k8s.io"
_LEASES = "kube-node-lease"
_MANAGER = "kubelet"

_READY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class NodeObjects:
    """Registers the nodes and keeps their leases."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self._cluster, self._network = cluster, network
        self.addresses: dict[str, str] = {}

    def register(self, pool: NodePool) -> None:
        """Have the nodes of this pool from now on, and no others."""
        there = self.addresses
        self.addresses = {pool.node(index): self._network.node_address(index) for index in range(pool.count)}
        for node in there.keys() - self.addresses.keys():
            self._cluster.delete("nodes", None, node)
            self._cluster.delete(_LEASE, _LEASES, node)
        for node, address in self.addresses.items():
            if self._cluster.find("nodes", None, node) is None:
                self._cluster.create("nodes", _node(node, address, pool), manager=_MANAGER)
            self._renew(node)

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for node in self.addresses:
                self._renew(node)

    def _renew(self, node: str) -> None:
        now = micro_timestamp()

        def renew(lease: Object) -> None:
            lease["spec"]["renewTime"] = now

        if self._cluster.edit(_LEASE, _LEASES, node, renew, manager=_MANAGER) is None:
            lease = {
                "metadata": {"name": node, "namespace": _LEASES},
                "spec": {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now},
            }
            self._cluster.create(_LEASE, lease, manager=_MANAGER)


def _node(node: str, address: str, pool: NodePool) -> Object:
    now = timestamp()
    capacity = {
        "cpu": NODE_CPU,
        "memory": NODE_MEMORY,
        "ephemeral-storage": "128Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": str(pool.max_pods),
    }
    return {
        "metadata": {
            "name": node,
            "labels": {
                "agentpool": pool.name,
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.azure.com/agentpool": pool.name,
                "kubernetes.azure.com/mode": "system",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": node,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": pool.size,
            },
        },
        "spec": {"providerID": f"sandbox://{node}"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": node}],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for kind, status, reason, message in _READY
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": str(uuid.uuid4()),
                "containerRuntimeVersion": "sandbox://1",
                "kernelVersion": "sandbox",
                "kubeProxyVersion": SANDBOX_VERSION,
                "kubeletVersion": SANDBOX_VERSION,
                "machineID": uuid.uuid4().hex,
                "operatingSystem": "linux",
                "osImage": "Mesh Workshop Sandbox",
                "systemUUID": str(uuid.uuid4()),
            },
        },
    }


_POOL = NodePool()


class Node:
    """All nodes at once: one kubelet's work for each pod that was bound to any of them.

    `run` until cancelled, then `stop`. `streams` answers the pods' log, exec, attach and portforward requests.
    """

    def __init__(
        self, cluster: Cluster, network: Network, programs: Mapping[str, Factory], pool: NodePool = _POOL
    ) -> None:
        self._cluster, self._network, self._programs = cluster, network, programs
        self._node_objects = NodeObjects(cluster, network)
        self.directory = Directory(cluster)
        self._pods: dict[str, PodRun] = {}
        self.streams = StreamServer(self.run_of)
        cluster.admission.append(PodSupport())
        self._node_objects.register(pool)

    def scale(self, pool: NodePool) -> None:
        """Have the nodes of this pool from now on. Pods of a node that goes are lost."""
        self._node_objects.register(pool)

    def run_of(self, pod: Object) -> PodRun | None:
        """What runs this pod here."""
        return self._pods.get(pod["metadata"]["uid"])

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.directory.run(), name="directory")
            group.create_task(self._node_objects.keep(), name="leases")
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
            elif has_ended(event.object):
                continue  # it did so in an earlier sandbox, whose state this one has been loaded with
            elif address := self._node_objects.addresses.get(event.object["spec"].get("nodeName", "")):
                run = self._pods[uid] = PodRun(
                    event.object, self._cluster, self._network, self.directory, self._programs, address
                )
                run.update(event.object)

    async def stop(self) -> None:
        """End all pods at once; their objects stay."""
        runs = list(self._pods.values())
        self._pods.clear()
        await asyncio.gather(*(run.removed() for run in runs))
