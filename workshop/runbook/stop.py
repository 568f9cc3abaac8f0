"""Ending a run early: where it is safe, and at once.

The first Ctrl-C asks. What only looks (a check, a wait, a probe) is cut short; what changes something is finished,
so nothing is left half done that a next run would not see; no further step starts. The second Ctrl-C, or SIGTERM,
cancels whatever is at hand, which is safe as well (steps promise it) but leaves more for the next run to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

INTERRUPTED = 130
"""The exit status of what was asked to end."""


def run_cuttable(looking: Coroutine[Any, Any, T]) -> T:
    """asyncio.run for what only looks. Raises KeyboardInterrupt as soon as it was asked to end.

    asyncio.run alone may notice Ctrl-C late: where the kernel gives the signal to another thread, such as one that
    waits for Azure, it does not wake the loop.
    """

    async def work() -> T:
        stop, current = Stop(), asyncio.current_task()
        assert current is not None
        with stop.signals(current.cancel):
            return await stop.cuttable(looking)

    try:
        return asyncio.run(work())
    except (Stopped, asyncio.CancelledError):
        raise KeyboardInterrupt from None


class Stopped(Exception):
    """Raised where something was cut short because the run was asked to stop. Not for catching in a step."""


def only_cause(error: Exception) -> Exception:
    """What a task group wrapped: its first real error. Stopped only when there is no other."""
    while isinstance(error, ExceptionGroup):
        error = next((inner for inner in error.exceptions if not isinstance(inner, Stopped)), error.exceptions[0])
    return error


class Stop:
    """Whether this run was asked to end. One `within` another is asked by that, and listens to no signals itself:
    for several runs at the same time, of which a process has one."""

    def __init__(self, within: Stop | None = None) -> None:
        self.asked = False
        self.interrupted = False
        self._within = within
        self._cuttable: set[asyncio.Task[Any]] = set()
        self._parts: dict[Callable[[], None], Callable[[], None]] = {}
        """Of each stop within this one that listens: what a first signal does, and what one that ends it does."""

    def ask(self) -> None:
        """Stop at the next safe point."""
        self.asked = True
        for task in self._cuttable:
            task.cancel()

    async def cuttable(self, looking: Awaitable[T]) -> T:
        """Await something that changes nothing, so it may be cut short. Raises Stopped when it was."""
        task = asyncio.ensure_future(looking)
        if self.asked:
            task.cancel()
        self._cuttable.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not self.asked or (current and current.cancelling()):
                raise
            raise Stopped from None
        finally:
            self._cuttable.discard(task)

    @contextlib.contextmanager
    def signals(
        self, cancel: Callable[[], object], seen: Callable[[bool], None] = lambda at_once: None
    ) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM; `cancel` ends the run at once. `seen` is told of each: False of the first
        Ctrl-C, True of what ends the run at once. Without effect outside the main thread, where Python delivers no
        signals."""

        def at_once() -> None:
            self.interrupted = self.asked = True
            seen(True)
            for part in tuple(self._parts.values()):
                part()
            cancel()

        def interrupt() -> None:
            if self.interrupted:
                at_once()
                return
            self.interrupted = True
            seen(False)
            self.ask()
            for part in tuple(self._parts):
                part()

        with self._listening(interrupt, at_once):
            yield

    @contextlib.contextmanager
    def _listening(self, interrupt: Callable[[], None], at_once: Callable[[], None]) -> Iterator[None]:
        if self._within is not None:
            self._within._parts[interrupt] = at_once
            if self._within.asked:
                interrupt()
            try:
                yield
            finally:
                del self._within._parts[interrupt]
            return
        loop, installed = asyncio.get_running_loop(), []
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, at_once)):
                before = signal.getsignal(number)
                loop.add_signal_handler(number, handler)
                installed.append((number, before))
        try:
            yield
        finally:
            for number, before in installed:
                loop.remove_signal_handler(number)
                signal.signal(number, before)
