"""An Envoy proxy of the mesh. All share one process; each has listeners, route tables and clusters of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Proxy:
    """A pod's proxy: a sidecar, or a gateway that takes connections from outside the mesh."""

    kind: Literal["sidecar", "gateway"]
    name: str
    namespace: str
    address: str
    labels: Mapping[str, str]

    @property
    def id(self) -> str:
        """As `istioctl proxy-status` writes it. It begins every name of what is this proxy's own in Envoy."""
        return f"{self.name}.{self.namespace}"
