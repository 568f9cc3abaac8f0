"""What keeps two runs apart, and a run off what is not the workshop's: on a cluster, and on the account that the
clusters are made in.

Every run that changes something holds the lock of its state folder. A run on a cluster also holds that cluster's
Lease, and another cluster's from its first change there on. One on the account takes the Lease of a cluster that is
there and answers, lest it changes the ground another run stands on; but it goes on without one, as the cluster may
be yet to be made, broken, or what it deletes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from workshop.kubernetes.cluster_guard import LOCK, NAMESPACE, ClusterGuard, refuse_if_held
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.lease import Held, Holder, Lease, Lost
from workshop.kubernetes.other_clusters import OtherClusters
from workshop.runbook.errors import WorkshopError
from workshop.runbook.run import Listener, unheard
from workshop.runbook.state_folder import FolderLock

_NO_OTHERS = OtherClusters({})


@dataclass(frozen=True)
class LockedCluster:
    """A cluster's guard that takes the folder's lock first. A run that holds it may take those of `others`."""

    cluster: ClusterGuard
    lock: FolderLock
    others: OtherClusters = _NO_OTHERS

    @property
    def name(self) -> str:
        return self.cluster.name

    @property
    def disposable(self) -> bool:
        return self.cluster.disposable

    async def refuse_if_held(self) -> None:
        self.lock.refuse_if_held()
        await self.cluster.refuse_if_held()

    async def may_change(self) -> None:
        await self.cluster.may_change()

    async def may_destroy(self) -> None:
        await self.cluster.may_destroy()

    @contextlib.asynccontextmanager
    async def hold(self, emit: Listener = unheard) -> AsyncIterator[None]:
        with self.lock.held():
            async with self.cluster.hold(emit), self.others.hold():
                yield


@dataclass(frozen=True)
class AccountGuard:
    """For the account that groups and clusters are made in. `name` is what a person types before something is
    deleted there. What may be deleted is decided for each resource, by its tag, where it is deleted."""

    name: str
    disposable: bool
    lock: FolderLock
    kubectl: Kubectl

    async def refuse_if_held(self) -> None:
        self.lock.refuse_if_held()
        if self.kubectl.kubeconfig.exists():
            await refuse_if_held(self._the_lease())

    async def may_change(self) -> None:
        return

    async def may_destroy(self) -> None:
        return

    @contextlib.asynccontextmanager
    async def hold(self, emit: Listener = unheard) -> AsyncIterator[None]:
        with self.lock.held():
            async with self._lease(emit):
                yield

    @contextlib.asynccontextmanager
    async def _lease(self, emit: Listener) -> AsyncIterator[None]:
        """Raises Held when another run works on the cluster."""
        lease = self._the_lease(emit)
        if not self.kubectl.kubeconfig.exists() or not await _taken(lease):
            yield
            return
        keeper = asyncio.create_task(lease.keep())
        try:
            yield
        finally:
            lease.stop()
            with contextlib.suppress(Lost):
                await keeper
                await _released(lease)

    def _the_lease(self, emit: Listener = unheard) -> Lease:
        return Lease(self.kubectl, NAMESPACE, LOCK, Holder.me(), emit=emit)


async def _taken(lease: Lease) -> bool:
    try:
        await lease.acquire()
    except Held:
        raise
    except WorkshopError:
        return False
    return True


async def _released(lease: Lease) -> None:
    with contextlib.suppress(WorkshopError):
        await lease.release()
