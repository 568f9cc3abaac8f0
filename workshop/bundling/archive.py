"""Many files as one .tar.gz, the same bytes for the same content: sorted, all of one time, nobody's."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

MADE_BY = "mesh-workshop-bundle.tar"
"""Stands in the first bytes of every archive (as the name that gzip keeps), to tell it from what is not ours."""

_LEVEL = 1
"""Wheels are packed already: the best level takes ten times as long, for a hundredth less."""


FILE, PROGRAM, PRIVATE = 0o644, 0o755, 0o600
"""Modes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`link` is where a symbolic link leads, which has no content."""

    name: str
    content: bytes | Path = b""
    mode: int = FILE
    link: str = ""


def write(file: BinaryIO, folder: str, entries: Iterable[Entry], made: int) -> str:
    """All in `folder`, as of `made` (seconds since 1970). The archive's SHA-256."""
    hashed = _Hashed(file)
    packed = gzip.GzipFile(MADE_BY, "wb", _LEVEL, cast(Any, hashed), mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in sorted(entries, key=lambda entry: entry.name):
            member = tarfile.TarInfo(f"{folder}/{entry.name}")
            member.mtime, member.mode = made, entry.mode
            if entry.link:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
                archive.addfile(member)
            elif isinstance(entry.content, Path):
                member.size = entry.content.stat().st_size
                with entry.content.open("rb") as content:
                    archive.addfile(member, content)
            else:
                member.size = len(entry.content)
                archive.addfile(member, io.BytesIO(entry.content))
    return hashed.sha256.hexdigest()


class _Hashed:
    """Written as it is, and into the hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()
