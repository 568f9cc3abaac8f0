"""`istioctl proxy-status`: the proxies that are connected, and with -v 1 whether they took what istiod sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.istioctl import ready
from sandbox.istioctl.errors import IstioctlError, UsageError

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

_SERVICES = {"Cluster": "CDS", "Listener": "LDS", "ClusterLoadAssignment": "EDS", "RouteConfiguration": "RDS"}
_SUBSCRIBED = f"{len(_SERVICES)} ({','.join(_SERVICES.values())})"
_SYNC_STATUS = ("pilot-discovery", "request", "GET", "/debug/syncz")


def run(invocation: Invocation) -> int:
    verbosity = invocation.arguments.text("verbosity")
    if verbosity not in ("0", "1"):
        raise UsageError(f'invalid argument "{verbosity}" for "-v, --verbosity" flag: it is 0 or 1')
    planes = ready.istiods(invocation.client, invocation.istio_namespace)
    if not planes:
        raise IstioctlError(f'no running Istio pods in namespace "{invocation.istio_namespace}"')
    plane = planes[0]["metadata"]["name"]
    statuses = _statuses(invocation, plane)
    shown = sorted(_SERVICES.values()) if verbosity == "1" else []
    rows: list[tuple[str, ...]] = [("NAME", "CLUSTER", *shown, "ISTIOD", "VERSION")]
    for pod in sorted(ready.proxies(invocation.client), key=ready.proxy_id):
        name = ready.proxy_id(pod)
        of_services = [statuses.get(name, {}).get(service, "NOT SENT") for service in shown]
        rows.append((name, "Kubernetes", *of_services, plane, ready.version_of(pod, "istio-proxy")))
    if not shown:
        rows = [(*row, _SUBSCRIBED if number else "SUBSCRIBED TYPES") for number, row in enumerate(rows)]
    print("\n".join(table(rows)))
    if refused := [name for name, status in statuses.items() if "ERROR" in status.values()]:
        # The real one has columns for it with -v 1 only; nobody looks there without a reason to.
        more = "" if shown else "istioctl proxy-status -v 1 shows of what; "
        print(
            f"Refused by Envoy: configuration of {', '.join(refused)}; {more}istiod's log says why", file=sys.stderr
        )
    return 0


def _statuses(invocation: Invocation, plane: str) -> Mapping[str, Mapping[str, str]]:
    """What istiod knows: by proxy and discovery service."""
    done = invocation.client.execute(invocation.istio_namespace, plane, "discovery", _SYNC_STATUS)
    if done.problem:
        raise IstioctlError(f"failed to ask {plane} for its proxies: {done.err.strip() or done.problem}")
    return {
        known["node"]["id"]: {
            _SERVICES[status["typeUrl"].rpartition(".")[2]]: status["configStatus"].replace("_", " ")
            for status in known["genericXdsConfigs"]
        }
        for known in json.loads(done.out)
    }


def table(rows: Sequence[Sequence[str]], gap: int = 5) -> list[str]:
    """Columns as wide as their widest cell, `gap` spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ((" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
