"""A program in a subprocess: an argument list, a time limit, and nothing left behind.

The program gets its own process group, so that Ctrl-C in the terminal reaches the workshop alone, which then
decides where it is safe to stop. It ends when the time limit is reached, when the caller is cancelled, and (on
Linux, with util-linux) when the workshop itself is killed: what a killed run had started must not go on beside the
next run. Python could ask the kernel for that between fork and exec, but then it forks with all its pages, which
takes 14 ms of the event loop a program; setpriv asks in the new process, so that the start is a vfork.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from workshop.runbook.errors import UsageError, WorkshopError


class ToolMissing(UsageError):
    """The program is not there, or may not be executed."""


class ToolTimeout(WorkshopError):
    """The program did not end within its time limit and was killed. `seconds` is the limit."""

    def __init__(self, tried: str, seconds: float, came_back: str, *, cause: str = "", next_command: str = ""):
        super().__init__(
            tried,
            f"no end after {seconds:g} s" + (f"; until then: {came_back}" if came_back else ""),
            cause=cause,
            next_command=next_command,
        )
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Finished:
    status: int
    stdout: str
    stderr: str


async def run(
    argv: Sequence[str],
    *,
    seconds: float,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    install_hint: str = "",
) -> Finished:
    """Run `argv` to its end, whatever its exit status. `environment` is added to this process' own; `on_line`
    gets each line of stdout as it comes.

    Raises ToolMissing (with `install_hint` as the next command) and ToolTimeout after `seconds`.
    """
    if shutil.which(argv[0]) is None:
        raise ToolMissing(
            f"start {argv[0]}",
            "there is no such program, or it may not be executed",
            cause=f"{argv[0]} is not installed for this target",
            next_command=install_hint,
        )
    process = await _started(
        asyncio.create_subprocess_exec(
            *_ending_with_us(),
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            process_group=0,
        )
    )
    stdout, stderr = bytearray(), bytearray()
    try:
        async with asyncio.timeout(seconds):
            assert process.stdout
            assert process.stderr
            await asyncio.gather(
                _write(process, stdin),
                _collect(process.stdout, stdout, on_line),
                _collect(process.stderr, stderr, None),
            )
            status = await process.wait()
    except TimeoutError:
        said = without_log_lines((stderr or stdout).decode(errors="replace"))
        raise ToolTimeout(command_line(argv), seconds, said) from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.wait()
    return Finished(status, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def _started(starting: Coroutine[None, None, asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """A start that is not cut short: asyncio then waits for pipes that it never connects, for ever (seen with
    Python 3.11.7). It takes milliseconds; the process is ended then."""
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            process = await task
            _kill(process)
            await process.wait()
        raise


async def _write(process: asyncio.subprocess.Process, text: str) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(text.encode())
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended without reading all of it; its exit status and stderr say why
    finally:
        process.stdin.close()


async def _collect(stream: asyncio.StreamReader, into: bytearray, on_line: Callable[[str], None] | None) -> None:
    told = 0
    while chunk := await stream.read(1 << 16):
        into += chunk
        while on_line and (end := into.find(b"\n", told)) >= 0:
            on_line(into[told:end].decode(errors="replace").rstrip("\r"))
            told = end + 1


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@cache
def _ending_with_us() -> tuple[str, ...]:
    """What stands before a program's arguments, for the kernel to end it with this process."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def without_log_lines(stderr: str) -> str:
    """stderr without client-go's own log lines (`E1121 08:52:40.956476 9392 memcache.go:381] ...`), and every line
    once: for several kinds kubectl says the same of each."""
    lines = list(dict.fromkeys(stderr.strip().splitlines()))
    plain = [line for line in lines if not re.match(r"[EWI]\d{4} \d\d:\d\d:", line)]
    return "\n".join(plain or lines)


def command_line(argv: Sequence[str]) -> str:
    """As a person would type it."""
    return shlex.join(argv)
