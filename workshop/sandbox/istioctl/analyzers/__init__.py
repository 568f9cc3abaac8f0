"""The analyzers: each looks for some of Istio's numbered messages (IST0101, ...).

The real one has many more; README.md lists these. What of a file is no valid rule (IST0106) is found before them,
by `schema`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..resources import Resources
from .deprecations import deprecated
from .destination_rules import idle
from .gateways import conflicting, missing_workloads
from .injection import missing_proxies, namespaces_not_injected
from .messages import Level, Message
from .services import port_names
from .unreachable_rules import unreachable
from .virtual_services import conflicting_hosts, missing_references

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
