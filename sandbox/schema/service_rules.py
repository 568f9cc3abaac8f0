"""Rules of services."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, duplicate, forbidden, required
from sandbox.schema.selector_rules import labels


def service(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield bad_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        yield from _external_name(spec)
    yield from _ports(spec)
    yield from labels(spec.get("selector") or {}, "spec.selector")
    yield from _addresses(spec, old)
    yield from _only_for(spec, kind)


def _external_name(spec: Object) -> Iterator[Cause]:
    if spec.get("clusterIP") or spec.get("clusterIPs"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield required("spec.externalName")
    elif wrong := names.subdomain(name):
        yield bad_value("spec.externalName", name, wrong)


def _ports(spec: Object) -> Iterator[Cause]:
    ports = spec.get("ports") or ()
    seen_names: set[str] = set()
    seen: set[tuple[object, object]] = set()
    seen_nodes: set[tuple[object, object]] = set()
    for i, port in enumerate(ports):
        path = f"spec.ports[{i}]"
        name = port.get("name")
        if name:
            if wrong := names.label(name):
                yield bad_value(f"{path}.name", name, wrong)
            if name in seen_names:
                yield duplicate(f"{path}.name", name)
            seen_names.add(name)
        elif len(ports) > 1:
            yield required(f"{path}.name")
        if wrong := names.port_number(port.get("port")):
            yield bad_value(f"{path}.port", port.get("port"), wrong)
        if wrong := names.port_number_or_name(port.get("targetPort", 1)):
            yield bad_value(f"{path}.targetPort", port["targetPort"], wrong)
        if (protocol := port.get("appProtocol")) and (wrong := names.qualified_name(protocol)):
            yield bad_value(f"{path}.appProtocol", protocol, wrong)
        identity = (port.get("protocol"), port.get("port"))
        if identity in seen:
            yield duplicate(path, {"port": identity[1], "protocol": identity[0]})
        seen.add(identity)
        if node_port := port.get("nodePort"):
            if spec.get("type") == "ClusterIP":
                yield forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
            if (port.get("protocol"), node_port) in seen_nodes:
                yield duplicate(f"{path}.nodePort", node_port)
            seen_nodes.add((port.get("protocol"), node_port))


def _addresses(spec: Object, old: Object | None) -> Iterator[Cause]:
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if address and addresses and addresses[0] != address:
        yield bad_value("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    for i, each in enumerate(addresses or ([address] if address else ())):
        if each not in ("None", "") and not _is_address(each):
            yield bad_value(
                f"spec.clusterIPs[{i}]", each, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            )
    for i, each in enumerate(spec.get("externalIPs") or ()):
        if not _is_address(each):
            yield bad_value(
                f"spec.externalIPs[{i}]", each, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            )
    if old is None or "ExternalName" in (spec.get("type"), (old.get("spec") or {}).get("type")):
        return
    before = old["spec"].get("clusterIP")
    if before and address != before:
        yield bad_value("spec.clusterIPs[0]", address, "may not change once set")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _only_for(spec: Object, kind: str | None) -> Iterator[Cause]:
    if kind != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges"):
            if spec.get(key) is not None:
                yield forbidden(f"spec.{key}", "may only be used when `type` is 'LoadBalancer'")
    outside = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if spec.get("externalTrafficPolicy") and not outside:
        detail = "may only be set for externally-accessible services"
        yield bad_value("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], detail)
