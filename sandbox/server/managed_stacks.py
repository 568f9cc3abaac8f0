"""Starts the sandbox's other Kubernetes: one for every managed cluster that Azure's part makes, ended with the
cluster; and the secondary one, which is there from the first connection to it on.

The secondary costs nothing until then: the kernel listens at its address, and holds who connects until it answers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import shutil
from collections.abc import Coroutine
from pathlib import Path

from sandbox.core.node_pool import NodePool
from sandbox.server.kubeconfig import Entry, kubeconfig
from sandbox.server.stack import Claim, KubernetesStack, claim

log = logging.getLogger(__name__)


class ManagedStacks:
    """Stacks run in `group`: should one fail, the sandbox ends. Their files are in folders of their own."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self._folder, self._group = folder, group
        self._numbers = itertools.count(1)
        self._running: set[KubernetesStack] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> tuple[KubernetesStack, ...]:
        return tuple(self._running)

    async def start(self, name: str, pool: NodePool) -> ManagedStack:
        """A new one, ready for kubectl."""
        folder = self._folder / f"{next(self._numbers)}-{re.sub(r'[^A-Za-z0-9]', '-', name)[:20]}"
        folder.mkdir(mode=0o700, parents=True)
        claimed = claim(folder)
        stack = KubernetesStack(folder, pool, claimed, lazy=True)
        task = self._keep(name, self._run(stack))
        await stack.ready.wait()
        return ManagedStack(self, stack, task, claimed, folder)

    def on_demand(self, name: str, folder: Path, claimed: Claim) -> None:
        """Have one from the first connection on to the address that was claimed for it."""
        self._keep(name, self._when_called(name, folder, claimed))

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

    async def _when_called(self, name: str, folder: Path, claimed: Claim) -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(claimed.listener, called.set)
        try:
            await called.wait()
        finally:
            loop.remove_reader(claimed.listener)
        log.info("the cluster %s is called", name)
        await self._run(KubernetesStack(folder, NodePool(), claimed, lazy=True))

    async def _run(self, stack: KubernetesStack) -> None:
        self._running.add(stack)
        try:
            await stack.run()
        finally:
            self._running.discard(stack)


class ManagedStack:
    """One of them, for the one who asked for it."""

    def __init__(
        self,
        stacks: ManagedStacks,
        stack: KubernetesStack,
        task: asyncio.Task[None],
        claimed: Claim,
        folder: Path,
    ) -> None:
        self._stacks, self._stack, self._task, self._claim, self._folder = stacks, stack, task, claimed, folder

    @property
    def host(self) -> str:
        return self._claim.network.api_address

    def kubeconfig(self, context: str, user: str) -> bytes:
        return kubeconfig(Entry(context, user, self._claim.access))

    def scale(self, pool: NodePool) -> None:
        self._stack.scale(pool)

    async def stop(self) -> None:
        await self._stacks.end(self._task, self._folder)
