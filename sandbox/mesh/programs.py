"""The mesh's own images: `pilot` (istiod) and `proxyv2` (a sidecar, a gateway, or the init container)."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.images.program import Container, Factory, NoOp, Program, ProgramError
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.istiod import Istiod
from sandbox.mesh.pilot_agent import ProxyAgent


def programs(control_plane: ControlPlane, data_plane: DataPlane) -> Mapping[str, Factory]:
    """Factories by image."""
    return {
        "pilot": lambda container: Istiod(container, control_plane, data_plane),
        "proxyv2": lambda container: _proxy(container, data_plane),
    }


def _proxy(container: Container, data_plane: DataPlane) -> Program:
    role = container.command[:2]
    if role and role[0] == "istio-iptables":
        return NoOp(container)
    if role == ["proxy", "sidecar"] or role == ["proxy", "router"]:
        return ProxyAgent(container, data_plane, role[1])
    raise ProgramError(f"proxyv2 does not know what to do with {' '.join(container.command) or 'no arguments'}")
