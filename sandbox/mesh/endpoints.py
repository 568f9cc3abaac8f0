"""Where requests end: a cluster's endpoints for Envoy (EDS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.core.addresses import is_pod, listen_port
from sandbox.mesh.registry import Endpoint


def selected(endpoints: Iterable[Endpoint], labels: Mapping[str, str]) -> list[Endpoint]:
    """Those whose pods have all of a subset's labels."""
    return [endpoint for endpoint in endpoints if labels.items() <= endpoint.labels.items()]


def locality(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """The `endpoints` of a ClusterLoadAssignment; the same for all proxies, so it is made once and shared."""
    return [
        {
            "lb_endpoints": [
                _weighted(endpoint)
                for endpoint in sorted(endpoints, key=lambda endpoint: (endpoint.address, endpoint.port))
            ]
        }
    ]


def _weighted(endpoint: Endpoint) -> dict[str, Any]:
    """What is no pod, such as another cluster's load balancer, listens where it says."""
    port = listen_port(endpoint.port) if is_pod(endpoint.address) else endpoint.port
    made: dict[str, Any] = {"endpoint": {"address": socket_address(endpoint.address, port)}}
    return made if endpoint.weight == 1 else {**made, "load_balancing_weight": endpoint.weight}


def assignment(cluster: str, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster_name": cluster, "endpoints": endpoints}


def socket_address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
