"""What protects a target, as the engine sees it: its guard (lock and mark), the person asked before something goes
on, and the lock as one run holds it.

The target brings a `Guard`, the console a `Gate`; the runner makes one `RunLock` of the guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from workshop.runbook.results import Check
from workshop.runbook.run import Listener

_RELEASE_LIMIT = 10.0
"""Seconds for giving the lock back. It expires by itself: an unreachable cluster must not keep a run going."""


class Guard(Protocol):
    """`name` is what a person types to confirm. A `disposable` target (the sandbox) needs no confirmation."""

    @property
    def name(self) -> str: ...

    @property
    def disposable(self) -> bool: ...

    async def refuse_if_held(self) -> None:
        """Called in every run, for one that finds nothing to change never takes the lock. Raises UsageError when
        another run holds it: what was looked at is then being changed. It has to be quick, and changes nothing; a
        lock that cannot be looked at is no error here."""

    async def may_change(self) -> None:
        """Called once, before a run's first change. Raises WorkshopError or UsageError when it may not."""

    async def may_destroy(self) -> None:
        """Called once, before a clean-up. Raises UsageError when the target lacks the workshop's mark."""

    def hold(self, emit: Listener) -> AbstractAsyncContextManager[object]:
        """The lock, held from a run's first change to its end. Entering raises WorkshopError (with the holder and
        its age) when another run has it; where that takes a while to tell, the wait is shown by `emit`. It may also
        fail later, when the lock is lost: the run then stops."""
        ...


class Gate(Protocol):
    """`interactive` says whether there is a person to ask."""

    @property
    def interactive(self) -> bool: ...

    async def go_on(self, lab: str, title: str, check: Check) -> bool:
        """Before a step that changes something, with --pause. False ends the run there."""
        ...

    async def confirm(self, target: str, doomed: Sequence[str]) -> bool:
        """Whether the person typed the target's name, having seen what will be removed."""
        ...


class RunLock:
    """The guard's lock, taken once for a run when the first step is about to change something.

    Steps of several labs run at the same time and any of them may be the first; whoever it is, one task of its own
    enters and leaves the lock, because a lock that renews itself in the background may only be left by the task
    that entered it. `on_lost` is called with the error when the lock is lost while it is held. Runs one after the
    other may share it: it is then held from the first one's first change until it is released, also between them.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.on_lost: Callable[[Exception], None] = lambda error: None
        self._lost: Exception | None = None
        self._asking = asyncio.Lock()
        self._may_change = False
        self._keeper: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._release = asyncio.Event()
        self._other: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        return bool(self._taken and self._taken.done() and not self._taken.exception() and not self._lost)

    def begin_to_look(self) -> None:
        """Begin to look whether another run holds the lock, beside what the run looks at itself. It cannot where it
        is ours, from a run before."""
        if not self.held:
            self._other = asyncio.create_task(self.guard.refuse_if_held())

    async def refuse_if_other(self, *, again: bool = False) -> None:
        """Raises what the guard raises when another run held the lock as this one began, unless the lock has been
        ours since; or, looking `again`, when one has taken it since."""
        if self._other and not self.held:
            await asyncio.shield(self._other)
            if again:
                await self.guard.refuse_if_held()

    async def take(self, emit: Listener, *, destroys: bool) -> None:
        """Returns when the target may be changed and the lock is held. Raises what the guard raised, each time.
        Whether something may be destroyed was asked before. `emit` shows what is waited for."""
        if self._lost:
            raise self._lost
        async with self._asking:
            if not (destroys or self._may_change):
                await self.guard.may_change()
                self._may_change = True
        if self._taken is None:
            self._taken = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(self._taken, emit))
        await asyncio.shield(self._taken)

    async def _keep(self, taken: asyncio.Future[None], emit: Listener) -> None:
        try:
            async with self.guard.hold(emit):
                taken.set_result(None)
                await self._release.wait()
        except Exception as error:
            if not taken.done():
                taken.set_exception(error)
            elif not self._release.is_set():  # a lock that cannot be given back expires: no run fails for that
                self._lost = error
                self.on_lost(error)
        finally:
            if not taken.done():
                taken.cancel()

    async def release(self) -> None:
        if self._other:
            self._other.cancel()
            await asyncio.gather(self._other, return_exceptions=True)
        if self._keeper is None:
            return
        self._release.set()
        if not self.held:
            self._keeper.cancel()
        await asyncio.wait({self._keeper}, timeout=_RELEASE_LIMIT)
        self._keeper.cancel()
