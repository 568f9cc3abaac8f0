"""A rule's faults: delays and aborts by Envoy's fault filter.

The filter is in every proxy's chain, before the router, and does nothing where a route says nothing. A delay goes
before the route's time limit, which begins with the forwarding, and an aborted request is neither forwarded nor
mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.mesh.durations import duration
from sandbox.mesh.percentages import fraction, whole
from sandbox.mesh.xds.protobuf import TYPE_PREFIX

FILTER = "envoy.filters.http.fault"
TYPE = f"{TYPE_PREFIX}envoy.extensions.filters.http.fault.v3.HTTPFault"

GRPC_STATUS = {
    name: number
    for number, name in enumerate(
        (
            *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
            *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
            *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
        )
    )
}
"""gRPC's status codes (https://grpc.io/docs/guides/status-codes/)."""


def filter_config(fault: Mapping[str, Any]) -> dict[str, Any] | None:
    """The filter's settings for one route; None where the rule names no fault that does something.

    As with Istio a fault without a percentage is for no request at all.
    """
    made: dict[str, Any] = {"@type": TYPE}
    delay, abort = fault.get("delay") or {}, fault.get("abort") or {}
    if "fixedDelay" in delay:
        made["delay"] = {
            "fixed_delay": duration(delay["fixedDelay"]),
            "percentage": _percentage(delay),
        }
    if "httpStatus" in abort:
        made["abort"] = {"http_status": abort["httpStatus"], "percentage": _percentage(abort)}
    elif "grpcStatus" in abort:
        made["abort"] = {"grpc_status": GRPC_STATUS[abort["grpcStatus"]], "percentage": _percentage(abort)}
    return made if len(made) > 1 else None


def _percentage(fault: Mapping[str, Any]) -> dict[str, Any]:
    percentage = fault.get("percentage")
    return whole(fault.get("percent", 0)) if percentage is None else fraction(percentage)
