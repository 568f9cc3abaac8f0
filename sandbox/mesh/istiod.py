"""istiod's container (`pilot`): its life, its log, and what it knows of the proxies."""

from __future__ import annotations

import json

from sandbox.images.program import Container, Program, Streams
from sandbox.mesh.control_plane import ControlPlane
from sandbox.mesh.data_plane import TYPES, DataPlane
from sandbox.mesh.proxies import Proxy
from sandbox.mesh.xds.protobuf import TYPE_PREFIX

SYNC_STATUS = ("pilot-discovery", "request", "GET", "/debug/syncz")


class Istiod(Program):
    """The control plane is the sandbox's; while one of these runs, it works."""

    def __init__(self, container: Container, control_plane: ControlPlane, data_plane: DataPlane) -> None:
        super().__init__(container)
        self._control_plane, self._data_plane, self._runs = control_plane, data_plane, False

    async def start(self) -> None:
        self._control_plane.start()
        self._data_plane.refusing.append(self._refused)
        self._runs = True
        self.container.log("info\tthe sandbox's stand-in for istiod is ready")

    async def stop(self, grace: float) -> None:
        if self._runs:
            self._runs = False
            self._data_plane.refusing.remove(self._refused)
            await self._control_plane.stop()

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        """`pilot-discovery request GET /debug/syncz`: what `istioctl proxy-status` asks for."""
        if not command or command[0].rpartition("/")[2] != SYNC_STATUS[0]:
            return None
        if tuple(command[1:]) != SYNC_STATUS[1:]:
            streams.err(f"Error: the sandbox's pilot-discovery only knows: {' '.join(SYNC_STATUS)}\n".encode())
            return 1
        known = [self._client_config(proxy) for _, proxy in sorted(self._data_plane.proxies.items())]
        streams.out(json.dumps(known, indent=2).encode() + b"\n")
        return 0

    def _client_config(self, proxy: Proxy) -> dict[str, object]:
        """As istiod writes it: envoy.service.status.v3.ClientConfig."""
        found = [
            {"typeUrl": TYPE_PREFIX + TYPES[service], "configStatus": status}
            for service, status in self._data_plane.status(proxy).items()
        ]
        return {"node": {"id": proxy.id}, "genericXdsConfigs": found}

    def _refused(self, proxy: Proxy, service: str, why: str) -> None:
        self.container.log(f"warn\tads\tADS:{service}: ACK ERROR {proxy.id} Internal:{why}")
