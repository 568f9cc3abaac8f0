"""Rows of services and their endpoints."""

from __future__ import annotations

from typing import Any

from sandbox.api.tables.columns import NONE, columns, created, selector, shortened
from sandbox.core.cluster import Object
from sandbox.core.objects import at


def _service(obj: Object) -> list[Any]:
    spec = obj["spec"]
    ports = [
        f"{port['port']}:{port['nodePort']}/{port.get('protocol', 'TCP')}"
        if port.get("nodePort")
        else f"{port['port']}/{port.get('protocol', 'TCP')}"
        for port in spec.get("ports") or ()
    ]
    return [
        obj["metadata"]["name"],
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or NONE,
        _external(obj),
        ",".join(ports) or NONE,
        created(obj),
        selector(spec.get("selector")),
    ]


def _external(obj: Object) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    addresses = list(spec.get("externalIPs") or ())
    if spec.get("type") != "LoadBalancer":
        return ",".join(addresses) or NONE
    balancers = at(obj, "status", "loadBalancer", "ingress") or []
    given = sorted(entry.get("ip") or entry.get("hostname") or "" for entry in balancers)
    return ",".join([*given, *addresses]) or "<pending>"


def _endpoints(obj: Object) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [address["ip"] for address in subset.get("addresses") or ()]
        ports = subset.get("ports")
        found += [f"{ip}:{port['port']}" for port in ports for ip in addresses] if ports else addresses
    return [obj["metadata"]["name"], shortened(found, 3), created(obj)]


def _endpoint_slice(obj: Object) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
    addresses = [ip for endpoint in obj.get("endpoints") or () for ip in endpoint.get("addresses") or ()]
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        shortened(ports, 3) if ports else "<unset>",
        shortened(addresses, 3) if addresses else "<unset>",
        created(obj),
    ]


SERVICES = (
    columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=("Selector",)),
    _service,
)
ENDPOINTS = (columns("Name", "Endpoints", "Age"), _endpoints)
ENDPOINT_SLICES = (columns("Name", "AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice)
