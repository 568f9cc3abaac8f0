"""The rules in force: Gateways, VirtualServices and DestinationRules, found by who asks and for which host.

The order among rules for the same host is Istio's: the older wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sandbox.core.cluster import Object
from sandbox.mesh import hosts, provenance, virtual_services
from sandbox.mesh.virtual_services import MeshRules

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

        Rules of the client's namespace come first, then those of the service's, then the root namespace's. The
        root namespace's are for everybody, so for clients in it only those come first that are for it alone.
        """
        found: list[Object] | None = None
        if client_namespace == ROOT_NAMESPACE:
            found = self._rules_for(host, ROOT_NAMESPACE, client_namespace, private=True)
        order = (client_namespace, service_namespace, ROOT_NAMESPACE)
        for namespace in dict.fromkeys(order if client_namespace != ROOT_NAMESPACE else order[1:]):
            found = found or self._rules_for(host, namespace, client_namespace)
        return _merged(found) if found else NO_POLICY

    def _rules_for(
        self, host: str, namespace: str, client_namespace: str, *, private: bool = False
    ) -> list[Object] | None:
        """DestinationRules of `namespace`, the oldest first; of `private` ones those nobody else may see."""
        candidates: dict[str, list[Object]] = {}
        for rule in self.destination_rules:
            visible = _exports(rule) == {namespace} if private else _exported_to(rule, client_namespace)
            if visible and rule["metadata"]["namespace"] == namespace:
                candidates.setdefault(hosts.resolve(rule["spec"]["host"], namespace), []).append(rule)
        return hosts.most_specific(candidates.items(), host)


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
    return not _exports(rule).isdisjoint(("*", namespace))


def _exports(rule: Object) -> set[str]:
    own = rule["metadata"]["namespace"]
    return {own if name == "." else name for name in rule["spec"].get("exportTo") or ["*"]}


def _merged(found: list[Object]) -> Policy:
    """Several rules for one host are one if they are for the same namespaces; of others the oldest counts.

    The policy is the oldest one's that has any, and the subsets are everyone's (of a name, the oldest one's).
    """
    alike = [rule for rule in found if _exports(rule) == _exports(found[0])]
    subsets: dict[str, Mapping[str, Any]] = {}
    for rule in alike:
        for subset in rule["spec"].get("subsets") or []:
            subsets.setdefault(subset["name"], subset)
    traffic: Mapping[str, Any] = next(
        (policy for rule in alike if (policy := rule["spec"].get("trafficPolicy"))), {}
    )
    return Policy(traffic, subsets, provenance.metadata("destination-rule", alike[0]))
