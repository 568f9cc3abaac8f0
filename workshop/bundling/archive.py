"""Many files as one .tar.gz, the same bytes for the same content: sorted, all of one time, nobody's."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

MADE_BY = "mesh-workshop-bundle.tar"
"""Stands in the first bytes of every archive (as the name that gzip keeps), to tell it from what is not ours."""

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
    packed = _Gzip(file)
    with tarfile.open(fileobj=cast(Any, packed), mode="w|", format=tarfile.PAX_FORMAT) as archive:
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
    return packed.end()


class _Gzip:
    """gzip's format (RFC 1952, of blocks as in RFC 1951, 3.2.4), with nothing compressed: wheels are already, and
    what is made of the same bytes differs from one zlib to another, so from machine to machine."""

    _LONGEST = 0xFFFF
    """Bytes in a block."""

    _COMMENT = b"unpack it with tar xzf".ljust(512)
    """So long that what looks at the first 512 bytes alone (file) does not take it for a tar that is not packed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha256 = file, hashlib.sha256()
        self._crc, self._size, self._held = 0, 0, bytearray()
        name_and_comment, no_time, unknown_system = b"\x18", bytes(4), b"\0\xff"
        self._put(b"\x1f\x8b\x08" + name_and_comment + no_time + unknown_system)
        self._put(MADE_BY.encode() + b"\0" + self._COMMENT + b"\0")

    def write(self, content: bytes) -> int:
        self._crc, self._size = zlib.crc32(content, self._crc), self._size + len(content)
        self._held += content
        while len(self._held) > self._LONGEST:
            self._block(bytes(self._held[: self._LONGEST]))
            del self._held[: self._LONGEST]
        return len(content)

    def end(self) -> str:
        """The SHA-256 of the whole file."""
        self._block(bytes(self._held), last=True)
        self._put(struct.pack("<LL", self._crc, self._size & 0xFFFFFFFF))
        return self._sha256.hexdigest()

    def _block(self, content: bytes, *, last: bool = False) -> None:
        self._put(struct.pack("<BHH", last, len(content), len(content) ^ 0xFFFF) + content)

    def _put(self, content: bytes) -> None:
        self._sha256.update(content)
        self._file.write(content)
