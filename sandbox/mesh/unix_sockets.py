"""Unix sockets in folders with long names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short_path(socket: Path) -> Iterator[str]:
    """A name for the socket to bind or connect by. A socket's name may have 107 bytes (unix(7)), which that of a
    checkout need not keep to; the folder's file descriptor stands for the folder meanwhile."""
    directory = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{socket.name}"
    finally:
        os.close(directory)
