"""What a managed cluster leads to: a Kubernetes of the sandbox's own, made by whoever composes the sandbox."""

from __future__ import annotations

from typing import Protocol

from sandbox.core.node_pool import NodePool


class Stack(Protocol):
    """One running Kubernetes."""

    @property
    def host(self) -> str:
        """Where its API is."""
        ...

    def kubeconfig(self, context: str, user: str) -> bytes: ...

    def scale(self, pool: NodePool) -> None:
        """Have this many nodes from now on."""
        ...

    async def stop(self) -> None: ...


class Stacks(Protocol):
    async def start(self, name: str, pool: NodePool) -> Stack:
        """A new one, ready for kubectl."""
        ...
