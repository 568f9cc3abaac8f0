"""What one folder's sandbox is while it runs: two Kubernetes, Azure, which makes more of them, and the files by
which clients find all that.

A process that has one folder starts its primary cluster at once, for somebody waits for it. One that has the
folders of a class starts it as everything else is started in either case: by the first connection to its address,
which costs nothing until then (stacks.py). When a part fails, all of that folder's goes, with the reason in the
log, since a sandbox that half works would be worse than none; the other folders' goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.arm.arm_server import ArmServer
from sandbox.arm.azure_settings import Settings
from sandbox.arm.cloud import Cloud
from sandbox.core.addresses import ARM_PORT, Network
from sandbox.core.node_pool import NodePool
from sandbox.server.certificates import write_private
from sandbox.server.client_files import PRIMARY, SECONDARY, Entry, install_commands, kubeconfig, link_samples
from sandbox.server.loading import Clusters, Loading, Saved, state_of
from sandbox.server.stacks import KubernetesStack, ManagedStacks, Reservation, called, listen, reserve
from sandbox.server.state import StateFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Azure:
    """What is Azure's before anybody calls it."""

    listener: socket.socket
    url: str
    subscription: str
    tenant: str
    token: str = field(repr=False)


class FolderSandbox:
    """`lock` is the folder's, which this process has, and `saved` a state that it begins with. `shared` is how many
    folders' sandboxes the process is, and `ends_idle` after how many seconds without a request or traffic that
    ends."""

    def __init__(
        self,
        state: StateFolder,
        lock: int,
        settings: Settings,
        saved: Saved | None = None,
        *,
        ends_idle: float,
        shared: int = 1,
    ) -> None:
        self.state = state
        self.settled = asyncio.Event()
        """It is ready, or will never be."""
        self._lock, self._settings, self._shared, self._ends_idle = lock, settings, shared, ends_idle
        self._loading = Loading(saved)
        self._stopping = asyncio.Event()
        self._stacks: ManagedStacks | None = None
        self._arm: ArmServer | None = None
        self._began = time.monotonic()

    def stop(self) -> None:
        """Have `run` return."""
        self._stopping.set()

    def given_up(self) -> bool:
        """Whether somebody wants it ended, and not the others of this process; or has removed the folder."""
        return self.state.to_be_left(self._lock)

    @property
    def running(self) -> tuple[KubernetesStack, ...]:
        return self._stacks.running if self._stacks else ()

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has asked for anything."""
        asked = [each.api.idle_seconds for each in self.running]
        asked += [self._arm.idle_seconds] if self._arm else []
        return min([time.monotonic() - self._began, *asked])

    async def run(self) -> None:
        """Until `stop`. Ends with the failure of a part, if one fails."""
        try:
            await self._run()
        finally:
            self.settled.set()
            with contextlib.suppress(OSError):
                self.state.sign(self._lock, ready=False)
            # Where the folder has been removed, one of the same name may be another sandbox's by now.
            for path in (self.state.server, self.state.leave) if self.state.holds(self._lock) else ():
                with contextlib.suppress(OSError):  # something else has put a folder there
                    path.unlink(missing_ok=True)
            log.info("%s: ended", self.state.folder)

    def let_go(self) -> None:
        """Let another process have the folder, of which this one has others. Alone it ends, and that tells."""
        if self._shared > 1:
            os.close(self._lock)

    async def _run(self) -> None:
        state = self.state
        for earlier in (state.clusters, state.secondary):
            shutil.rmtree(earlier, ignore_errors=True)
        state.secondary.mkdir(mode=0o700)
        primary, secondary = reserve(state.folder), reserve(state.secondary)
        loading, places = self._loading, {PRIMARY: primary, SECONDARY: secondary}
        loading.reserve(places, state.clusters)
        state.authority.write_bytes(primary.access.authority)
        entries = (Entry(PRIMARY, PRIMARY, primary.access), Entry(SECONDARY, SECONDARY, secondary.access))
        write_private(state.kubeconfig, kubeconfig(*entries))
        install_commands(state.bin)
        link_samples(state.samples)
        async with asyncio.TaskGroup() as group:
            self._stacks = stacks = ManagedStacks(state.clusters, group)
            if self._shared == 1 and loading.runs_pods(SECONDARY):
                stacks.begin(SECONDARY, NodePool(), state.secondary, secondary, loading.objects(SECONDARY))
            else:
                stacks.on_demand(SECONDARY, state.secondary, secondary, lambda: loading.objects(SECONDARY))
            azure = group.create_task(self._azure(self._reserve_azure(primary), places, stacks), name="azure")
            if self._shared == 1:
                await stacks.at_once(PRIMARY, state.folder, primary, loading.objects(PRIMARY))
            else:
                stacks.on_demand(PRIMARY, state.folder, primary, lambda: loading.objects(PRIMARY))
            missing = await loading.settled(lambda: self._clusters(places)) if self._shared == 1 else []
            self._announce(primary, missing)
            state.sign(self._lock, ready=True)
            self.settled.set()
            await self._stopping.wait()
            if self._arm is not None:
                await self._arm.stop()
            azure.cancel()
            stacks.cancel()

    def _reserve_azure(self, primary: Reservation) -> _Azure:
        """Its address, beside the primary cluster's, and what clients need. A folder keeps its subscription."""
        listener = _arm_listener(primary.network)
        address, port = listener.getsockname()
        url = f"https://{address}:{port}"
        account = self._loading.account
        subscription, tenant = (account.get(kind) or self._always(kind) for kind in ("subscription", "tenant"))
        token = secrets.token_urlsafe(32)
        said = {"url": url, "ca": str(self.state.authority), "token": token}
        said |= {"subscription": subscription, "tenant": tenant}
        write_private(self.state.azure, json.dumps(said).encode())
        return _Azure(listener, url, subscription, tenant, token)

    def _always(self, kind: str) -> str:
        """An id that is the folder's."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{self.state.folder}"))

    async def _azure(self, reserved: _Azure, places: Mapping[str, Reservation], stacks: ManagedStacks) -> None:
        """From the first connection on, with the primary cluster's certificate. At once where clusters are to be in
        it, for they are called without asking it."""
        try:
            if not self._loading.managed:
                await called(reserved.listener)
            cloud = Cloud(reserved.url, reserved.subscription, reserved.tenant, self._settings, stacks)
            arm = ArmServer(cloud, reserved.token)
            self._loading.put_back(arm, stacks)
            account = {"subscription": reserved.subscription, "tenant": reserved.tenant}
            arm.save = lambda: state_of(arm, account, self._loading.now(self._clusters(places), places))
            await arm.start(reserved.listener, places[PRIMARY].context)
        except BaseException:
            reserved.listener.close()
            raise
        self._arm = arm

    def _clusters(self, places: Mapping[str, Reservation]) -> Clusters:
        """Those that run."""
        hosts = {reserved.network.api_address: name for name, reserved in places.items()}
        if self._arm is not None:
            hosts |= {stack.host: id_ for id_, stack in self._arm.state.stacks.items()}
        found = {hosts.get(stack.reservation.network.api_address, ""): stack for stack in self.running}
        return {name: found[name] for name in hosts.values() if name in found}

    def _announce(self, primary: Reservation, missing: list[str]) -> None:
        """`missing`: what is not yet as it was saved, of a state that it begins with."""
        url, address = primary.access.url, primary.network.api_address
        said = {"pid": os.getpid(), "address": address, "url": url, "started": time.time()}
        said |= {"shared": self._shared, "idle": self._ends_idle, "missing": missing}
        write_private(self.state.server, json.dumps(said).encode())
        log.info("%s: ready at %s", self.state.folder, url)


def _arm_listener(network: Network) -> socket.socket:
    """At its usual port, or at any if somebody listens there on all addresses."""
    try:
        return listen(network.arm_address, ARM_PORT)
    except OSError:
        return listen(network.arm_address, 0)
