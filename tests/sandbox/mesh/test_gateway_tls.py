"""HTTPS at a gateway, through real Envoy, with certificates made here."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sandbox.core import addresses
from sandbox.mesh.registry import Proxy

from .test_gateways import to
from .world import Client, World, eventually


@dataclass(frozen=True)
class Pair:
    certificate: bytes
    key: bytes


class Authority:
    def __init__(self, name: str) -> None:
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _name(name)
        own = _builder(self._name, self._name, self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = (
            own.add_extension(constraints, critical=True).sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        )

    def issue(self, host: str, uri: str = "") -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(host), self._name, key.public_key())
        name = x509.UniformResourceIdentifier(uri) if uri else x509.DNSName(host)
        names = x509.SubjectAlternativeName([name])
        signed = builder.add_extension(names, critical=bool(uri)).sign(self._key, SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(signed.public_bytes(Encoding.PEM), private)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    built = built.serial_number(x509.random_serial_number())
    return built.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))


AUTHORITY = Authority("the test's")


def keep(world: World, name: str, pair: Pair, authority: bytes = b"") -> None:
    """A Secret of type kubernetes.io/tls, made or replaced."""
    data = {"tls.crt": pair.certificate, "tls.key": pair.key, **({"ca.crt": authority} if authority else {})}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    if world.cluster.find("secrets", "default", name) is None:
        obj = {"metadata": {"name": name, "namespace": "default"}, "type": "kubernetes.io/tls", "data": encoded}
        world.cluster.create("secrets", obj, manager="test")
    else:
        world.cluster.edit("secrets", "default", name, lambda old: old.update(data=encoded), manager="test")


def server(number: int, *hosts: str, protocol: str = "HTTPS", **tls: object) -> dict:
    port = {
        "number": number,
        "name": f"{protocol.lower()}-{len(hosts)}-{hosts[0].strip('*.')}",
        "protocol": protocol,
    }
    return {"port": port, "hosts": list(hosts), "tls": tls}


def gateway(*servers: dict) -> dict:
    return {"selector": {"istio": "ingressgateway"}, "servers": list(servers)}


class Entrance:
    """A gateway behind the ports 8080 and 8443 of its service, and two services behind it."""

    def __init__(self, world: World, proxy: Proxy) -> None:
        self.world, self.proxy = world, proxy

    def client(self, host: str, *, authority: bytes = AUTHORITY.pem, own: Path | None = None) -> Client:
        context = ssl.create_default_context(cadata=authority.decode())
        if own is not None:
            context.load_cert_chain(own)
        return Client(lambda: asyncio.open_connection(self.proxy.address, 8443, ssl=context, server_hostname=host))

    async def answers(self, host: str, version: str, **how: object) -> bool:
        client = self.client(host, **how)  # type: ignore[arg-type]
        try:
            status, _, body = await client.get("/", host)
        except (OSError, EOFError):
            return False
        finally:
            client.close()
        return status == 200 and json.loads(body)["version"] == version


@pytest.fixture
async def entrance(world: World) -> Entrance:
    proxy = await world.gateway("gateway", istio="ingressgateway")
    world.service("gateway", {"http2": 8080, "https": 8443}, selector={"istio": "ingressgateway"})
    for name in ("one", "two"):
        world.service(name, {"http": 9080})
        await world.pod(name, name, name)
        world.apply("virtualservices", name, to(name, hosts=(f"{name}.example",)))
    return Entrance(world, proxy)


async def test_the_page_comes_encrypted_once_the_secret_is_there_and_follows_its_changes(
    world: World, entrance: Entrance
) -> None:
    world.apply("gateways", "gate", gateway(server(443, "one.example", mode="SIMPLE", credentialName="one")))
    assert not await entrance.answers("one.example", "one")
    keep(world, "one", AUTHORITY.issue("one.example"))
    await eventually(lambda: entrance.answers("one.example", "one"))
    other = Authority("another")
    assert not await entrance.answers("one.example", "one", authority=other.pem)
    keep(world, "one", other.issue("one.example"))
    await eventually(lambda: entrance.answers("one.example", "one", authority=other.pem))
    keep(world, "one", Pair(other.issue("one.example").certificate, other.issue("one.example").key))

    async def gone() -> bool:
        return not await entrance.answers("one.example", "one", authority=other.pem)

    await eventually(gone)
    assert world.mesh.data_plane.refused == {}


async def test_servers_on_one_port_are_chosen_by_the_name_in_the_handshake(
    world: World, entrance: Entrance
) -> None:
    for name in ("one", "two"):
        keep(world, name, AUTHORITY.issue(f"{name}.example"))
    first = server(443, "default/one.example", mode="SIMPLE", credentialName="one")
    world.apply("gateways", "gate", gateway(first))
    world.apply("gateways", "second", gateway(server(443, "*.example", mode="SIMPLE", credentialName="two")))
    world.apply("virtualservices", "two", to("two", hosts=("two.example",), gateway="second"))
    await eventually(lambda: entrance.answers("one.example", "one"))
    await eventually(lambda: entrance.answers("two.example", "two"))
    misled = entrance.client("one.example")
    assert (await misled.get("/", "two.example"))[0] == 404


async def test_plain_requests_are_sent_to_the_encrypted_port(world: World, entrance: Entrance) -> None:
    keep(world, "one", AUTHORITY.issue("one.example"))
    plain = server(80, "*", protocol="HTTP", httpsRedirect=True)
    world.apply("gateways", "gate", gateway(plain, server(443, "*", mode="SIMPLE", credentialName="one")))
    client = world.outside(entrance.proxy.address, 8080)

    async def redirected() -> bool:
        try:
            status, headers, _ = await client.get("/page?a=b", "one.example:8080")
        except OSError:
            client.close()
            return False
        return (status, headers.get("location")) == (301, "https://one.example:8443/page?a=b")

    await eventually(redirected)
    assert (await client.get("/", "nobody.example"))[0] == 301
    await eventually(lambda: entrance.answers("one.example", "one"))


@pytest.mark.parametrize(("first", "port"), [(1024, ":8443"), (0, "")])
async def test_a_redirect_leads_to_where_a_load_balancer_listens_for_443(
    world: World, monkeypatch: pytest.MonkeyPatch, first: int, port: str
) -> None:
    """On a real one to 443 itself, as here where anybody may listen there."""
    monkeypatch.setattr(addresses, "may_listen", lambda number: number >= first)
    proxy = await world.gateway("edge", istio="ingressgateway")
    world.service("edge", {"http2": 80, "https": 443}, selector=dict(proxy.labels), port={"targetPort": 8080})
    world.apply("gateways", "gate", gateway(server(80, "*", protocol="HTTP", httpsRedirect=True)))
    client = world.outside(proxy.address, 8080)

    async def redirected() -> bool:
        try:
            status, headers, _ = await client.get("/page", "one.example")
        except OSError:
            client.close()
            return False
        return (status, headers.get("location")) == (301, f"https://one.example{port}/page")

    await eventually(redirected)


async def test_mutual_asks_the_client_for_a_certificate(world: World, entrance: Entrance, tmp_path: Path) -> None:
    keep(world, "one", AUTHORITY.issue("one.example"), AUTHORITY.pem)
    limits = {"minProtocolVersion": "TLSV1_2", "maxProtocolVersion": "TLSV1_2"}
    mutual = server(443, "one.example", mode="MUTUAL", credentialName="one", **limits)
    world.apply("gateways", "gate", gateway(mutual))
    own, strange = tmp_path / "own.pem", tmp_path / "strange.pem"
    for path, authority in ((own, AUTHORITY), (strange, Authority("another"))):
        pair = authority.issue("client.example")
        path.write_bytes(pair.key + pair.certificate)
    await eventually(lambda: entrance.answers("one.example", "one", own=own))
    assert not await entrance.answers("one.example", "one")
    assert not await entrance.answers("one.example", "one", own=strange)
