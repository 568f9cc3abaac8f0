"""The files a container sees: what its volumes hold, and what its commands write. In memory."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

Content = dict[str, bytes]
"""A directory tree: contents by path, relative to where it is mounted."""


_ALWAYS_THERE = ("/", "/tmp")  # noqa: S108 - a container's


class Files:
    """Volumes mounted over an empty root. An emptyDir's `Content` is shared by a pod's containers."""

    def __init__(self) -> None:
        self._root: Content = {}
        self._mounts: list[tuple[str, Content, bool]] = []

    def mount(self, path: str, content: Content, *, read_only: bool = False) -> None:
        self._mounts.append((posixpath.normpath(path), content, read_only))
        self._mounts.sort(key=lambda mount: -len(mount[0]))

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError, IsADirectoryError."""
        content, relative, _ = self._mounted(path)
        if relative not in content:
            if self.is_directory(path):
                raise IsADirectoryError(21, "Is a directory", path)
            raise FileNotFoundError(2, "No such file or directory", path)
        return content[relative]

    def write(self, path: str, data: bytes, *, append: bool = False) -> None:
        """Raises OSError for a read-only volume or a directory."""
        if path == "/dev/null":
            return
        content, relative, read_only = self._mounted(path)
        if read_only:
            raise OSError(30, "Read-only file system", path)
        if self.is_directory(path):
            raise IsADirectoryError(21, "Is a directory", path)
        content[relative] = content.get(relative, b"") + data if append else data

    def exists(self, path: str) -> bool:
        content, relative, _ = self._mounted(path)
        return path == "/dev/null" or relative in content or self.is_directory(path)

    def is_directory(self, path: str) -> bool:
        path = posixpath.normpath(path)
        if path in _ALWAYS_THERE:
            return True
        inside = path.rstrip("/") + "/"
        there = any(known == path or known.startswith(inside) for known in self._paths())
        return there and not self._is_file(path)

    def entries(self, path: str) -> list[str]:
        """Names in a directory. Raises NotADirectoryError, FileNotFoundError."""
        if not self.is_directory(path):
            if self.exists(path):
                raise NotADirectoryError(20, "Not a directory", path)
            raise FileNotFoundError(2, "No such file or directory", path)
        inside = posixpath.normpath(path).rstrip("/") + "/"
        return sorted({known[len(inside) :].split("/")[0] for known in self._paths() if known.startswith(inside)})

    def _is_file(self, path: str) -> bool:
        content, relative, _ = self._mounted(path)
        return relative in content

    def _paths(self) -> Iterator[str]:
        yield from (f"/{name}" for name in self._root)
        for where, content, _ in self._mounts:
            yield where
            yield from (f"{where}/{name}" for name in content)

    def _mounted(self, path: str) -> tuple[Content, str, bool]:
        path = posixpath.normpath(path)
        for where, content, read_only in self._mounts:
            if path == where or path.startswith(where + "/"):
                return content, path[len(where) + 1 :], read_only
        return self._root, path.lstrip("/"), False
