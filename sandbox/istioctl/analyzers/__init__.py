"""The analyzers: each looks for some of Istio's numbered messages (IST0101, ...).

The real one has many more; README.md lists these. What of a file is no valid rule (IST0106) is found before them,
by `schema`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.deprecations import deprecated
from sandbox.istioctl.analyzers.destination_rules import idle
from sandbox.istioctl.analyzers.gateways import conflicting, missing_workloads
from sandbox.istioctl.analyzers.injection import missing_proxies, namespaces_not_injected
from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.analyzers.services import port_names
from sandbox.istioctl.analyzers.unreachable_rules import unreachable
from sandbox.istioctl.analyzers.virtual_services import conflicting_hosts, missing_references
from sandbox.istioctl.resources import Resources

__all__ = ["Level", "Message", "analyze"]

_ANALYZERS = (
    missing_references,
    missing_workloads,
    conflicting,
    namespaces_not_injected,
    missing_proxies,
    conflicting_hosts,
    port_names,
    unreachable,
    idle,
    deprecated,
)


def analyze(resources: Resources) -> Iterator[Message]:
    """Everything that any analyzer has to say."""
    for analyzer in _ANALYZERS:
        yield from analyzer(resources)
