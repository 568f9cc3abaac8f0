"""`istioctl proxy-config endpoints`: where clusters send requests now, and which of it is ejected."""

from __future__ import annotations

from sandbox.istioctl.config_dump import Object, Rows
from sandbox.istioctl.flags import Arguments


def found(answer: Object, arguments: Arguments) -> list[Object]:
    """Clusters with any host that was asked for."""
    return [one for one in answer.get("cluster_statuses") or () if _hosts(one, arguments)]


def _hosts(cluster: Object, arguments: Arguments) -> list[Object]:
    return [host for host in cluster.get("host_statuses") or () if _wanted(host, cluster["name"], arguments)]


def _wanted(host: Object, cluster: str, arguments: Arguments) -> bool:
    address, port, status = _address(host)
    found = {"address": address, "port": port, "status": status, "cluster": cluster}
    return all(arguments.text(flag).lower() in ("", value.lower()) for flag, value in found.items())


def _address(host: Object) -> tuple[str, str, str]:
    """Address, port and health, as text."""
    socket = (host.get("address") or {}).get("socket_address") or {}
    status = (host.get("health_status") or {}).get("eds_health_status", "UNKNOWN")
    return socket.get("address", "unknown"), str(socket.get("port_value", "")), status


def rows(clusters: list[Object], arguments: Arguments) -> Rows:
    made = []
    for cluster in clusters:
        for host in _hosts(cluster, arguments):
            address, port, status = _address(host)
            check = "FAILED" if (host.get("health_status") or {}).get("failed_outlier_check") else "OK"
            where = f"{address}:{port}" if port else address
            made.append(((address, int(port or 0), cluster["name"]), (where, status, check, cluster["name"])))
    return [("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), *(row for _, row in sorted(made))]
