"""Rules of services, of configuration, of roles and of webhook configurations."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import chain

from sandbox.core.cluster import Object
from sandbox.schema import names
from sandbox.schema.findings import (
    Cause,
    bad_value,
    forbidden,
    required,
    too_long,
    unique,
    unsupported,
    well_formed,
)
from sandbox.schema.names import labels, selector

_LIMIT = 1024 * 1024
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_RBAC = "rbac.authorization.k8s.io"


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
    else:
        yield from well_formed("spec.externalName", name, names.subdomain)


def _ports(spec: Object) -> Iterator[Cause]:
    ports = spec.get("ports") or ()
    identities, node_ports = [], []
    for i, port in enumerate(ports):
        path, protocol = f"spec.ports[{i}]", port.get("protocol")
        identities.append((path, {"port": port.get("port"), "protocol": protocol}))
        if name := port.get("name"):
            yield from well_formed(f"{path}.name", name, names.label)
        elif len(ports) > 1:
            yield required(f"{path}.name")
        yield from well_formed(f"{path}.port", port.get("port"), names.port_number)
        yield from well_formed(f"{path}.targetPort", port.get("targetPort", 1), names.port_number_or_name)
        if application := port.get("appProtocol"):
            yield from well_formed(f"{path}.appProtocol", application, names.qualified_name)
        if node_port := port.get("nodePort"):
            node_ports.append((f"{path}.nodePort", {"nodePort": node_port, "protocol": protocol}))
            if spec.get("type") == "ClusterIP":
                yield forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
    yield from unique((f"spec.ports[{i}].name", port.get("name") or None) for i, port in enumerate(ports))
    yield from unique([*identities, *node_ports])


def _addresses(spec: Object, old: Object | None) -> Iterator[Cause]:
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if address and addresses and addresses[0] != address:
        yield bad_value("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    for i, each in enumerate(addresses or ([address] if address else ())):
        if each not in ("None", ""):
            yield from well_formed(f"spec.clusterIPs[{i}]", each, _ip_address)
    for i, each in enumerate(spec.get("externalIPs") or ()):
        yield from well_formed(f"spec.externalIPs[{i}]", each, _ip_address)
    if old is None or "ExternalName" in (spec.get("type"), (old.get("spec") or {}).get("type")):
        return
    before = old["spec"].get("clusterIP")
    if before and address != before:
        yield bad_value("spec.clusterIPs[0]", address, "may not change once set")


def _ip_address(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return None


def _only_for(spec: Object, kind: str | None) -> Iterator[Cause]:
    if kind != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges"):
            if spec.get(key) is not None:
                yield forbidden(f"spec.{key}", "may only be used when `type` is 'LoadBalancer'")
    outside = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if spec.get("externalTrafficPolicy") and not outside:
        detail = "may only be set for externally-accessible services"
        yield bad_value("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], detail)


def config_map(obj: Object, old: Object | None) -> Iterator[Cause]:
    text, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for kind, data in (("data", text), ("binaryData", binary)):
        for key in data:
            yield from well_formed(f"{kind}[{key}]", key, names.config_key)
    for key in text:
        if key in binary:
            yield bad_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    if sum(map(len, chain(text.values(), binary.values()))) > _LIMIT:
        yield too_long("", _LIMIT)
    yield from _immutable(obj, old, "data", "binaryData")


def secret(obj: Object, old: Object | None) -> Iterator[Cause]:
    data = obj.get("data") or {}
    for key in data:
        yield from well_formed(f"data[{key}]", key, names.config_key)
    if sum(map(len, data.values())) * 3 // 4 > _LIMIT:
        yield too_long("data", _LIMIT)
    for key in _NEEDED.get(obj.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")
    if old is not None and obj.get("type") != old.get("type"):
        yield bad_value("type", obj.get("type"), "field is immutable")
    yield from _immutable(obj, old, "data")


def _immutable(obj: Object, old: Object | None, *parts: str) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    detail = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        yield forbidden("immutable", detail)
    for part in parts:
        if (obj.get(part) or {}) != (old.get(part) or {}):
            yield forbidden(part, detail)


def role(obj: Object, old: Object | None) -> Iterator[Cause]:
    for i, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{i}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if urls := rule.get("nonResourceURLs"):
            field = f"{path}.nonResourceURLs"
            if obj.get("kind") == "Role":
                yield bad_value(field, urls, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                yield bad_value(field, urls, "rules cannot apply to both regular resources and non-resource URLs")
            continue
        if not rule.get("apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def binding(obj: Object, old: Object | None) -> Iterator[Cause]:
    reference = obj["roleRef"]
    if reference.get("apiGroup") != _RBAC:
        yield unsupported("roleRef.apiGroup", reference.get("apiGroup"), [_RBAC])
    kinds = ["ClusterRole", "Role"] if obj.get("kind") == "RoleBinding" else ["ClusterRole"]
    if reference.get("kind") not in kinds:
        yield unsupported("roleRef.kind", reference.get("kind"), kinds)
    if old is not None and reference != old["roleRef"]:
        yield bad_value("roleRef", reference, "cannot change roleRef")
    for i, subject in enumerate(obj.get("subjects") or ()):
        path, kind = f"subjects[{i}]", subject.get("kind")
        if kind == "ServiceAccount":
            yield from well_formed(f"{path}.name", subject.get("name", ""), names.subdomain)
            if obj.get("kind") == "ClusterRoleBinding" and not subject.get("namespace"):
                yield required(f"{path}.namespace")
        elif kind not in ("User", "Group"):
            yield unsupported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"])


def webhooks(obj: Object, old: Object | None) -> Iterator[Cause]:
    configured = obj.get("webhooks") or ()
    yield from unique((f"webhooks[{i}].name", webhook["name"]) for i, webhook in enumerate(configured))
    for i, webhook in enumerate(configured):
        path, client = f"webhooks[{i}]", webhook["clientConfig"]
        yield from well_formed(f"{path}.name", webhook["name"], _webhook_name)
        if ("url" in client) == ("service" in client):
            yield required(f"{path}.clientConfig", "exactly one of url or service is required")
        if webhook["sideEffects"] not in ("None", "NoneOnDryRun"):
            yield unsupported(f"{path}.sideEffects", webhook["sideEffects"], ["None", "NoneOnDryRun"])
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            detail = "the timeout value must be between 1 and 30 seconds"
            yield bad_value(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], detail)
        for key in ("namespaceSelector", "objectSelector"):
            yield from selector(webhook.get(key) or {}, f"{path}.{key}")


def _webhook_name(name: str) -> str | None:
    few = "should be a domain with at least three segments separated by dots"
    return names.subdomain(name) or (few if name.count(".") < 2 else None)
