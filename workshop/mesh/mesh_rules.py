"""What the rules of a mesh ask for, read out of its VirtualServices and DestinationRules: weights, faults and
limits, each of a service. As far as a picture of the mesh marks them; istiod has the last word on what is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workshop.kubernetes.manifests import Object

VERSION = "version"
"""The label by which metrics tell versions apart (`destination_version`)."""

_DOMAIN = "svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Weighted:
    """A destination of a route: the service's full name, the version that its subset selects (None: by something
    else, so that no metric tells it), and its weight in percent."""

    host: str
    subset: str
    version: str | None
    weight: float

    @property
    def label(self) -> str:
        return self.subset or self.host.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Split:
    """A route with weights, of the VirtualService `name` ("bookinfo/reviews"). `when` says in words which requests
    take it, empty where all do."""

    name: str
    destinations: tuple[Weighted, ...]
    when: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One that a route injects into requests for a host, in words: "delay 7s for 50 %". `delayed` is the percentage
    of them that are held back."""

    host: str
    said: str
    when: str = ""
    delayed: float = 0.0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a DestinationRule lets through to a host, in words, and whether it ejects pods that fail."""

    host: str
    said: str
    ejects: bool


@dataclass(frozen=True, slots=True)
class Rules:
    splits: tuple[Split, ...] = ()
    faults: tuple[Fault, ...] = ()
    limits: tuple[Limit, ...] = ()


def rules_of(objects: Iterable[Object]) -> Rules:
    """Of VirtualServices and DestinationRules; what is written in them otherwise than they can be is left out."""
    every = list(objects)
    services = [obj for obj in every if obj["kind"] == "VirtualService"]
    destinations = [obj for obj in every if obj["kind"] == "DestinationRule"]
    versions = versions_of(destinations)
    splits: list[Split] = []
    faults: list[Fault] = []
    for service in services:
        routes = [route for route in _spec(service).get("http") or () if isinstance(route, dict)]
        for route in routes:
            when = _when(route.get("match") or ()) or ("all others" if len(routes) > 1 else "")
            reached = tuple(_reached(route, service, versions))
            if reached and (len(reached) > 1 or reached[0].subset):
                splits.append(Split(_name(service), reached, when))
            fault = route.get("fault") or {}
            if said := _fault(fault):
                delayed = _delayed(fault.get("delay") or {})
                hosts = dict.fromkeys(one.host for one in reached)
                faults += [Fault(host, said, when, delayed) for host in hosts]
    return Rules(tuple(splits), tuple(faults), tuple(one for rule in destinations for one in _limits(rule)))


def versions_of(rules: Iterable[Object]) -> dict[tuple[str, str], str | None]:
    """The version that each subset of a host selects by DestinationRules, None where by other labels."""
    return {key: version for rule in rules for key, version in _versions(rule)}


def full_name(host: str, namespace: str) -> str:
    """As Istio reads a host in a rule of that namespace."""
    return host if "." in host else f"{host}.{namespace}.{_DOMAIN}"


def _versions(rule: Object) -> Iterator[tuple[tuple[str, str], str | None]]:
    host = full_name(str(_spec(rule).get("host", "")), _namespace(rule))
    for subset in _spec(rule).get("subsets") or ():
        labels = subset.get("labels") or {}
        yield (host, str(subset.get("name", ""))), labels.get(VERSION) if set(labels) == {VERSION} else None


def _reached(
    route: Mapping[str, Any], service: Object, versions: Mapping[tuple[str, str], str | None]
) -> Iterator[Weighted]:
    entries = [entry for entry in route.get("route") or () if "destination" in entry]
    for entry in entries:
        host = full_name(str(entry["destination"].get("host", "")), _namespace(service))
        subset = str(entry["destination"].get("subset", ""))
        weight = 100.0 if len(entries) == 1 else float(entry.get("weight", 0))
        yield Weighted(host, subset, versions.get((host, subset)), weight)


def _fault(fault: Mapping[str, Any]) -> str:
    said = []
    for kind, what in (("delay", "fixedDelay"), ("abort", "httpStatus"), ("abort", "grpcStatus")):
        if (given := fault.get(kind)) and what in given:
            share = (given.get("percentage") or {}).get("value", 100 if kind == "delay" else 0)
            status = f"HTTP {given[what]}" if what == "httpStatus" else str(given[what])
            said.append(f"{kind} {status} for {share:g} %")
    return ", ".join(said)


def _delayed(delay: Mapping[str, Any]) -> float:
    return float((delay.get("percentage") or {}).get("value", 100)) if "fixedDelay" in delay else 0.0


def _when(matches: Iterable[Mapping[str, Any]]) -> str:
    """A route's matches in words; it is enough that one of them holds."""
    return " or ".join(filter(None, (_match(one) for one in matches)))


def _match(match: Mapping[str, Any]) -> str:
    said = [f"{name} {_text(value)}" for name, value in (match.get("headers") or {}).items()]
    said += [f"{part} {_text(match[part])}" for part in ("uri", "method", "authority") if part in match]
    return ", ".join(said)


def _text(match: Mapping[str, Any]) -> str:
    return " ".join(str(value) if kind == "exact" else f"{kind} {value}" for kind, value in match.items())


def _limits(rule: Object) -> Iterator[Limit]:
    policy = _spec(rule).get("trafficPolicy") or {}
    pool, ejecting = policy.get("connectionPool") or {}, policy.get("outlierDetection")
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    said = [
        f"{words} {given[field]}"
        for given, field, words in (
            (tcp, "maxConnections", "connections"),
            (http, "http1MaxPendingRequests", "waiting requests"),
            (http, "http2MaxRequests", "requests"),
        )
        if field in given
    ]
    if said or ejecting is not None:
        yield Limit(
            full_name(str(_spec(rule).get("host", "")), _namespace(rule)), ", ".join(said), ejecting is not None
        )


def _spec(obj: Object) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = obj.get("spec") or {}
    return spec


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _name(obj: Object) -> str:
    return f"{_namespace(obj)}/{obj['metadata']['name']}"
