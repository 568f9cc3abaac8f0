"""What istiod's validating webhook refuses of a ServiceEntry, and what could not work in the sandbox.

There is no name resolution beyond the cluster's own and other clusters' gateways (`gateway_names`), and no network
beyond the sandbox's addresses. What an entry says of hosts elsewhere is taken, and whoever asks them is told what a
host without a way to them would be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address, ip_network

from sandbox.core.addresses import is_cluster_ip
from sandbox.core.cluster import Object
from sandbox.mesh import checks
from sandbox.mesh.gateway_names import Resolve
from sandbox.mesh.registry import DOMAIN

_NONE, _STATIC, _DNS, _DNS_ROUND_ROBIN = "NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"

_UNRESOLVED = "of names outside it resolves those of other clusters' Gateways; give endpoints with addresses"


def find_problems(spec: Object, namespace: str, resolve: Resolve = lambda name: None) -> Iterator[str]:
    """Of an entry in `namespace`. `resolve` knows names that are not of the cluster."""
    resolution = spec.get("resolution", _NONE)
    yield from _hosts(spec.get("hosts") or [])
    yield from checks.export_to((name for name in spec.get("exportTo") or [] if name != "~"), namespace)
    yield from _addresses(spec.get("addresses") or [], resolution)
    yield from _ports(spec.get("ports") or [], resolution)
    yield from _endpoints(spec, resolution, resolve)


def _hosts(names: list[str]) -> Iterator[str]:
    if not names:
        yield "service entry must have at least one host"
    for index, name in enumerate(names):
        if name == "*":
            yield f"invalid host {name}"
        else:
            yield from checks.host(name)
        if name.startswith("*"):
            yield _refused(f"spec.hosts[{index}]", name, "nothing resolves a wildcard's names")
        if name.endswith(f".{DOMAIN}") or "." not in name:
            yield _refused(f"spec.hosts[{index}]", name, "the cluster's own names are its services'")
        if names.index(name) != index:
            yield f"duplicate host {name}"


def _addresses(addresses: list[str], resolution: str) -> Iterator[str]:
    for index, written in enumerate(addresses):
        try:
            network = ip_network(written, strict=False)
        except ValueError:
            yield f"{written} is not a valid IP address or CIDR"
            continue
        if not isinstance(network, IPv4Network):
            yield _refused(f"spec.addresses[{index}]", written, "it has IPv4 only")
        elif "/" in written and resolution not in (_NONE, _STATIC):
            yield "CIDR addresses are allowed only for NONE/STATIC resolution types"


def _ports(ports: list[Object], resolution: str) -> Iterator[str]:
    if not ports:
        # istiod takes it, and nothing can be reached by it.
        yield "spec.ports: an entry without ports is not supported by the sandbox"
    seen: set[int | str] = set()
    for port in ports:
        number, name = port.get("number", 0), port.get("name", "")
        yield from checks.port(number)
        yield from checks.label("port name", name)
        if number in seen:
            yield f"service entry port {number} already defined"
        if name in seen:
            yield f'service entry port name "{name}" already defined'
        seen.update((number, name))
        if "targetPort" in port:
            yield from checks.port(port["targetPort"])
            if resolution == _NONE:
                yield "targetPort is invalid with resolution mode NONE"


def _endpoints(spec: Object, resolution: str, resolve: Resolve) -> Iterator[str]:
    endpoints = spec.get("endpoints") or []
    if resolution == _NONE:
        if endpoints:
            yield "no endpoints should be provided for resolution type none"
        return
    if not endpoints and resolution == _STATIC:
        yield "endpoints must be provided for service entry with resolution mode STATIC"
    elif not endpoints:
        if not all(map(resolve, spec.get("hosts") or [])):
            yield _refused("spec.endpoints", f"{resolution} without any", _UNRESOLVED)
    elif resolution == _DNS_ROUND_ROBIN and len(endpoints) > 1:
        yield f"there must only be 0 or 1 endpoint for resolution mode {resolution}"
    names = {port.get("name") for port in spec.get("ports") or []}
    for index, endpoint in enumerate(endpoints):
        yield from _address(f"spec.endpoints[{index}].address", endpoint.get("address") or "", resolution, resolve)
        yield from checks.labels(endpoint.get("labels") or {})
        for name, number in (endpoint.get("ports") or {}).items():
            yield from checks.port(number)
            if name not in names:
                yield f"endpoint port {name} is not defined by the service entry"


def _address(path: str, address: str, resolution: str, resolve: Resolve) -> Iterator[str]:
    try:
        ip_address(address)
    except ValueError:
        if not address:
            yield "address is required"
        elif resolution == _STATIC:
            yield f"{address} is not a valid IP address"
        elif not address.endswith(f".{DOMAIN}") and resolve(address) is None:
            yield _refused(path, address, _UNRESOLVED)
    else:
        if is_cluster_ip(address):
            yield _refused(path, address, "nobody listens at a service's address; name a pod or a load balancer")


def _refused(path: str, value: str, why: str) -> str:
    return f"{path}: {value} is not supported by the sandbox ({why})"
