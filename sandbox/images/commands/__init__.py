"""Commands in a container: there is no operating system in there, so what can be run is what is written here.

Every image has them all. They see the container's environment, files and network, and nothing else.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable

from sandbox.images.commands import coreutils, curl
from sandbox.images.commands.process import CommandFunction, Process, UsageError
from sandbox.images.commands.shell import INTERRUPT_LINE, Shell
from sandbox.images.commands.terminal import terminal
from sandbox.images.program import Container, Factory, Program, ProgramError, Streams, TaskProgram

COMMANDS: dict[str, CommandFunction] = {**coreutils.COMMANDS, **curl.COMMANDS}
SHELLS = ("sh", "bash", "ash")
INTERRUPTED = 130


class NotFound(Exception):
    """There is no such command. The message is what a container runtime says, and what there is instead."""

    def __init__(self, name: str) -> None:
        known = " ".join(sorted([*COMMANDS, *SHELLS]))
        super().__init__(
            f'exec: "{name}": executable file not found in $PATH (the sandbox has no real containers; '
            f"the commands it knows are: {known})"
        )


def knows(name: str) -> bool:
    return posixpath.basename(name) in (*COMMANDS, *SHELLS)


async def run(command: list[str], container: Container, streams: Streams) -> int:
    """Run a command to its end; its exit status. Raises NotFound."""
    if not knows(command[0]):
        raise NotFound(command[0])
    if not streams.tty:
        return await _execute(command, _process(container, streams))
    # The key interrupts what the shell runs, not the shell; without one it ends the command itself.
    foreground: set[asyncio.Task[int]] = set()

    def interrupt() -> None:
        for task in foreground:
            task.cancel()
        if not foreground:
            seen.stdin.feed_data(INTERRUPT_LINE)

    async with terminal(streams, interrupt) as seen:
        return await _execute(command, _process(container, seen), foreground)


def _process(container: Container, streams: Streams) -> Process:
    return Process(container, [], dict(container.env), streams.stdin, streams.out, streams.err, tty=streams.tty)


async def _execute(command: list[str], process: Process, foreground: set[asyncio.Task[int]] | None = None) -> int:
    name, *arguments = command
    base = posixpath.basename(name)
    process.name, process.arguments = base, arguments
    if base in SHELLS:
        return await _shell(process, foreground)
    if base not in COMMANDS:
        process.err(f"sh: {name}: not found\n".encode())
        return 127
    call = _guarded(COMMANDS[base], process)
    if foreground is None:
        return await call
    task = asyncio.create_task(call)
    foreground.add(task)
    try:
        return await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
        return INTERRUPTED
    finally:
        foreground.discard(task)
        task.cancel()


async def _guarded(function: CommandFunction, process: Process) -> int:
    try:
        return await function(process)
    except UsageError as usage:
        return process.complain(str(usage), 2)
    except OSError as error:
        return process.complain(f"{error.filename or ''}: {error.strerror}")


async def _shell(process: Process, foreground: set[asyncio.Task[int]] | None) -> int:
    words, letters = list(process.arguments), ""
    while words and words[0].startswith("-"):
        letters += words.pop(0)[1:]
    if refused := letters.strip("ceil"):
        return process.complain(f"option -{refused[0]} is not supported (there are -c, -e, -i and -l)", 2)

    def execute(command: list[str], called: Process) -> Awaitable[int]:
        return _execute(command, called, foreground)

    def shell(arguments: list[str]) -> Shell:
        return Shell(process, execute, arguments, exits_on_error="e" in letters)

    if "c" in letters:
        if not words:
            return process.complain("-c requires an argument", 2)
        return await shell(words[2:]).run_text(words[0])
    if words:
        try:
            script = (await process.input(words[0])).decode()
        except OSError as error:
            return process.complain(f"can't open '{words[0]}': {error.strerror}", 127)
        return await shell(words[1:]).run_text(script)
    return await shell([]).interact()


def command_program(container: Container, command: list[str]) -> Program:
    """A container whose main process is one of these commands: `sleep`, a shell, `curl`. Raises ProgramError."""
    if not knows(command[0]):
        raise ProgramError(str(NotFound(command[0])), 127)
    streams = container.streams
    if not container.spec.get("stdin"):
        streams = Streams(out=streams.out, err=streams.err)
    return TaskProgram(container, lambda: run(command, container, streams))


def program(container: Container) -> Program | None:
    """What runs when a container's `command` is one of these; None leaves it to the image."""
    command = container.command
    if container.spec.get("command") and knows(command[0]):
        return command_program(container, command)
    return None


# Images people start to have a place to call from.


def _any_command(container: Container) -> Program:
    """Runs what it is told, a shell by default."""
    return command_program(container, container.command or ["sh"])


def _curl_image(container: Container) -> Program:
    """As the image's entry point: arguments that name no command are curl's."""
    command = container.command
    if not container.spec.get("command") and not (command and knows(command[0])):
        command = ["curl", *command]
    return command_program(container, command)


class Pause(Program):
    """Does nothing until it is stopped."""

    async def start(self) -> None:
        self.container.log("paused")


PROGRAMS: dict[str, Factory] = {
    "alpine": _any_command,
    "busybox": _any_command,
    "curl": _curl_image,
    "pause": Pause,
}
