"""A rule's mirrors: copies of requests, whose answers nobody sees.

Envoy sends them beside the request, for the same host: it would put `-shadow` behind the name, which Istio has it
leave out since 1.28. A mirror that leads nowhere does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.mesh import destinations
from sandbox.mesh.destinations import Context
from sandbox.mesh.percentages import fraction, whole


def policies(http: Mapping[str, Any], context: Context, namespace: str) -> list[dict[str, Any]]:
    """Envoy's mirror policies. No percentage means every request; 0 % leaves a mirror out."""
    return [
        {
            "cluster": destinations.cluster(destination, context, namespace),
            "runtime_fraction": {"default_value": share},
            "disable_shadow_host_suffix_append": True,
        }
        for destination, share in _mirrors(http)
        if share["numerator"]
    ]


def _mirrors(http: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    if http.get("mirror"):
        older, percentage = http.get("mirrorPercent"), http.get("mirrorPercentage")
        share = whole(100 if older is None else older) if percentage is None else fraction(percentage)
        yield http["mirror"], share
    for mirror in http.get("mirrors") or []:
        percentage = mirror.get("percentage")
        yield mirror["destination"], whole(100) if percentage is None else fraction(percentage)
