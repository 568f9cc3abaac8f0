"""What keeps the workshop off clusters that are not its own, and two runs apart.

The mark is a ConfigMap, put there when a person adopts a cluster; a run that changes something refuses a cluster
without it. The lock is a Lease beside it, held from the first change to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.kubernetes.lease import Held, Holder, Lease, Lost
from workshop.kubernetes.manifests import PART_OF, WORKSHOP
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.run import Listener, unheard

NAMESPACE, MARK, LOCK = "workshop-system", "workshop-mark", "workshop-lock"


class ClusterGuard:
    """The engine's guard for a cluster. `name` is what a person types to confirm; a `disposable` cluster was made
    for the workshop, so it is adopted without asking. `adopt_command` is what adopts any other."""

    def __init__(
        self,
        kubectl: Kubectl,
        name: str,
        *,
        disposable: bool = False,
        adopt_command: str = "invoke adopt",
        holder: Holder | None = None,
    ) -> None:
        self.name, self.disposable = name, disposable
        self.kubectl, self.adopt_command = kubectl, adopt_command
        self._holder = holder or Holder.me()

    async def is_marked(self) -> bool:
        return await self.kubectl.find("ConfigMap", NAMESPACE, MARK) is not None

    async def adopt(self) -> None:
        """Put the mark there. Adopting again changes nothing."""
        if await self.is_marked():
            return
        labels = {PART_OF: WORKSHOP}
        by, at = getpass.getuser(), datetime.now(UTC).isoformat(timespec="seconds")
        namespace: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        }
        mark: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": MARK, "namespace": NAMESPACE, "labels": labels},
            "data": {"adopted-by": by, "adopted-at": at},
        }
        await self.kubectl.apply([namespace, mark])

    async def refuse_if_held(self) -> None:
        """Raises Held when another run has the lock."""
        if not self.kubectl.absent:
            await refuse_if_held(Lease(self.kubectl, NAMESPACE, LOCK, self._holder))

    async def may_change(self) -> None:
        """Raises UsageError for a cluster that nobody has adopted."""
        if self.disposable:
            await self.adopt()
        elif not await self.is_marked():
            raise self._unmarked("change something in")

    async def may_destroy(self) -> None:
        """Raises UsageError for a cluster that lacks the mark."""
        if not await self.is_marked():
            raise self._unmarked("delete anything from")

    @contextlib.asynccontextmanager
    async def hold(self, emit: Listener = unheard) -> AsyncIterator[None]:
        """The lock. Entering raises Held; when the lock is lost later, what runs inside is cancelled and Lost comes
        out."""
        lease = Lease(self.kubectl, NAMESPACE, LOCK, self._holder, emit=emit)
        try:
            await lease.acquire()
        except KubectlError as error:
            if error.reason is Reason.NOT_FOUND:
                raise self._unmarked("lock") from error
            raise
        async with kept(lease):
            yield

    def _unmarked(self, what: str) -> UsageError:
        return UsageError(
            f"{what} the cluster {self.name}",
            f"it lacks the workshop's mark (ConfigMap {MARK} in namespace {NAMESPACE})",
            cause=f"nobody has said yet that this cluster (context {self.kubectl.context}) is the workshop's",
            next_command=self.adopt_command,
        )


async def refuse_if_held(lease: Lease) -> None:
    """Raises Held. A lease that cannot be read is none here: taking it will tell why."""
    try:
        await lease.refuse_if_held()
    except Held:
        raise
    except WorkshopError:
        return


@contextlib.asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[None]:
    """Renew a lease that was acquired while the body runs, release it afterwards. When it is lost, the body is
    cancelled and Lost raised."""
    lost: list[Lost] = []

    async def keep(end: Callable[[Exception], None]) -> None:
        try:
            await lease.keep()
        except Lost as error:
            lost.append(error)
            end(error)

    async with endable() as end:
        keeper = asyncio.create_task(keep(end))
        try:
            yield
        finally:
            lease.stop()
            await asyncio.gather(keeper, return_exceptions=True)
            if not lost:
                await lease.release()


@contextlib.asynccontextmanager
async def endable() -> AsyncIterator[Callable[[Exception], None]]:
    """Gives what ends the body: called with an error, it cancels the body, and the error comes out of here."""
    errors: list[Exception] = []
    body = asyncio.current_task()
    assert body is not None

    def end(error: Exception) -> None:
        errors.append(error)
        body.cancel()

    try:
        yield end
        if errors:
            await asyncio.sleep(0)  # where the cancellation arrives
    except asyncio.CancelledError:
        if errors and body.uncancel() == 0:
            raise errors[0] from None
        raise
