"""The folder a sandbox lives in: who has it, and what is found there.

Whoever holds the lock of a folder is its sandbox. The lock is the kernel's (flock) and is handed from the
process that starts a sandbox to the sandbox itself, so there is no moment between the two, and a sandbox that
was killed leaves nothing to clean up. `server.json` appears when the sandbox is ready.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path


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
        return descriptor

    def locked(self) -> bool:
        """Whether a sandbox has this folder (or is being started in it)."""
        if not self.folder.is_dir():
            return False
        descriptor = self.lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def read_server(self) -> dict[str, object] | None:
        """What the sandbox says about itself; None until it is ready."""
        try:
            said: dict[str, object] = json.loads(self.server.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return said

    def log_tail(self, lines: int = 20) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
