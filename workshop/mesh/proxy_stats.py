"""What a pod's proxy has counted: requests, refusals and latencies of each destination, as its Envoy says them.

Read the way an attendee does, by `pilot-agent request GET stats/prometheus` in the proxy's container. A proxy
counts from its start, so what an experiment did is the difference of a reading after it and one before.

Istio's proxies keep no statistics of destinations unless the pod asks for them by an annotation. What is counted
under which name is in Envoy's reference (Upstream clusters > Cluster manager > Statistics).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.run import Run

CONTAINER = "istio-proxy"
ANNOTATION = "proxy.istio.io/config"
INCLUDED = "cluster.outbound"
"""The prefix with which a proxy keeps statistics of its destinations."""
SETTING = f"proxyStatsMatcher: {{inclusionPrefixes: [{INCLUDED}]}}"
"""What the annotation has to say for that."""

_SAMPLE = re.compile(r'envoy_cluster_(\w+)\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\} (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CLUSTER = re.compile(r"outbound\|(\d+)\|([^|]*)\|([^|;]+);?")
_TIME = "upstream_rq_time_bucket"

Buckets = tuple[tuple[float, int], ...]
"""Upper bounds in seconds, ascending, the last one infinite, each with how many were in its bucket alone."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A service's port, or one subset of it ("" for the whole service), as one proxy sees it.

    `requests` went to one of its pods, retries included. `answers` are of its pods by class ("2xx", "5xx"), with
    those that the proxy made in their place, as it does for each of `overflow`: requests refused because the
    connection pool had no room (`upstream_rq_pending_overflow`). `waited` is how often one had to wait as no other
    connection was allowed (`upstream_cx_overflow`), `unhealthy` requests had no pod to go to
    (`upstream_cx_none_healthy`). `ejected` pods are left out now,
    `ejections` is how often one was (`outlier_detection_ejections_active`, `..._enforced_total`). `latency` is of
    pods' answers.
    """

    host: str
    port: int
    subset: str = ""
    requests: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    overflow: int = 0
    waited: int = 0
    unhealthy: int = 0
    ejected: int = 0
    ejections: int = 0
    latency: Buckets = ()

    def __sub__(self, before: Destination) -> Destination:
        """What was counted since. Raises WorkshopError when a count has become less: the proxy began anew."""
        counted = dict(before.latency)
        made = Destination(
            self.host,
            self.port,
            self.subset,
            self.requests - before.requests,
            {kind: count - before.answers.get(kind, 0) for kind, count in self.answers.items()},
            self.overflow - before.overflow,
            self.waited - before.waited,
            self.unhealthy - before.unhealthy,
            self.ejected,
            self.ejections - before.ejections,
            tuple((bound, count - counted.get(bound, 0)) for bound, count in self.latency),
        )
        counts = (
            made.requests,
            made.overflow,
            made.waited,
            made.unhealthy,
            made.ejections,
            *made.answers.values(),
            *dict(made.latency).values(),
        )
        if min(counts) < 0 or not before.answers.keys() <= self.answers.keys():
            raise WorkshopError(
                f"compare what the proxy counted for {self.host} before and after",
                "it has counted less after than before",
                cause="the pod was replaced or its proxy restarted in between, and counts from zero",
            )
        return made


@dataclass(frozen=True, slots=True)
class Stats:
    """One reading of one proxy: a destination for each (host, port, subset)."""

    destinations: Mapping[tuple[str, int, str], Destination] = field(default_factory=dict)

    def of(self, host: str, subset: str = "") -> Destination:
        """The destination of a service with one port: `httpbin`, `httpbin.primary` or its full name.

        All zero when the proxy has not counted anything for it. Raises WorkshopError when more than one fits.
        """
        found = [
            one
            for one in self.destinations.values()
            if one.subset == subset and (one.host == host or one.host.startswith(f"{host}."))
        ]
        if len(found) > 1:
            said = ", ".join(f"{one.host}:{one.port}" for one in found)
            raise WorkshopError(f"find what the proxy counted for {host}", f"there is more than one: {said}")
        return found[0] if found else Destination(host, 0, subset)

    def __sub__(self, before: Stats) -> Stats:
        """What was counted between two readings of the same proxy. Raises WorkshopError when it began anew."""
        return Stats(
            {
                key: one - before.destinations[key] if key in before.destinations else one
                for key, one in self.destinations.items()
            }
        )


async def read(run: Run, *, namespace: str, workload: str, filter: str = INCLUDED) -> Stats:
    """What the proxy of `workload` ("deploy/fortio", or a pod) has counted for destinations in whose statistics'
    names the regular expression `filter` is found.

    Raises WorkshopError when the proxy keeps no such statistics, and KubectlError when there is no such proxy.
    """
    path = f"stats/prometheus?filter={quote(filter)}"
    stats = parse(await _get(run, namespace, workload, path))
    if not stats.destinations:
        raise WorkshopError(
            f"read the statistics of {workload}'s proxy",
            f"it has none of destinations that {filter!r} is found in",
            cause=f"its pods' annotation {ANNOTATION} lacks {SETTING}, which they need from their start on; "
            "without it Istio's proxies keep none",
            next_command=_typed(run, namespace, workload, path),
        )
    return stats


async def worker_threads(run: Run, *, namespace: str, workload: str) -> int:
    """How many the proxy of `workload` runs. Raises WorkshopError when it does not say, and KubectlError when there
    is no such proxy."""
    path = "stats?filter=server.concurrency"
    said = await _get(run, namespace, workload, path)
    found = re.search(r"(?m)^server\.concurrency: (\d+)$", said)
    if found is None:
        raise WorkshopError(
            f"read how many worker threads {workload}'s proxy runs",
            f"no server.concurrency in {said.strip()!r}",
            next_command=_typed(run, namespace, workload, path),
        )
    return int(found[1])


async def _get(run: Run, namespace: str, workload: str, path: str) -> str:
    """What the proxy's own interface answers."""
    command = ("pilot-agent", "request", "GET", path)
    done = await Kubectl.of(run).exec(namespace, workload, command, container=CONTAINER)
    if done.status != 0:
        typed = _typed(run, namespace, workload, path)
        raise WorkshopError(f"read the statistics of {workload}'s proxy", done.stderr.strip(), next_command=typed)
    return done.stdout


def _typed(run: Run, namespace: str, workload: str, path: str) -> str:
    asked = f"kubectl exec -n {namespace} {workload} -c {CONTAINER} -- pilot-agent request GET '{path}'"
    return run.use(Kubectl).typed(asked)


def parse(exposition: str) -> Stats:
    """Of Envoy's statistics for Prometheus, with Istio's names of labels (`cluster_name`, `response_code_class`) or
    Envoy's own (`envoy_cluster_name`, `envoy_response_code_class`). Other samples are left out."""
    values: dict[tuple[str, int, str], dict[str, int]] = {}
    buckets: dict[tuple[str, int, str], dict[float, int]] = {}
    for line in exposition.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        labels = {key.removeprefix("envoy_"): value for key, value in _LABEL.findall(sample[2])}
        cluster = _CLUSTER.fullmatch(labels.get("cluster_name", ""))
        if cluster is None:
            continue
        key = (cluster[3], int(cluster[1]), cluster[2])
        counted = values.setdefault(key, {})
        kind = labels.get("response_code_class")
        if sample[1] == _TIME:
            buckets.setdefault(key, {})[_seconds(labels["le"])] = int(float(sample[3]))
        elif kind is not None and sample[1] in ("upstream_rq", "upstream_rq_xx"):
            counted[kind if kind.endswith("xx") else f"{kind}xx"] = int(float(sample[3]))
        elif not labels.keys() & {"response_code", "response_code_class", "le"}:
            counted[sample[1]] = int(float(sample[3]))
    return Stats(
        {
            (host, port, subset): Destination(
                host,
                port,
                subset,
                counted.get("upstream_rq_total", 0),
                {name: count for name, count in sorted(counted.items()) if re.fullmatch(r"\dxx", name)},
                counted.get("upstream_rq_pending_overflow", 0),
                counted.get("upstream_cx_overflow", 0),
                counted.get("upstream_cx_none_healthy", 0),
                counted.get("outlier_detection_ejections_active", 0),
                counted.get("outlier_detection_ejections_enforced_total", 0),
                tuple(alone(buckets.get((host, port, subset), {}))),
            )
            for (host, port, subset), counted in values.items()
        }
    )


def _seconds(bound: str) -> float:
    """Envoy's bounds are milliseconds."""
    return math.inf if bound == "+Inf" else float(bound) / 1000


def alone(cumulative: Mapping[float, int]) -> Iterator[tuple[float, int]]:
    """Each bucket without those below it."""
    below = 0
    for bound, count in sorted(cumulative.items()):
        yield bound, count - below
        below = count
