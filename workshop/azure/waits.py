"""Calls of Azure in threads that nobody has to wait for, and what a person sees while they take long.

A call cannot be stopped: the clients block in it until Azure answers or their time is over. Python joins the
threads of asyncio's executor when a process ends, so a run that was interrupted would last as long as its slowest
call. The threads here are daemons instead. What dies in one of them is what `kill -9` would have cut off.

The clients know no run, and what is looked at serves all steps. So whoever asks on behalf of a step says which in
the context, and tasks inherit that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from workshop.runbook import events

if TYPE_CHECKING:
    from workshop.runbook.run import Run

T = TypeVar("T")

EVERY = 1.0
"""Seconds after which a wait is shown, and after which it is shown again."""

_run: ContextVar[Run | None] = ContextVar("run", default=None)


@contextlib.contextmanager
def shown_in(run: Run) -> Iterator[None]:
    """What is awaited in here, and takes long, is shown as a wait of this step."""
    before = _run.set(run)
    try:
        yield
    finally:
        _run.reset(before)


async def shown(work: Awaitable[T], what: str, missing: str, limit: float) -> T:
    """The result of `work`, which takes at most `limit` seconds."""
    task, started = asyncio.ensure_future(work), time.monotonic()
    try:
        while not (await asyncio.wait((task,), timeout=EVERY))[0]:
            _show(what, missing, time.monotonic() - started, limit)
        return await task
    finally:
        task.cancel()


async def pause(seconds: float, why: str) -> None:
    """Before something is tried again; a longer one is shown from its beginning."""
    if seconds >= EVERY:
        _show("Azure", why, 0.0, seconds)
    await shown(asyncio.sleep(seconds), "Azure", why, seconds)


async def in_thread(function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        if not settled.done():  # else nobody waits for it any more
            act()

    def work() -> None:
        try:
            act = partial(settled.set_result, function())
        except BaseException as error:
            act = partial(settled.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the run has ended, and its loop with it
            loop.call_soon_threadsafe(settle, act)

    threading.Thread(target=work, daemon=True, name="azure").start()
    return await settled


def _show(what: str, missing: str, waited: float, limit: float) -> None:
    if run := _run.get():
        run.emit(events.Waiting(run.lab, what, missing, waited, limit))
