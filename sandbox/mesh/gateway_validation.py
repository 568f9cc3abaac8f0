"""What istiod's validating webhook refuses of a Gateway, and what the sandbox does not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address

from sandbox.core.cluster import Object
from sandbox.mesh import checks
from sandbox.mesh.gateways import ENCRYPTED, TLS_MODES


def find_problems(spec: Object, namespace: str) -> Iterator[str]:
    """Of a Gateway in `namespace`."""
    servers = spec.get("servers") or []
    if not servers:
        yield "gateway must have at least one server"
    names: set[str] = set()
    encrypted: dict[int, bool] = {}
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
        secure = (port.get("protocol") or "").upper() == ENCRYPTED
        yield from _tls(server.get("tls"), secure=secure)
        if encrypted.setdefault(number, secure) != secure:
            # istiod takes it, and opens the port for the first of them only.
            yield f"spec.servers[{index}].port: HTTP and HTTPS on port {number} are not supported by the sandbox"


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


def _tls(tls: Object | None, *, secure: bool) -> Iterator[str]:
    if not secure:
        if set(tls or {}) - {"httpsRedirect"}:
            yield "server cannot have TLS settings for plain text HTTP ports, except for httpsRedirect"
        return
    if tls is None:
        yield "server must have TLS settings for HTTPS/TLS protocols"
        return
    if tls.get("httpsRedirect"):
        yield "tls.httpsRedirect should only be used with HTTP servers"
    mode = tls.get("mode", "PASSTHROUGH")
    if mode not in TLS_MODES:
        # Where it is not written it is the default, which the table of supported values does not see.
        if "mode" not in tls:
            yield "spec.servers.tls.mode: PASSTHROUGH (the default) is not supported by the sandbox"
    elif not tls.get("credentialName"):
        yield f"{mode} TLS requires a server certificate (credentialName)"
    least, most = (tls.get(field) or "TLS_AUTO" for field in ("minProtocolVersion", "maxProtocolVersion"))
    if "TLS_AUTO" not in (least, most) and least > most:
        yield f"minProtocolVersion {least} is above maxProtocolVersion {most}"
