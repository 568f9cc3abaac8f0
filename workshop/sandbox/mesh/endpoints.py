"""Where requests end: a cluster's endpoints for Envoy (EDS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workshop.sandbox.network import listen_port

from .registry import Endpoint


def selected(endpoints: Iterable[Endpoint], labels: Mapping[str, str]) -> list[Endpoint]:
    """Those whose pods have all of a subset's labels."""
    return [endpoint for endpoint in endpoints if labels.items() <= endpoint.labels.items()]


def locality(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """The `endpoints` of a ClusterLoadAssignment; the same for all proxies, so it is made once and shared."""
    return [
        {
            "lb_endpoints": [
                {"endpoint": {"address": socket_address(endpoint.address, listen_port(endpoint.port))}}
                for endpoint in sorted(endpoints, key=lambda endpoint: (endpoint.address, endpoint.port))
            ]
        }
    ]


def assignment(cluster: str, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster_name": cluster, "endpoints": endpoints}


def socket_address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
