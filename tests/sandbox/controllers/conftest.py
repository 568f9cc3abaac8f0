"""A cluster under control: the real in-process API, the controllers, three nodes and a stand-in kubelet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox import controllers
from sandbox.api.local_cluster import LocalCluster
from sandbox.core.addresses import Network
from sandbox.core.cluster import Object

ME = "test"
PATIENCE = 60.0


class Kubelet:
    """Makes pods run (and ready, unless `becomes_ready` says no), and lets them go when they are deleted."""

    def __init__(self, cluster: LocalCluster, network: Network) -> None:
        self.cluster, self.network = cluster, network
        self.becomes_ready: Callable[[Object], bool] = lambda pod: True
        self.lets_go: Callable[[Object], bool] = lambda pod: True
        self.watched: list[Callable[[], None]] = []

    async def run(self) -> None:
        async for event in self.cluster.watch("pods"):
            pod = event.object
            if event.type != "DELETED":
                self.look(pod)
            for callback in self.watched:
                callback()

    def look(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            if self.lets_go(pod):
                self.cluster.delete("pods", metadata["namespace"], metadata["name"], grace_seconds=0)
        elif pod["spec"].get("nodeName"):
            self.tell(metadata["namespace"], metadata["name"], ready=self.becomes_ready(pod))

    def look_again(self) -> None:
        for pod in self.cluster.list("pods"):
            self.look(pod)

    def tell(self, namespace: str, name: str, *, ready: bool, since: str | None = None) -> None:
        def change(pod: Object) -> None:
            status = pod["status"]
            status["phase"] = "Running"
            if "podIP" not in status:
                status["podIP"] = self.network.pods.take()
            state = "True" if ready else "False"
            before = next((one for one in status["conditions"] if one["type"] == "Ready"), None)
            if before is None or before["status"] != state:
                when = since or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                kept = [one for one in status["conditions"] if one["type"] != "Ready"]
                status["conditions"] = [*kept, {"type": "Ready", "status": state, "lastTransitionTime": when}]

        self.cluster.edit("pods", namespace, name, change, manager="kubelet", subresource="status")


class World:
    """What a test sees: the cluster, and how to wait for something in it."""

    def __init__(self) -> None:
        self.cluster = LocalCluster()
        self.network = Network(64)
        self.kubelet = Kubelet(self.cluster, self.network)

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` returns as soon as it is true. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):  # noqa: ASYNC110 - anything may make it true
                await asyncio.sleep(0)
        return found

    async def settled(self) -> None:
        """Until nothing is written any more."""
        before, quiet = -1, 0
        async with asyncio.timeout(PATIENCE):
            while quiet < 50:
                await asyncio.sleep(0)
                quiet = quiet + 1 if self.cluster.store.revision == before else 0
                before = self.cluster.store.revision

    def create(self, resource: str, obj: Object) -> Object:
        return self.cluster.create(resource, obj, manager=ME)

    def edit(
        self, resource: str, name: str, change: Callable[[Object], None], namespace: str = "default"
    ) -> Object:
        edited = self.cluster.edit(resource, namespace, name, change, manager=ME)
        assert edited is not None
        return edited

    def deploy(self, name: str = "web", namespace: str = "default", **spec: Any) -> Object:
        labels = {"app": name}
        container = {"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        return self.create(
            "deployments.apps",
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
            },
        )

    def deployment(self, name: str = "web") -> Object:
        return self.cluster.get("deployments.apps", "default", name)

    def pods(self, namespace: str = "default", **labels: str) -> list[Object]:
        found = self.cluster.list("pods", namespace, labels)
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def replica_sets(self, namespace: str = "default") -> list[Object]:
        return self.cluster.list("replicasets.apps", namespace)

    def messages(self, reason: str, namespace: str = "default") -> list[str]:
        return [event["message"] for event in self.cluster.list("events", namespace) if event["reason"] == reason]

    def is_complete(self, name: str = "web") -> bool:
        """As `kubectl rollout status` decides it."""
        deployment = self.deployment(name)
        status, desired = deployment.get("status") or {}, deployment["spec"]["replicas"]
        return bool(
            status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == desired
            and status.get("replicas", 0) == desired
            and status.get("availableReplicas", 0) == desired
        )


def add_node(world: World, index: int, **more: Any) -> None:
    world.create(
        "nodes",
        {
            "metadata": {"name": f"node-{index}", "labels": {"kubernetes.io/hostname": f"node-{index}"}},
            "status": {
                "allocatable": {"cpu": "2", "memory": "7Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
            **more,
        },
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Everything runs."""
    made = World()
    for index in range(3):
        add_node(made, index)
    tasks = [
        asyncio.create_task(controllers.run(made.cluster, made.network)),
        asyncio.create_task(made.kubelet.run()),
    ]
    await made.settled()
    yield made
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
