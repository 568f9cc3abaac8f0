"""Sandboxes that need not start Python: forks of a process that has imported the server and waits.

Most of what a start takes is to import; a test that only needs a sandbox has it that way. The launcher does all it
does up to the call that starts a process, and the server all from its command line on: the fork has the command,
environment, folder, output and locks that it would have been started with, and /proc shows that command.
What is about the start itself calls the launcher as it is (tests/sandbox), or `python -m sandbox`.

Run as a program this is the process that waits. It ends with those that may ask it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from sandbox.server import launcher

_REPOSITORY = Path(__file__).parents[2]
_LONGEST = 16_000
"""Bytes of a command."""
_MOST = 200
"""Descriptors, fewer than the kernel passes on at a time."""
_MEMORY = Path("/proc/self/mem")
_THREADS = Path("/proc/self/task")
_READY = b"ready"
_HANGS = 600
"""Seconds after which it is taken to hang: many times what it needs on a busy machine."""
_SOCKET = "TESTS_FORKED_SANDBOXES"
"""Variable of a process that may ask, for the descriptor that it has inherited."""


class _Fork:
    """What the launcher wants of a process that it has started."""

    returncode: int | None = None

    def __init__(self, place: socket.socket) -> None:
        self._place = place

    def poll(self) -> int | None:
        with contextlib.suppress(BlockingIOError):
            self.returncode = int(self._place.recv(100, socket.MSG_DONTWAIT) or b"1")
        return self.returncode


def _start(
    command: Sequence[str],
    *,
    stdin: int,
    stdout: IO[bytes],
    stderr: IO[bytes],
    cwd: Path | str,
    env: Mapping[str, str],
    pass_fds: Sequence[int],
    start_new_session: bool,
) -> _Fork | subprocess.Popen[bytes]:
    assert stdin == subprocess.DEVNULL
    assert stdout is stderr
    assert start_new_session
    if len(os.fsencode("\0".join(command))) >= _LONGEST or len(pass_fds) > _MOST or not _MEMORY.exists():
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    ours, theirs = socket.socketpair()
    request = json.dumps([[*command], str(cwd), dict(env), [*pass_fds]]).encode()
    with theirs:
        socket.send_fds(_waiting(), [request], [theirs.fileno(), stdout.fileno(), *pass_fds])
    return _Fork(ours)


def use() -> None:
    """Have the launcher start no process in this one from now on, nor in its forks."""
    _waiting()  # now: a fork that had none yet would start one of its own
    vars(launcher)["subprocess"] = SimpleNamespace(Popen=_start, DEVNULL=subprocess.DEVNULL)


@contextlib.contextmanager
def used() -> Iterator[None]:
    """As long as the body lasts."""
    use()
    try:
        yield
    finally:
        vars(launcher)["subprocess"] = subprocess


def for_another() -> tuple[int, dict[str, str]]:
    """For a process that is to ask as well: what it inherits, and the variable that names it."""
    return _waiting().fileno(), {_SOCKET: str(_waiting().fileno())}


@functools.cache
def _waiting() -> socket.socket:
    if inherited := os.environ.pop(_SOCKET, None):
        os.set_inheritable(int(inherited), False)
        return socket.socket(fileno=int(inherited))
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    # The last word is room for the command of a fork.
    command = [sys.executable, "-P", "-m", "tests.kit.forked_sandboxes", " " * _LONGEST]
    path = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    # The launcher's patience is for a start, which begins when this has ended.
    assert select.select([ours], [], [], _HANGS)[0], f"the process that waits has not begun within {_HANGS} s"
    assert ours.recv(len(_READY)) == _READY, "the process that waits has ended: its error is above"
    return ours


def _wait() -> list[str] | None:
    """For requests; returns in a fork, the command that it was asked for, and when there will be no more, None."""
    requests = socket.socket(fileno=os.dup(0))
    answers: dict[int, socket.socket] = {}

    def answer(*_: object) -> None:
        while answers and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with answers.pop(ended[0]) as asked, contextlib.suppress(OSError):  # nobody may wait for it any more
                asked.send(b"%d" % os.waitstatus_to_exitcode(ended[1]))

    signal.signal(signal.SIGCHLD, answer)
    requests.send(_READY)
    while (request := socket.recv_fds(requests, 1 << 20, _MOST + 2))[0]:
        place, *passed = request[1]
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        if not (child := os.fork()):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            for each in (requests, *answers.values()):
                each.detach()
            command, folder, environment, numbers = json.loads(request[0])
            _have_only(passed, [1, *numbers])
            os.environ.clear()
            os.environ.update(environment)
            os.setsid()
            os.chdir(folder)
            _name(command)
            return list(command)
        answers[child] = socket.socket(fileno=place)
        for descriptor in passed:
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    return None


def _have_only(passed: Sequence[int], numbers: Sequence[int]) -> None:
    """These descriptors, as those numbers, the first as that for errors as well."""
    # First to where none is in another's way: higher than all there are or will be.
    above = max(*numbers, *(int(entry.name) for entry in Path("/proc/self/fd").iterdir())) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in passed]
    os.closerange(0, above)
    os.open(os.devnull, os.O_RDWR)
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
    os.closerange(above, max(moved) + 1)
    os.dup2(1, 2)


def _name(command: Sequence[str]) -> None:
    """In /proc/PID/cmdline, which is the memory that a process finds its command in when it begins."""
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    words = os.fsencode("\0".join(command)) + b"\0"
    with _MEMORY.open("r+b", buffering=0) as memory:
        memory.seek(begin)
        memory.write(words.ljust(end - begin, b"\0"))


def _main() -> None:
    # As the server has it before it imports.
    gc.disable()
    os.environ["SSL_CERT_FILE"] = os.devnull
    importlib.import_module(
        "sandbox.server.serve"
    )  # first, as in a server: then those that need each other are found
    for module in pkgutil.walk_packages([str(_REPOSITORY / "sandbox")], "sandbox."):
        importlib.import_module(module.name)
    gc.freeze()
    assert len([*_THREADS.iterdir()]) == 1, "of several threads a fork has one, and what the others held for ever"
    if command := _wait():
        from tests.kit.forked import become

        sandbox = sys.modules["sandbox.__main__"]
        program = command.index("sandbox")
        become([str(sandbox.__file__), *command[program + 1 :]], lambda: sys.exit(sandbox.main()))


if __name__ == "__main__":
    _main()
