"""What istiod's validating webhook refuses, or warns of, of a Sidecar."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.core.cluster import Object
from sandbox.mesh import checks
from sandbox.mesh.sidecar_scopes import EVERYWHERE, HERE, WITHOUT


def find_problems(spec: Object, namespace: str) -> Iterator[str]:
    yield from checks.selector((spec.get("workloadSelector") or {}).get("labels"))
    egress = spec.get("egress") or []
    if not egress and not spec.get("outboundTrafficPolicy"):
        yield "sidecar: empty configuration provided"
    for index, listener in enumerate(egress):
        if index:
            yield "sidecar: egress can have only one listener with empty port"
            continue
        if len(egress) > 1:
            yield "sidecar: the egress listener with empty port should be the last listener in the list"
        if not listener.get("hosts"):
            yield "sidecar: egress listener must contain at least one host"
        for host in listener.get("hosts") or []:
            yield from _host(host)


def _host(written: str) -> Iterator[str]:
    place, slash, name = written.partition("/")
    if not slash:
        yield "host must be of form namespace/dnsName"
        return
    if not place or not name:
        yield "config namespace and dnsName in host entry cannot be empty"
    namespace = place.removeprefix(WITHOUT)
    if namespace and namespace not in (EVERYWHERE, HERE) and not checks.is_label(namespace):
        yield f'invalid namespace value "{place}" in sidecar'
    if name == "*":
        return
    if "." not in name:
        yield "short names (non FQDN) are not allowed"
    yield from checks.host(name)
    if "*" in name and not name.startswith("*."):
        yield f'partial wildcard "{name}" not allowed'


def find_warnings(spec: Object, namespace: str) -> Iterator[str]:
    """Of one with which nothing is wrong."""
    selector = spec.get("workloadSelector")
    if selector is not None and not selector.get("labels"):
        yield "sidecar: workload selector specified without labels, will be applied to all services in namespace"
    for listener in spec.get("egress") or []:
        seen: dict[str, set[str]] = {}
        for host in listener["hosts"]:
            place, _, name = host.partition("/")
            if not place.startswith(WITHOUT):
                names = seen.setdefault(namespace if place == HERE else place, set())
                if name in names or "*" in names or (name == "*" and names):
                    yield f"duplicated egress host: {host}"
                names.add(name)
        if "*" in seen.get(EVERYWHERE, ()) and len(seen) > 1:
            yield "`*/*` host select all resources, no other hosts can be added"
