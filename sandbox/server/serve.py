"""The sandbox, composed: two Kubernetes that are always there (the second one from its first use on), and Azure,
which makes more of them, on one event loop.

The sandbox ends by SIGTERM, when it was idle for long, or when a part of it fails: then all of it goes, with the
reason in the log, since a sandbox that half works would be worse than none.

Idle is when nobody uses it any more: no request to an API, and no traffic into its clusters, for long. Requests are
known as they come. Traffic passes Envoy, which has to be asked, so that is done only when the APIs have been idle
for a while: never as long as somebody works, and every ten minutes of an idle hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from sandbox.arm import azure_settings
from sandbox.arm.arm_server import ArmServer
from sandbox.arm.cloud import Cloud
from sandbox.core.addresses import ARM_PORT, Network
from sandbox.core.node_pool import NodePool
from sandbox.server import garbage
from sandbox.server.certificates import write_private
from sandbox.server.client_files import PRIMARY, SECONDARY, Entry, install_commands, kubeconfig
from sandbox.server.stacks import KubernetesStack, ManagedStacks, Reservation, listen, reserve
from sandbox.server.state import StateFolder

log = logging.getLogger(__name__)

_LOOKS = 6
"""At traffic, in the time that counts as long."""


def main(folder: Path, idle_seconds: float, lock: int | None) -> int:
    """Run until stopped. `lock` is the folder's lock, if the parent process has taken it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    state = StateFolder(folder.absolute())
    held = state.lock() if lock is None else lock
    if held is None:
        log.error("another sandbox has %s", state.folder)
        return 1
    os.set_inheritable(held, False)
    state.sign(held, ready=False)
    try:
        settings = azure_settings.from_environment(os.environ.get(azure_settings.VARIABLE))
    except ValueError as error:
        log.error("%s: %s", azure_settings.VARIABLE, error)
        return 1
    _raise_file_limit()
    uvloop.run(serve(state, held, idle_seconds, settings))
    return 0


async def serve(state: StateFolder, lock: int, idle_seconds: float, settings: azure_settings.Settings) -> None:
    """Until stopped. `lock` is the folder's, which this process has."""
    for earlier in (state.clusters, state.secondary):
        shutil.rmtree(earlier, ignore_errors=True)
    state.secondary.mkdir(mode=0o700)
    primary, secondary = reserve(state.folder), reserve(state.secondary)
    stack = KubernetesStack(state.folder, NodePool(), primary)
    state.authority.write_bytes(primary.access.authority)
    entries = (Entry(PRIMARY, PRIMARY, primary.access), Entry(SECONDARY, SECONDARY, secondary.access))
    write_private(state.kubeconfig, kubeconfig(*entries))
    install_commands(state.bin)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        async with asyncio.TaskGroup() as group:
            ready_made = group.create_task(stack.run(), name="kubernetes")
            managed = ManagedStacks(state.clusters, group)
            managed.on_demand(SECONDARY, state.secondary, secondary)
            arm = await _start_arm(state, primary, managed, settings)

            def idle() -> float:
                return min(arm.idle_seconds, *(each.api.idle_seconds for each in (stack, *managed.running)))

            async def traffic() -> int:
                return sum([await each.traffic() for each in (stack, *managed.running)])

            watching = group.create_task(_stop_when_idle(idle, traffic, idle_seconds, stopping))
            await stack.ready.wait()
            garbage.begin()
            collecting = group.create_task(garbage.collect_when_quiet(idle), name="garbage")
            _announce(state, primary)
            state.sign(lock, ready=True)
            await stopping.wait()
            await arm.stop()
            watching.cancel()
            collecting.cancel()
            ready_made.cancel()
            managed.cancel()
    finally:
        state.sign(lock, ready=False)
        with contextlib.suppress(OSError):  # something else has put a folder there
            state.server.unlink(missing_ok=True)


async def _start_arm(
    state: StateFolder, primary: Reservation, managed: ManagedStacks, settings: azure_settings.Settings
) -> ArmServer:
    """Azure, beside the ready-made cluster and with its certificate. A folder keeps its subscription."""
    listener = _arm_listener(primary.network)
    address, port = listener.getsockname()
    url = f"https://{address}:{port}"
    subscription, tenant = (
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{state.folder}")) for kind in ("subscription", "tenant")
    )
    token = secrets.token_urlsafe(32)
    arm = ArmServer(Cloud(url, subscription, tenant, settings, managed), token)
    await arm.start(listener, primary.context)
    said = {"url": url, "ca": str(state.authority), "token": token, "subscription": subscription, "tenant": tenant}
    write_private(state.azure, json.dumps(said).encode())
    return arm


def _arm_listener(network: Network) -> socket.socket:
    """At its usual port, or at any if somebody listens there on all addresses."""
    try:
        return listen(network.arm_address, ARM_PORT)
    except OSError:
        return listen(network.arm_address, 0)


def _announce(state: StateFolder, primary: Reservation) -> None:
    url, address = primary.access.url, primary.network.api_address
    said = {"pid": os.getpid(), "address": address, "url": url, "started": time.time()}
    write_private(state.server, json.dumps(said).encode())
    log.info("ready at %s", url)


async def _stop_when_idle(
    idle: Callable[[], float], traffic: Callable[[], Awaitable[int]], idle_seconds: float, stopping: asyncio.Event
) -> None:
    await until_idle(idle, traffic, idle_seconds)
    log.info("neither a request nor traffic for %.0f s", idle_seconds)
    stopping.set()


def _raise_file_limit() -> None:
    """Every pod, proxy and request has sockets: use all the files this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def until_idle(idle: Callable[[], float], traffic: Callable[[], Awaitable[int]], seconds: float) -> None:
    """Return when it was idle for `seconds`. `idle` says since how many there was no request, `traffic` how much
    there was so far."""
    every = seconds / _LOOKS
    seen, at = 0, time.monotonic()
    while True:
        if idle() >= every and (now := await traffic()) != seen:
            seen, at = now, time.monotonic()
        left = seconds - min(idle(), time.monotonic() - at)
        if left <= 0:
            return
        await asyncio.sleep(min(every, left))
