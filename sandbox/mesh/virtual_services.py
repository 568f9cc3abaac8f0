"""Which VirtualService is for whom.

Istio asks first who may see a rule. Of those that may be seen, the ones exported to a namespace by name come before
those for everybody, and among these the older comes first. For a sidecar one rule speaks for a host: the first with
the very name that has anything to say to that sidecar, else the first with the narrowest wildcard. At a gateway all
rules for a host do, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.core.cluster import Object
from sandbox.mesh import hosts
from sandbox.mesh.registry import Registry

EVERYBODY = "*"
MESH = "mesh"
"""What stands among a VirtualService's gateways for every sidecar."""

_EXTERNAL_HOSTS_PORT = 80
"""A rule that is for no service of the mesh counts on this port only, as with Istio."""


@dataclass(frozen=True)
class MeshRules:
    """What sidecars of one namespace go by."""

    rules: tuple[Object, ...]
    exact: dict[str, list[Object]] = field(default_factory=dict)
    wildcards: dict[str, Object] = field(default_factory=dict)
    """By pattern; of several rules the first."""

    def candidates(self, host: str) -> list[Object]:
        """The rules that may speak for a service, in order: the first that has routes does."""
        if host in self.exact:
            return self.exact[host]
        found = hosts.most_specific(self.wildcards.items(), host)
        return [] if found is None else [found]

    def others(self, registry: Registry) -> Iterator[tuple[Object, list[str], frozenset[int]]]:
        """(rule, its hosts that are no service, the ports on which these count).

        Those are the ports of the rule's services, if it has any.
        """
        found = [
            (rule, [host for host in resolved(rule) if not _stands_for_some(host, registry)]) for rule in self.rules
        ]
        found = [(rule, names) for rule, names in found if names]
        by_rule: dict[int, set[int]] = {}
        for service in registry.services if found else ():
            for rule in self.candidates(service.host):
                by_rule.setdefault(id(rule), set()).update(p.number for p in service.ports if p.protocol != "tcp")
        for rule, names in found:
            yield rule, names, frozenset(by_rule.get(id(rule)) or {_EXTERNAL_HOSTS_PORT})


def of_mesh(rules: Iterable[Object], namespace: str) -> MeshRules:
    """`rules` are all VirtualServices, the oldest first."""
    found = MeshRules(tuple(rule for rule in visible(rules, namespace) if MESH in bound_gateways(rule)))
    for rule in found.rules:
        for host in resolved(rule):
            if host.startswith("*"):
                found.wildcards.setdefault(host, rule)
            else:
                found.exact.setdefault(host, []).append(rule)
    return found


def of_gateway(rules: Iterable[Object], gateway: str, namespace: str) -> list[Object]:
    """Those for a gateway (NAMESPACE/NAME) whose pods are in `namespace`."""
    return [rule for rule in visible(rules, namespace) if gateway in bound_gateways(rule)]


def visible(rules: Iterable[Object], namespace: str) -> list[Object]:
    """What is exported to `namespace`: first what is for it by name, its own before that of others."""
    ranked: tuple[list[Object], ...] = ([], [], [])
    for rule in rules:
        exported = rule["spec"].get("exportTo") or [EVERYBODY]
        own = rule["metadata"]["namespace"]
        if EVERYBODY in exported:
            ranked[2].append(rule)
        elif namespace in (own if name == "." else name for name in exported):
            ranked[own != namespace].append(rule)
    return [rule for group in ranked for rule in group]


def resolved(virtual_service: Object) -> list[str]:
    """A VirtualService's hosts in full."""
    namespace = virtual_service["metadata"]["namespace"]
    return [hosts.resolve(host, namespace) for host in virtual_service["spec"].get("hosts") or []]


def bound_gateways(virtual_service: Object) -> list[str]:
    """The gateways a VirtualService names, each as NAMESPACE/NAME or `mesh`."""
    namespace = virtual_service["metadata"]["namespace"]
    names = virtual_service["spec"].get("gateways") or [MESH]
    return [qualified(name, namespace) for name in names]


def qualified(gateway: str, namespace: str) -> str:
    """A gateway's name as a VirtualService in `namespace` writes it, in full.

    An older way to write it is NAME.NAMESPACE.svc.cluster.local.
    """
    if gateway == MESH:
        return gateway
    if "/" in gateway:
        of, _, name = gateway.partition("/")
        return f"{namespace if of == '.' else of}/{name}"
    name, *more = gateway.split(".")
    return f"{more[0] if more else namespace}/{name}"


def _stands_for_some(host: str, registry: Registry) -> bool:
    if not host.startswith("*"):
        return host in registry.by_host
    return any(hosts.covers(host, service) for service in registry.by_host)
