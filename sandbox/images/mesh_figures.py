"""What Prometheus has of the mesh, as the stand-ins for Kiali and Grafana show it: calls between workloads, and
over a time how many, how many of them failed, and how long they took.

It is asked over the pod's own network, by the HTTP API. Of a call that two proxies have counted the caller's
counts, and the called one's where the caller has none.
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
_FROM, _TO = (
    ("source_workload", "source_workload_namespace"),
    ("destination_workload", "destination_workload_namespace"),
)
_ENDS = ", ".join((*_FROM, *_TO))
_REQUESTS, _BUCKETS = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
_FAILED = 'response_code=~"5..|0"'


class NoFigures(Exception):
    """Prometheus does not answer, or not with figures; says what came instead."""


Workload = tuple[str, str]
"""Namespace and name; of what has no proxy, and of a service that no call has reached, no more than it is known."""


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
        window = f"[{seconds:g}s]"
        rates, times, sent = await asyncio.gather(
            self._once(f"sum by ({_ENDS}, response_code) (rate({_REQUESTS}{{WHICH}}{window}))"),
            self._once(f"histogram_quantile(0.99, sum by ({_ENDS}, le) (rate({_BUCKETS}{{WHICH}}{window})))"),
            self._once(f"sum by ({_ENDS}) (rate(istio_tcp_sent_bytes_total{{WHICH}}{window}))"),
        )
        found: dict[tuple[Workload, Workload], Calls] = defaultdict(Calls)
        for labels, value in rates:
            if value > 0:
                calls = found[_ends(labels)]
                calls.rate += value
                calls.failed += value if _is_failure(labels.get("response_code", "")) else 0.0
        for labels, value in times:
            if _ends(labels) in found and not math.isnan(value):
                found[_ends(labels)].p99 = value
        for labels, value in sent:
            if value > 0:
                found[_ends(labels)].bytes += value
        return dict(found)

    async def signals(self, start: float, end: float, step: float, window: float) -> dict[str, tuple[Line, ...]]:
        """The golden signals of each workload that was called, as it says itself; `failed` is in percent."""
        by = ", ".join(_TO)
        over = f"[{window:g}s]"
        asked = {
            "rate": f"sum by ({by}) (rate({_REQUESTS}{{WHICH}}{over}))",
            "failed": f"sum by ({by}) (rate({_REQUESTS}{{WHICH, {_FAILED}}}{over}))",
            "p50": f"histogram_quantile(0.5, sum by ({by}, le) (rate({_BUCKETS}{{WHICH}}{over})))",
            "p99": f"histogram_quantile(0.99, sum by ({by}, le) (rate({_BUCKETS}{{WHICH}}{over})))",
        }
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        every = await asyncio.gather(
            *(
                self._ask("query_range", {"query": query.replace("WHICH", 'reporter="destination"'), **times})
                for query in asked.values()
            )
        )
        found = {name: tuple(_lines(one)) for name, one in zip(asked, every, strict=True)}
        return {**found, "failed": tuple(_shares(found["failed"], found["rate"]))}

    async def version(self) -> str:
        found = await self._ask("status/buildinfo", {})
        return str(found.get("version", "")) if isinstance(found, dict) else ""

    async def _once(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Each call counted by one of its proxies."""
        every = await asyncio.gather(
            *(self._ask("query", {"query": query.replace("WHICH", which)}) for which in _COUNTED_ONCE)
        )
        return [(one["metric"], float(one["value"][1])) for found in every for one in found["result"]]

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


def _ends(labels: Mapping[str, str]) -> tuple[Workload, Workload]:
    def end(names: tuple[str, str]) -> Workload:
        name, namespace = (labels.get(label, UNKNOWN) for label in names)
        return ("" if namespace == UNKNOWN else namespace), name

    return end(_FROM), end(_TO)


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
