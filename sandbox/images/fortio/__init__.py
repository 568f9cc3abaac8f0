"""fortio: Istio's load tester. Its image serves by default; `kubectl exec` or a Job makes it ask others."""

from __future__ import annotations

import asyncio
import contextlib

from sandbox.images.fortio import cli
from sandbox.images.fortio.server import Server
from sandbox.images.program import Container, Factory, Program, ProgramError, Streams

NAME = "fortio"


class Fortio(Server):
    """The container that serves; commands run beside it."""

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        return await _command(command, self.container, streams)


class FortioCommand(Program):
    """The container that is one command, such as `fortio load`."""

    def __init__(self, container: Container, words: list[str]) -> None:
        super().__init__(container)
        self._words = words
        self._task: asyncio.Task[int] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(cli.main(self._words, self.container, self.container.streams))

    async def wait(self) -> int:
        assert self._task is not None
        return await self._task

    async def stop(self, grace: float) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def exec(self, command: list[str], streams: Streams) -> int | None:
        return await _command(command, self.container, streams)


async def _command(command: list[str], container: Container, streams: Streams) -> int | None:
    if command[0].rsplit("/", 1)[-1] != NAME:
        return None
    return await cli.main(command[1:], container, streams)


def fortio(container: Container) -> Program:
    """As the image's entry point `/usr/bin/fortio` with `server` for want of arguments."""
    words = container.command
    if container.spec.get("command"):
        name = words.pop(0)
        if name.rsplit("/", 1)[-1] != NAME:
            raise ProgramError(f'exec: "{name}": executable file not found in $PATH', 127)
    elif not words:
        words = ["server"]
    if words[:1] == ["server"]:
        return Fortio(container, words[1:])
    return FortioCommand(container, words)


PROGRAMS: dict[str, Factory] = {NAME: fortio}
