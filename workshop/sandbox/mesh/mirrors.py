"""A rule's mirrors: copies of requests, whose answers nobody sees.

Envoy sends them beside the request, with `-shadow` behind the name of the host. A mirror that leads nowhere does
no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import destinations
from .destinations import Context
from .percentages import fraction, whole


def policies(http: Mapping[str, Any], context: Context, namespace: str) -> list[dict[str, Any]]:
    """Envoy's mirror policies. No percentage means every request; 0 % leaves a mirror out."""
    return [
        {
            "cluster": destinations.cluster(destination, context, namespace),
            "runtime_fraction": {"default_value": share},
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
