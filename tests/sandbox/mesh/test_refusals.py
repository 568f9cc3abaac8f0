"""What Envoy refuses (as far as the webhook lets it come to that): whose it is, where it shows, and who goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.images.container_files import Files
from sandbox.images.program import Container, Streams
from sandbox.mesh.istio import SYNC_STATUS
from sandbox.mesh.mesh_programs import Istiod
from sandbox.mesh.xds.ads import ROUTES

from .test_sidecars import DESTINATION_RULE, versions
from .world import World, eventually

TOO_MUCH = {"uri": {"regex": "/a{2000}"}, "sourceLabels": {"app": "refusing"}}


def to(version: str, *matches: dict[str, Any]) -> dict[str, Any]:
    """Everything to one version, but first what matches."""
    route = [{"destination": {"host": "reviews", "subset": version}}]
    return {
        "hosts": ["reviews"],
        "http": [*({"match": [one], "route": route} for one in matches), {"route": route}],
    }


def istiod(world: World) -> tuple[Istiod, bytearray]:
    """Another istiod of the world's, and its log."""
    log = bytearray()
    pod: Any = {"metadata": {"name": "istiod", "namespace": "istio-system"}}
    network: Any = type("PodNetwork", (), {"ip": world.network.pods.take()})()
    container = Container(pod, {}, {}, Files(), network, Streams(out=log.extend))
    return Istiod(container, world.mesh.control_plane, world.mesh.data_plane), log


async def statuses(made: Istiod) -> dict[str, list[str]]:
    """What is known of each proxy's clusters, listeners, endpoints and routes."""
    out = bytearray()
    assert await made.exec(list(SYNC_STATUS), Streams(out=out.extend)) == 0
    return {
        known["node"]["id"]: [status["configStatus"] for status in known["genericXdsConfigs"]]
        for known in json.loads(out)
    }


async def test_it_is_one_proxys_and_the_others_get_what_is_new(world: World) -> None:
    """All proxies' route tables for a port change together, in one message to the one Envoy."""
    service = world.service("reviews", {"http": 9080})
    for version in ("v1", "v2"):
        await world.pod(f"reviews-{version}", "reviews", version)
    names = ("a", "b", "refusing", "x", "y")
    clients = {
        name: world.client(await world.sidecar(name, app=name), service["spec"]["clusterIP"], 9080)
        for name in names
    }
    made, log = istiod(world)
    await made.start()
    world.apply("destinationrules", "reviews", DESTINATION_RULE)
    world.apply("virtualservices", "reviews", to("v1"))

    async def all_to(version: str, *of: str) -> bool:
        return {answered for name in of for answered in await versions(clients[name], 4)} == {version}

    await eventually(lambda: all_to("v1", *names))
    assert set(map(tuple, (await statuses(made)).values())) == {("SYNCED",) * 4}
    world.apply("virtualservices", "reviews", to("v2", TOO_MUCH))
    others = [name for name in names if name != "refusing"]
    await eventually(lambda: all_to("v2", *others))
    assert await all_to("v1", "refusing")

    async def refused() -> list[tuple[str, str]]:
        return list(world.mesh.data_plane.refused)

    await eventually(refused)  # which Envoy says when it gets to it
    assert await refused() == [(ROUTES, "refusing.default/9080")]
    known = await statuses(made)
    assert known.pop("refusing.default") == ["SYNCED", "SYNCED", "SYNCED", "ERROR"]
    assert set(map(tuple, known.values())) == {("SYNCED",) * 4}
    warned = [line for line in log.decode().splitlines() if line.startswith("warn")]
    assert warned == ["warn\tads\tADS:RDS: ACK ERROR refusing.default Internal:invalid repetition size: {2000}"]

    world.apply("virtualservices", "reviews", to("v2"))
    await eventually(lambda: all_to("v2", *names))
    assert not world.mesh.data_plane.refused
    await made.stop(0)


async def test_what_is_refused_goes_with_the_proxy(world: World) -> None:
    world.service("reviews", {"http": 9080})
    proxy = await world.sidecar("refusing", app="refusing")
    made, _ = istiod(world)
    world.apply("virtualservices", "reviews", to("v2", TOO_MUCH))

    async def refused() -> bool:
        return (await statuses(made))[proxy.id][-1] == "ERROR"

    await eventually(refused)
    await world.mesh.data_plane.unregister(proxy)
    assert await statuses(made) == {}


@pytest.mark.parametrize("more", [(), ("request", "GET", "/debug/configz")])
async def test_of_pilot_discovery_there_is_no_more(world: World, more: tuple[str, ...]) -> None:
    err = bytearray()
    assert await istiod(world)[0].exec(["pilot-discovery", *more], Streams(err=err.extend)) == 1
    assert b"only knows: pilot-discovery request GET /debug/syncz" in err
