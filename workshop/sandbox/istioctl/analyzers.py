"""The analyzers: each looks for one of Istio's numbered messages (IST0101, ...)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from workshop.sandbox.mesh import hosts
from workshop.sandbox.mesh.injection import POD_LABEL, enabled
from workshop.sandbox.mesh.registry import protocol
from workshop.sandbox.mesh.virtual_services import MESH, bound_gateways

from .ready import has_proxy
from .resources import Resources, namespace_of

Object = dict[str, Any]


class Level(Enum):
    Info = 1
    Warning = 2
    Error = 3


@dataclass(frozen=True, slots=True)
class Message:
    code: str
    level: Level
    obj: Object
    text: str

    @property
    def namespace(self) -> str:
        return namespace_of(self.obj)

    @property
    def origin(self) -> str:
        metadata = self.obj["metadata"]
        if self.obj["kind"] == "Namespace":
            return f"Namespace {metadata['name']}"
        return f"{self.obj['kind']} {self.namespace}/{metadata['name']}"


def analyze(resources: Resources) -> Iterator[Message]:
    """Everything that any analyzer has to say."""
    for analyzer in (_missing_references, _namespaces_not_injected, _missing_proxies, _port_names):
        yield from analyzer(resources)


def _missing_references(resources: Resources) -> Iterator[Message]:
    """IST0101: a VirtualService names a host, a subset or a gateway that is not there."""
    services = {
        f"{obj['metadata']['name']}.{namespace_of(obj)}.svc.cluster.local" for obj in resources.of("Service")
    }
    gateways = {f"{namespace_of(obj)}/{obj['metadata']['name']}" for obj in resources.of("Gateway")}
    for rule in resources.of("VirtualService"):
        for gateway in bound_gateways({**rule, "metadata": {**rule["metadata"], "namespace": namespace_of(rule)}}):
            if gateway != MESH and gateway not in gateways:
                yield _not_found(rule, "gateway", gateway)
        elsewhere = _outside(resources, namespace_of(rule))
        for what, destination in _destinations(rule):
            host = hosts.resolve(destination.get("host", ""), namespace_of(rule))
            subset = destination.get("subset")
            if host not in services and not any(hosts.covers(known, host) for known in elsewhere):
                yield _not_found(rule, what, destination.get("host", ""))
            elif subset and subset not in _subsets(resources, host):
                yield _not_found(rule, "host+subset in destinationrule", f"{destination['host']}+{subset}")


def _destinations(rule: Object) -> list[tuple[str, Object]]:
    """Each destination of a VirtualService once, and what it is called when it is missing."""
    found: list[tuple[str, Object]] = []
    for http in rule["spec"].get("http") or []:
        found += [("host", route["destination"]) for route in http.get("route") or []]
        found += [("mirror host", http["mirror"])] if http.get("mirror") else []
        found += [("mirror host", mirror["destination"]) for mirror in http.get("mirrors") or []]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _outside(resources: Resources, namespace: str) -> set[str]:
    """Hosts of the ServiceEntries that `namespace` sees; they may begin with a wildcard."""
    return {
        hosts.resolve(host, namespace_of(entry))
        for entry in resources.of("ServiceEntry")
        for host in entry["spec"].get("hosts") or []
        if _exported_to(entry, namespace)
    }


def _exported_to(obj: Object, namespace: str) -> bool:
    exported = obj["spec"].get("exportTo") or ["*"]
    return any(name == "*" or namespace == (namespace_of(obj) if name == "." else name) for name in exported)


def _subsets(resources: Resources, host: str) -> set[str]:
    return {
        subset["name"]
        for rule in resources.of("DestinationRule")
        if hosts.covers(hosts.resolve(rule["spec"].get("host", ""), namespace_of(rule)), host)
        for subset in rule["spec"].get("subsets") or []
    }


def _not_found(rule: Object, what: str, name: str) -> Message:
    return Message("IST0101", Level.Error, rule, f'Referenced {what} not found: "{name}"')


def _namespaces_not_injected(resources: Resources) -> Iterator[Message]:
    """IST0102: nobody said whether pods of a namespace are to have sidecars."""
    for namespace in resources.outside_the_system("Namespace"):
        if enabled(namespace) is None:
            label = f"kubectl label namespace {namespace['metadata']['name']} istio-injection"
            yield Message(
                "IST0102",
                Level.Info,
                namespace,
                "The namespace is not enabled for Istio injection. "
                f"Run '{label}=enabled' to enable it, or '{label}=disabled' to explicitly mark it as "
                "not needing injection.",
            )


def _missing_proxies(resources: Resources) -> Iterator[Message]:
    """IST0103: a pod from before its namespace was enabled, also while it ends, until it is gone."""
    injected = {obj["metadata"]["name"] for obj in resources.outside_the_system("Namespace") if enabled(obj)}
    for pod in resources.of("Pod"):
        metadata = pod["metadata"]
        says = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(POD_LABEL, "")
        left_alone = has_proxy(pod) or says.lower() == "false" or pod["spec"].get("hostNetwork")
        if namespace_of(pod) in injected and not left_alone:
            name = f"{namespace_of(pod)}/{pod['metadata']['name']}"
            yield Message(
                "IST0103",
                Level.Warning,
                pod,
                f"The pod {name} is missing the Istio proxy. "
                "This can often be resolved by restarting or redeploying the workload.",
            )


def _port_names(resources: Resources) -> Iterator[Message]:
    """IST0118: a port whose name does not say what is spoken there."""
    for service in resources.outside_the_system("Service"):
        for port in service["spec"].get("ports") or []:
            if port.get("protocol", "TCP") == "TCP" and protocol(port) == "auto":
                name, target = port.get("name", ""), port.get("targetPort", port["port"])
                yield Message(
                    "IST0118",
                    Level.Info,
                    service,
                    f"Port name {name} (port: {port['port']}, targetPort: {target}) "
                    "doesn't follow the naming convention of Istio port.",
                )
