"""The state folder: whether it can be used, and its lock, with which one run at a time changes something from it.

The lock is the kernel's (flock), so it ends with the process that holds it, however that ends. It keeps apart the
runs of one folder, also while there is no cluster yet whose Lease could; runs from other folders meet at the Lease.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workshop.runbook.errors import UsageError

ANOTHER = "name another folder: INVOKE_STATE=~/.mesh-workshop"
"""What helps where this one cannot be used."""
_ROOM = 16 * 1024 * 1024
"""Bytes: several times what a sandbox, the journal and their logs take."""
_GLANCE = 0.3
"""Seconds, more than it takes another process to see whether the lock is held, which holds it itself meanwhile."""


def refuse_unusable(folder: Path) -> None:
    """Raises OSError when the folder, or what there is of its path, has no room or cannot be written. What is tried
    leaves nothing there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(_ROOM))
            file.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


@dataclass(frozen=True, slots=True)
class FolderLock:
    """`holder` says who we are, for the one who is refused."""

    folder: Path
    holder: str

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raises UsageError, naming the holder and since when, while another process has it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{time.time():.0f} {self.holder}".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        until = time.monotonic() + _GLANCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise self._refusal(descriptor) from None
            time.sleep(0.02)

    def refuse_if_held(self) -> None:
        """Raises UsageError as `held` does; for looking, it makes no folder and no file."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(descriptor) from None
        finally:
            os.close(descriptor)

    def _refusal(self, descriptor: int) -> UsageError:
        since, _, holder = os.pread(descriptor, 1000, 0).decode(errors="replace").partition(" ")
        age = f", for {max(0.0, time.time() - float(since)):.0f} s" if since.isdecimal() else ""
        return UsageError(
            f"take the lock of {self.folder}",
            f"another run has it: {holder or 'it has only just begun'}{age}",
            cause="two runs at the same time would undo each other's changes: wait until it ends",
        )
