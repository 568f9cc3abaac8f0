"""What istiod answers over xDS to who asks about it: `istioctl proxy-status` and `x internal-debug`.

The real one serves it to proxies and people alike, plainly at 15010 and by TLS at 15012. The sandbox's proxies are
told by its own stream (`xds`), so here are the questions of people only.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message
from grpclib.const import Cardinality, Status
from grpclib.const import Handler as Method
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from sandbox.mesh import envoy_clusters
from sandbox.mesh.data_plane import TYPES, DataPlane
from sandbox.mesh.istio import ISTIOD, SYNC_STATUS, VERSION
from sandbox.mesh.proxy_admin import as_real, own_names
from sandbox.mesh.registry import Proxy
from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.ads import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, Kind
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX

PLAIN_PORT, TLS_PORT = 15010, 15012
_DISCOVERY = "envoy.service.discovery.v3"
_PATH = f"/{_DISCOVERY}.AggregatedDiscoveryService/StreamAggregatedResources"
_DEBUG = "istio.io/debug"
SYNCZ, CONFIG_DUMP = f"{_DEBUG}/syncz", f"{_DEBUG}/config_dump"
_STATUSES = ("UNKNOWN", "SYNCED", "NOT_SENT", "STALE", "ERROR")
"""Of a proxy's resources, by their numbers (envoy.service.status.v3.ConfigStatus)."""
_DUMPS: Mapping[Kind, tuple[str, int, Callable[[str, bytes], bytes]]] = {
    CLUSTERS: ("ClustersConfigDump", 3, lambda _, resource: _field(2, resource)),
    LISTENERS: ("ListenersConfigDump", 3, lambda name, resource: _field(1, name) + _field(2, _field(2, resource))),
    ROUTES: ("RoutesConfigDump", 3, lambda _, resource: _field(2, resource)),
    ENDPOINTS: ("EndpointsConfigDump", 3, lambda _, resource: _field(2, resource)),
}
"""Envoy's messages for what it has (envoy.admin.v3): of each kind the message's name, its field for what was told,
and how that holds a resource."""

Debug = Callable[[str], Awaitable[tuple[int, str]]]
"""What istiod answers at a path of its monitoring port."""


class IstiodDebug:
    """Serves at an istiod's address while it is entered."""

    def __init__(self, data_plane: DataPlane, name: str, debug: Debug) -> None:
        self._data_plane, self._debug = data_plane, debug
        info = {"version": VERSION, "revision": "sandbox", "golang_version": "", "status": "Clean", "tag": VERSION}
        self._identifier = json.dumps({"Component": "istiod", "ID": name, "Info": info})
        self._asked = 0

    @contextlib.asynccontextmanager
    async def serving(self, address: str) -> AsyncIterator[None]:
        servers = [Server([self]) for _ in range(2)]
        try:
            await servers[0].start(address, PLAIN_PORT)
            await servers[1].start(address, TLS_PORT, ssl=_tls())
            yield
        finally:
            for server in servers:
                server.close()

    def __mapping__(self) -> dict[str, Method]:
        request, response = (
            envoy_messages.message_class(f"{_DISCOVERY}.{name}")
            for name in ("DiscoveryRequest", "DiscoveryResponse")
        )
        return {_PATH: Method(self._answer, Cardinality.STREAM_STREAM, request, response)}

    async def _answer(self, stream: Stream[Any, Message]) -> None:
        answered: set[str] = set()
        async for request in stream:
            if request.response_nonce in answered:
                continue  # an answer is acknowledged; istioctl's question has a nonce, too
            self._asked += 1
            answered.add(str(self._asked))
            response: Any = envoy_messages.message_class(f"{_DISCOVERY}.DiscoveryResponse")()
            response.type_url = request.type_url
            response.version_info = response.nonce = str(self._asked)
            response.control_plane.identifier = self._identifier
            for type_url, value in await self._found(request.type_url, list(request.resource_names)):
                resource = response.resources.add()
                resource.type_url, resource.value = type_url, value
            await stream.send_message(response)

    async def _found(self, type_url: str, names: list[str]) -> list[tuple[str, bytes]]:
        """Resources as (type, bytes)."""
        if type_url == SYNCZ:
            every = sorted(self._data_plane.proxies.items())
            return [
                (f"{TYPE_PREFIX}envoy.service.status.v3.ClientConfig", self._status(proxy)) for _, proxy in every
            ]
        if type_url == CONFIG_DUMP and len(names) == 1:
            proxy = self._data_plane.proxies.get(names[0])
            if proxy is None:
                raise GRPCError(Status.NOT_FOUND, f"{names[0]}: no such proxy is connected")
            return list(self._dump(proxy))
        if type_url == _DEBUG and len(names) == 1:
            status, body = await self._debug(f"/debug/{names[0]}")
            if status == 200:
                return [(_DEBUG, body.encode())]
        asked = " ".join((type_url, *names))
        known = f"{SYNCZ}, {CONFIG_DUMP} of one proxy, and {_DEBUG} of {SYNC_STATUS[-1].rpartition('/')[2]}"
        raise GRPCError(Status.UNIMPLEMENTED, f"{asked}: not supported by the sandbox's istiod, which has {known}")

    def _status(self, proxy: Proxy) -> bytes:
        """An envoy.service.status.v3.ClientConfig, of which Envoy has no descriptor."""
        metadata = {"CLUSTER_ID": "Kubernetes", "NAMESPACE": proxy.namespace, "ISTIO_VERSION": VERSION}
        node = envoy_messages.encode("envoy.config.core.v3.Node", {"id": proxy.id, "metadata": metadata})
        configs = b"".join(
            _field(3, _field(1, TYPE_PREFIX + TYPES[service]) + _number(6, _STATUSES.index(status)))
            for service, status in self._data_plane.status(proxy).items()
        )
        return _field(1, node.SerializeToString()) + configs

    def _dump(self, proxy: Proxy) -> Iterator[tuple[str, bytes]]:
        """What the proxy is to have, as the proxy itself would say that it has it."""
        configuration = self._data_plane.configuration(proxy)
        for kind, (message, field, held) in _DUMPS.items():
            resources = dict(configuration.of(kind))
            if kind == CLUSTERS:
                resources.update((cluster["name"], cluster) for cluster in envoy_clusters.shared())
            written = b""
            for name, resource in resources.items():
                shown = _shown(kind, own_names(proxy.id, resource), proxy.threads)
                own = envoy_messages.encode(kind, shown).SerializeToString()
                in_any = _field(1, TYPE_PREFIX + kind) + _field(2, own)
                written += _field(field, held(own_names(proxy.id, name), in_any))
            yield f"{TYPE_PREFIX}envoy.admin.v3.{message}", written


def _shown(kind: Kind, resource: Any, threads: int) -> Any:
    """As the proxy shows it, which hides keys."""
    if kind == CLUSTERS:
        as_real({"dynamic_active_clusters": [{"cluster": resource}]}, threads)
    elif kind == LISTENERS:
        as_real({"dynamic_listeners": [{"active_state": {"listener": resource}}]}, threads)
    return _without_keys(resource)


def _without_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_keys(one) for one in value]
    if not isinstance(value, dict):
        return value
    hidden = {"inline_string": "[redacted]"}
    return {key: hidden if key == "private_key" else _without_keys(one) for key, one in value.items()}


def _field(number: int, content: bytes | str) -> bytes:
    """A message's field that is a message, bytes or a string, as Protocol Buffers writes it."""
    data = content.encode() if isinstance(content, str) else content
    return envoy_messages.varint(number << 3 | 2) + envoy_messages.varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return envoy_messages.varint(number << 3) + envoy_messages.varint(value)


def _tls() -> ssl.SSLContext:
    """With a certificate of its own, which istioctl does not verify. An SSLContext reads it from a file only."""
    name, key = f"{ISTIOD[1]}.{ISTIOD[0]}.svc", ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.not_valid_after(now + timedelta(days=365)).sign(key, SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:  # nobody but its owner may read it
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context
