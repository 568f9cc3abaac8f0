"""What istiod's validating webhook refuses, or warns of, of a Telemetry (ValidateTelemetry)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.core.cluster import Object
from sandbox.mesh import checks


def find_problems(spec: Object, namespace: str) -> Iterator[str]:
    """What the schema lets through: there names and values are not empty, and percentages within 0 and 100."""
    yield from checks.selector((spec.get("selector") or {}).get("matchLabels"))
    for said in spec.get("tracing") or ():
        if "" in (said.get("customTags") or {}):
            yield "tag name may not be empty"


def find_warnings(spec: Object) -> Iterator[str]:
    """Of one with which nothing is wrong."""
    selector, tracing = spec.get("selector"), spec.get("tracing") or ()
    if selector is not None and not selector.get("matchLabels"):
        yield "workload selector specified without labels"
    if len(tracing) > 1:
        yield "multiple tracing is not currently supported"
    for said in tracing:
        if len(said.get("providers") or ()) > 1:
            yield "multiple providers is not currently supported"
