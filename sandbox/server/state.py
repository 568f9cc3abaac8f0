"""The folder a sandbox lives in: who has it, and what is found there.

Whoever holds the lock of a folder is its sandbox. The lock is the kernel's (flock) and is handed from the
process that starts a sandbox to the sandbox itself, so there is no moment between the two, and a sandbox that
was killed leaves nothing to clean up. The lock's file names its process from the beginning, so that it can be
stopped whatever has become of the other files; `server.json` appears when the sandbox is ready.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_READY = "ready"
_IDLE_SECONDS = 3600
"""Of a sandbox of an earlier version."""
_PROCESSES = Path("/proc")
_PROGRAM = b"\0-m\0sandbox\0serve\0"


class DamagedError(Exception):
    """A file is not as the sandbox has written it."""

    def __init__(self, path: Path, how: str) -> None:
        super().__init__(f"{path} is damaged: {how}")
        self.path = path


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with the file's content in the body is raised as DamagedError."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedError(path, "it is gone") from error
    except OSError as error:
        raise DamagedError(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise DamagedError(path, str(error)) from error
    except (KeyError, TypeError, RecursionError) as error:
        raise DamagedError(path, "what the sandbox wrote is not in it") from error


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What a sandbox that is ready says about itself."""

    pid: int
    url: str
    started: float
    shared: int
    """How many folders' sandboxes its process was, when it began."""
    idle_seconds: float
    """Without a request or traffic, which end it."""
    missing: tuple[str, ...] = ()
    """Of a state that it was loaded with, what was not as saved when it said so."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def samples(self) -> Path:
        """Istio's, as far as they are here."""
        return self.folder / "samples"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def server(self) -> Path:
        return self.folder / "server.json"

    @property
    def azure(self) -> Path:
        """Where Azure's control plane is, and the token for it."""
        return self.folder / "azure.json"

    @property
    def clusters(self) -> Path:
        """A folder for each managed cluster."""
        return self.folder / "clusters"

    @property
    def secondary(self) -> Path:
        """The secondary cluster's files."""
        return self.folder / "secondary"

    @property
    def leave(self) -> Path:
        """Asks a process that has other folders as well to let this one go."""
        return self.folder / "leave"

    @property
    def until(self) -> Path:
        """Until when its sandbox lasts, if somebody wants it to."""
        return self.folder / "until"

    def lasts_until(self) -> float:
        """Seconds since the epoch; 0 when nobody has said anything."""
        try:
            said = float(self.until.read_text())
        except (OSError, ValueError):
            return 0.0
        return said if math.isfinite(said) else 0.0

    def last_until(self, when: float) -> None:
        """Have its sandbox last that long at least, also when nobody uses it."""
        new = self.until.with_name(f"{self.until.name}.{os.getpid()}.new")
        new.write_text(f"{max(when, self.lasts_until())}\n")
        new.replace(self.until)

    def to_be_left(self, descriptor: int) -> bool:
        """Whether the process that holds the lock should let the folder go: it is asked to, or there is no such
        folder any more."""
        with contextlib.suppress(OSError):
            if self.leave.exists():
                return True
        return not self.holds(descriptor)

    def holds(self, descriptor: int) -> bool:
        """Whether it is this folder's lock, and not that of one which was in its place before."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._lock.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # nobody can tell now

    def lock(self) -> int | None:
        """The lock's file descriptor, inheritable; None while somebody else has it. Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)  # an earlier process' name
        return descriptor

    @staticmethod
    def sign(descriptor: int, *, ready: bool) -> None:
        """Say in the lock's file that this process has the folder, and whether its other files are there."""
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {_READY if ready else ''}".encode(), 0)

    def locked(self) -> bool:
        """Whether a sandbox has this folder (or is being started in it)."""
        if not self.folder.is_dir():
            return False
        descriptor = self.lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def process(self) -> int | None:
        """The process that has the folder: the one that the lock's file names or, where Linux tells that this one
        has no such lock, the one that has."""
        signed, _ = self._signature()
        if not (_PROCESSES / "self" / "fdinfo").is_dir():
            return signed
        if signed and self._has_lock(signed):
            return signed
        running = (int(entry.name) for entry in _PROCESSES.iterdir() if entry.name.isdecimal())
        return next((pid for pid in running if _is_sandbox(pid) and self._has_lock(pid)), None)

    def clear(self) -> None:
        """Make way for the files of a new sandbox, which come in place of an earlier one's."""
        for path in (self.server, self.kubeconfig, self.authority, self.azure, self.leave, self.until):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
        for path in (self.server, self.leave, self.until):
            path.unlink(missing_ok=True)

    def read_server(self) -> ServerRecord | None:
        """None until it is ready. Raises DamagedError."""
        try:
            with reading(self.server):
                said = json.loads(self.server.read_text(encoding="utf-8"))
                return ServerRecord(
                    int(said["pid"]),
                    text(said["url"]),
                    float(said["started"]),
                    int(said.get("shared", 1)),
                    float(said.get("idle", _IDLE_SECONDS)),
                    tuple(map(text, said.get("missing", ()))),
                )
        except DamagedError as damaged:
            if isinstance(damaged.__cause__, FileNotFoundError) and not self._lost_server():
                return None
            raise

    def _lost_server(self) -> bool:
        """Whether `server.json` should be there. The lock says so later, and ceases to earlier: hence two looks."""
        return self._signature()[1] and not self.server.exists() and self._signature()[1]

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    def _signature(self) -> tuple[int | None, bool]:
        """Which process the lock names, and whether that is ready."""
        with contextlib.suppress(OSError):
            said = self._lock.read_text(errors="replace")
            if found := re.fullmatch(rf"([1-9]\d{{0,9}}) ?({_READY})?", said, re.ASCII):
                return int(found[1]), found[2] is not None
        return None, False

    def _has_lock(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            lock = self._lock.stat()
            for entry in (_PROCESSES / str(pid) / "fd").iterdir():
                if entry.exists() and os.path.samestat(entry.stat(), lock):
                    return "FLOCK" in (_PROCESSES / str(pid) / "fdinfo" / entry.name).read_text()
        return False

    def log_tail(self, lines: int = 20) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def text(value: object) -> str:
    """It, if it is a text with something in it. Raises TypeError."""
    if not (isinstance(value, str) and value):
        raise TypeError
    return value


def folders_of(pid: int) -> tuple[str, ...] | None:
    """The folders that a sandbox's process began with, as its command has them; None where Linux does not tell."""
    try:
        words = (_PROCESSES / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return tuple(os.fsdecode(word) for before, word in itertools.pairwise(words) if before == b"--state")


def _is_sandbox(pid: int) -> bool:
    """Not the process that starts one, which has the lock for a moment as well."""
    with contextlib.suppress(OSError):
        return _PROGRAM in (_PROCESSES / str(pid) / "cmdline").read_bytes()
    return False
