"""ServiceEntries as services of the registry: what is known to the mesh and is no Service of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.core.cluster import Object
from sandbox.core.service_entry_hosts import Host
from sandbox.mesh.registry import Endpoint, Port, Protocol, Service

PROTOCOLS: Mapping[str, Protocol] = {
    "HTTP": "http",
    **dict.fromkeys(("HTTP2", "GRPC", "GRPC-WEB"), "http2"),
    **dict.fromkeys(("TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS"), "tcp"),
}
"""What a port may say it speaks, in capitals. What is encrypted is forwarded as it is."""


def services(found: Iterable[Host]) -> list[Service]:
    """One for each host. Endpoints are addresses only, so all ways of resolving them but NONE come to the same."""
    return [_service(host) for host in found]


def _service(host: Host) -> Service:
    spec, metadata = host.entry["spec"], host.entry["metadata"]
    ports = spec.get("ports") or []
    return Service(
        name=metadata["name"],
        namespace=metadata["namespace"],
        address=host.addresses[0] if host.addresses else "",
        ports=tuple(Port(port["number"], port["name"], _protocol(port)) for port in ports),
        selector={},
        target_ports={},
        endpoints={port["number"]: tuple(_endpoints(port, spec)) for port in ports},
        hostname=host.name,
        more_addresses=host.addresses[1:],
        forwarded=spec.get("resolution", "NONE") == "NONE",
    )


def _protocol(port: Object) -> Protocol:
    declared = port.get("protocol")
    return PROTOCOLS[declared.upper()] if declared else "auto"


def _endpoints(port: Object, spec: Object) -> Iterable[Endpoint]:
    for endpoint in spec.get("endpoints") or []:
        number = (endpoint.get("ports") or {}).get(port["name"]) or port.get("targetPort") or port["number"]
        yield Endpoint(endpoint["address"], number, endpoint.get("labels") or {}, endpoint.get("weight") or 1)
