"""Who holds a lease: a process that can be told apart from all others, also from a later one with its number."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """`start` identifies the process among those that had its `pid`, and the system its pid means something in."""

    host: str
    pid: int
    user: str
    start: str

    @classmethod
    def me(cls) -> Holder:
        pid = os.getpid()
        return cls(socket.gethostname(), pid, getpass.getuser(), start_of(pid))

    @classmethod
    def parse(cls, identity: str) -> Holder | None:
        """None for an identity that another program wrote."""
        parts = identity.split("/", 3)
        if len(parts) != 4 or not parts[1].isdigit():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    @property
    def identity(self) -> str:
        return f"{self.host}/{self.pid}/{self.user}/{self.start}"

    def is_gone(self) -> bool:
        """Whether this process is certain to have ended: it ran on this very system and is not there now. Of a
        process elsewhere nothing can be known from here."""
        here = socket.gethostname() == self.host and self.start.partition("@")[2] == _system()
        return here and start_of(self.pid) != self.start

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid})"


def start_of(pid: int) -> str:
    """When a process started, in the system's own terms, and which system; empty when there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        state, started = fields[0], fields[19]
        return "" if state in "ZX" else f"{started}@{_system()}"
    shown = subprocess.run(  # macOS
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    return f"{'-'.join(shown.split())}@{_system()}" if shown else ""


def _system() -> str:
    """This boot and this namespace of process numbers (a container has its own, maybe under the same host name)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
