"""fortio as a client inside the mesh: loads and single calls by `kubectl exec`, and what its JSON document says.

A load's connections call at the same moments, `per_second` times a second each (fortio's default; `-uniform` would
spread them): that is what makes a breaker's shares a matter of its limits, and not of how fast the machine is. When
connections just went on as soon as they are answered, they would soon take turns, and a limit of two requests at
once would hardly ever be felt by two connections. So that they stay together on a busy machine too, a connection
that is late leaves calls out, when asked to (`skips`: fortio's `-nocatchup`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Latencies
from workshop.runbook.run import Run
from workshop.traffic.latency import of_buckets


@dataclass(frozen=True, slots=True)
class Load:
    """What came back: how many answers of each status, in `seconds`. `lost` requests had no answer."""

    answers: Mapping[int, int]
    lost: int
    seconds: float
    latencies: Latencies | None

    @property
    def calls(self) -> int:
        return sum(self.answers.values()) + self.lost

    def of(self, status: int) -> int:
        return self.answers.get(status, 0)


@dataclass(frozen=True, slots=True)
class Fortio:
    """`workload` as kubectl names it ("deploy/fortio"); the container is `fortio`."""

    namespace: str
    workload: str
    container: str = "fortio"

    async def load(
        self, run: Run, url: str, *, connections: int, calls: int, per_second: int = 0, skips: bool = False
    ) -> Load:
        """`calls` for each of the connections, at most when it `skips` those it would be late for; without
        `per_second`, as fast as answers come. Raises WorkshopError when fortio does not say what came back."""
        words = self._load(url, connections, calls, per_second, skips)
        seconds = 60.0 + (calls / per_second if per_second else 0.0)
        kubectl = Kubectl.of(run)
        done = await kubectl.exec(self.namespace, self.workload, words, container=self.container, seconds=seconds)
        try:
            return parse(done.stdout)
        except ValueError as error:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise WorkshopError(
                f"load {url} with fortio",
                f"exit status {done.status}: {said[-1] if said else error}",
                next_command=kubectl.typed(self.typed(words)),
            ) from error

    async def curl(self, run: Run, url: str) -> int:
        """The status that one call is answered with. Raises WorkshopError when it is not."""
        words = ("fortio", "curl", "-quiet", "-curl-stdout-headers", url)
        kubectl = Kubectl.of(run)
        done = await kubectl.exec(self.namespace, self.workload, words, container=self.container)
        first = done.stdout.partition("\n")[0].split()
        if len(first) < 2 or not first[0].startswith("HTTP/") or not first[1].isdigit():
            said = done.stderr.strip().splitlines()
            raise WorkshopError(
                f"call {url} with fortio",
                said[-1] if said else f"exit status {done.status}",
                next_command=kubectl.typed(self.typed(words)),
            )
        return int(first[1])

    def typed(self, words: tuple[str, ...]) -> str:
        return f"kubectl exec -n {self.namespace} {self.workload} -c {self.container} -- {shlex.join(words)}"

    def typed_load(
        self, url: str, *, connections: int, calls: int, per_second: int = 0, skips: bool = False
    ) -> str:
        """What a person would type, who reads fortio's own report."""
        words = self._load(url, connections, calls, per_second, skips)
        return self.typed(tuple(word for word in words if word not in ("-quiet", "-json", "-")))

    def _load(self, url: str, connections: int, calls: int, per_second: int, skips: bool) -> tuple[str, ...]:
        counts = ("-c", f"{connections}", "-n", f"{calls * connections}", "-qps", f"{per_second * connections}")
        late = ("-nocatchup",) if skips else ()
        return ("fortio", "load", *counts, *late, "-allow-initial-errors", "-quiet", "-json", "-", url)


def parse(document: str) -> Load:
    """Of the JSON document. Raises ValueError for anything else."""
    try:
        content = json.loads(document)
        codes = {int(code): int(count) for code, count in content["RetCodes"].items()}
        histogram = content["DurationHistogram"]
        percentiles = {each["Percentile"]: each["Value"] for each in histogram["Percentiles"] or ()}
        buckets = list(_buckets(histogram["Data"] or ()))
        seconds = content["ActualDuration"] / 1e9
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no document of a load: {error!r}") from error
    return Load(
        {code: count for code, count in codes.items() if code > 0},
        sum(count for code, count in codes.items() if code <= 0),
        seconds,
        of_buckets(buckets, p50=percentiles.get(50.0), p99=percentiles.get(99.0)),
    )


def _buckets(data: Any) -> Iterator[tuple[float, int]]:
    """With the empty ones, which the document leaves out."""
    before = 0.0
    for bucket in data:
        if bucket["Start"] > before:
            yield bucket["Start"], 0
        before = max(bucket["End"], bucket["Start"])
        yield before, bucket["Count"]
