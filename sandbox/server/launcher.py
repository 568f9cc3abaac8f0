"""Starts and stops the sandbox of a folder, as a process of its own that outlives the caller.

Importing this is cheap (standard library only): it is on the path of every command that uses the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.server.client_files import verify
from sandbox.server.state import DamagedError, StateFolder

IDLE_SECONDS = 3600
_START_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
"""A busy machine takes a fraction of that for an answer."""
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01
_ROOT = Path(__file__).resolve().parents[2]


class SandboxError(Exception):
    """The sandbox did not start or stop, or cannot be found; `log` is the end of its log."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.message, self.log = message, log

    def __str__(self) -> str:
        return f"{self.message}\n{self.log}" if self.log else self.message


class NoAnswer(SandboxError):
    """A sandbox is there, and does nothing."""

    def __init__(self, pid: int, url: str) -> None:
        super().__init__(f"the sandbox does not answer at {url} within {_ANSWER_SECONDS:.0f} s (process {pid})")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers."""

    pid: int
    url: str
    kubeconfig: Path
    bin: Path
    """kubectl and istioctl, for the PATH."""
    started: float
    """Seconds since the epoch."""


def status(folder: Path) -> Running | None:
    """The folder's sandbox, if it is ready. Raises SandboxError for one whose files have been damaged."""
    state = StateFolder(folder.absolute())
    return _running(state) if state.locked() else None


def whole(folder: Path) -> Running | None:
    """As `status`. Raises SandboxError also for what only the sandbox's clients need, and NoAnswer."""
    state = StateFolder(folder.absolute())
    running = _running(state) if state.locked() else None
    if running is not None:
        try:
            verify(state, running.url)
        except DamagedError as error:
            raise SandboxError(str(error)) from error
        if not _answers(running.url):
            raise NoAnswer(running.pid, running.url)
    return running


def ensure(folder: Path, *, idle_seconds: int = IDLE_SECONDS) -> Running:
    """The folder's sandbox, started unless it is there. Any number of callers get the same one.

    `idle_seconds` without a request from outside end it. Raises SandboxError when it does not get ready, or when
    one is there whose files have been damaged.
    """
    state = StateFolder(folder.absolute())
    started: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        descriptor = state.lock()
        if descriptor is not None:
            # Nobody has the folder. If it was our own child's, the child has ended.
            if started is not None and started.poll() is not None:
                os.close(descriptor)
                raise SandboxError(f"the sandbox ended with status {started.returncode}", state.log_tail())
            started = _start(state, descriptor, idle_seconds)
        elif (running := _running(state)) is not None:
            return running
        time.sleep(_POLL_SECONDS)
    raise SandboxError(f"the sandbox was not ready within {_START_SECONDS:.0f} s", state.log_tail())


def is_there(folder: Path) -> bool:
    """Whether the folder has a sandbox, ready or not, whatever has become of its files."""
    return StateFolder(folder.absolute()).locked()


def stop(folder: Path) -> bool:
    """End the folder's sandbox and wait until it is gone; False when there was none. One whose files have been
    damaged is ended as well."""
    state = StateFolder(folder.absolute())
    deadline = time.monotonic() + _STOP_SECONDS
    asked: int | None = None
    while state.locked():
        late = time.monotonic() > deadline
        if (asked is None or late) and (pid := state.process() or _told(state)):
            _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
            asked = pid
        if time.monotonic() > deadline + _STOP_SECONDS:
            raise SandboxError("the sandbox did not stop", state.log_tail())
        time.sleep(_POLL_SECONDS)
    return asked is not None


def _answers(url: str) -> bool:
    """Whether somebody reads what is sent there. A process that is stopped is still connected to, by the kernel;
    this one refuses at once what is not TLS."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port), timeout=_ANSWER_SECONDS) as connection:
            connection.sendall(b"hello?\r\n\r\n")
            connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        pass  # it has just ended, or has closed the connection: what is wanted of it will tell
    return True


def _told(state: StateFolder) -> int | None:
    """The process as server.json has it: a sandbox of an earlier version does not name itself in the lock."""
    with contextlib.suppress(DamagedError):
        return said.pid if (said := state.read_server()) else None
    return None


def _start(state: StateFolder, descriptor: int, idle_seconds: int) -> subprocess.Popen[bytes]:
    """Start a server that takes over the lock."""
    state.clear()
    # -P: nothing in the folder it runs in may be taken for a module.
    command = [sys.executable, "-P", "-m", "sandbox", "serve", "--state", str(state.folder)]
    command += ["--idle", str(idle_seconds), "--lock", str(descriptor)]
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    try:
        with state.log.open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=state.folder,
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=[descriptor],
                start_new_session=True,
            )
    finally:
        os.close(descriptor)


def _running(state: StateFolder) -> Running | None:
    try:
        said = state.read_server()
    except DamagedError as error:
        raise SandboxError(str(error)) from error
    if said is None:
        return None
    return Running(pid=said.pid, url=said.url, kubeconfig=state.kubeconfig, bin=state.bin, started=said.started)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def ensure_all(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        ensure(folder)


def stop_all(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        stop(folder)
