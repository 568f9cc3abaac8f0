"""Jaeger's query API, as far as somebody asks it: a trace by its id. Asked through the API server, as Prometheus is
(`prometheus.py`), under the names of the add-on of Istio's releases (samples/addons/jaeger.yaml). The answers are
those of https://www.jaegertracing.io/docs/latest/apis/: durations and times are microseconds there, seconds here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.runbook.errors import UsageError, WorkshopError

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NAMESPACE, SERVICE, PORT, BASE = "istio-system", "tracing", 80, "/jaeger"


class NoJaeger(UsageError):
    """There is none in the cluster, or what is under its name is something else."""


@dataclass(frozen=True, slots=True)
class Span:
    """`parent` is the id of the span that it is a part of, empty where none is told. `service` is who tells of it;
    times are seconds, `start` since the epoch."""

    id: str
    parent: str
    service: str
    operation: str
    start: float
    seconds: float
    tags: Mapping[str, str]

    @property
    def is_server(self) -> bool:
        return self.tags.get("span.kind") == "server"

    @property
    def flags(self) -> frozenset[str]:
        """Envoy's response flags."""
        return frozenset(self.tags.get("response_flags", "-").split(",")) - {"-", ""}

    @property
    def is_delayed(self) -> bool:
        """By a fault, in the proxy that tells it (https://www.envoyproxy.io/docs/envoy/latest/configuration/
        observability/access_log/usage, DelayInjected)."""
        return "DI" in self.flags


@dataclass(frozen=True, slots=True)
class Trace:
    """Its spans, the earliest first."""

    id: str
    spans: tuple[Span, ...]

    def above(self, span: Span) -> Iterator[Span]:
        """What it is a part of, up to the root."""
        by_id, seen = {one.id: one for one in self.spans}, {span.id}
        while (found := by_id.get(span.parent)) is not None and found.id not in seen:
            seen.add(found.id)
            yield found
            span = found

    def lines(self) -> Iterator[str]:
        """As text: when each began and how long it took, below what it is a part of."""
        began = min((span.start for span in self.spans), default=0.0)
        for span in self._in_order():
            indent = "  " * len(list(self.above(span)))
            flags = f"  {','.join(sorted(span.flags))}" if span.flags else ""
            delayed = ": a fault's delay" if span.is_delayed else ""
            times = f"{(span.start - began) * 1000:8.1f} ms {span.seconds * 1000:8.1f} ms"
            yield f"{times}  {indent}{span.service}: {span.operation}{flags}{delayed}"

    def _in_order(self) -> Iterator[Span]:
        ids = {span.id for span in self.spans}
        below: dict[str, list[Span]] = {}
        for span in self.spans:
            below.setdefault(span.parent if span.parent in ids and span.parent != span.id else "", []).append(span)
        waiting = list(reversed(below.get("", [])))
        while waiting:
            span = waiting.pop()
            yield span
            waiting += reversed(below.get(span.id, []))


@dataclass(frozen=True, slots=True)
class Jaeger:
    kubectl: Kubectl
    brought_by: str
    seconds: float = 20.0

    @classmethod
    def of(cls, run: Run) -> Jaeger:
        return cls(Kubectl.of(run), f"{run.program} lab.istio.observe --to traces")

    async def trace(self, id: str) -> Trace | None:
        """None while there is none of that id. Raises NoJaeger, WorkshopError."""
        tried = f"ask Jaeger for the trace {id}"
        try:
            status, body = await self.kubectl.raw(_path(id), seconds=self.seconds)
        except KubectlError as refused:
            if refused.reason is Reason.NOT_FOUND:
                said = f"there is no Service {NAMESPACE}/{SERVICE}"
                raise NoJaeger(tried, said, next_command=self.brought_by) from refused
            raise
        if status == 404:
            return None
        try:
            found = json.loads(body)["data"]
            return _trace(id, found[0]) if found else None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            command = self.typed(id)
            if status >= 500:
                raise WorkshopError(tried, f"{status} {body.strip()[:200]}", next_command=command) from None
            said = f"what answers at {NAMESPACE}/{SERVICE} is no Jaeger ({status})"
            raise NoJaeger(tried, said, next_command=self.brought_by) from error

    def typed(self, id: str) -> str:
        return self.kubectl.typed(command(id))


def command(id: str) -> str:
    """How a person asks the same."""
    return f"kubectl get --raw {_path(id)}"


def _path(id: str) -> str:
    service = f"/api/v1/namespaces/{NAMESPACE}/services/http:{SERVICE}:{PORT}/proxy"
    return f"{service}{BASE}/api/traces/{id}"


def _trace(id: str, found: Mapping[str, Any]) -> Trace:
    processes = {key: str(value["serviceName"]) for key, value in found["processes"].items()}
    spans = (
        Span(
            str(one["spanID"]),
            _parent(one),
            processes[one["processID"]],
            str(one["operationName"]),
            one["startTime"] / 1e6,
            one["duration"] / 1e6,
            {str(tag["key"]): str(tag["value"]) for tag in one.get("tags") or ()},
        )
        for one in found["spans"]
    )
    return Trace(id, tuple(sorted(spans, key=lambda span: (span.start, -span.seconds))))


def _parent(span: Mapping[str, Any]) -> str:
    found = (one for one in span.get("references") or () if one["refType"] == "CHILD_OF")
    return str(next((one["spanID"] for one in found), span.get("parentSpanID") or ""))
