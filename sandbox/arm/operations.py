"""Long-running operations: what is under way, and what a client that polls is told."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.arm.errors import ArmError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Operation:
    path: str
    """Where it is asked for, up to /operations."""
    doing: str
    """The provisioning state meanwhile: Creating, Updating, Deleting."""
    result: Callable[[], Any]
    """What a GET of `Location` answers at the end; None for no content."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    ended_at: float = 0.0
    error: ArmError | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> str:
        if self.ended is None:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"

    def show(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "id": f"{self.path}/operations/{self.id}",
            "name": self.id,
            "status": self.status,
            "startTime": self.started.isoformat(),
        }
        if self.ended is not None:
            said["endTime"] = self.ended.isoformat()
        if self.error is not None:
            said["error"] = self.error.content()
        return said


class Operations:
    """All operations. Each runs by itself, whether or not anybody asks."""

    def __init__(self, kept_seconds: Callable[[], float]) -> None:
        self._kept_seconds = kept_seconds
        self._all: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_ended = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Since when nothing has been under way."""
        return 0.0 if self._tasks else time.monotonic() - self._last_ended

    def begin(
        self,
        operation: Operation,
        work: Callable[[], Awaitable[None]],
        done: Callable[[ArmError | None], None],
    ) -> Operation:
        """Do `work`, then `done` with what went wrong, if anything."""
        self._all[operation.id] = operation
        task = asyncio.get_running_loop().create_task(_run(operation, work, done))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return operation

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._last_ended = time.monotonic()

    def find(self, name: str) -> Operation:
        """Raises ArmError when there is none, or none any more."""
        operation = self._all.get(name)
        if operation is not None and operation.ended is not None:
            if time.monotonic() - operation.ended_at <= self._kept_seconds():
                return operation
            del self._all[name]
            operation = None
        if operation is None:
            raise ArmError(404, "NotFound", f"The entity was not found: no operation '{name}'.")
        return operation

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(
    operation: Operation, work: Callable[[], Awaitable[None]], done: Callable[[ArmError | None], None]
) -> None:
    try:
        await work()
    except ArmError as error:
        operation.error = error
    except Exception as error:
        log.exception("%s at %s", operation.doing, operation.path)
        operation.error = ArmError(500, "InternalServerError", f"the sandbox failed: {error!r}")
    done(operation.error)
    operation.ended, operation.ended_at = datetime.now(UTC), time.monotonic()
    operation.finished.set()
