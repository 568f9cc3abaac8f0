"""Prometheus' HTTP API, as far as somebody asks it: what is there now, or was over a time, by an expression.

It is asked the way that every target has: through the API server, which passes requests on to a Service's pod. So
nothing has to be forwarded or exposed, and who may read `services/proxy` in the namespace may ask. Where, and under
which names, is what the add-on of Istio's releases makes (samples/addons/prometheus.yaml); the answers are those of
https://prometheus.io/docs/prometheus/latest/querying/api/.

    found = await Prometheus.of(run).query('sum by (destination_version) (istio_requests_total{...})')
    {sample.labels["destination_version"]: sample.value for sample in found}

Times are seconds since the epoch.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.tool_process import ToolTimeout
from workshop.runbook.errors import UsageError, WorkshopError

if TYPE_CHECKING:
    from workshop.runbook.run import Run

NAMESPACE, SERVICE, PORT = "istio-system", "prometheus", 9090

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+)(ms|s|m|h)")


class NoPrometheus(UsageError):
    """There is none in the cluster, or what is under its name is something else."""


class PrometheusSilent(WorkshopError):
    """It is there, and does not answer: no pod of it is ready, or it takes too long."""


class QueryRefused(WorkshopError):
    """`kind` is Prometheus' own word for why ("bad_data", "execution", ...)."""

    def __init__(self, tried: str, came_back: str, kind: str, *, next_command: str = "") -> None:
        super().__init__(tried, came_back, next_command=next_command)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at a time. A scalar is one without labels."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Series:
    """Values over a time, each a pair of when and how much, in order."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


Vector = tuple[Sample, ...]
Matrix = tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The one of a cluster. `brought_by` is the command that puts one there. `seconds` is how long an answer may
    take."""

    kubectl: Kubectl
    brought_by: str
    seconds: float = 20.0

    @classmethod
    def of(cls, run: Run) -> Prometheus:
        """The target's; each question is an event of `run`."""
        return cls(Kubectl.of(run), f"{run.program} lab.istio.observe")

    async def query(self, expression: str, time: float | None = None) -> Vector:
        """What it is at that time (now), a scalar or a vector. Raises NoPrometheus, PrometheusSilent, QueryRefused
        (also for what is a string or a range), KubectlError and ToolMissing."""
        given = {"query": expression} | ({} if time is None else {"time": _moment(time)})
        data = await self._ask("query", given, expression)
        kind, found = data["resultType"], data["result"]
        if kind == "scalar":
            return (_sample({}, found),)
        if kind != "vector":
            raise self._refused("query", given, expression, f"it is a {kind}, not a scalar or a vector", "bad_data")
        return tuple(_sample(one["metric"], one["value"]) for one in found)

    async def query_range(self, expression: str, start: float, end: float, step: float) -> Matrix:
        """What it was at `start`, and every `step` seconds from there on until `end`. Raises as `query`."""
        given = {"query": expression, "start": _moment(start), "end": _moment(end), "step": f"{step:g}"}
        data = await self._ask("query_range", given, expression)
        return tuple(
            Series(one["metric"], tuple((float(at), float(value)) for at, value in one["values"]))
            for one in data["result"]
        )

    async def scrape_interval(self, job: str) -> float | None:
        """Seconds between two looks at the targets of a job; None without any. Raises as `query`."""
        data = await self._ask("targets", {"state": "active", "scrapePool": job}, "its targets")
        told = [_seconds(str(target.get("scrapeInterval", ""))) for target in data["activeTargets"]]
        return min((interval for interval in told if interval), default=None)

    async def troubles(self, job: str) -> dict[str, str]:
        """What has come of the last look at a pod, of those that did not answer. Raises as `query`."""
        data = await self._ask("targets", {"state": "active", "scrapePool": job}, "its targets")
        return {
            target["labels"].get("pod", ""): target["lastError"]
            for target in data["activeTargets"]
            if target.get("lastError")
        }

    def typed(self, what: str, given: Mapping[str, str]) -> str:
        """How a person asks the same."""
        return self.kubectl.typed(f"kubectl get --raw {shlex.quote(_path(what, given))}")

    async def _ask(self, what: str, given: Mapping[str, str], expression: str) -> dict[str, Any]:
        """The data of an answer."""
        tried = f"ask Prometheus for {expression}"
        if self.kubectl.absent:
            raise NoPrometheus(tried, "there is no cluster yet", next_command=self.brought_by)
        try:
            status, body = await self.kubectl.raw(_path(what, given), seconds=self.seconds)
        except ToolTimeout as late:
            said = f"no answer within {self.seconds:g} s"
            raise PrometheusSilent(tried, said, cause=late.cause, next_command=self._looking()) from late
        except KubectlError as refused:
            if refused.reason is Reason.NOT_FOUND:
                raise self._none(tried, f"there is no Service {NAMESPACE}/{SERVICE}") from refused
            if refused.reason is Reason.SERVICE_UNAVAILABLE:
                cause = "no pod of it is ready, or it has just been started"
                raise PrometheusSilent(
                    tried, refused.came_back, cause=cause, next_command=self._looking()
                ) from refused
            raise
        try:
            said = json.loads(body)
            if said["status"] == "success":
                data: dict[str, Any] = said["data"]
                return data
            why, kind = said["error"], said["errorType"]
        except (ValueError, KeyError, TypeError):
            if status >= 500:
                raise PrometheusSilent(tried, f"{status} {body.strip()}", next_command=self._looking()) from None
            raise self._none(
                tried, f"what answers at {NAMESPACE}/{SERVICE}:{PORT} is no Prometheus ({status})"
            ) from None
        raise self._refused(what, given, expression, why, kind)

    def _none(self, tried: str, said: str) -> NoPrometheus:
        return NoPrometheus(
            tried, said, cause="the add-ons that observe the mesh are not installed", next_command=self.brought_by
        )

    def _refused(self, what: str, given: Mapping[str, str], expression: str, why: str, kind: str) -> QueryRefused:
        return QueryRefused(f"ask Prometheus for {expression}", why, kind, next_command=self.typed(what, given))

    def _looking(self) -> str:
        return self.kubectl.typed(f"kubectl get pods,endpoints -n {NAMESPACE}")


def _path(what: str, given: Mapping[str, str]) -> str:
    service = f"/api/v1/namespaces/{NAMESPACE}/services/http:{SERVICE}:{PORT}"
    return f"{service}/proxy/api/v1/{what}?{urlencode(given)}"


def _moment(seconds: float) -> str:
    """To the millisecond, which is what it keeps."""
    return f"{seconds:.3f}"


def _seconds(duration: str) -> float:
    """Of one of Prometheus', such as "1m30s"; 0 of what is none."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def _sample(labels: Mapping[str, str], point: list[Any]) -> Sample:
    at, value = point
    return Sample(labels, float(value), float(at))
