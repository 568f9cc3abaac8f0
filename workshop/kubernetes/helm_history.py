"""What Helm has written down of its releases: a Secret for each revision, in the release's namespace.

The format is that of Helm's storage driver "secrets": type `helm.sh/release.v1`, labels for name, status and
version, and in `data.release` the release as JSON, gzipped, in base64 (twice, as it is data of a Secret). In it are
the chart, the values that were given (`config`), and what was rendered of them (`manifest`).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from workshop.kubernetes.cluster_facts import Snapshot, look
from workshop.kubernetes.helm_charts import Chart, Values, by_name
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.manifests import Object, lab_of, parse
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import ABSENT, Difference
from workshop.runbook.run import Run

_TYPE = "helm.sh/release.v1"
DEPLOYED = "deployed"
_PENDING = "pending-"


@dataclass(frozen=True, slots=True)
class ChartRelease:
    name: str
    namespace: str

    @property
    def subject(self) -> str:
        return f"Release {self.namespace}/{self.name}"

    def secret_name(self, revision: int) -> str:
        return f"sh.helm.release.v1.{self.name}.v{revision}"


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """A revision of a release, the `status` it has, and the `lab` whose label its Secret has (None when it was not
    the workshop)."""

    revision: int
    status: str
    lab: str | None
    secret: Object = field(repr=False)

    @property
    def pending(self) -> bool:
        """Whether a helm began with it, and did not come to its end."""
        return self.status.startswith(_PENDING)

    def unlike(self, release: ChartRelease, chart: Chart, values: Values) -> tuple[Difference, ...]:
        """What is otherwise than these values of the chart, whatever has become of it."""
        return tuple(self._unlike(release, chart, values))

    def _unlike(self, release: ChartRelease, chart: Chart, values: Values) -> Iterator[Difference]:
        try:
            content = _content(self.secret["data"]["release"])
            about = content["chart"]["metadata"]
            there, given = f"{about['name']}-{about['version']}", content.get("config") or {}
            objects = by_name(_parsed(content["manifest"]))
        except (KeyError, TypeError, ValueError, WorkshopError, binascii.Error, OSError, EOFError):
            yield Difference(release.subject, "", "what Helm writes down", "one that cannot be read")
            return
        if there != chart.full_name:
            yield Difference(release.subject, "chart", chart.full_name, there)
        for key in dict.fromkeys((*values, *given)):
            if values.get(key, ABSENT) != given.get(key, ABSENT):
                yield Difference(release.subject, f"values.{key}", values.get(key, ABSENT), given.get(key, ABSENT))
        wanted = by_name(chart.render(release.name, release.namespace, given))
        for name in sorted({*wanted, *objects}):
            if wanted.get(name) != objects.get(name):
                yield Difference(release.subject, f"manifest[{name}]", "as the chart has it", "another")


async def history_of(run: Run, release: ChartRelease) -> list[StoredRevision]:
    """The oldest first. Raises KubectlError."""
    return _stored(await look(run, [Place("Secret", release.namespace)]), release)


def _stored(snapshot: Snapshot, release: ChartRelease) -> list[StoredRevision]:
    found = []
    for secret in snapshot.all("Secret", release.namespace):
        labels = secret["metadata"].get("labels") or {}
        if secret.get("type") == _TYPE and labels.get("name") == release.name:
            number = str(labels.get("version", ""))
            revision = int(number) if number.isdecimal() else 0
            found.append(StoredRevision(revision, str(labels.get("status", "")), lab_of(secret), secret))
    return sorted(found, key=lambda stored: stored.revision)


@lru_cache(maxsize=64)
def _content(data: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(data))))
    return content


@lru_cache(maxsize=64)
def _parsed(manifest: str) -> list[Object]:
    return parse(manifest, "Helm's history")
