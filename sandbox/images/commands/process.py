"""A running command: what it was called with, its streams, and the container it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.images.program import Container


@dataclass(slots=True)
class Process:
    container: Container
    arguments: list[str]
    """Without the command's own name."""
    env: dict[str, str]
    stdin: asyncio.StreamReader
    out: Callable[[bytes], None]
    err: Callable[[bytes], None]
    name: str = ""
    directory: str = "/"
    tty: bool = False
    exported: set[str] = field(default_factory=set)

    def print(self, text: str) -> None:
        self.out(text.encode() + b"\n")

    def complain(self, message: str, status: int = 1) -> int:
        """Tell on the error stream; the status to return."""
        self.err(f"{self.name}: {message}\n".encode())
        return status

    def path(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.directory.rstrip('/')}/{path}"

    async def input(self, path: str = "-") -> bytes:
        """A file's content, or all of standard input. Raises OSError."""
        return await self.stdin.read() if path == "-" else self.container.files.read(self.path(path))


CommandFunction = Callable[[Process], Awaitable[int]]


class Usage(Exception):
    """An option or argument that is not there: said on the error stream, exit status 2."""
