"""`tls` and `tcp` rules, through real Envoy: connections that nobody looks into, by name and by port."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path

import pytest

from sandbox.core.addresses import SIDECAR_PORT
from sandbox.mesh.control_plane import AUTHORIZATION_POLICIES
from sandbox.mesh.registry import Proxy
from sandbox.network.pod_network import proxy_header

from .test_gateway_tls import AUTHORITY, gateway, keep, server
from .world import World, eventually


def server_context(folder: Path, *hosts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for host in hosts:
        pair, file = AUTHORITY.issue(host), folder / host
        file.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(file)
    return context


async def greeting(address: str, port: int, name: str = "", told: bytes = b"") -> str:
    """What a server says first to a connection (with TLS for `name`, after `told`); "" where there is none."""
    try:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(told)
        if name:
            context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
            context.check_hostname = False
            await writer.start_tls(context, server_hostname=name)
        found = await reader.read(100)
        writer.close()
    except (OSError, EOFError):
        return ""
    return found.decode()


async def is_shut(address: str, port: int) -> bool:
    """Whether a connection ends as soon as the client says something: Envoy asks its policies then, as a real
    mesh's does, and a server that speaks first has spoken."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        await reader.read(100)
        writer.write(b"x")
        return not await reader.read(1)
    except ConnectionError:
        return True
    finally:
        writer.close()


class Shops:
    """Services `one` and `two`, each with a pod that speaks TLS at 443 and a plain one at 9000."""

    def __init__(self, world: World, client: Proxy, gate: Proxy) -> None:
        self.world, self.client, self.gate = world, client, gate

    async def through_sidecar(self, host: str, port: int, name: str = "") -> str:
        address = self.world.cluster.get("services", "default", host)["spec"]["clusterIP"]
        told = proxy_header((self.client.address, 40000), (address, port))
        return await greeting(self.client.address, SIDECAR_PORT, name, told)

    async def at_gateway(self, port: int, name: str = "") -> str:
        return await greeting(self.gate.address, port, name)


@pytest.fixture
async def shops(world: World, tmp_path: Path) -> Shops:
    context = server_context(tmp_path, "a.example")
    for app in ("one", "two"):
        world.service(app, {"tls": 443})
        await world.serve_tcp(f"{app}-tls", app, 443, app.encode(), context)
        world.service(f"plain-{app}", {"tcp": 9000})
        await world.serve_tcp(f"plain-{app}", f"plain-{app}", 9000, app.encode())
    client = await world.sidecar("client", app="client")
    gate = await world.gateway("gateway", istio="ingressgateway")
    world.service("gateway", {"tls": 8443, "tcp": 9000}, selector={"istio": "ingressgateway"})
    return Shops(world, client, gate)


def to(*names: str) -> list[dict]:
    share = 100 // len(names)
    return [{"destination": {"host": name}, "weight": share} for name in names]


async def test_a_sidecar_goes_by_the_name_in_the_handshake(world: World, shops: Shops) -> None:
    hosts = ["one.default.svc.cluster.local", "a.example"]
    tls = [
        {"match": [{"sniHosts": ["a.example"], "sourceLabels": {"app": "another"}}], "route": to("one")},
        {"match": [{"sniHosts": ["a.example"], "port": 443}], "route": to("two")},
    ]
    world.apply("virtualservices", "one", {"hosts": hosts, "tls": tls})

    async def goes(name: str, where: str) -> bool:
        return await shops.through_sidecar("one", 443, name) == where

    await eventually(lambda: goes("a.example", "two"))
    assert await goes("b.example", "one")
    assert await shops.through_sidecar("two", 443, "a.example") == "two"
    world.cluster.delete("virtualservices.networking.istio.io", "default", "one")
    await eventually(lambda: goes("a.example", "one"))


async def test_plain_connections_are_shared_by_weight(world: World, shops: Shops) -> None:
    spec = {"hosts": ["plain-one"], "tcp": [{"match": [{"port": 9000}], "route": to("plain-one", "plain-two")}]}
    world.apply("virtualservices", "one", spec)

    async def both() -> bool:
        found = Counter([await shops.through_sidecar("plain-one", 9000) for _ in range(10)])
        return set(found) == {"one", "two"}

    await eventually(both)
    assert {await shops.through_sidecar("plain-two", 9000) for _ in range(5)} == {"two"}


async def test_a_gateway_passes_on_what_stays_encrypted(world: World, shops: Shops) -> None:
    names = ("a.example", "b.example")
    world.apply("gateways", "gate", gateway(server(443, *names, protocol="TLS", mode="PASSTHROUGH")))
    tls = [
        {"match": [{"sniHosts": [name]}], "route": to(app)} for name, app in zip(names, ("one", "two"), strict=True)
    ]
    world.apply("virtualservices", "gate", {"hosts": list(names), "gateways": ["gate"], "tls": tls})

    async def goes(name: str, where: str) -> bool:
        return await shops.at_gateway(8443, name) == where

    await eventually(lambda: goes("a.example", "one"))
    assert await goes("b.example", "two")
    assert await goes("c.example", "")


async def test_a_gateway_takes_plain_connections_and_decrypts_others(world: World, shops: Shops) -> None:
    keep(world, "cert", AUTHORITY.issue("a.example"))
    plain = {"port": {"number": 9000, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]}
    encrypted = server(443, "a.example", protocol="TLS", mode="SIMPLE", credentialName="cert")
    world.apply("gateways", "gate", gateway(plain, encrypted))
    tcp = [
        {"match": [{"port": 9000}], "route": to("plain-one")},
        {"match": [{"port": 443}], "route": to("plain-two")},
    ]
    world.apply("virtualservices", "gate", {"hosts": ["*"], "gateways": ["gate"], "tcp": tcp})

    async def goes(port: int, where: str, name: str = "") -> bool:
        return await shops.at_gateway(port, name) == where

    await eventually(lambda: goes(9000, "one"))
    await eventually(lambda: goes(8443, "two", "a.example"))
    policy = {"action": "DENY", "rules": [{"to": [{"operation": {"ports": ["9000"]}}]}]}
    shut = {"metadata": {"name": "shut", "namespace": "default"}, "spec": policy}
    world.cluster.create(AUTHORIZATION_POLICIES, shut, manager="test")
    await eventually(lambda: is_shut(shops.gate.address, 9000))
    assert await goes(8443, "two", "a.example")
