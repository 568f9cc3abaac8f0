"""A cluster with nodes, in the test's own process: the real API, controllers, node and images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import controllers
from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Object
from sandbox.images import PROGRAMS
from sandbox.images.program import Streams
from sandbox.node import Node
from sandbox.node.pod_run import PodRun
from sandbox.server.stacks import reserve_block

ME = "test"
PATIENCE = 60.0
NAMESPACE = "default"


class Place:
    """What a test sees: a cluster in which pods really run."""

    def __init__(self, folder: Path) -> None:
        self.claim, self.network = reserve_block(folder)
        self.cluster = LocalCluster()
        self.programs = dict(PROGRAMS)
        self.node = Node(self.cluster, self.network, self.programs)

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` returns as soon as it is true. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):  # noqa: ASYNC110 - anything may make it true
                await asyncio.sleep(0.002)
        return found

    def start(self, name: str, *containers: Object, labels: dict[str, str] | None = None, **spec: Any) -> None:
        pod = {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels or {"app": name}},
            "spec": {"containers": list(containers), **spec},
        }
        self.cluster.create("pods", pod, manager=ME)

    def pod(self, name: str) -> Object:
        return self.cluster.get("pods", NAMESPACE, name)

    def run(self, name: str) -> PodRun:
        run = self.node.run_of(self.pod(name))
        assert run is not None
        return run

    def state(self, name: str, container: int = 0, field: str = "state") -> Object:
        status = self.cluster.find("pods", NAMESPACE, name) or {}
        statuses = status.get("status", {}).get("containerStatuses") or [{}] * (container + 1)
        found: Object = statuses[container].get(field) or {}
        return found

    def ready(self, name: str) -> bool:
        pod = self.cluster.find("pods", NAMESPACE, name) or {}
        conditions = pod.get("status", {}).get("conditions") or []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    async def serving(self, name: str, *containers: Object, **spec: Any) -> PodRun:
        """Start a pod and wait until it is ready."""
        self.start(name, *containers, **spec)
        await self.until(lambda: self.ready(name))
        return self.run(name)

    async def expose(self, name: str, port: int, target: int | str | None = None, **spec: Any) -> None:
        """A service for the pods labelled `app: name`; wait for its endpoints."""
        ports = [{"name": "http", "port": port, "targetPort": target or port}]
        whole = {"selector": {"app": name}, "ports": ports, **spec}
        service = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": whole}
        self.cluster.create("services", service, manager=ME)
        await self.until(lambda: self.endpoints(name))

    def endpoints(self, service: str) -> list[str]:
        """Addresses of the service's ready endpoints, as pods that dial it know them: a moment after the API."""
        spec = (self.cluster.find("services", NAMESPACE, service) or {"spec": {}})["spec"]
        if spec.get("clusterIP") == "None":
            return [found] if (found := self.node.directory.lookup(service, NAMESPACE)) else []
        return [
            address
            for port in spec.get("ports", ())[:1]
            for address, _ in self.node.directory.endpoints(spec.get("clusterIP", ""), port["port"])
        ]

    def reasons(self, pod: str, kind: str = "Normal") -> list[str]:
        """Why events of a pod were recorded."""
        every = self.cluster.list("events", NAMESPACE)
        return [one["reason"] for one in every if one["involvedObject"]["name"] == pod and one["type"] == kind]

    async def exec(self, pod: str, *command: str, stdin: bytes = b"", container: str = "") -> tuple[int, str, str]:
        """Run a command in a container of a pod: status, output, errors."""
        run = self.run(pod)
        target = run.container_run(container) if container else run.containers[0]
        assert target is not None
        out, err = bytearray(), bytearray()
        streams = Streams(asyncio.StreamReader(), out.extend, err.extend)
        streams.stdin.feed_data(stdin)
        streams.stdin.feed_eof()
        async with asyncio.timeout(PATIENCE):
            status = await target.exec(list(command), streams)
        return status, out.decode(), err.decode()

    async def curl(self, *arguments: str) -> str:
        """What curl prints in pod `app`."""
        status, out, err = await self.exec("app", "curl", "-s", *arguments)
        assert status == 0, err
        return out

    async def log(self, pod: str, container: int = 0) -> list[str]:
        return [line.text.decode() async for line in self.run(pod).containers[container].log.read()]


def container(image: str, *command: str, name: str = "main", **fields: Any) -> Object:
    """A container's spec; the image may leave out registry and tag."""
    return {"name": name, "image": image, **({"command": list(command)} if command else {}), **fields}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    tasks = [
        asyncio.create_task(controllers.run(place.cluster, place.network)),
        asyncio.create_task(place.node.run()),
    ]
    await place.until(lambda: place.cluster.find("serviceaccounts", NAMESPACE, "default"))
    yield place
    assert not any(task.done() for task in tasks), "a part of the cluster has failed"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await place.node.stop()
    place.claim.close()
