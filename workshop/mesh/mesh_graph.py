"""The mesh as a graph: who calls whom, how often, how long it takes and how much of it fails, as Prometheus has it,
beside what the rules ask for (`mesh_rules`).

A call between two proxies is counted by both. What the caller's proxy says counts, as it knows also of calls that
never arrived: refused by a breaker, without a pod to go to, ended by a fault. Where there is no proxy at the
caller, or it says nothing (of a mirrored copy), what the called one says does.

Of a call that went to no pod the metrics name the service alone. It is drawn at the service's workload where there
is one of them, else at the service.

Rates are over a window of four scrapes, so that one may fail (two are needed,
https://prometheus.io/docs/prometheus/latest/querying/functions/#rate), and of ten seconds at least.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from workshop.kubernetes.kinds import Place
from workshop.mesh.mesh_rules import Limit, Rules, Split, Weighted, rules_of
from workshop.mesh.prometheus import Prometheus, Sample, Vector
from workshop.traffic.binomial import by_chance
from workshop.traffic.verdict import FALSE_ALARM

UNKNOWN = "unknown"
"""What metrics say of who has no proxy, or where no pod was."""

FLAGS = {
    "UO": "refused by the breaker",
    "UH": "no healthy pod",
    "UF": "not connected",
    "UC": "connection broke",
    "UT": "timed out",
    "URX": "retries used up",
    "NR": "no route",
    "DI": "delayed by a fault",
    "FI": "aborted by a fault",
    "DC": "caller left",
}
"""Envoy's response flags, of those that are told
(https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags)."""

_SCRAPES, _SHORTEST, _LONGEST = 4, 10.0, 300.0
_USUAL = 15.0
"""Seconds, of Istio's add-on."""

_JOB = "kubernetes-pods"
"""By which Istio's add-on finds proxies, and the sandbox's too."""

_ENDS = (
    *("reporter", "source_workload", "source_workload_namespace"),
    *("destination_workload", "destination_workload_namespace", "destination_version"),
    *("destination_service", "destination_service_name", "destination_service_namespace"),
)


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A workload, or a service that calls did not get further than (`is_service`). The one whose name is empty is
    whoever has no proxy."""

    namespace: str
    name: str
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls from one to the other: `rate` requests a second, of which `errors` had no answer or one of 5xx (of
    gRPC, a status that is not 0); `flags` is how many a second of each of FLAGS; `bytes` a second are of TCP. `p50`
    and `p99` are seconds. `services` are the full names that were called."""

    source: Node
    destination: Node
    rate: float = 0.0
    errors: float = 0.0
    flags: Mapping[str, float] = field(default_factory=dict)
    bytes: float = 0.0
    p50: float | None = None
    p99: float | None = None
    version: str = ""
    services: frozenset[str] = frozenset()

    @property
    def error_share(self) -> float:
        return self.errors / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """A version's weight beside its measured share, and the range of shares that chance explains (one window in a
    hundred thousand lies outside of it). `measured` is None where no metric tells."""

    destination: Weighted
    measured: float | None
    accepted: tuple[float, float] | None

    @property
    def odd(self) -> bool:
        if self.measured is None or self.accepted is None:
            return False
        return not self.accepted[0] <= self.measured <= self.accepted[1]


@dataclass(frozen=True, slots=True)
class MeasuredSplit:
    """`calls` are those in the window, of which `errors` failed."""

    split: Split
    parts: tuple[Part, ...]
    calls: int
    errors: int = 0


@dataclass(frozen=True, slots=True)
class MarkedService:
    """What there is to be said of a service. `bad`: it is happening to requests now."""

    host: str
    said: str
    kind: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """As it was over the last `window` seconds. `silent` are pods that Prometheus gets nothing from, so that what
    they counted is not in it."""

    edges: tuple[Edge, ...] = ()
    splits: tuple[MeasuredSplit, ...] = ()
    marks: tuple[MarkedService, ...] = ()
    window: float = _SHORTEST
    silent: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(sorted({node for edge in self.edges for node in (edge.source, edge.destination)}))

    def of(self, host: str, version: str | None = None) -> tuple[Node, ...]:
        """Who answers for a service, of that version."""
        found = {e.destination for e in self.edges if host in e.services and version in (None, e.version)}
        return tuple(sorted(found))


async def scrape_interval(prometheus: Prometheus) -> float:
    """Seconds between two looks of Prometheus at proxies."""
    return await prometheus.scrape_interval(_JOB) or _USUAL


async def look(prometheus: Prometheus, interval: float) -> Graph:
    """Where Prometheus looks at each `interval`. Raises as `Prometheus.query` and `Kubectl.look`."""
    window = float(math.ceil(min(max(_SCRAPES * interval, _SHORTEST), _LONGEST)))  # PromQL has no parts of seconds
    asked, rules = await asyncio.gather(
        asyncio.gather(*map(prometheus.query, queries(window).values())),
        prometheus.kubectl.look([Place("VirtualService"), Place("DestinationRule")]),
    )
    answers = dict(zip(queries(window), asked, strict=True))
    return graph_of(answers, rules_of(chain.from_iterable(items or () for items in rules.values())), window)


def queries(window: float) -> dict[str, str]:
    """What is asked, by what it is about."""
    ends, of = ", ".join(_ENDS), f"[{window:.0f}s]"
    how = "response_code, response_flags, grpc_response_status"
    times = f"sum by (le, {ends}) (rate(istio_request_duration_milliseconds_bucket{of}))"
    sent, received = (f"sum by ({ends}) (rate(istio_tcp_{way}_bytes_total{of}))" for way in ("sent", "received"))
    return {
        "requests": f"sum by ({ends}, {how}) (rate(istio_requests_total{of}))",
        "p50": f"histogram_quantile(0.5, {times})",
        "p99": f"histogram_quantile(0.99, {times})",
        "bytes": f"{sent} + {received}",
        "ejected": "max by (cluster_name) (envoy_cluster_outlier_detection_ejections_active) > 0",
        "silent": f'sum_over_time(up{{job="{_JOB}"}}{of}) < 2 and up{{job="{_JOB}"}} == 0',
    }


def graph_of(answers: Mapping[str, Vector], rules: Rules, window: float) -> Graph:
    """Of what Prometheus answered to `queries`."""
    reported: dict[str, dict[tuple[Node, Node], Edge]] = {"source": {}, "destination": {}}
    for name, samples in answers.items():
        for sample in samples:
            if name not in ("ejected", "silent") and not math.isnan(sample.value):
                _add(reported, name, sample)
    edges = [*reported["source"].values(), *_unreported(reported)]
    edges = list(_at_their_workloads(edges))
    ordered = tuple(sorted(edges, key=lambda edge: (edge.source, edge.destination)))
    silent = (sample.labels.get("pod") or sample.labels.get("instance", "") for sample in answers.get("silent", ()))
    graph = Graph(ordered, window=window, silent=tuple(sorted(silent)))
    own = [edge for edge in reported["source"].values() if edge.destination.name]
    splits = tuple(_measured(split, own or ordered, window) for split in rules.splits)
    return replace(graph, splits=splits, marks=tuple(_marks(graph, rules, answers.get("ejected", ()))))


def _add(reported: dict[str, dict[tuple[Node, Node], Edge]], name: str, sample: Sample) -> None:
    labels = sample.labels
    edges = reported.get(labels.get("reporter", ""))
    if edges is None:
        return
    source, destination = _source(labels), _destination(labels)
    before = edges.get((source, destination)) or Edge(source, destination)
    services = before.services | ({labels["destination_service"]} if labels.get("destination_service") else set())
    version = labels.get("destination_version", "")
    edge = replace(before, services=services, version="" if version == UNKNOWN else version)
    if name == "requests":
        flags = defaultdict(float, before.flags)
        for flag in labels.get("response_flags", "-").split(","):
            if flag in FLAGS and sample.value > 0:
                flags[flag] += sample.value
        failed = sample.value if _failed(labels) else 0.0
        edge = replace(edge, rate=before.rate + sample.value, errors=before.errors + failed, flags=dict(flags))
    elif name == "bytes":
        edge = replace(edge, bytes=before.bytes + sample.value)
    elif name == "p50":
        edge = replace(edge, p50=max(before.p50 or 0.0, sample.value / 1000))
    else:
        edge = replace(edge, p99=max(before.p99 or 0.0, sample.value / 1000))
    edges[source, destination] = edge


def _failed(labels: Mapping[str, str]) -> bool:
    code, grpc = labels.get("response_code", ""), labels.get("grpc_response_status", "")
    return code == "0" or code.startswith("5") or grpc not in ("", "0")


def _source(labels: Mapping[str, str]) -> Node:
    name = labels.get("source_workload", UNKNOWN)
    if name == UNKNOWN:
        return Node("", "")
    return Node(labels.get("source_workload_namespace", ""), name)


def _destination(labels: Mapping[str, str]) -> Node:
    name = labels.get("destination_workload", UNKNOWN)
    if name != UNKNOWN:
        return Node(labels.get("destination_workload_namespace", ""), name)
    namespace = labels.get("destination_service_namespace", "")
    return Node(
        "" if namespace == UNKNOWN else namespace, labels.get("destination_service_name", UNKNOWN), is_service=True
    )


def _unreported(reported: Mapping[str, Mapping[tuple[Node, Node], Edge]]) -> Iterator[Edge]:
    """What only the called proxies tell of."""
    for ends, edge in reported["destination"].items():
        if ends not in reported["source"]:
            yield edge


def _at_their_workloads(edges: Sequence[Edge]) -> Iterator[Edge]:
    """Those that got no further than to a service which has one workload, at that one."""
    behind: dict[str, set[Node]] = defaultdict(set)
    for edge in edges:
        for service in edge.services if not edge.destination.is_service else ():
            behind[service].add(edge.destination)
    made: dict[tuple[Node, Node], Edge] = {}
    for edge in edges:
        workloads = set().union(*(behind.get(service, set()) for service in edge.services))
        at = edge
        if edge.destination.is_service and len(workloads) == 1:
            at = replace(edge, destination=next(iter(workloads)), version="")
        key = at.source, at.destination
        made[key] = _together(made[key], at) if key in made else at
    yield from made.values()


def _together(one: Edge, other: Edge) -> Edge:
    """Of both the P50 of the one with more requests; and the greater P99, of those that are one of a hundred at
    least: what a fault delays until its caller leaves gets to no pod."""
    flags = {flag: one.flags.get(flag, 0) + other.flags.get(flag, 0) for flag in {*one.flags, *other.flags}}
    more = max(one, other, key=lambda edge: (edge.p50 is not None, edge.rate))
    heard = [
        edge.p99 for edge in (one, other) if edge.p99 is not None and edge.rate >= (one.rate + other.rate) / 100
    ]
    return replace(
        one if one.version else other,
        rate=one.rate + other.rate,
        errors=one.errors + other.errors,
        flags=flags,
        bytes=one.bytes + other.bytes,
        p50=more.p50,
        p99=max(heard, default=None),
        services=one.services | other.services,
    )


def _measured(split: Split, edges: Iterable[Edge], window: float) -> MeasuredSplit:
    rates = [
        sum(
            edge.rate
            for edge in edges
            if one.host in edge.services and (not one.subset or (one.version and edge.version == one.version))
        )
        for one in split.destinations
    ]
    hosts = {one.host for one in split.destinations}
    to_pods = [edge for edge in edges if hosts & edge.services and not edge.destination.is_service]
    whole, failed = sum(edge.rate for edge in to_pods), sum(edge.errors for edge in to_pods)
    calls = round(whole * window)
    parts = []
    for one, rate in zip(split.destinations, rates, strict=True):
        told = whole > 0 and (one.version is not None or not one.subset)
        accepted = _range(calls, one.weight / 100) if told and not split.when else None
        parts.append(Part(one, rate / whole if told else None, accepted))
    return MeasuredSplit(split, tuple(parts), calls, min(calls, round(failed * window)))


def _range(calls: int, share: float) -> tuple[float, float]:
    """Of shares that so many calls have by chance."""
    if not calls:
        return 0.0, 1.0
    least, most = by_chance(calls, share, FALSE_ALARM)
    return max(0.0, (least - 0.5) / calls), min(1.0, (most + 0.5) / calls)


def _marks(graph: Graph, rules: Rules, ejected: Vector) -> Iterator[MarkedService]:
    rates: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for edge in graph.edges:
        for service in edge.services:
            rates[service]["all"] += edge.rate
            for flag, rate in edge.flags.items():
                rates[service][flag] += rate
    for fault in rules.faults:
        hit = max(rates[fault.host]["DI"], rates[fault.host]["FI"])
        said = f"fault: {fault.said}" + (f" ({fault.when})" if fault.when else "")
        yield MarkedService(fault.host, said, "fault", hit > 0)
    out = {_host_of(sample): sample.value for sample in ejected}
    for limit in rules.limits:
        yield from _breaker(limit, rates[limit.host], out.pop(limit.host, 0.0))
    for host, pods in out.items():
        if host:
            yield MarkedService(host, f"ejected: {pods:g}", "ejected", True)
    limited = {limit.host for limit in rules.limits}
    for host, of_host in rates.items():
        if of_host["UH"] > 0 and host not in limited:
            yield MarkedService(host, "no healthy pod", "ejected", True)


def _breaker(limit: Limit, rates: Mapping[str, float], ejected: float) -> Iterator[MarkedService]:
    whole = rates.get("all", 0.0)
    refused = rates.get("UO", 0.0) / whole if whole else 0.0
    if refused:
        yield MarkedService(
            limit.host, f"breaker open: {100 * refused:.0f} % refused ({limit.said})", "breaker", True
        )
    elif limit.said:
        yield MarkedService(limit.host, f"breaker: {limit.said}", "breaker", False)
    if limit.ejects and (ejected or rates.get("UH", 0.0) > 0):
        yield MarkedService(limit.host, f"ejected: {ejected:g}" if ejected else "no healthy pod", "ejected", True)


def _host_of(sample: Sample) -> str:
    """Of "outbound|9080||reviews.bookinfo.svc.cluster.local"."""
    return sample.labels.get("cluster_name", "").rpartition("|")[2].rstrip(";")
