"""One Kubernetes of the sandbox: its addresses, API, controllers, nodes and mesh. A sandbox has several.

All parts talk through the cluster's API only, so the order here is about start-up alone.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import ssl
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from sandbox import controllers
from sandbox.api.local import LocalCluster
from sandbox.api.server import ApiServer
from sandbox.core.addresses import API_PORT, BLOCKS, Network
from sandbox.core.node_pool import NodePool
from sandbox.images import PROGRAMS
from sandbox.mesh.cluster_mesh import Mesh
from sandbox.node import Node
from sandbox.server.certificates import server_context
from sandbox.server.kubeconfig import Access

_REVISION_EPOCH = 1_700_000_000
_LOOK_SECONDS = 5.0
_TRAFFIC = "/stats?usedonly&filter=%5Ecluster%5C.outside%5C%7C.*upstream_cx_rx_bytes_total%24"


@dataclass(frozen=True, slots=True)
class Claim:
    """Addresses that are a stack's, also of one that does not run yet: its API's is listened on, and `access` is
    what clients will need."""

    network: Network
    listener: socket.socket
    context: ssl.SSLContext
    access: Access


class KubernetesStack:
    """Runs while `run` does. `folder` is for its files. A `lazy` one starts Envoy when there is traffic to
    carry."""

    def __init__(self, folder: Path, pool: NodePool, claim: Claim, *, lazy: bool = False) -> None:
        self._claim = claim
        # Above what an earlier sandbox of this folder has handed out: its clients are told to list again.
        self._cluster = LocalCluster(first_revision=int(time.time()) - _REVISION_EPOCH)
        self.api = ApiServer(self._cluster, claim.access.token)
        self._mesh = Mesh(self._cluster, folder / "envoy", lazy=lazy)
        self._node = Node(self._cluster, claim.network, {**PROGRAMS, **self._mesh.programs}, pool)
        self.api.streams = self._node.streams.handle
        self.ready = asyncio.Event()

    def scale(self, pool: NodePool) -> None:
        """Have this many nodes from now on."""
        self._node.scale(pool)

    async def traffic(self) -> int:
        """How many bytes have come out of the cluster by load balancers and node ports."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                said = await self._mesh.data_plane.admin(_TRAFFIC)
        except (OSError, TimeoutError):
            return 0
        return sum(int(line.rpartition(":")[2]) for line in said.splitlines())

    async def run(self) -> None:
        """Until cancelled. Ends with the failure of a part, if one fails. Who connects before the first objects are
        there is held by the kernel until they are."""
        try:
            async with asyncio.TaskGroup() as parts:
                trusted = self._claim.access.authority.decode()
                parts.create_task(controllers.run(self._cluster, self._claim.network, trusted), name="controllers")
                parts.create_task(self._node.run(), name="node")
                parts.create_task(self._mesh.run(), name="mesh")
                await self._first_objects()
                self.api.ready = True
                await self.api.start(self._claim.listener, self._claim.context)
                self.ready.set()
        finally:
            await self._node.stop()
            await self.api.stop()

    async def _first_objects(self) -> None:
        """Wait until a pod can be made and run: what every client takes for granted."""
        async for _ in self._cluster.watch("serviceaccounts"):
            if self._cluster.find("serviceaccounts", "default", "default") is not None:
                return


def claim(folder: Path) -> Claim:
    """Addresses for a stack with its files in `folder`, which is there."""
    listener, network = claim_block(folder)
    context, authority = server_context((network.api_address, network.arm_address), folder)
    access = Access(f"https://{network.api_address}:{API_PORT}", authority, secrets.token_urlsafe(32))
    return Claim(network, listener, context, access)


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
