"""One sandbox, composed: the API, the controllers, the nodes and the mesh on one event loop.

All of them talk through the cluster's API only, so the order below is about start-up alone. The sandbox ends
by SIGTERM, when it was idle for long, or when a part of it fails: then all of it goes, with the reason in the
log, since a cluster that half works would be worse than none.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import resource
import secrets
import signal
import socket
import sys
import time
import zlib
from pathlib import Path

import uvloop

from . import controllers, tools
from .api.local import LocalCluster
from .api.server import ApiServer
from .certificates import server_context, write_private
from .images import PROGRAMS
from .kubeconfig import kubeconfig
from .mesh.everything import Mesh
from .network import API_PORT, BLOCKS, Network
from .node import Node
from .state import State

log = logging.getLogger(__name__)

_REVISION_EPOCH = 1_700_000_000


def main(folder: Path, idle_seconds: float, lock: int | None) -> int:
    """Run until stopped. `lock` is the folder's lock, if the parent process has taken it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    state = State(folder.absolute())
    held = state.lock() if lock is None else lock
    if held is None:
        log.error("another sandbox has %s", state.folder)
        return 1
    os.set_inheritable(held, False)
    _raise_file_limit()
    try:
        uvloop.run(serve(state, idle_seconds))
    finally:
        state.server.unlink(missing_ok=True)
    return 0


async def serve(state: State, idle_seconds: float) -> None:
    listener, network = claim_block(state.folder)
    token = secrets.token_urlsafe(32)
    # Above what an earlier sandbox of this folder has handed out: its clients are told to list again.
    cluster = LocalCluster(first_revision=int(time.time()) - _REVISION_EPOCH)
    api = ApiServer(cluster, token)
    context, authority = server_context(network.api_address, state.folder)
    url = f"https://{network.api_address}:{API_PORT}"
    state.authority.write_bytes(authority)
    write_private(state.kubeconfig, kubeconfig(url, authority, token))
    tools.install(state.bin)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    mesh = Mesh(cluster, state.envoy)
    node = Node(cluster, network, {**PROGRAMS, **mesh.programs})
    api.streams = node.streams.handle
    await api.start(listener, context)
    _stop_when_idle(api, idle_seconds, stopping)
    try:
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(controllers.run(cluster, network, authority.decode()), name="controllers"),
                group.create_task(node.run(), name="node"),
                group.create_task(mesh.run(), name="mesh"),
            ]
            await _first_objects(cluster)
            api.ready = True
            _announce(state, network, url)
            await stopping.wait()
            for part in parts:
                part.cancel()
        await node.stop()
    finally:
        state.server.unlink(missing_ok=True)
        await api.stop()


async def _first_objects(cluster: LocalCluster) -> None:
    """Wait until a pod can be made and run: what every client takes for granted."""
    async for _ in cluster.watch("serviceaccounts"):
        if cluster.find("serviceaccounts", "default", "default") is not None:
            return


def claim_block(folder: Path) -> tuple[socket.socket, Network]:
    """A block of addresses nobody has, by binding its API address; the same for a folder when it can be."""
    first = zlib.crc32(str(folder).encode()) % len(BLOCKS)
    for offset in range(len(BLOCKS)):
        network = Network(BLOCKS[(first + offset) % len(BLOCKS)])
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((network.api_address, API_PORT))
            # Only listening claims it: two sockets may be bound to one address until one of them listens.
            listener.listen(512)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        listener.setblocking(False)
        return listener, network
    raise OSError(errno.EADDRNOTAVAIL, "every block of addresses is taken by another sandbox")


def _announce(state: State, network: Network, url: str) -> None:
    said = {"pid": os.getpid(), "address": network.api_address, "url": url, "started": time.time()}
    write_private(state.server, json.dumps(said).encode())
    log.info("ready at %s", url)


def _stop_when_idle(api: ApiServer, idle_seconds: float, stopping: asyncio.Event) -> None:
    left = idle_seconds - api.idle_seconds
    if left > 0:
        asyncio.get_running_loop().call_later(left, _stop_when_idle, api, idle_seconds, stopping)
    else:
        log.info("no request for %.0f s", idle_seconds)
        stopping.set()


def _raise_file_limit() -> None:
    """Every pod, proxy and request has sockets: use all the files this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
