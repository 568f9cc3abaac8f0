"""The Kubernetes of a sandbox (it has several): addresses, API, controllers, nodes and mesh of each, and what
starts the others beside the primary one.

All parts of one talk through the cluster's API only, so the order here is about start-up alone. The others are one
for every managed cluster that Azure's part makes, ended with the cluster; and the secondary one, which is there
from the first connection to it on. That costs nothing until then: the kernel listens at its address, and holds who
connects until it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import re
import secrets
import shutil
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from sandbox import controllers
from sandbox.api.api_server import ApiServer
from sandbox.api.local_cluster import LocalCluster
from sandbox.core.addresses import API_PORT, BLOCKS, QUARTERS, Network
from sandbox.core.node_pool import NodePool
from sandbox.images import PROGRAMS, kiali, prometheus
from sandbox.mesh import outside
from sandbox.mesh.cluster_mesh import Mesh
from sandbox.mesh.gateway_names import Neighbours
from sandbox.node import Node
from sandbox.server.certificates import server_context
from sandbox.server.client_files import Access, Entry, kubeconfig
from sandbox.server.snapshot import Expected, Objects, put_back

_NONE: Objects = {}
_PLACES = [(block, quarter) for quarter in QUARTERS for block in BLOCKS]
_REVISION_EPOCH = 1_700_000_000
_HELD_SECONDS = 8.0
"""kubectl gives up after ten."""
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Addresses that are a stack's, also of one that does not run yet: its API's is listened on, and `access` is
    what clients will need."""

    network: Network
    listener: socket.socket
    context: ssl.SSLContext
    access: Access


class KubernetesStack:
    """Runs while `run` does. `folder` is for its files. A `lazy` one starts Envoy when there is traffic to
    carry. `saved` are the objects of a saved state that it begins with."""

    def __init__(
        self,
        folder: Path,
        pool: NodePool,
        reservation: Reservation,
        saved: Objects = _NONE,
        *,
        lazy: bool = False,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.reservation = reservation
        # Above what an earlier sandbox of this folder has handed out: its clients are told to list again.
        self.cluster = LocalCluster(first_revision=int(time.time()) - _REVISION_EPOCH)
        self._expected = Expected(saved)
        put_back(self.cluster, saved)
        self.api = ApiServer(self.cluster, reservation.access.token)
        self._mesh = Mesh(self.cluster, folder / "envoy", lazy=lazy, neighbours=neighbours)
        programs = {
            **PROGRAMS,
            **kiali.programs(lambda: self.cluster.list("namespaces")),
            **prometheus.programs(self.cluster.list),
            **self._mesh.programs,
        }
        self._node = Node(self.cluster, reservation.network, programs, pool)
        self.api.streams = self._node.streams.handle
        self.ready = asyncio.Event()

    def scale(self, pool: NodePool) -> None:
        """Have this many nodes from now on."""
        self._node.scale(pool)

    async def traffic(self) -> int:
        """How many bytes have come out of the cluster by load balancers and node ports."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                said = await self._mesh.data_plane.admin(outside.TRAFFIC)
        except (OSError, TimeoutError):
            return 0
        return sum(int(line.rpartition(":")[2]) for line in said.splitlines())

    async def run(self) -> None:
        """Until cancelled. Ends with the failure of a part, if one fails. Who connects before the first objects are
        there, and pods that were ready when they were saved, is held by the kernel until they are."""
        try:
            async with asyncio.TaskGroup() as parts:
                trusted = self.reservation.access.authority.decode()
                parts.create_task(
                    controllers.run(self.cluster, self.reservation.network, trusted), name="controllers"
                )
                parts.create_task(self._node.run(), name="node")
                parts.create_task(self._mesh.run(), name="mesh")
                await self._first_objects()
                await self._as_saved()
                self.api.ready = True
                await self.api.start(self.reservation.listener, self.reservation.context)
                self.ready.set()
        finally:
            await self._node.stop()
            await self.api.stop()

    def missing(self) -> list[str]:
        """What is not yet as it was saved."""
        return self._expected.missing(self.cluster)

    async def _as_saved(self) -> None:
        """For as long as clients wait for the handshake."""
        changes = self.cluster.watch("pods", "deployments.apps")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HELD_SECONDS):
                while self.missing():
                    await anext(changes)

    async def _first_objects(self) -> None:
        """Wait until a pod can be made and run: what every client takes for granted."""
        async for _ in self.cluster.watch("serviceaccounts"):
            if self.cluster.find("serviceaccounts", "default", "default") is not None:
                return


def reserve(folder: Path) -> Reservation:
    """Addresses for a stack with its files in `folder`, which is there."""
    listener, network = reserve_block(folder)
    context, authority = server_context((network.api_address, network.arm_address), folder)
    access = Access(f"https://{network.api_address}:{API_PORT}", authority, secrets.token_urlsafe(32))
    return Reservation(network, listener, context, access)


def reserve_block(folder: Path) -> tuple[socket.socket, Network]:
    """Addresses nobody has, by binding that of their API; the same for a folder when they can be."""
    first = zlib.crc32(str(folder).encode()) % len(_PLACES)
    for place in itertools.islice(itertools.cycle(_PLACES), first, first + len(_PLACES)):
        network = Network(*place)
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


async def called(listener: socket.socket) -> None:
    """Wait for the first connection, which the kernel holds until it is accepted."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(listener)


log = logging.getLogger(__name__)


class ManagedStacks:
    """Stacks run in `group`: should one fail, all of them end. Their files are in folders of their own."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self._folder, self._group = folder, group
        self._numbers = itertools.count(1)
        self._running: set[KubernetesStack] = set()
        self._neighbours = Neighbours()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> tuple[KubernetesStack, ...]:
        return tuple(self._running)

    async def start(self, name: str, pool: NodePool) -> ManagedStack:
        """A new one, ready for kubectl."""
        folder = self._folder / f"{next(self._numbers)}-{re.sub(r'[^A-Za-z0-9]', '-', name)[:20]}"
        folder.mkdir(mode=0o700, parents=True)
        reserved = reserve(folder)
        managed = self.begin(name, pool, folder, reserved)
        await managed.stack.ready.wait()
        return managed

    def begin(
        self, name: str, pool: NodePool, folder: Path, reserved: Reservation, saved: Objects = _NONE
    ) -> ManagedStack:
        """One at addresses that were reserved for it; who connects before it is ready waits until it is."""
        stack = KubernetesStack(folder, pool, reserved, saved, lazy=True, neighbours=self._neighbours)
        return ManagedStack(self, stack, self._keep(name, self._run(stack)), reserved, folder)

    async def at_once(self, name: str, folder: Path, reserved: Reservation, saved: Objects = _NONE) -> None:
        """Have one, with its Envoy, and wait until it is ready."""
        stack = KubernetesStack(folder, NodePool(), reserved, saved, neighbours=self._neighbours)
        self._keep(name, self._run(stack))
        await stack.ready.wait()

    def on_demand(
        self, name: str, folder: Path, reserved: Reservation, saved: Callable[[], Objects] = lambda: _NONE
    ) -> None:
        """Have one from the first connection on to the address that was reserved for it. What it begins with is
        asked for only then."""
        self._keep(name, self._when_called(name, folder, reserved, saved))

    def cancel(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()

    async def end(self, task: asyncio.Task[None], folder: Path) -> None:
        task.cancel()
        await asyncio.wait([task])
        shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work, name=f"cluster {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _when_called(
        self, name: str, folder: Path, reserved: Reservation, saved: Callable[[], Objects]
    ) -> None:
        try:
            await called(reserved.listener)
            log.info("%s: the cluster %s is called", folder, name)
            await self._run(
                KubernetesStack(folder, NodePool(), reserved, saved(), lazy=True, neighbours=self._neighbours)
            )
        finally:
            reserved.listener.close()

    async def _run(self, stack: KubernetesStack) -> None:
        self._running.add(stack)
        try:
            await stack.run()
        finally:
            self._running.discard(stack)


@dataclass(frozen=True, slots=True)
class ManagedStack:
    """One of them, for the one who asked for it."""

    stacks: ManagedStacks
    stack: KubernetesStack
    task: asyncio.Task[None]
    reservation: Reservation
    folder: Path

    @property
    def host(self) -> str:
        return self.reservation.network.api_address

    def kubeconfig(self, context: str, user: str) -> bytes:
        return kubeconfig(Entry(context, user, self.reservation.access))

    def scale(self, pool: NodePool) -> None:
        self.stack.scale(pool)

    async def stop(self) -> None:
        await self.stacks.end(self.task, self.folder)
