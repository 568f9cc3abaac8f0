"""What of the mesh a sidecar knows, where a Sidecar says it: the services and rules that its egress hosts name.

The oldest Sidecar of the namespace that selects the workload counts, else the oldest without a selector, else the
root namespace's. Gateways know everything, and so does who has no Sidecar.

A host is NAMESPACE/NAME, each of them `*` or (the name) with a wildcard in front; `.` is the workload's namespace.
One that begins with `~` takes away, whatever else names it. A VirtualService that is known brings the services that
it leads to, though only at the ports that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sandbox.core.cluster import Object
from sandbox.core.service_entry_hosts import Host, preferred
from sandbox.mesh.registry import Proxy, Registry, Service
from sandbox.mesh.rules import ROOT_NAMESPACE, Rules, covers, full_host, full_hosts, overlap

EVERYWHERE, HERE, WITHOUT = "*", ".", "~"

REGISTRY_ONLY, ALLOW_ANY = "REGISTRY_ONLY", "ALLOW_ANY"
"""Whether it may ask what it does not know."""

_Patterns = Mapping[str, list[str]]
"""Names by namespace."""


@dataclass(frozen=True)
class Scope:
    """Of sidecars of one namespace; `hosts` are a Sidecar's, for connections to anything."""

    namespace: str
    hosts: tuple[str, ...]
    closed: bool = False
    """Whether they may ask nothing else (REGISTRY_ONLY)."""

    @cached_property
    def _patterns(self) -> tuple[_Patterns, _Patterns]:
        """What is named, and what is taken away."""
        named: dict[str, list[str]] = {}
        without: dict[str, list[str]] = {}
        for host in self.hosts:
            place, _, name = host.partition("/")
            patterns = named
            if place.startswith(WITHOUT):
                patterns, place = without, place.removeprefix(WITHOUT) or EVERYWHERE
            patterns.setdefault(self.namespace if place == HERE else place, []).append(name)
        return named, without

    def names(self, namespace: str, host: str) -> bool:
        """Whether it has a service of that namespace and host."""
        named, without = (list(_of(patterns, namespace)) for patterns in self._patterns)
        return any(covers(name, host) for name in named) and not any(covers(name, host) for name in without)

    def _goes_by(self, rule: Object) -> bool:
        """Whether it has a VirtualService, which it does by any of its hosts, or what a wildcard there may mean."""
        named, without = (list(_of(patterns, rule["metadata"]["namespace"])) for patterns in self._patterns)
        return any(
            any(overlap(name, host) is not None for name in named)
            and not any(covers(name, host) for name in without)
            for host in full_hosts(rule)
        )

    def entries(self, found: Iterable[Host]) -> Mapping[str, Host]:
        """Of each name of ServiceEntries the one that counts: one that is named before others."""
        seen = list(found)
        named = (host for host in seen if self.names(host.namespace, host.name))
        return {**preferred(seen, self.namespace), **preferred(named, self.namespace)}

    def rules(self, rules: Rules) -> Rules:
        kept = tuple(rule for rule in rules.virtual_services if self._goes_by(rule))
        return replace(rules, virtual_services=kept)

    def services(self, everything: Registry, rules: Rules) -> Iterator[Service]:
        """Those it has of all that the namespace sees; `rules` are its own."""
        led_to = self._led_to(rules)
        for service in everything.services:
            if self.names(service.namespace, service.host):
                yield service
            elif service.host in led_to:
                ports = led_to[service.host]
                kept = tuple(port for port in service.ports if None in ports or port.number in ports)
                if kept:
                    yield service if kept == service.ports else replace(service, ports=kept)

    def _led_to(self, rules: Rules) -> dict[str, set[int | None]]:
        """Where the VirtualServices lead to: hosts, and the ports that are named (None: none)."""
        found: dict[str, set[int | None]] = {}
        for rule in rules.of_mesh(self.namespace).rules:
            for http in rule["spec"].get("http") or []:
                if self._is_for_others(http):
                    continue
                for destination in _destinations(http):
                    host = full_host(destination["host"], rule["metadata"]["namespace"])
                    found.setdefault(host, set()).add((destination.get("port") or {}).get("number"))
        return found

    def _is_for_others(self, http: Object) -> bool:
        """Whether all that says for which namespace it is says another one."""
        sources = {match["sourceNamespace"] for match in http.get("match") or [] if match.get("sourceNamespace")}
        return bool(sources) and self.namespace not in sources


def _of(patterns: _Patterns, namespace: str) -> Iterator[str]:
    yield from patterns.get(namespace, ())
    yield from patterns.get(EVERYWHERE, ())


def _destinations(http: Object) -> Iterator[Object]:
    yield from (one["destination"] for one in http.get("route") or [])
    if http.get("mirror"):
        yield http["mirror"]
    yield from (one["destination"] for one in http.get("mirrors") or [])


class Scopes:
    """What all Sidecars say, of whatever proxy."""

    def __init__(self, sidecars: Iterable[Object]) -> None:
        """The oldest first."""
        self._selecting: dict[str, list[Object]] = {}
        self._of_all: dict[str, Object] = {}
        """By namespace: the one without a selector that counts."""
        for sidecar in sidecars:
            namespace = sidecar["metadata"]["namespace"]
            if sidecar["spec"].get("workloadSelector") is None:
                self._of_all.setdefault(namespace, sidecar)
            else:
                self._selecting.setdefault(namespace, []).append(sidecar)

    def of(self, proxy: Proxy) -> Scope | None:
        """None if nobody says anything of it."""
        if proxy.kind == "gateway":
            return None
        selecting = (one for one in self._selecting.get(proxy.namespace, ()) if _selects(one, proxy))
        of_all = self._of_all.get(proxy.namespace) or self._of_all.get(ROOT_NAMESPACE)
        sidecar = next(selecting, of_all)
        return None if sidecar is None else _scope(sidecar["spec"], proxy.namespace)


def _selects(sidecar: Object, proxy: Proxy) -> bool:
    labels: Mapping[str, str] = sidecar["spec"]["workloadSelector"].get("labels") or {}
    return labels.items() <= proxy.labels.items()


def _scope(spec: Object, namespace: str) -> Scope:
    egress = spec.get("egress") or [{"hosts": [f"{EVERYWHERE}/*"]}]
    hosts = tuple(host for one in egress for host in one["hosts"])
    return Scope(namespace, hosts, (spec.get("outboundTrafficPolicy") or {}).get("mode") == REGISTRY_ONLY)
