"""A VirtualService's `tls` and `tcp` rules: where connections go whose requests nobody looks into.

TLS stays as it is, and its handshake says which name is meant (SNI). Pure translation, as of `http_routes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.core.cluster import Object
from sandbox.mesh import http_routes
from sandbox.mesh.http_routes import Context

Kind = Literal["tls", "tcp"]
KINDS: tuple[Kind, ...] = ("tls", "tcp")


@dataclass(frozen=True)
class ConnectionRoute:
    """`conditions` are Envoy's (of a FilterChainMatch). Of `clusters`, by name, each gets its share."""

    conditions: Mapping[str, Any]
    clusters: tuple[tuple[str, int], ...]
    destination: tuple[str, int]
    """Host and port of the first, whose policy counts."""

    @property
    def names(self) -> list[str]:
        """In the handshake; empty for any."""
        return list(self.conditions.get("server_names", ()))


def translate(virtual_services: Iterable[Object], kind: Kind, context: Context) -> Iterator[ConnectionRoute]:
    """Of rules in their order. Each condition is there once: the first that names it counts, and none comes behind
    one that takes every connection."""
    seen: list[Mapping[str, Any]] = []
    for rule in virtual_services:
        namespace = rule["metadata"]["namespace"]
        for route in rule["spec"].get(kind) or ():
            for match in route.get("match") or [{}]:
                if not http_routes.applies(match, context, namespace):
                    continue
                for conditions in _conditions(match, seen):
                    seen.append(conditions)
                    yield _route(route, conditions, context, namespace)
                    if not conditions:
                        return


def _conditions(match: Mapping[str, Any], seen: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    subnets = match.get("destinationSubnets") or []
    ranges = {"prefix_ranges": [prefix(each) for each in subnets]} if subnets else {}
    for name in match.get("sniHosts") or [None]:
        made = ranges if name in (None, "*") else {**ranges, "server_names": [name]}
        if made not in seen:
            yield made


def _route(
    route: Mapping[str, Any], conditions: Mapping[str, Any], context: Context, namespace: str
) -> ConnectionRoute:
    chosen = route["route"] if len(route["route"]) == 1 else [one for one in route["route"] if one.get("weight")]
    clusters = tuple(
        (http_routes.destination_cluster(one["destination"], context, namespace), one.get("weight") or 1)
        for one in chosen
    )
    first = http_routes.host_and_port(chosen[0]["destination"], context, namespace)
    return ConnectionRoute(conditions, clusters, first)


def prefix(address: str) -> dict[str, Any]:
    """Of an address, or of a network ("10.0.0.0/8")."""
    first, _, length = address.partition("/")
    return {"address_prefix": first, "prefix_len": int(length or 32)}
