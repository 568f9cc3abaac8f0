"""The sandbox as a process: the sandboxes of its folders (one, or those of a class) on one event loop.

It ends by SIGTERM, when it was idle for long, or when none of its folders is left to it: each is let go when
its sandbox fails, or somebody wants that one ended (`leave` in state.py, looked for when SIGURG comes, which does
nothing to a process that does not know it yet, and now and then).

Idle is when nobody uses it any more: no request to an API, and no traffic into its clusters, for long. Requests are
known as they come. Traffic passes Envoy, which has to be asked, so that is done only when the APIs have been idle
for a while: never as long as somebody works, and every ten minutes of an idle hour. Then the folders are looked at
as well, for somebody may have said until when it is to last in any case (`until`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path

import uvloop

from sandbox.arm import azure_settings
from sandbox.server import garbage
from sandbox.server.folder_sandbox import FolderSandbox
from sandbox.server.loading import Saved
from sandbox.server.saved_state import UnusableError
from sandbox.server.state import StateFolder

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_LOOKS = 6
"""At traffic, in the time that counts as long."""


def main(folders: Sequence[Path], idle_seconds: float, locks: Sequence[int] = (), saved: Path | None = None) -> int:
    """Run until stopped. `locks` are the folders', if the parent process has taken them; all begin with a `saved`
    state."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("grpclib.server").setLevel(logging.WARNING)  # it says of every client that it went
    states = [StateFolder(folder.absolute()) for folder in folders]
    held: list[int] = []
    for state, given in itertools.zip_longest(states, locks):
        if (lock := state.lock() if given is None else given) is None:
            log.error("another sandbox has %s", state.folder)
            return 1
        os.set_inheritable(lock, False)
        state.sign(lock, ready=False)
        held.append(lock)
    try:
        settings = azure_settings.from_environment(os.environ.get(azure_settings.VARIABLE))
    except ValueError as error:
        log.error("%s: %s", azure_settings.VARIABLE, error)
        return 1
    try:
        begin_with = Saved.read(saved) if saved else None
    except UnusableError as error:
        log.error("%s", error)
        return 1
    _raise_file_limit()
    sandboxes = [
        FolderSandbox(state, lock, settings, begin_with, shared=len(states), ends_idle=idle_seconds)
        for state, lock in zip(states, held, strict=True)
    ]
    return uvloop.run(serve(sandboxes, idle_seconds))


async def serve(sandboxes: Sequence[FolderSandbox], idle_seconds: float) -> int:
    """Until stopped. The exit status: 1 when all have failed."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    running = {each: loop.create_task(_run(each, stopping), name=str(each.state.folder)) for each in sandboxes}

    def living() -> list[FolderSandbox]:
        return [each for each, task in running.items() if not task.done()]

    def idle() -> float:
        return min((each.idle_seconds for each in living()), default=0.0)

    def kept() -> float:
        return max((each.state.lasts_until() for each in living()), default=0.0) - time.time()

    async def traffic() -> int:
        return sum(await asyncio.gather(*(stack.traffic() for each in living() for stack in each.running)))

    def look() -> None:
        for each in living():
            if each.given_up():
                each.stop()

    async def look_after() -> None:
        loop.add_signal_handler(signal.SIGURG, look)
        while True:
            look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def keep() -> None:
        """Of a process that is well."""
        await asyncio.gather(*(each.settled.wait() for each in sandboxes))
        garbage.begin()
        await garbage.collect_when_quiet(idle)

    beside: list[Coroutine[None, None, None]] = [
        _stop_when_idle(idle, traffic, kept, idle_seconds, stopping),
        keep(),
    ]
    if len(sandboxes) > 1:
        beside.append(look_after())
    ended = asyncio.gather(*running.values())
    ended.add_done_callback(lambda _: stopping.set())
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(each) for each in beside]
        await stopping.wait()
        for sandbox in sandboxes:
            sandbox.stop()
        well = await ended
        for task in others:
            task.cancel()
    return 0 if any(well) else 1


async def _run(sandbox: FolderSandbox, stopping: asyncio.Event) -> bool:
    """Whether it ended as it was meant to."""
    try:
        await sandbox.run()
    except Exception:
        log.exception("%s: the sandbox ends, for a part of it has failed", sandbox.state.folder)
        return False
    finally:
        if not stopping.is_set():
            sandbox.let_go()
    return True


async def _stop_when_idle(
    idle: Callable[[], float],
    traffic: Callable[[], Awaitable[int]],
    kept: Callable[[], float],
    idle_seconds: float,
    stopping: asyncio.Event,
) -> None:
    await until_idle(idle, traffic, idle_seconds, kept)
    log.info("neither a request nor traffic for %.0f s", idle_seconds)
    stopping.set()


def _raise_file_limit() -> None:
    """Every pod, proxy and request has sockets: use all the files this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def until_idle(
    idle: Callable[[], float],
    traffic: Callable[[], Awaitable[int]],
    seconds: float,
    kept: Callable[[], float] = lambda: 0.0,
) -> None:
    """Return when it was idle for `seconds`. `idle` says since how many there was no request, `traffic` how much
    there was so far, and `kept` for how many somebody wants it to last yet, used or not."""
    every = seconds / _LOOKS
    seen, at = 0, time.monotonic()
    while True:
        if idle() >= every and (now := await traffic()) != seen:
            seen, at = now, time.monotonic()
        left = max(seconds - min(idle(), time.monotonic() - at), kept())
        if left <= 0:
            return
        await asyncio.sleep(min(every, left))
