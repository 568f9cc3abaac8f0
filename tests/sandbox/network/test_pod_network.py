"""Names, addresses and the way through a sidecar, as a pod sees them."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest

from sandbox.core.addresses import SIDECAR_PORT, inside
from sandbox.network.pod_network import Interception, PodNetwork
from tests.sandbox.node.conftest import NAMESPACE, Place, container

BIN = container("go-httpbin")


async def network(place: Place) -> PodNetwork:
    return (await place.serving("client", container("busybox", "sleep", "inf"))).network


async def test_a_service_has_the_names_dns_gives_it(place: Place) -> None:
    view = await network(place)
    await place.serving("bin", BIN)
    await place.expose("bin", 80, 8080)
    address = place.cluster.get("services", NAMESPACE, "bin")["spec"]["clusterIP"]
    for name in (
        "bin",
        "bin.default",
        "bin.default.svc",
        "bin.default.svc.cluster.local",
        "BIN.default.svc.cluster.local.",
    ):
        assert view.resolve(name) == address
    for name in ("nobody", "bin.other", "example.com", "bin.default.pod"):
        with pytest.raises(socket.gaierror):
            view.resolve(name)


INTERCEPTED = [
    ({}, True),
    ({"but_ports": frozenset({8000})}, False),
    ({"but_ports": frozenset({80})}, True),
    ({"but_ranges": ("127.0.0.0/8",)}, False),
    ({"ranges": ()}, False),
    ({"ranges": (), "ports": frozenset({8000})}, True),
    ({"ranges": ("127.64.0.0/10",)}, True),
    ({"ranges": ("127.0.0.0/16",)}, False),
    ({"ranges": ("127.64.0.0/10",), "but_ports": frozenset({8000})}, False),
]


@pytest.mark.parametrize(("said", "taken"), INTERCEPTED)
def test_which_connections_a_sidecar_gets(said: dict[str, Any], taken: bool) -> None:
    assert Interception(**said).takes("127.64.1.2", 8000) == taken


@pytest.mark.parametrize(
    ("said", "led"),
    [
        ({}, {8080: True, 15020: False}),
        ({"but_served": frozenset({8080, 15020})}, {8080: False, 8081: True, 15020: False}),
        ({"served": frozenset({8080}), "but_served": frozenset({8080})}, {8080: True, 8081: False}),
        ({"served": frozenset()}, {8080: False}),
    ],
)
def test_which_ports_of_a_pod_lead_to_its_sidecar(said: dict[str, Any], led: dict[int, bool]) -> None:
    """As `istio-iptables` has it: what is named to be left out counts where all is led in only."""
    assert {port: Interception(**said).leads_in(port) for port in led} == led


async def test_a_headless_service_is_its_pods(place: Place) -> None:
    view = await network(place)
    pod = await place.serving("bin", BIN)
    await place.expose("bin", 8080, clusterIP="None")
    assert view.resolve("bin") == pod.ip
    assert (await view.http.request("GET", "http://bin:8080/get", {})).status == 200


async def test_localhost_is_the_pod_itself(place: Place) -> None:
    bin_ = (await place.serving("bin", BIN)).network
    assert (await bin_.http.request("GET", "http://localhost:8080/status/418", {})).status == 418


async def test_nothing_leads_out_of_the_sandbox(place: Place) -> None:
    view = await network(place)
    for address in ("10.0.0.1", "127.1.2.3", "8.8.8.8"):
        with pytest.raises(OSError, match="no way to"):
            await view.connect(address, 80)


async def test_a_service_without_ready_endpoints_refuses(place: Place) -> None:
    view = await network(place)
    await place.serving("bin", BIN)
    await place.expose("bin", 80, 8080)
    place.cluster.delete("pods", NAMESPACE, "bin", grace_seconds=0)
    await place.until(lambda: not place.endpoints("bin"))
    with pytest.raises(ConnectionRefusedError):
        await view.connect("bin", 80)
    with pytest.raises(ConnectionRefusedError):  # no such port
        await view.connect("bin", 81)


async def test_requests_are_spread_over_the_endpoints(place: Place) -> None:
    view = await network(place)
    for name in ("one", "two"):
        await place.serving(name, BIN, labels={"app": "bin"})
    await place.expose("bin", 80, 8080)
    await place.until(lambda: len(place.endpoints("bin")) == 2)
    seen = {(await view.http.request("GET", "http://bin/hostname", {})).body for _ in range(40)}
    assert len(seen) == 2


async def test_a_privileged_port_is_reached_where_it_is_really_listened_on(place: Place) -> None:
    view = await network(place)
    pod = await place.serving("bin", container("kennethreitz/httpbin"))
    await place.expose("bin", 8000, 80)
    assert (await view.http.request("GET", "http://bin:8000/get", {})).status == 200
    assert (await view.http.request("GET", f"http://{pod.ip}/get", {})).status == 200


@pytest.mark.parametrize("where", ["service", "pod"])
async def test_a_sidecar_takes_every_connection_and_is_told_its_destination(place: Place, where: str) -> None:
    view = await network(place)
    bin_ = await place.serving("bin", container("kennethreitz/httpbin"))
    await place.expose("bin", 8000, 80)
    service = place.cluster.get("services", NAMESPACE, "bin")["spec"]["clusterIP"]
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def sidecar(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(16)
        told.set_result(head + await reader.readexactly(int.from_bytes(head[14:])))
        writer.close()

    server = await asyncio.start_server(sidecar, view.ip, SIDECAR_PORT)
    view.sidecar = True
    connection = await view.connect(*{"service": ("bin", 8000), "pod": (bin_.ip, 80)}[where])
    header = await told
    source, destination, source_port, port = struct.unpack("!4s4sHH", header[16:28])
    assert header[:14] == b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
    way_on = f"{bin_.ip}:20080".encode()
    assert header[28:] == {"service": struct.pack("!BH", 0xE0, len(way_on)) + way_on, "pod": b""}[where]
    assert (socket.inet_ntoa(source), source_port) == connection.getsockname()
    expected = {"service": (service, 8000), "pod": (bin_.ip, 20080)}[where]
    assert (socket.inet_ntoa(destination), port) == expected
    connection.close()
    server.close()


async def test_a_pod_reaches_itself_past_its_sidecar(place: Place) -> None:
    """What its programs serve is at the pod's inside then; the proxy's own ports stay where they are."""
    view = await network(place)
    view.sidecar = True
    told: list[int] = []
    view.serving = lambda: told.extend(view.served)
    server = await asyncio.start_server(lambda _, writer: writer.close(), *view.listening(80))
    for host in ("localhost", view.ip):
        with await view.connect(host, 80) as connected:
            assert connected.getpeername() == (inside(view.ip), 20080)
    server.close()
    assert told == [80]
    assert view.inside(15021) == (view.ip, 15021)
