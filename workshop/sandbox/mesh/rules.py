"""The rules in force: Gateways, VirtualServices and DestinationRules, found by who asks and for which host.

The order among rules for the same host is Istio's: the older wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workshop.sandbox.cluster import Object

from . import hosts, provenance, virtual_services
from .virtual_services import MeshRules

ROOT_NAMESPACE = "istio-system"


@dataclass(frozen=True)
class Policy:
    """What DestinationRules say of one host: a policy for all of it, and its subsets by name.

    `origin` is Envoy's metadata that names the (oldest) rule.
    """

    traffic: Mapping[str, Any] = field(default_factory=dict)
    subsets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


NO_POLICY = Policy()


@dataclass(frozen=True)
class Rules:
    gateways: tuple[Object, ...] = ()
    virtual_services: tuple[Object, ...] = ()
    destination_rules: tuple[Object, ...] = ()

    @cached_property
    def hash(self) -> bool:
        """Whether any DestinationRule says `consistentHash`, without which nobody needs to look for it."""
        return any(_says("consistentHash", rule["spec"]) for rule in self.destination_rules)

    def of_mesh(self, namespace: str) -> MeshRules:
        """VirtualServices for sidecars in `namespace`."""
        return virtual_services.of_mesh(self.virtual_services, namespace)

    def of_gateway(self, gateway: Object, namespace: str) -> list[Object]:
        """VirtualServices for `gateway` (a Gateway object), whose pods are in `namespace`."""
        name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        return virtual_services.of_gateway(self.virtual_services, name, namespace)

    def policy(self, host: str, service_namespace: str, client_namespace: str) -> Policy:
        """What clients in `client_namespace` are told of `host`.

        Rules of the client's namespace come first, then those of the service's, then the root namespace's.
        """
        for namespace in dict.fromkeys((client_namespace, service_namespace, ROOT_NAMESPACE)):
            candidates: dict[str, list[Object]] = {}
            for rule in self.destination_rules:
                if rule["metadata"]["namespace"] == namespace and _exported_to(rule, client_namespace):
                    pattern = hosts.resolve(rule["spec"]["host"], namespace)
                    candidates.setdefault(pattern, []).append(rule)
            if found := hosts.most_specific(candidates.items(), host):
                return _merged(found)
        return NO_POLICY


def build(
    gateways: Iterable[Object], virtual_services: Iterable[Object], destination_rules: Iterable[Object]
) -> Rules:
    return Rules(_by_age(gateways), _by_age(virtual_services), _by_age(destination_rules))


def _by_age(objects: Iterable[Object]) -> tuple[Object, ...]:
    def age(obj: Object) -> tuple[str, str, str]:
        metadata = obj["metadata"]
        return metadata.get("creationTimestamp") or "", metadata["name"], metadata["namespace"]

    return tuple(sorted(objects, key=age))


def _says(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_says(name, item) for item in value.values())
    return isinstance(value, list) and any(_says(name, item) for item in value)


def _exported_to(rule: Object, namespace: str) -> bool:
    exported = rule["spec"].get("exportTo") or ["*"]
    own = rule["metadata"]["namespace"]
    return any(name == "*" or namespace == (own if name == "." else name) for name in exported)


def _merged(found: list[Object]) -> Policy:
    """Several rules for one host: the oldest one's policy, and everyone's subsets (of a name, the oldest)."""
    subsets: dict[str, Mapping[str, Any]] = {}
    for rule in found:
        for subset in rule["spec"].get("subsets") or []:
            subsets.setdefault(subset["name"], subset)
    origin = provenance.metadata("destination-rule", found[0])
    return Policy(found[0]["spec"].get("trafficPolicy") or {}, subsets, origin)
