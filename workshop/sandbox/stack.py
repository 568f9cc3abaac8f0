"""One Kubernetes of the sandbox: its addresses, API, controllers, nodes and mesh. A sandbox has several.

All parts talk through the cluster's API only, so the order here is about start-up alone.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import time
import zlib
from pathlib import Path

from . import controllers
from .api.local import LocalCluster
from .api.server import ApiServer
from .certificates import server_context
from .images import PROGRAMS
from .kubeconfig import kubeconfig
from .mesh.everything import Mesh
from .network import API_PORT, BLOCKS, Network
from .node import Node
from .node_pool import NodePool

_REVISION_EPOCH = 1_700_000_000


class KubernetesStack:
    """Has its addresses from the beginning, and runs while `run` does. `folder` is for its files.

    A `lazy` one starts Envoy when there is traffic to carry.
    """

    def __init__(
        self, folder: Path, pool: NodePool, *, listener: socket.socket, network: Network, lazy: bool = False
    ) -> None:
        self.network = network
        self._listener = listener
        self._token = secrets.token_urlsafe(32)
        # Above what an earlier sandbox of this folder has handed out: its clients are told to list again.
        self._cluster = LocalCluster(first_revision=int(time.time()) - _REVISION_EPOCH)
        self.api = ApiServer(self._cluster, self._token)
        self.context, self.authority = server_context((network.api_address, network.arm_address), folder)
        self.url = f"https://{network.api_address}:{API_PORT}"
        self._mesh = Mesh(self._cluster, folder / "envoy", lazy=lazy)
        self._node = Node(self._cluster, network, {**PROGRAMS, **self._mesh.programs}, pool)
        self.api.streams = self._node.streams.handle
        self.ready = asyncio.Event()

    def kubeconfig(self, context: str, user: str) -> bytes:
        return kubeconfig(self.url, self.authority, self._token, context, user)

    def scale(self, pool: NodePool) -> None:
        """Have this many nodes from now on."""
        self._node.scale(pool)

    async def run(self) -> None:
        """Until cancelled. Ends with the failure of a part, if one fails."""
        await self.api.start(self._listener, self.context)
        try:
            async with asyncio.TaskGroup() as parts:
                trusted = self.authority.decode()
                parts.create_task(controllers.run(self._cluster, self.network, trusted), name="controllers")
                parts.create_task(self._node.run(), name="node")
                parts.create_task(self._mesh.run(), name="mesh")
                await self._first_objects()
                self.api.ready = True
                self.ready.set()
        finally:
            await self._node.stop()
            await self.api.stop()

    async def _first_objects(self) -> None:
        """Wait until a pod can be made and run: what every client takes for granted."""
        async for _ in self._cluster.watch("serviceaccounts"):
            if self._cluster.find("serviceaccounts", "default", "default") is not None:
                return


def claim_block(folder: Path) -> tuple[socket.socket, Network]:
    """A block of addresses nobody has, by binding its API address; the same for a folder when it can be."""
    first = zlib.crc32(str(folder).encode()) % len(BLOCKS)
    for offset in range(len(BLOCKS)):
        network = Network(BLOCKS[(first + offset) % len(BLOCKS)])
        try:
            return listen(network.api_address, API_PORT), network
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRNOTAVAIL, "every block of addresses is taken by another sandbox")


def listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        # Only listening claims it: two sockets may be bound to one address until one of them listens.
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
