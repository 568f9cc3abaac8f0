"""The rules in force: VirtualServices and DestinationRules found by who asks and for which host, and the others.

The order among rules for the same host is Istio's: the older wins.

Of VirtualServices Istio asks first who may see a rule. One that is there for everybody speaks for a service to the
namespaces of the rule and of the service only (as a real mesh of 1.31.1 showed): a client elsewhere is not touched.
Of those that may be seen, the ones exported to a namespace
by name come before those for everybody, and among these the older comes first. For a sidecar one rule speaks for a
host: the first with the very name that has anything to say to that sidecar, else the first with the narrowest
wildcard. At a gateway all rules for a host do, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from sandbox.core.cluster import Object
from sandbox.core.istio_exports import EVERYBODY, exported_to, exports
from sandbox.mesh.istio import ISTIO_NAMESPACE
from sandbox.mesh.registry import DOMAIN, Registry

T = TypeVar("T")

ROOT_NAMESPACE = ISTIO_NAMESPACE


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
    policies: Policies = field(default_factory=lambda: Policies(()))
    authorization_policies: tuple[Object, ...] = ()

    @cached_property
    def of_connections(self) -> tuple[Object, ...]:
        """VirtualServices that say where connections go, and not only requests."""
        return tuple(rule for rule in self.virtual_services if rule["spec"].get("tcp") or rule["spec"].get("tls"))

    def policy(self, host: str, service_namespace: str, client_namespace: str) -> Policy:
        """What clients in a namespace are told of `host`."""
        return self.policies.of(host, service_namespace, client_namespace)

    def of_mesh(self, namespace: str) -> MeshRules:
        """VirtualServices for sidecars in `namespace`."""
        if namespace not in self._of_mesh:
            self._of_mesh[namespace] = mesh_rules(self.virtual_services, namespace)
        return self._of_mesh[namespace]

    @cached_property
    def _of_mesh(self) -> dict[str, MeshRules]:
        return {}

    def of_gateway(self, gateway: Object, namespace: str) -> list[Object]:
        """VirtualServices for `gateway` (a Gateway object), whose pods are in `namespace`."""
        name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        return gateway_rules(self.virtual_services, name, namespace)


@dataclass(frozen=True)
class Policies:
    """DestinationRules, the oldest first: what is said of a host to whom."""

    destination_rules: tuple[Object, ...]

    @cached_property
    def hash(self) -> bool:
        """Whether any DestinationRule says `consistentHash`, without which nobody needs to look for it."""
        return any(_says("consistentHash", rule["spec"]) for rule in self.destination_rules)

    @cached_property
    def _by_namespace(self) -> dict[str, dict[str, list[Object]]]:
        """Rules by their namespace and the host in full."""
        found: dict[str, dict[str, list[Object]]] = {}
        for rule in self.destination_rules:
            namespace = rule["metadata"]["namespace"]
            by_host = found.setdefault(namespace, {})
            by_host.setdefault(full_host(rule["spec"]["host"], namespace), []).append(rule)
        return found

    @cached_property
    def _wildcards(self) -> dict[str, list[str]]:
        return {
            namespace: [host for host in by_host if host.startswith("*")]
            for namespace, by_host in self._by_namespace.items()
        }

    @cached_property
    def _found(self) -> dict[tuple[str, str, str], Policy]:
        return {}

    def of(self, host: str, service_namespace: str, client_namespace: str) -> Policy:
        """What clients in `client_namespace` are told of `host`.

        Rules of the client's namespace come first, then those of the service's, then the root namespace's. The
        root namespace's are for everybody, so for clients in it only those come first that are for it alone.
        """
        asked = (host, service_namespace, client_namespace)
        if asked not in self._found:
            self._found[asked] = self._find(*asked)
        return self._found[asked]

    def _find(self, host: str, service_namespace: str, client_namespace: str) -> Policy:
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
        by_host = self._by_namespace.get(namespace)
        if by_host is None:
            return None

        def seen(pattern: str) -> list[Object]:
            return [
                rule
                for rule in by_host.get(pattern, ())
                if (exports(rule) == {namespace} if private else exported_to(rule, client_namespace))
            ]

        if found := seen(host):
            return found
        covering = [(pattern, found) for pattern in self._wildcards[namespace] if (found := seen(pattern))]
        return most_specific(covering, host)


def in_force(
    gateways: tuple[Object, ...],
    virtual_services: tuple[Object, ...],
    destination_rules: tuple[Object, ...],
    before: Rules = Rules(),
    *,
    authorization_policies: tuple[Object, ...] = (),
) -> Rules:
    """Of rules by age (VirtualServices with what they hand on to, see `delegates`). `before` are those that were in
    force: what has not changed is theirs."""
    policies = Policies(destination_rules)
    if policies == before.policies:
        policies = before.policies
    made = Rules(gateways, virtual_services, policies, authorization_policies)
    return before if made == before else made


def _says(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_says(name, item) for item in value.values())
    return isinstance(value, list) and any(_says(name, item) for item in value)


def _merged(found: list[Object]) -> Policy:
    """Several rules for one host are one if they are for the same namespaces; of others the oldest counts.

    The policy is the oldest one's that has any, and the subsets are everyone's (of a name, the oldest one's).
    """
    alike = [rule for rule in found if exports(rule) == exports(found[0])]
    subsets: dict[str, Mapping[str, Any]] = {}
    for rule in alike:
        for subset in rule["spec"].get("subsets") or []:
            subsets.setdefault(subset["name"], subset)
    traffic: Mapping[str, Any] = next(
        (policy for rule in alike if (policy := rule["spec"].get("trafficPolicy"))), {}
    )
    return Policy(traffic, subsets, origin("destination-rule", alike[0]))


# VirtualServices

MESH = "mesh"
"""What stands among a VirtualService's gateways for every sidecar."""

_EXTERNAL_HOSTS_PORT = 80
"""A rule that is for no service of the mesh counts on this port only, as with Istio."""


@dataclass(frozen=True)
class MeshRules:
    """What sidecars of one namespace go by."""

    namespace: str
    rules: tuple[Object, ...]
    exact: dict[str, list[Object]] = field(default_factory=dict)
    wildcards: dict[str, Object] = field(default_factory=dict)
    """By pattern; of several rules the first."""

    def candidates(self, host: str) -> list[Object]:
        """The rules that may speak for a service, in order: the first that has routes does."""
        if host in self.exact:
            return [rule for rule in self.exact[host] if self._speaks_for(host, rule)]
        found = most_specific(self.wildcards.items(), host)
        return [] if found is None or not self._speaks_for(host, found) else [found]

    def _speaks_for(self, host: str, rule: Object) -> bool:
        """Whether these sidecars go by it; of a third namespace's rules by those that are for them by name."""
        if not host.endswith(f".{DOMAIN}"):
            return True
        concerned = (self.namespace, host.split(".")[1])
        return rule["metadata"]["namespace"] in concerned or EVERYBODY not in exports(rule)

    def others(self, registry: Registry) -> list[tuple[Object, list[str], frozenset[int]]]:
        """(rule, its hosts that are no service, the ports on which these count).

        Those are the ports of the rule's services, if it has any.
        """
        known = self._others.get("last")
        if known is None or known[0] is not registry:
            known = self._others["last"] = (registry, list(self._find_others(registry)))
        return known[1]

    @cached_property
    def _others(self) -> dict[str, tuple[Registry, list[tuple[Object, list[str], frozenset[int]]]]]:
        return {}

    def _find_others(self, registry: Registry) -> Iterator[tuple[Object, list[str], frozenset[int]]]:
        hosts = self._wildcard_hosts(registry)
        found = [
            (rule, [host for host in full_hosts(rule) if host not in registry.by_host and host not in hosts])
            for rule in self.rules
        ]
        found = [(rule, names) for rule, names in found if names]
        by_rule: dict[int, set[int]] = {}
        for service in registry.services if found else ():
            for rule in self.candidates(service.host):
                by_rule.setdefault(id(rule), set()).update(p.number for p in service.ports if p.protocol != "tcp")
        for rule, names in found:
            yield rule, names, frozenset(by_rule.get(id(rule)) or {_EXTERNAL_HOSTS_PORT})

    def _wildcard_hosts(self, registry: Registry) -> set[str]:
        """Wildcards that stand for some service."""
        return {
            wildcard
            for wildcard in self.wildcards
            if any(covers(wildcard, service.host) for service in registry.services)
        }


def mesh_rules(rules: Iterable[Object], namespace: str) -> MeshRules:
    """`rules` are all VirtualServices, the oldest first."""
    found = MeshRules(namespace, tuple(rule for rule in visible(rules, namespace) if MESH in bound_gateways(rule)))
    for rule in found.rules:
        for host in full_hosts(rule):
            if host.startswith("*"):
                found.wildcards.setdefault(host, rule)
            else:
                found.exact.setdefault(host, []).append(rule)
    return found


def gateway_rules(rules: Iterable[Object], gateway: str, namespace: str) -> list[Object]:
    """Those for a gateway (NAMESPACE/NAME) whose pods are in `namespace`."""
    return [rule for rule in visible(rules, namespace) if gateway in bound_gateways(rule)]


def visible(rules: Iterable[Object], namespace: str) -> list[Object]:
    """What is exported to `namespace`: first what is for it by name, its own before that of others."""
    ranked: tuple[list[Object], ...] = ([], [], [])
    for rule in rules:
        exported = exports(rule)
        if EVERYBODY in exported:
            ranked[2].append(rule)
        elif namespace in exported:
            ranked[rule["metadata"]["namespace"] != namespace].append(rule)
    return [rule for group in ranked for rule in group]


def full_hosts(virtual_service: Object) -> list[str]:
    """A VirtualService's hosts in full."""
    namespace = virtual_service["metadata"]["namespace"]
    return [full_host(host, namespace) for host in virtual_service["spec"].get("hosts") or []]


def bound_gateways(virtual_service: Object) -> list[str]:
    """The gateways a VirtualService names, each as NAMESPACE/NAME or `mesh`."""
    namespace = virtual_service["metadata"]["namespace"]
    names = virtual_service["spec"].get("gateways") or [MESH]
    return [gateway_key(name, namespace) for name in names]


def gateway_key(gateway: str, namespace: str) -> str:
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


# Host names: short ones, wildcards, and which is meant


def full_host(host: str, namespace: str) -> str:
    """A short name means a service in the rule's own namespace; everything with a dot is taken as it is."""
    if "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.{DOMAIN}"


def covers(pattern: str, host: str) -> bool:
    """Whether `pattern`, which may begin with a wildcard, stands for `host` (which may, too)."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return pattern == host


def most_specific(candidates: Iterable[tuple[str, T]], host: str) -> T | None:
    """Of (pattern, thing) the thing whose pattern covers `host` best: the exact one, else the longest."""
    best: tuple[int, T] | None = None
    for pattern, thing in candidates:
        if pattern == host:
            return thing
        if covers(pattern, host) and (best is None or len(pattern) > best[0]):
            best = (len(pattern), thing)
    return best[1] if best else None


def overlap(one: str, other: str) -> str | None:
    """The narrower of two patterns if one covers the other, else None."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def origin(kind: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was made from `rule`; `kind` is `virtual-service` or `destination-rule`."""
    named = rule["metadata"]
    path = f"/apis/networking.istio.io/v1/namespaces/{named['namespace']}/{kind}/{named['name']}"
    return {"filter_metadata": {"istio": {"config": path}}}
