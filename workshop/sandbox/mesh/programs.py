"""The mesh's own images: `pilot` (istiod) and `proxyv2` (a sidecar, a gateway, or the init container)."""

from __future__ import annotations

from collections.abc import Mapping

from workshop.sandbox.images.program import Container, Done, Factory, Program, ProgramError, Streams

from .control_plane import ControlPlane
from .data_plane import DataPlane
from .proxies import Proxy

_ADMIN_PATHS = ("stats", "clusters", "listeners")


def programs(control_plane: ControlPlane, data_plane: DataPlane) -> Mapping[str, Factory]:
    """Factories by image."""
    return {
        "pilot": lambda container: Istiod(container, control_plane),
        "proxyv2": lambda container: _proxy(container, data_plane),
    }


class Istiod(Program):
    """The control plane is the sandbox's; while one of these runs, it works."""

    def __init__(self, container: Container, control_plane: ControlPlane) -> None:
        super().__init__(container)
        self._control_plane, self._runs = control_plane, False

    async def start(self) -> None:
        self._control_plane.start()
        self._runs = True
        self.container.log("info\tthe sandbox's stand-in for istiod is ready")

    async def stop(self, grace: float) -> None:
        if self._runs:
            self._runs = False
            await self._control_plane.stop()


def _proxy(container: Container, data_plane: DataPlane) -> Program:
    role = container.command[:2]
    if role and role[0] == "istio-iptables":
        return Done(container)
    if role == ["proxy", "sidecar"] or role == ["proxy", "router"]:
        return ProxyAgent(container, data_plane, role[1])
    raise ProgramError(f"proxyv2 does not know what to do with {' '.join(container.command) or 'no arguments'}")


class ProxyAgent(Program):
    """A proxy of the mesh. It is ready when Envoy takes connections for it."""

    def __init__(self, container: Container, data_plane: DataPlane, role: str) -> None:
        super().__init__(container)
        self._data_plane = data_plane
        self._proxy = Proxy(
            "gateway" if role == "router" else "sidecar",
            container.pod_name,
            container.namespace,
            container.ip,
            dict(container.labels),
        )

    async def start(self) -> None:
        self.container.log(f"info\tproxy {self._proxy.id} ({self._proxy.kind}) at {self._proxy.address}")
        self._data_plane.register(self._proxy)
        await self._data_plane.live(self._proxy)
        self.container.log("info\tEnvoy proxy is ready")

    async def stop(self, grace: float) -> None:
        await self._data_plane.unregister(self._proxy)

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """`pilot-agent request GET PATH`: Envoy's statistics, those of this proxy only."""
        if not command or command[0].rpartition("/")[2] != "pilot-agent":
            return None
        if command[1:3] != ["request", "GET"] or len(command) != 4:
            streams.err(b"Error: the sandbox's pilot-agent only knows: pilot-agent request GET PATH\n")
            return 1
        path = command[3].lstrip("/")
        if path.partition("?")[0] not in _ADMIN_PATHS:
            streams.err(f"Error: the sandbox only knows GET {', '.join(_ADMIN_PATHS)}\n".encode())
            return 1
        answer = await self._data_plane.admin(f"/{path}")
        mine = f"{self._proxy.id}/"
        lines = [line.replace(mine, "", 1) for line in answer.splitlines() if mine in line]
        streams.out("".join(f"{line}\n" for line in lines).encode())
        return 0
