"""Where a rule's destination leads: the cluster that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import clusters, hosts
from .proxies import Proxy
from .registry import Registry


@dataclass(frozen=True, slots=True)
class Context:
    """Who routes: the proxy, the port requests come in on, and through which gateway (`mesh` for a sidecar).

    `tls` is whether they come in encrypted.
    """

    proxy: Proxy
    port: int
    gateway: str
    registry: Registry
    tls: bool = False


def cluster(destination: Mapping[str, Any], context: Context, namespace: str) -> str:
    """The destination's cluster. It need not exist: requests to one that does not are answered with 503.

    Without a port a service's only one is meant, else the one the request came to.
    """
    host = hosts.resolve(destination["host"], namespace)
    service = context.registry.by_host.get(host)
    port = (destination.get("port") or {}).get("number")
    if port is None:
        only_one = service is not None and len(service.ports) == 1
        port = service.ports[0].number if service is not None and only_one else context.port
    return clusters.name(context.proxy.id, host, port, destination.get("subset", ""))
