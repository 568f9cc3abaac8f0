"""Starts and stops sandboxes of folders, as processes that outlive the caller: one for a folder, or one for all the
folders of a class.

Importing this is cheap (standard library only): it is on the path of every command that uses the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.server import saved_state
from sandbox.server.client_files import read_azure, verify
from sandbox.server.saved_state import Head
from sandbox.server.state import DamagedError, StateFolder, folders_of

IDLE_SECONDS = 3600
_START_SECONDS = 30.0
_START_SECONDS_MORE = 0.3
"""For each folder of a class."""
_ANSWER_SECONDS = 5.0
"""A busy machine takes a fraction of that for an answer."""
_STATE_SECONDS = 30.0
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
    shared: int = 1
    """How many folders' sandboxes the process was when it began."""
    idle_seconds: float = IDLE_SECONDS
    """Without a request or traffic, which end it."""
    until: float = 0.0
    """When it may end at the earliest, in seconds since the epoch; 0 when nobody has said anything."""
    missing: tuple[str, ...] = ()
    """What was not as saved when it was ready, of a state that it was loaded with."""

    @property
    def process(self) -> str:
        """In words: which it is, and whether it is others' as well."""
        return f"process {self.pid}" + (f", shared by {self.shared} folders" if self.shared > 1 else "")

    @property
    def lasts(self) -> str:
        """In words: how long it goes on."""
        hours, rest = divmod(self.idle_seconds, 3600)
        idle = f"{hours:.0f} h" if hours and not rest else f"{self.idle_seconds / 60:.0f} min"
        if self.idle_seconds < 60:
            idle = f"{self.idle_seconds:.0f} s"
        said = f"until nobody uses it for {idle}"
        if self.until > time.time():
            said += f", at least until {time.strftime('%Y-%m-%d %H:%M', time.localtime(self.until))}"
        return said


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
            # Who asks whether it answers is no reason to start the cluster of a class's member.
            url = running.url if running.shared == 1 else read_azure(state.azure)["url"]
        except DamagedError as error:
            raise SandboxError(str(error)) from error
        if not _answers(url):
            raise NoAnswer(running.pid, url)
    return running


def ensure(folder: Path, *, idle_seconds: int = IDLE_SECONDS, saved: Path | None = None) -> Running:
    """The folder's sandbox, started unless it is there. Any number of callers get the same one.

    `idle_seconds` without a request from outside end it. It begins with a `saved` state; then none may be there.
    Raises SandboxError when it does not get ready, or when one is there whose files have been damaged.
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
            _clear(state)
            started = _start({state: descriptor}, idle_seconds, saved)
        elif saved is not None and started is None:
            raise SandboxError("a sandbox runs already: a state is loaded into a new one")
        elif (running := _running(state)) is not None:
            return running
        time.sleep(_POLL_SECONDS)
    raise SandboxError(f"the sandbox was not ready within {_START_SECONDS:.0f} s", state.log_tail())


def keep(folder: Path, seconds: float) -> None:
    """Have the folder's sandbox, which runs, go on for at least that long from now, used or not."""
    StateFolder(folder.absolute()).last_until(time.time() + seconds)


def ensure_all(
    folders: Collection[Path], *, idle_seconds: int = IDLE_SECONDS, saved: Path | None = None
) -> dict[Path, Running | SandboxError]:
    """The sandboxes of all these folders, or why there is none: one's failure stops no other.

    Those that are there are left alone. One process is started for the others, in which each cluster starts when it
    is called, with what a `saved` state has of it. So who comes later has a process of his own: one that takes more
    folders while it runs would have to be handed their locks by a way that is open to others, and saves 60 MB.
    """
    waiting = {folder: StateFolder(folder.absolute()) for folder in folders}
    found: dict[Path, Running | SandboxError] = {}
    handed: set[Path] = set()
    deadline = time.monotonic() + _START_SECONDS + _START_SECONDS_MORE * len(waiting)
    while waiting and time.monotonic() < deadline:
        free: dict[StateFolder, int] = {}
        for folder, state in list(waiting.items()):
            try:
                if (descriptor := state.lock()) is None:
                    if (running := _running(state)) is not None:
                        found[folder] = running
                elif folder in handed:
                    os.close(descriptor)
                    found[folder] = SandboxError("the sandbox has just ended", state.log_tail())
                else:
                    free[state] = descriptor
                    _clear(state)
                    handed.add(folder)
            except SandboxError as error:
                found[folder] = error
            except OSError as error:
                found[folder] = SandboxError(f"{error.filename or state.folder}: {error.strerror or error}")
                if descriptor := free.pop(state, None):
                    os.close(descriptor)
            if folder in found:
                del waiting[folder]
        if free:
            _start(free, idle_seconds, saved)
        time.sleep(_POLL_SECONDS)
    for folder, state in waiting.items():
        found[folder] = SandboxError("the sandbox was not ready in time", state.log_tail())
    return {folder: found[folder] for folder in folders}


def is_there(folder: Path) -> bool:
    """Whether the folder has a sandbox, ready or not, whatever has become of its files."""
    return StateFolder(folder.absolute()).locked()


def stop(folder: Path) -> bool:
    """End the folder's sandbox and wait until it is gone; False when there was none. One whose files have been
    damaged is ended as well. One that shares its process with others leaves those alone."""
    stopped = stop_all([folder])[folder]
    if isinstance(stopped, SandboxError):
        raise stopped
    return stopped


def stop_all(folders: Collection[Path]) -> dict[Path, bool | SandboxError]:
    """As `stop` for all these folders, or why it did not stop. A process of theirs alone is ended at once."""
    waiting = {folder: StateFolder(folder.absolute()) for folder in folders}
    given = {str(state.folder) for state in waiting.values()}
    done: dict[Path, bool | SandboxError] = {}
    there = {folder for folder, state in waiting.items() if state.locked()}
    asked: set[Path] = set()
    sent: set[tuple[int, signal.Signals]] = set()
    shared: dict[Path, tuple[int, int]] = {}
    deadline = time.monotonic() + _STOP_SECONDS
    while waiting:
        late = time.monotonic() > deadline
        for folder, state in list(waiting.items()):
            if not state.locked():
                done[folder] = folder in there
                del waiting[folder]
            elif (folder not in asked or late) and (pid := state.process() or _told(state)):
                asked.add(folder)
                there.add(folder)
                others = _others(state, pid, given)
                if others:
                    shared[folder] = pid, others
                    with contextlib.suppress(FileNotFoundError):  # it has just been removed: that will do as well
                        state.leave.touch()
                number = signal.SIGURG if others else signal.SIGKILL if late else signal.SIGTERM
                if others or (pid, number) not in sent:
                    sent.add((pid, number))
                    _signal(pid, number)
        if time.monotonic() > deadline + _STOP_SECONDS:
            return {
                folder: done[folder] if folder in done else _unstopped(folder, shared.get(folder))
                for folder in folders
            }
        time.sleep(_POLL_SECONDS)
    return {folder: done[folder] for folder in folders}


def _unstopped(folder: Path, shared: tuple[int, int] | None) -> SandboxError:
    state = StateFolder(folder.absolute())
    if shared is None:
        return SandboxError("the sandbox did not stop", state.log_tail())
    pid, others = shared
    said = f"the sandbox did not stop, and its process ({pid}) is not killed for it: it has {others} more folders"
    return SandboxError(f"{said} (to end all of them: kill -KILL {pid})", state.log_tail())


def _others(state: StateFolder, pid: int, given: Collection[str]) -> int:
    """How many folders the process began with that are not among the given. Some may have left it."""
    if (folders := folders_of(pid)) is None:
        with contextlib.suppress(DamagedError):
            return said.shared - 1 if (said := state.read_server()) else 0
        return 0
    return len(set(folders) - set(given)) if len(folders) > 1 else 0


def save(folder: Path, file: Path, *, notes: Mapping[str, Any] | None = None, force: bool = False) -> Head:
    """Write the state of the folder's sandbox into a file, as it is at one moment. `notes` are kept beside it.
    Raises SandboxError where there is no sandbox, or it does not tell, and UnusableError for the file."""
    saved_state.refuse_to_overwrite(file, force=force)  # before anybody waits
    return saved_state.write(file, _ask_state(StateFolder(folder.absolute())), notes or {}, force=force)


def load(folder: Path, file: Path, *, idle_seconds: int = IDLE_SECONDS) -> Running:
    """A new sandbox with the state of a file, instead of the folder's, which is ended once the file is known to be
    whole. Raises SandboxError as `ensure` and `stop` do, and UnusableError for the file."""
    saved_state.read(file)
    stop(folder)
    return ensure(folder, idle_seconds=idle_seconds, saved=file)


def _ask_state(state: StateFolder) -> bytes:
    """Of the running one, as JSON."""
    import http.client
    import ssl

    if _running(state) is None or not state.locked():
        raise SandboxError(f"no sandbox runs in {state.folder}")
    try:
        azure = read_azure(state.azure)
        place, trusted = urlsplit(azure["url"]), ssl.create_default_context(cafile=azure["ca"])
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, context=trusted, timeout=_STATE_SECONDS
        )
        with contextlib.closing(connection):
            connection.request("GET", "/sandbox/state", headers={"Authorization": f"Bearer {azure['token']}"})
            answer = connection.getresponse()
            content = answer.read()
    except DamagedError as error:
        raise SandboxError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise SandboxError(f"the sandbox does not tell its state: {error}", state.log_tail()) from error
    if answer.status != http.HTTPStatus.OK:
        raise SandboxError(str(json.loads(content)["error"]["message"]))
    return content


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


def _start(locks: Mapping[StateFolder, int], idle_seconds: int, saved: Path | None) -> subprocess.Popen[bytes]:
    """Start a server that takes over the locks of folders."""
    first, *others = locks
    # -P: nothing in the folder it runs in may be taken for a module.
    command = [sys.executable, "-P", "-m", "sandbox", "serve", "--idle", str(idle_seconds)]
    for state, descriptor in locks.items():
        command += ["--state", str(state.folder), "--lock", str(descriptor)]
    command += ["--load", str(saved.absolute())] if saved else []
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    try:
        with first.log.open("wb") as log:
            for state in others:
                _share_log(first, state)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=first.folder if not others else "/",
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=[*locks.values()],
                start_new_session=True,
            )
    finally:
        for descriptor in locks.values():
            os.close(descriptor)


def _clear(state: StateFolder) -> None:
    state.clear()
    state.log.unlink(missing_ok=True)  # not emptied: other folders may have the same one


def _share_log(first: StateFolder, state: StateFolder) -> None:
    """Each folder has the process' log, also when the first one is removed; or none, on another file system."""
    with contextlib.suppress(OSError):
        state.log.hardlink_to(first.log)


def _running(state: StateFolder) -> Running | None:
    try:
        said = state.read_server()
    except DamagedError as error:
        raise SandboxError(str(error)) from error
    if said is None:
        return None
    return Running(
        pid=said.pid,
        url=said.url,
        kubeconfig=state.kubeconfig,
        bin=state.bin,
        started=said.started,
        shared=said.shared,
        idle_seconds=said.idle_seconds,
        until=state.lasts_until(),
        missing=said.missing,
    )


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
