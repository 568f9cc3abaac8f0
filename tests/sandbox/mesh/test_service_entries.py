"""Hosts that are no service of the cluster, through real Envoy."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.network.directory import Directory
from sandbox.network.pod_network import PodNetwork

from .world import OF_DESTINATIONS, Client, World, eventually

HOST = "other.example"


def entry(address: str, **changes: Any) -> dict:
    return {
        "hosts": [HOST],
        "ports": [{"number": 8000, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": address}],
        **changes,
    }


async def answers(client: Client, version: str, host: str = HOST) -> bool:
    try:
        status, _, body = await client.get("/", host)
    except (OSError, EOFError):
        client.close()
        return False
    return status == 200 and json.loads(body)["version"] == version


class Pod:
    """A pod with a sidecar, and what its programs resolve."""

    def __init__(self, world: World, view: PodNetwork) -> None:
        self.world, self.view = world, view

    def client(self, host: str = HOST, port: int = 8000) -> Client:
        async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(sock=await self.view.connect(host, port))

        return Client(dial)

    def resolves(self, host: str = HOST) -> bool:
        try:
            return bool(self.view.resolve(host))
        except socket.gaierror:
            return False


@pytest.fixture
async def pod(world: World) -> AsyncIterator[Pod]:
    proxy = await world.sidecar("client", annotations=OF_DESTINATIONS)
    directory = Directory(world.cluster)
    watching = asyncio.create_task(directory.run())
    view = PodNetwork(world.network, directory, proxy.address, proxy.namespace)
    view.sidecar = True
    yield Pod(world, view)
    watching.cancel()


async def test_a_pod_with_a_sidecar_reaches_the_host_by_its_endpoints(world: World, pod: Pod) -> None:
    address = await world.pod("elsewhere", "elsewhere", "there", port=80)
    assert not pod.resolves()
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    world.apply("serviceentries", HOST, entry(address, ports=ports))
    client = pod.client(port=80)
    await eventually(lambda: answers(client, "there"))
    stats = await world.mesh.data_plane.admin(f"/stats?filter={HOST}.*upstream_rq_200")
    assert f"client.default/outbound|80||{HOST}" in stats
    pod.view.sidecar = False
    assert not pod.resolves()
    world.cluster.delete("serviceentries.networking.istio.io", "default", HOST)
    pod.view.sidecar = True

    async def gone() -> bool:
        return not pod.resolves()

    await eventually(gone)


async def test_an_endpoint_outside_the_pods_is_used_as_it_is(world: World, pod: Pod) -> None:
    balancer = world.network.load_balancers.take()
    await world.serve("there", "there", balancer, 8000)
    world.apply("serviceentries", HOST, entry(balancer))
    client = pod.client()
    await eventually(lambda: answers(client, "there"))
    by_address = pod.client(balancer)
    assert await answers(by_address, "there", "anything")


async def test_rules_can_address_it(world: World, pod: Pod) -> None:
    here, there = [await world.pod(name, name, name, port=8000) for name in ("here", "there")]
    endpoints = [{"address": address, "labels": {"at": at}} for address, at in ((here, "here"), (there, "there"))]
    world.apply("serviceentries", HOST, entry(here, endpoints=endpoints))
    subsets = [{"name": "there", "labels": {"at": "there"}}]
    world.apply("destinationrules", "other", {"host": HOST, "subsets": subsets})
    destination = {"host": HOST, "subset": "there", "port": {"number": 8000}}
    world.apply("virtualservices", "other", {"hosts": [HOST], "http": [{"route": [{"destination": destination}]}]})
    client = pod.client()
    await eventually(lambda: answers(client, "there"))
    for _ in range(10):
        assert await answers(client, "there")
    endpoints[1]["labels"] = {"at": "nowhere"}
    endpoints[0]["labels"] = {"at": "there"}
    world.apply("serviceentries", HOST, entry(here, endpoints=endpoints))
    await eventually(lambda: answers(client, "here"))


async def test_endpoints_share_by_weight(world: World, pod: Pod) -> None:
    here, there = [await world.pod(name, name, name, port=8000) for name in ("here", "there")]
    endpoints = [{"address": here, "weight": 3}, {"address": there, "weight": 1}]
    world.apply("serviceentries", HOST, entry(here, endpoints=endpoints))
    client = pod.client()
    await eventually(lambda: answers(client, "here"))
    found = [json.loads((await client.get("/", HOST))[2])["version"] for _ in range(40)]
    assert found.count("here") == 30


async def test_plain_tcp_goes_by_the_address_the_host_was_given(world: World, pod: Pod) -> None:
    await world.serve_tcp("mongo", "mongo", 27017, b"hello")
    address = world.cluster.get("pods", "default", "mongo")["status"]["podIP"]
    ports = [{"number": 27018, "name": "mongo", "protocol": "MONGO", "targetPort": 27017}]
    world.apply("serviceentries", HOST, entry(address, ports=ports))

    async def greeted() -> bool:
        try:
            sock = await pod.view.connect(HOST, 27018)
        except socket.gaierror:
            return False
        reader, writer = await asyncio.open_connection(sock=sock)
        greeting = await reader.read(5)
        writer.close()
        return greeting == b"hello"

    await eventually(greeted)


async def test_without_resolution_a_connection_goes_on_to_where_it_was_going(world: World, pod: Pod) -> None:
    balancer = world.network.load_balancers.take()
    await world.serve("there", "there", balancer, 8000)
    spec = {"hosts": [HOST], "addresses": [balancer], "ports": entry("")["ports"], "resolution": "NONE"}
    world.apply("serviceentries", HOST, spec)

    async def by_the_entry() -> bool:
        client = pod.client()
        answered = await answers(client, "there")
        client.close()
        stats = await world.mesh.data_plane.admin(f"/stats?filter={HOST}.*upstream_rq_200")
        return answered and f"client.default/outbound|8000||{HOST}" in stats

    await eventually(by_the_entry)


async def test_it_is_known_where_it_is_exported_to_only(world: World, pod: Pod) -> None:
    world.namespace("other")
    address = await world.pod("elsewhere", "elsewhere", "there", port=8000)
    key = "serviceentries.networking.istio.io"
    world.apply("serviceentries", HOST, entry(address, exportTo=["."]), namespace="other")
    world.apply("serviceentries", "another", entry(address, hosts=["another.example"]), namespace="other")
    client = pod.client("another.example")
    await eventually(lambda: answers(client, "there", "another.example"))
    assert not pod.resolves()
    world.cluster.edit(key, "other", HOST, lambda obj: obj["spec"].update(exportTo=["default"]), manager="test")
    await eventually(lambda: answers(pod.client(), "there"))
