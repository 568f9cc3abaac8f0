"""Who is let in by what is made of AuthorizationPolicies: cases/authorized.yaml, asked of a real Envoy.

One listener has two filter chains for each case, for HTTP and for anything, chosen by the name in the handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.core.addresses import listen_port
from sandbox.mesh.authorization import concerning
from sandbox.mesh.envoy_clusters import socket_address
from sandbox.mesh.xds.ads import Configuration
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX
from tests.kit.cases import content_of

from .test_gateway_tls import AUTHORITY, Pair
from .world import World

CASES = content_of(Path(__file__).parent / "cases/authorized.yaml")
EXTENSIONS = f"{TYPE_PREFIX}envoy.extensions"
PORT = 80
SERVER = AUTHORITY.issue("server.example")


def policies(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for ((place, spec),) in map(dict.items, written):
        namespace, _, name = place.partition("/")
        found.append({"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    return found


def chain(name: str, filters: list[dict[str, Any]], last: dict[str, Any]) -> dict[str, Any]:
    certificate = {"certificate_chain": _inline(SERVER.certificate), "private_key": _inline(SERVER.key)}
    tls = {
        "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_certificates": [certificate],
            "validation_context": {"trusted_ca": _inline(AUTHORITY.pem)},
        },
    }
    return {
        "name": name,
        "filter_chain_match": {"server_names": [name]},
        "filters": [*filters, {"name": "last", "typed_config": last}],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }


def _inline(pem: bytes) -> dict[str, str]:
    return {"inline_string": pem.decode()}


def chains() -> list[dict[str, Any]]:
    forward = {"@type": f"{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "web"}
    router = {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}
    found = []
    for number, case in enumerate(CASES):
        made = concerning(policies(case["policies"]), "shop", {"app": "one"})
        route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
        manager = {
            "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "h",
            "normalize_path": True,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [*made.http_filters(), {"name": "router", "typed_config": router}],
        }
        found += [
            chain(f"http-{number}.example", [], manager),
            chain(f"tcp-{number}.example", made.tcp_filters(), forward),
        ]
    return found


@cache
def context(who: str, folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    made.check_hostname = False
    if who != "nobody":
        namespace, _, account = who.partition("/")
        pair: Pair = AUTHORITY.issue(account, f"spiffe://cluster.local/ns/{namespace}/sa/{account}")
        file = folder / who.replace("/", ".")
        file.write_bytes(pair.certificate + pair.key)
        made.load_cert_chain(file)
    return made


async def asked(address: str, number: int, request: str, folder: Path) -> str:
    """`allowed`, `denied`, or what else came."""
    who, method, *more = request.split()
    chosen = "tcp" if method == "tcp" else "http"
    path, host = [*more, "one", "one"][:2] if more else ("/", "one")
    name = f"{chosen}-{number}.example"
    where = (address, listen_port(PORT))
    reader, writer = await asyncio.open_connection(*where, ssl=context(who, folder), server_hostname=name)
    writer.write(f"{'GET' if method == 'tcp' else method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    answer = await reader.read(2000)
    writer.close()
    status = answer.partition(b"\r\n")[0].decode()
    if chosen == "tcp" and not answer:
        return "denied"
    if answer.endswith(b"RBAC: access denied") and status == "HTTP/1.1 403 Forbidden":
        return "denied"
    return "allowed" if status == "HTTP/1.1 200 OK" else status


async def test_who_is_let_in(world: World, tmp_path: Path) -> None:
    await world.sidecar("one")  # from now on Envoy runs
    web = await world.pod("web", "web")
    endpoint = {"endpoint": {"address": socket_address(web, 9080)}}
    load = {"cluster_name": "web", "endpoints": [{"lb_endpoints": [endpoint]}]}
    cluster = {"name": "web", "type": "STATIC", "connect_timeout": "1s", "load_assignment": load}
    address = world.network.pods.take()
    inspector = {"@type": f"{EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector"}
    listener = {
        "name": "asked",
        "address": socket_address(address, listen_port(PORT)),
        "listener_filters": [{"name": "tls", "typed_config": inspector}],
        "filter_chains": chains(),
    }
    plane = world.mesh.data_plane
    await plane.publish({"asked": Configuration(clusters={"web": cluster}, listeners={"asked": listener})})
    assert not plane.refused
    wrong = []
    for number, case in enumerate(CASES):
        for expected in ("allowed", "denied"):
            for request in case.get(expected, ()):
                found = await asked(address, number, request, tmp_path)
                if found != expected:
                    wrong.append(f"{case['why']}: {request} is {found}, not {expected}")
    assert wrong == []
