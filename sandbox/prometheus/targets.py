"""Who is asked: of each job the targets that its file has, and those that Kubernetes knows of (`target_discovery`).

The job's rules keep some of them, and say where and how those are asked. Labels that begin with two underscores end
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlencode

from sandbox.prometheus.configuration import Job
from sandbox.prometheus.expressions import duration
from sandbox.prometheus.relabeling import relabelled
from sandbox.prometheus.scraping import Target
from sandbox.prometheus.target_discovery import ADDRESS, Look, Object, discovered

_PARAMETER = "__param_"


class Targets:
    """Of the jobs and the objects that there are whenever it is called; of those that have not changed it makes
    none anew."""

    def __init__(self, jobs: Iterable[Job], look: Look) -> None:
        self._look = look
        self._known: dict[tuple[str, str], tuple[tuple[Object, ...], list[Target]]] = {}
        self._written: list[Target] = []
        self._by_role: dict[str, list[Job]] = {}
        for job in jobs:
            self._written += _targets(job, job.written)
            for role in job.roles:
                self._by_role.setdefault(role, []).append(job)

    def __call__(self) -> list[Target]:
        found = list(self._written)
        known, self._known = self._known, {}
        for role, jobs in self._by_role.items():
            for objects, make in discovered(role, self._look):
                key = role, objects[0]["metadata"]["uid"]
                before = known.get(key)
                if before is None or not _same(before[0], objects):
                    labels = list(make())
                    before = objects, [target for job in jobs for target in _targets(job, labels)]
                self._known[key] = before
                found += before[1]
        return found


def _same(before: tuple[Object, ...], now: tuple[Object, ...]) -> bool:
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def _targets(job: Job, discovered: Iterable[Mapping[str, str]]) -> Iterator[Target]:
    """Several that come to the same are one."""
    made = (_target(job, labels) for labels in discovered)
    yield from {target.key: target for target in made if target is not None}.values()


def _target(job: Job, labels: Mapping[str, str]) -> Target | None:
    """None for what the rules drop, and what has no address."""
    before = {
        "job": job.name,
        "__scheme__": job.scheme,
        "__metrics_path__": job.path,
        "__scrape_interval__": duration(round(job.interval * 1000)),
        "__scrape_timeout__": duration(round(job.timeout * 1000)),
        **{f"{_PARAMETER}{name}": values[0] for name, values in job.params.items() if values},
        **labels,
    }
    found = relabelled(before, job.rules)
    if found is None or ADDRESS not in found:
        return None
    address = found[ADDRESS]
    asked = {name: list(values) for name, values in job.params.items()}
    for name, value in found.items():
        if name.startswith(_PARAMETER):
            own = name.removeprefix(_PARAMETER)
            asked[own] = [value, *asked.get(own, ())[1:]]
    told = {name: value for name, value in found.items() if not name.startswith("__")}
    query = urlencode(asked, doseq=True)
    path = found.get("__metrics_path__", "/")
    return Target(
        f"{found.get('__scheme__', 'http')}://{address}{path}{'?' * bool(query)}{query}",
        {"instance": address, **told},
        {**before, "job": job.name},
        job.honor_labels,
        job.interval,
        job.timeout,
    )
