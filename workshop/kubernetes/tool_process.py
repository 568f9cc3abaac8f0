"""A program in a subprocess: an argument list, a time limit, and nothing left behind.

The program gets its own process group, so that Ctrl-C in the terminal reaches the workshop alone, which then
decides where it is safe to stop. It ends when the time limit is reached, when the caller is cancelled, and (on
Linux, with util-linux) when the workshop itself is killed: what a killed run had started must not go on beside the
next run. Python could ask the kernel for that between fork and exec, but then it forks with all its pages; setpriv
asks in the new process.

It is started by posix_spawn, which takes 0.14 ms of the event loop where subprocess.Popen takes 2.8, and 14 on a
busy machine (a process group of its own makes it fork). The kernel ends the program with the *thread* that has
started it: that is the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
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
    private: bool = False,
) -> Finished:
    """Run `argv` to its end, whatever its exit status. `environment` is added to this process' own; `on_line`
    gets each line of stdout as it comes. Where that is `private`, no error has it.

    Raises ToolMissing (with `install_hint` as the next command) and ToolTimeout after `seconds`.
    """
    process = start(argv, stdin=stdin, environment=environment, on_line=on_line, install_hint=install_hint)
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        said = without_log_lines(process.stderr or ("" if private else process.stdout))
        raise ToolTimeout(command_line(argv), seconds, said) from None
    finally:
        process.end()
    return Finished(status, process.stdout, process.stderr)


def start(
    argv: Sequence[str],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    install_hint: str = "",
) -> Process:
    """Start `argv`, for the caller to end. Raises ToolMissing."""
    if shutil.which(argv[0]) is None:
        raise ToolMissing(
            f"start {argv[0]}",
            "there is no such program, or it may not be executed",
            cause=f"{argv[0]} is not installed for this target",
            next_command=install_hint,
        )
    return Process((*_ending_with_us(), *argv), {**os.environ, **(environment or {})}, stdin.encode(), on_line)


class Process:
    """A program that was started. Whatever happens, `end` is to be called, in the same event loop."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        stdin: bytes,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[int] = self._loop.create_future()
        out, err, fed = os.pipe(), os.pipe(), os.pipe() if stdin else None
        given = fed[0] if fed else os.open(os.devnull, os.O_RDONLY)
        theirs = [_above_standard(fd) for fd in (given, out[1], err[1])]
        try:
            self.pid = os.posix_spawnp(
                argv[0],
                tuple(argv),
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(theirs)],
                setpgroup=0,
                setsigdef=_IGNORED_BY_PYTHON,
            )
        except BaseException:
            for fd in (out[0], err[0], *(fed or ())[1:]):
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._out, self._err = _Output(self._loop, out[0], on_line), _Output(self._loop, err[0])
        self._input = _Input(self._loop, fed[1], stdin) if fed else None
        self._pidfd = _pidfd(self.pid)
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._reap)
        else:
            waiting = self._loop.run_in_executor(None, _end_of, self.pid)
            waiting.add_done_callback(lambda end: self._ended(end.result()))

    @property
    def stdout(self) -> str:
        """What it has written until now."""
        return self._out.text

    @property
    def stderr(self) -> str:
        return self._err.text

    @property
    def is_over(self) -> bool:
        return self._status.done()

    async def wait(self) -> int:
        """Its exit status, when all that it has written is there."""
        await asyncio.gather(asyncio.shield(self._out.over), asyncio.shield(self._err.over))
        return await asyncio.shield(self._status)

    def end(self) -> None:
        """Of the program and its children, where they have not ended yet."""
        if not self._status.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            if self._pidfd is not None:
                self._reap()
        for pipe in (self._out, self._err, self._input):
            if pipe:
                pipe.close()

    def _reap(self) -> None:
        """Only when it has ended, or was killed: then its end is a matter of microseconds."""
        assert self._pidfd is not None
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = None
        self._ended(_end_of(self.pid))

    def _ended(self, status: int) -> None:
        if not self._status.done():
            self._status.set_result(status)


def _above_standard(fd: int) -> int:
    """The same, where it can take none of the places that a program's own three files get: ours may be closed."""
    if fd > 2:
        return fd
    higher = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return higher


_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def _pidfd(pid: int) -> int | None:
    """What tells that it has ended; None on macOS, and on Linux before 5.3."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _end_of(pid: int) -> int:
    """Its exit status, negative when a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class _Output:
    """What comes out of a pipe. `over` is done when nothing more will."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_line: Callable[[str], None] | None = None
    ) -> None:
        self._loop, self._fd, self._on_line = loop, fd, on_line
        self._content, self._told = bytearray(), 0
        self.over: asyncio.Future[None] = loop.create_future()
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._read)

    @property
    def text(self) -> str:
        return self._content.decode(errors="replace")

    def close(self) -> None:
        if not self.over.done():
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self.over.set_result(None)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not (chunk := os.read(self._fd, 1 << 16)):
                self.close()
                return
            self._content += chunk
            while self._on_line and (end := self._content.find(b"\n", self._told)) >= 0:
                line, self._told = self._content[self._told : end], end + 1
                self._on_line(line.decode(errors="replace").rstrip("\r"))


class _Input:
    """What goes into a pipe, as fast as the program reads it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, content: bytes) -> None:
        self._loop, self._fd, self._left = loop, fd, memoryview(content)
        os.set_blocking(fd, False)
        loop.add_writer(fd, self._write)
        self._open = True
        self._write()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_writer(self._fd)
            os.close(self._fd)

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._fd, self._left) :]
        except BlockingIOError:
            return
        except OSError:
            self._left = self._left[:0]  # it ended without reading all of it; its exit status and stderr say why
        if not self._left:
            self.close()


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
