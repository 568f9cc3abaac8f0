"""What protects a target, and the person asked before something goes on: seen from the engine.

The target brings a `Guard` (lock and mark), the console a `Gate` (questions).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from workshop.runbook.model import Check
from workshop.runbook.run import Listener


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
