"""`istioctl proxy-status`: the proxies that are connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import ready
from .errors import IstioctlError

if TYPE_CHECKING:
    from .cli import Invocation

_TYPES = "4 (CDS,LDS,EDS,RDS)"


def run(invocation: Invocation) -> int:
    planes = ready.istiods(invocation.client, invocation.istio_namespace)
    if not planes:
        raise IstioctlError(f'no running Istio pods in namespace "{invocation.istio_namespace}"')
    plane = planes[0]["metadata"]["name"]
    rows = [
        (ready.proxy_id(pod), "Kubernetes", plane, ready.version_of(pod, "istio-proxy"), _TYPES)
        for pod in sorted(ready.proxies(invocation.client), key=ready.proxy_id)
    ]
    print("\n".join(table([("NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"), *rows])))
    return 0


def table(rows: Sequence[Sequence[str]], gap: int = 5) -> list[str]:
    """Columns as wide as their widest cell, `gap` spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ((" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
