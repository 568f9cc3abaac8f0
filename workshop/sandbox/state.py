"""The folder a sandbox lives in: who has it, and what is found there.

Whoever holds the lock of a folder is its sandbox. The lock is the kernel's (flock) and is handed from the
process that starts a sandbox to the sandbox itself, so there is no moment between the two, and a sandbox that
was killed leaves nothing to clean up. The lock's file names its process from the beginning, so that it can be
stopped whatever has become of the other files; `server.json` appears when the sandbox is ready.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path


class DamagedError(Exception):
    """A file is not as the sandbox has written it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged")
        self.path = path


@dataclass(frozen=True, slots=True)
class Said:
    """What a sandbox that is ready says about itself."""

    pid: int
    url: str
    started: float


@dataclass(frozen=True, slots=True)
class State:
    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

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

    def lock(self) -> int | None:
        """The lock's file descriptor, inheritable; None while somebody else has it. Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)  # an earlier holder's name
        return descriptor

    def claim(self, descriptor: int) -> None:
        """Say in the lock's file that this process is the one that has it."""
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def locked(self) -> bool:
        """Whether a sandbox has this folder (or is being started in it)."""
        if not self.folder.is_dir():
            return False
        descriptor = self.lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def holder(self) -> int | None:
        """The process that has the folder; None when its lock's file does not say."""
        said = (self.folder / "lock").read_text(errors="replace").strip()
        return int(said) if said.isascii() and said.isdecimal() and int(said) > 1 else None

    def read_server(self) -> Said | None:
        """None until it is ready. Raises DamagedError."""
        try:
            said = json.loads(self.server.read_text(encoding="utf-8"))
            return Said(int(said["pid"]), str(said["url"]), float(said["started"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedError(self.server) from error

    def log_tail(self, lines: int = 20) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
