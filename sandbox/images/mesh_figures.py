"""What Prometheus has of the mesh, as the stand-ins for Kiali and Grafana show it: calls between workloads, and
over a time how many, how many of them failed, and how long they took.

It is asked over the pod's own network, by the HTTP API. Of a call that two proxies have counted the caller's
counts, as it knows also of those that got to no pod, and the called one's where the caller has none. Of a call that
got to no pod the metrics name the service alone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sandbox.network.http_client import PodHttpClient

PATIENCE = 10.0
"""Seconds for one answer."""
UNKNOWN = "unknown"
"""What metrics say of who has no proxy."""

_COUNTED_ONCE = ('reporter="source"', f'reporter="destination", source_workload="{UNKNOWN}"')
_FROM, _TO, _SERVICE = (
    ("source_workload", "source_workload_namespace"),
    ("destination_workload", "destination_workload_namespace"),
    ("destination_service_name", "destination_service_namespace"),
)
_REACHED = (
    (", ".join(_TO), f'destination_workload!="{UNKNOWN}"'),
    (", ".join(_SERVICE), f'destination_workload="{UNKNOWN}"'),
)
"""By what calls are told apart that got to a pod, and those that did not."""
_ENDS = ", ".join((*_FROM, *_TO, *_SERVICE))
_REQUESTS, _BUCKETS = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
_FAILED = 'response_code=~"5..|0"'


class NoFigures(Exception):
    """Prometheus does not answer, or not with figures; says what came instead."""


Workload = tuple[str, str]
"""Namespace and name; of what has no proxy, no more than it is known. That of a service is "service ..."."""


@dataclass(slots=True)
class Calls:
    """Requests a second, and how many of them failed; bytes a second of TCP; `p99` is milliseconds."""

    rate: float = 0.0
    failed: float = 0.0
    bytes: float = 0.0
    p99: float | None = None

    @property
    def share_failed(self) -> float:
        return self.failed / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One workload's values over a time: seconds since the epoch, and the value."""

    name: str
    points: tuple[tuple[float, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Prometheus:
    http: PodHttpClient
    url: str

    async def calls(self, seconds: float) -> dict[tuple[Workload, Workload], Calls]:
        """Who called whom in the last so many seconds."""
        rates, times, sent = await asyncio.gather(
            self._now(f"sum by ({_ENDS}, response_code) ({_once(_REQUESTS, seconds)})"),
            self._now(f"histogram_quantile(0.99, sum by ({_ENDS}, le) ({_once(_BUCKETS, seconds)}))"),
            self._now(f"sum by ({_ENDS}) ({_once('istio_tcp_sent_bytes_total', seconds)})"),
        )
        found: dict[tuple[Workload, Workload], Calls] = defaultdict(Calls)
        for labels, value in rates:
            if value > 0:
                calls = found[_ends(labels)]
                calls.rate += value
                calls.failed += value if _is_failure(labels.get("response_code", "")) else 0.0
        for labels, value in times:
            if _ends(labels) in found and not math.isnan(value):
                found[_ends(labels)].p99 = max(value, found[_ends(labels)].p99 or 0.0)
        for labels, value in sent:
            if value > 0:
                found[_ends(labels)].bytes += value
        return dict(found)

    async def signals(self, start: float, end: float, step: float, window: float) -> dict[str, tuple[Line, ...]]:
        """The golden signals of each workload that was called; `failed` is in percent."""
        asked = {
            "rate": [f"sum by ({by}) ({_once(_REQUESTS, window, which)})" for by, which in _REACHED],
            "failed": [f"sum by ({by}) ({_once(_REQUESTS, window, which, _FAILED)})" for by, which in _REACHED],
        }
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            sums = [f"sum by ({by}, le) ({_once(_BUCKETS, window, which)})" for by, which in _REACHED]
            asked[name] = [f"histogram_quantile({share}, {one})" for one in sums]
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        every = await asyncio.gather(
            *(self._ask("query_range", {"query": " or ".join(parts), **times}) for parts in asked.values())
        )
        found = {name: tuple(_lines(one)) for name, one in zip(asked, every, strict=True)}
        return {**found, "failed": tuple(_shares(found["failed"], found["rate"]))}

    async def version(self) -> str:
        found = await self._ask("status/buildinfo", {})
        return str(found.get("version", "")) if isinstance(found, dict) else ""

    async def _now(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        found = await self._ask("query", {"query": query})
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    async def _ask(self, what: str, given: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{what}?{urlencode(given)}"
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self.http.request("GET", url, {"accept": "application/json"})
        except TimeoutError:
            raise NoFigures(f"{self.url} did not answer within {PATIENCE:g} s") from None
        except OSError as error:
            raise NoFigures(f"{self.url} is not reached: {error.strerror or error}") from None
        try:
            said = json.loads(reply.body)
            if said["status"] == "success":
                return said["data"]
            raise NoFigures(f"{self.url} refused: {said['error']}")
        except (ValueError, KeyError, TypeError):
            raise NoFigures(f"what answers at {self.url} is no Prometheus ({reply.status})") from None


def _once(metric: str, seconds: float, *more: str) -> str:
    """The rate of it, each call counted by one of its proxies."""
    return " or ".join(f"rate({metric}{{{', '.join((which, *more))}}}[{seconds:g}s])" for which in _COUNTED_ONCE)


def _ends(labels: Mapping[str, str]) -> tuple[Workload, Workload]:
    def end(names: tuple[str, str]) -> Workload:
        name, namespace = (labels.get(label, UNKNOWN) for label in names)
        return ("" if namespace == UNKNOWN else namespace), name

    called = end(_TO)
    if called[1] == UNKNOWN:
        namespace, service = end(_SERVICE)
        called = namespace, service if service == UNKNOWN else f"service {service}"
    return end(_FROM), called


def _is_failure(code: str) -> bool:
    return code == "0" or (len(code) == 3 and code.startswith("5"))


def _lines(found: Mapping[str, Any]) -> Iterable[Line]:
    for one in sorted(found["result"], key=lambda one: _ends(one["metric"])[1]):
        (_, (namespace, name)) = _ends(one["metric"])
        points = ((float(at), float(value)) for at, value in one["values"])
        yield Line(f"{name}.{namespace}" if namespace else name, tuple(p for p in points if math.isfinite(p[1])))


def _shares(parts: Iterable[Line], wholes: Iterable[Line]) -> Iterable[Line]:
    """In percent. Of what there is no part, it is nought."""
    found = {line.name: dict(line.points) for line in parts}
    for whole in wholes:
        part = found.get(whole.name, {})
        points = ((at, 100 * part.get(at, 0.0) / value) for at, value in whole.points if value)
        yield Line(whole.name, tuple(points))
