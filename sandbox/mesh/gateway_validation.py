"""What istiod's validating webhook refuses of a Gateway, and what the sandbox does not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address

from sandbox.core.cluster import Object
from sandbox.mesh import checks
from sandbox.mesh.gateways import ENCRYPTED, PASSTHROUGH, TLS_MODES, kind_of

_KINDS = {"http": "HTTP", "tls": "HTTPS", "tcp": "TCP"}


def find_problems(spec: Object, namespace: str) -> Iterator[str]:
    """Of a Gateway in `namespace`."""
    servers = spec.get("servers") or []
    if not servers:
        yield "gateway must have at least one server"
    names: set[str] = set()
    kinds: dict[int, str] = {}
    for index, server in enumerate(servers):
        port = server.get("port") or {}
        if not server.get("hosts"):
            yield "server config must contain at least one host"
        for host in server.get("hosts") or []:
            yield from _host(host)
        number = port.get("number", 0)
        yield from checks.port(number)
        if not port.get("protocol"):
            yield "port protocol must be set"
        name = port.get("name") or ""
        if not name:
            yield f"port name must be set: {_text(port)}"
        elif name in names:
            yield f"port names in servers must be unique: duplicate name {name}"
        names.add(name)
        protocol = (port.get("protocol") or "").upper()
        yield from _tls(server.get("tls"), protocol)
        kind, before = kind_of(protocol), kinds.setdefault(number, kind_of(protocol))
        if kind != before:
            # istiod takes it, and opens the port for the first of them only.
            both = f"{_KINDS[before]} and {_KINDS[kind]}"
            yield f"spec.servers[{index}].port: {both} on port {number} are not supported by the sandbox"


def _text(port: Object) -> str:
    """A port without a name as istiod prints it: protobuf's text."""
    return " ".join(f"{field}:{json.dumps(port[field])}" for field in ("number", "protocol") if port.get(field))


def _host(written: str) -> Iterator[str]:
    """NAMESPACE/HOST or HOST, which may be an address or begin with a wildcard."""
    namespace, slash, host = written.rpartition("/")
    if slash and namespace not in ("*", ".") and not checks.is_label(namespace):
        yield f'invalid namespace value "{namespace}" in gateway host'
    if host == "*" or _is_address(host):
        return
    if "." not in host:
        yield f"short names (non FQDN) are not allowed: {host}"
    yield from checks.host(host)


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _tls(tls: Object | None, protocol: str) -> Iterator[str]:
    if protocol not in ENCRYPTED:
        if tls is not None and kind_of(protocol) == "tcp":
            yield "server cannot have TLS settings for non HTTPS/TLS ports"
        elif set(tls or {}) - {"httpsRedirect"}:
            yield "server cannot have TLS settings for plain text HTTP ports, except for httpsRedirect"
        return
    if tls is None:
        yield "server must have TLS settings for HTTPS/TLS protocols"
        return
    if tls.get("httpsRedirect"):
        yield "tls.httpsRedirect should only be used with HTTP servers"
    mode = tls.get("mode", PASSTHROUGH)
    if mode in TLS_MODES and mode != PASSTHROUGH and not tls.get("credentialName"):
        yield f"{mode} TLS requires a server certificate (credentialName)"
    least, most = (tls.get(field) or "TLS_AUTO" for field in ("minProtocolVersion", "maxProtocolVersion"))
    if "TLS_AUTO" not in (least, most) and least > most:
        yield f"minProtocolVersion {least} is above maxProtocolVersion {most}"
