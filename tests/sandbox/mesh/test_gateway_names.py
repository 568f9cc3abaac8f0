"""A ServiceEntry's names that another cluster's gateway is asked for by, through both of their Envoys."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.mesh import validation
from sandbox.mesh.gateway_names import Entrance, GatewayNames, Neighbours
from sandbox.network.directory import Directory
from sandbox.network.pod_network import PodNetwork

from .conftest import running
from .test_gateways import GATEWAY, to
from .test_service_entries import Pod, answers
from .world import World, eventually

HOST = "hello.example.com"


async def entrance(world: World, host: str) -> None:
    """A gateway for `host` behind a load balancer at port 8080, and what it leads to."""
    await world.gateway("gateway", app="gateway", istio="ingressgateway")
    selector = {"app": "gateway", "istio": "ingressgateway"}
    world.service("gateway", {"http2": 8080}, type="LoadBalancer", selector=selector)
    status = {"loadBalancer": {"ingress": [{"ip": world.network.load_balancers.take()}]}}
    world.cluster.edit(
        "services",
        "default",
        "gateway",
        lambda obj: obj.update(status=status),
        manager="test",
        subresource="status",
    )
    world.service("one", {"http": 9080})
    await world.pod("one", "one", "there")
    world.apply("gateways", "gate", {**GATEWAY, "servers": [{**GATEWAY["servers"][0], "hosts": [host]}]})
    world.apply("virtualservices", "one", to("one", hosts=(host,)))


@contextlib.contextmanager
def inside(world: World, client: PodNetwork, directory: Directory) -> Iterator[Pod]:
    watching = asyncio.create_task(directory.run())
    client.sidecar = True
    yield Pod(world, client)
    watching.cancel()


@pytest.mark.parametrize("endpoints", [[], [{"address": HOST, "ports": {"http": 80}}]], ids=["host", "endpoint"])
async def test_a_name_leads_to_the_gateway_of_the_cluster_that_has_it(
    tmp_path: Path, endpoints: list[dict]
) -> None:
    neighbours = Neighbours()
    async with running(tmp_path / "here", neighbours) as here, running(tmp_path / "there", neighbours) as there:
        proxy = await here.sidecar("client")
        directory = Directory(here.cluster)
        with inside(here, PodNetwork(here.network, directory, proxy.address, "default"), directory) as pod:
            ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
            spec = {"hosts": [HOST], "ports": ports, "resolution": "DNS", "endpoints": endpoints}
            here.apply("serviceentries", HOST, spec)
            await entrance(there, HOST)
            client = pod.client(HOST, 80)
            await eventually(lambda: answers(client, "there", HOST))
            there.cluster.delete("gateways.networking.istio.io", "default", "gate")

            async def gone() -> bool:
                return not await answers(client, "there", HOST)

            await eventually(gone)


async def test_which_names_lead_where(world: World) -> None:
    told: list[str] = []
    names = GatewayNames(world.cluster, lambda: told.append("changed"))
    await entrance(world, "*/*.example.com")
    found = names.lookup(HOST)
    assert found is not None
    assert found.ports == {8080}
    assert [found.port(number) for number in (80, 8080, 443, 9000)] == [8080, 8080, 443, 9000]
    assert names.lookup("example.com") is None
    assert told
    everything = {**GATEWAY["servers"][0], "hosts": ["*"]}
    world.apply("gateways", "gate", {**GATEWAY, "servers": [everything]})
    assert names.lookup(HOST) is None
    neighbours = Neighbours()
    neighbours.join("one", names, lambda: None)
    assert neighbours.lookup("one", HOST) is None


def test_names_that_nobody_has_are_refused() -> None:
    def problems(name: str, **spec: object) -> list[str]:
        entry = {
            "hosts": [name],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "resolution": "DNS",
        }
        obj = {"metadata": {"name": "r", "namespace": "shop"}, "spec": {**entry, **spec}}
        known = Entrance("127.64.1.1", frozenset({8080}))
        return list(validation.find_problems("ServiceEntry", obj, lambda asked: known if asked == HOST else None))

    assert problems(HOST) == []
    assert problems("a.example", endpoints=[{"address": HOST}]) == []
    (said,) = problems("a.example")
    assert said.startswith("spec.endpoints: DNS without any is not supported by the sandbox")
    (said,) = problems("a.example", endpoints=[{"address": "b.example"}])
    assert said.startswith("spec.endpoints[0].address: b.example is not supported by the sandbox")
