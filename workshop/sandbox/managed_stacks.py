"""Starts a Kubernetes for every managed cluster that Azure's part makes, and ends it with the cluster."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from .node_pool import NodePool
from .stack import KubernetesStack, claim_block


class ManagedStacks:
    """Stacks run in `group`: should one fail, the sandbox ends. Their files are in folders of their own."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self._folder, self._group = folder, group
        self._numbers = itertools.count(1)
        self._running: dict[KubernetesStack, asyncio.Task[None]] = {}

    @property
    def idle_seconds(self) -> Iterable[float]:
        return [stack.api.idle_seconds for stack in self._running]

    async def start(self, name: str, pool: NodePool) -> ManagedStack:
        """A new one, ready for kubectl."""
        folder = self._folder / f"{next(self._numbers)}-{re.sub(r'[^A-Za-z0-9]', '-', name)[:20]}"
        folder.mkdir(mode=0o700, parents=True)
        listener, network = claim_block(folder)
        stack = KubernetesStack(folder, pool, listener=listener, network=network, lazy=True)
        task = self._group.create_task(stack.run(), name=f"cluster {name}")
        self._running[stack] = task
        await stack.ready.wait()
        return ManagedStack(self, stack, folder)

    def cancel(self) -> None:
        """End all of them."""
        for task in self._running.values():
            task.cancel()

    async def end(self, stack: KubernetesStack, folder: Path) -> None:
        task = self._running.pop(stack)
        task.cancel()
        await asyncio.wait([task])
        shutil.rmtree(folder, ignore_errors=True)


class ManagedStack:
    """One of them, for the one who asked for it."""

    def __init__(self, stacks: ManagedStacks, stack: KubernetesStack, folder: Path) -> None:
        self._stacks, self._stack, self._folder = stacks, stack, folder

    @property
    def host(self) -> str:
        return self._stack.network.api_address

    def kubeconfig(self, context: str, user: str) -> bytes:
        return self._stack.kubeconfig(context, user)

    def scale(self, pool: NodePool) -> None:
        self._stack.scale(pool)

    async def stop(self) -> None:
        await self._stacks.end(self._stack, self._folder)
