"""`invoke` in a process of its own that need not start: a fork of one that has imported the workshop and waits.

To start and import takes 0.2 processor seconds, half of what a converged lab takes. What a fork does from there
on is what a fresh one does: Invoke's own Program finds tasks.py and reads the line, with arguments,
environment, input and output of its own. What is about the start (what is imported, and when; PYTHON*
variables) is tested with processes that do start, and so is what a signal ends.

Run as a program this is the process that waits. It ends with the one that started it.
"""

from __future__ import annotations

import atexit
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
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kit import forked_sandboxes

BIN = Path(sys.executable).parent
_REPOSITORY = Path(__file__).parents[2]


def invoke(*words: str, environment: Mapping[str, str], stdin: str, seconds: float) -> tuple[int, str]:
    """Its exit status, and what it has written. Raises TimeoutError, as for a process that hangs."""
    ours, theirs = socket.socketpair()
    given, written = os.pipe(), os.pipe()
    os.write(given[1], stdin.encode())
    os.close(given[1])
    request = json.dumps([[str(BIN / "invoke"), *words], dict(environment)]).encode()
    socket.send_fds(_waiting(), [request], [theirs.fileno(), given[0], written[1]])
    for descriptor in (given[0], written[1]):
        os.close(descriptor)
    theirs.close()
    with ours, os.fdopen(written[0], "rb", buffering=0) as output:
        said, limit = b"", time.monotonic() + seconds
        while select.select([output], [], [], max(0.0, limit - time.monotonic()))[0]:
            if not (piece := output.read(65536)):
                answer = ours.makefile().read().split()
                assert len(answer) == 2, "the process that waits has ended: its error is above"
                return int(answer[1]), said.decode()
            said += piece
        os.kill(int(ours.recv(100)), signal.SIGKILL)
    raise TimeoutError(f"invoke {' '.join(words)} has not ended in {seconds} s: {said.decode()}")


@functools.cache
def _waiting() -> socket.socket:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.kit.forked"]
    inherited, named = forked_sandboxes.for_another()
    process = subprocess.Popen(
        command,
        cwd=_REPOSITORY,
        env={**os.environ, **named},
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        pass_fds=[inherited],
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _wait() -> None:
    """For requests; returns in a fork, which has become what was asked for, and when there will be no more."""
    requests = socket.socket(fileno=os.dup(0))
    answers: dict[int, socket.socket] = {}

    def answer(*_: object) -> None:
        while answers and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with answers.pop(ended[0]) as asked:
                asked.send(b"%d" % os.waitstatus_to_exitcode(ended[1]))

    signal.signal(signal.SIGCHLD, answer)
    while (request := socket.recv_fds(requests, 1 << 20, 3))[0]:
        place, *streams = request[1]
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        if not (child := os.fork()):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            for number, descriptor in enumerate((*streams, streams[1])):
                os.dup2(descriptor, number)
            for descriptor in (place, *streams, *(each.detach() for each in answers.values())):
                os.close(descriptor)
            sys.argv, environment = json.loads(request[0])
            os.environ.clear()
            os.environ.update(environment)
            return
        answers[child] = socket.socket(fileno=place)
        answers[child].send(b"%d " % child)
        for descriptor in streams:
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    os._exit(0)


def _open_streams() -> None:
    """Anew: Python has looked at what was there before."""
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        stream = os.fdopen(number, mode, buffering=1 if name == "stderr" else -1, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _main() -> None:
    from invoke.main import program

    for name in ("workshop", "labs"):
        for module in pkgutil.walk_packages([str(_REPOSITORY / name)], f"{name}."):
            importlib.import_module(module.name)
    forked_sandboxes.use()
    gc.collect()
    gc.freeze()
    _wait()
    sys.path[0] = str(BIN)
    become(sys.argv, program.run)


def become(words: list[str], run: Callable[[], None]) -> None:
    """The program with that command, in a fork with its descriptors."""
    _open_streams()
    sys.argv = words
    try:
        run()
    except SystemExit as ended:
        if ended.code and not isinstance(ended.code, int):
            raise
        _end(int(ended.code or 0))
    _end(0)


def _end(status: int) -> None:
    """As Python ends, but for what it then takes apart: all modules, which is half of what most lines cost. What
    cannot be written any more is its own to tell."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)
    os._exit(status)


if __name__ == "__main__":
    _main()
