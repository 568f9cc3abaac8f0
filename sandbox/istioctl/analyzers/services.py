"""Services: ports whose protocol Istio has to guess (IST0118)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.resources import Resources
from sandbox.mesh.registry import protocol


def port_names(resources: Resources) -> Iterator[Message]:
    """IST0118: a port whose name does not say what is spoken there."""
    for service in resources.outside_the_system("Service"):
        for port in service["spec"].get("ports") or []:
            if port.get("protocol", "TCP") == "TCP" and protocol(port) == "auto":
                name, target = port.get("name", ""), port.get("targetPort", port["port"])
                yield Message(
                    "IST0118",
                    Level.Info,
                    service,
                    f"Port name {name} (port: {port['port']}, targetPort: {target}) "
                    "doesn't follow the naming convention of Istio port.",
                )
