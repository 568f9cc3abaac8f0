"""VirtualServices among others: what they name that is not there (IST0101), and hosts of two of them (IST0109)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.known_hosts import KnownHosts
from sandbox.istioctl.analyzers.messages import Level, Message, not_found
from sandbox.istioctl.resources import Object, Resources, namespace_of
from sandbox.mesh import hosts
from sandbox.mesh.virtual_services import EVERYBODY, MESH, bound_gateways, resolved


def missing_references(resources: Resources) -> Iterator[Message]:
    """IST0101: a VirtualService names a host, a subset or a gateway that is not there."""
    known = KnownHosts(resources)
    gateways = {f"{namespace_of(obj)}/{obj['metadata']['name']}" for obj in resources.of("Gateway")}
    for rule in resources.of("VirtualService"):
        for gateway in bound_gateways(_placed(rule)):
            if gateway != MESH and gateway not in gateways:
                yield not_found(rule, "gateway", gateway)
        for what, destination in _destinations(rule):
            host = hosts.resolve(destination.get("host", ""), namespace_of(rule))
            subset = destination.get("subset")
            if not known(host, namespace_of(rule)):
                yield not_found(rule, what, destination.get("host", ""))
            elif subset and subset not in _subsets(resources, host):
                yield not_found(rule, "host+subset in destinationrule", f"{destination['host']}+{subset}")


def _placed(rule: Object) -> Object:
    """The rule with its namespace written down."""
    return {**rule, "metadata": {**rule["metadata"], "namespace": namespace_of(rule)}}


def _destinations(rule: Object) -> list[tuple[str, Object]]:
    """Each destination of a VirtualService once, and what it is called when it is missing."""
    found: list[tuple[str, Object]] = []
    for http in rule["spec"].get("http") or []:
        found += [("host", route["destination"]) for route in http.get("route") or []]
        found += [("mirror host", http["mirror"])] if http.get("mirror") else []
        found += [("mirror host", mirror["destination"]) for mirror in http.get("mirrors") or []]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _subsets(resources: Resources, host: str) -> set[str]:
    return {
        subset["name"]
        for rule in resources.of("DestinationRule")
        if hosts.covers(hosts.resolve(rule["spec"].get("host", ""), namespace_of(rule)), host)
        for subset in rule["spec"].get("subsets") or []
    }


def conflicting_hosts(resources: Resources) -> Iterator[Message]:
    """IST0109: for sidecars one rule speaks for a host, so of two the later is never heard.

    Those count that are exported to the same namespaces, or both to all: `*/HOST` in the message.
    """
    by_host: dict[str, list[Object]] = {}
    for rule in sorted(resources.of("VirtualService"), key=_name):
        placed = _placed(rule)
        if MESH in bound_gateways(placed):
            for scope in _scopes(placed):
                for host in resolved(placed):
                    by_host.setdefault(f"{scope}/{host}", []).append(rule)
    for host, rules in by_host.items():
        for rule in rules if len(rules) > 1 else ():
            yield Message(
                "IST0109",
                Level.Error,
                rule,
                f"The VirtualServices {','.join(map(_name, rules))} associated with mesh gateway define the same "
                f"host {host} which can lead to undefined behavior. "
                "This can be fixed by merging the conflicting VirtualServices into a single resource.",
            )


def _name(rule: Object) -> str:
    return f"{namespace_of(rule)}/{rule['metadata']['name']}"


def _scopes(rule: Object) -> set[str]:
    exported = rule["spec"].get("exportTo") or [EVERYBODY]
    if EVERYBODY in exported:
        return {EVERYBODY}
    return {rule["metadata"]["namespace"] if name == "." else name for name in exported}
