"""A container's log: the last lines it wrote, with their times, for `kubectl logs` and whoever follows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import NamedTuple

KEPT_LINES = 2000


class Line(NamedTuple):
    nanoseconds: int
    text: bytes

    def timestamp(self) -> bytes:
        """RFC 3339 with nanoseconds, as the container runtime writes it."""
        seconds, rest = divmod(self.nanoseconds, 1_000_000_000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z".encode()


class ContainerLog:
    """Written by the main process of one run of a container."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._written = 0
        self._partial: dict[str, bytes] = {}
        self._closed = False
        self._wake: asyncio.Event | None = None
        self.listeners: list[Callable[[str, bytes], None]] = []
        """Called with stream ("out" or "err") and bytes as they are written: attached terminals."""

    def write(self, stream: str, data: bytes) -> None:
        for listener in self.listeners:
            listener(stream, data)
        data = self._partial.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        if rest:
            self._partial[stream] = rest
        now = time.time_ns()
        for line in lines:
            self._lines.append(Line(now, line))
        self._written += len(lines)
        self._notify()

    def so_far(self) -> bytes:
        """All that is kept, as it was written, the unfinished line included."""
        return b"".join([*(line.text + b"\n" for line in self._lines), *self._partial.values()])

    def out(self, data: bytes) -> None:
        self.write("out", data)

    def err(self, data: bytes) -> None:
        self.write("err", data)

    def close(self) -> None:
        """The run is over: followers end."""
        for stream in list(self._partial):
            self.write(stream, b"\n")
        self._closed = True
        self._notify()

    async def closed(self) -> None:
        """Wait until the run is over."""
        while not self._closed:
            await self._news()

    async def _news(self) -> None:
        self._wake = self._wake or asyncio.Event()
        await self._wake.wait()

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    async def read(
        self, *, tail: int | None = None, since: int | None = None, follow: bool = False
    ) -> AsyncIterator[Line]:
        """The last `tail` lines not older than `since` (nanoseconds); with `follow` also all that come."""
        position = self._written - len(self._lines)
        if tail is not None:
            position = max(position, self._written - tail)
        while True:
            position = max(position, self._written - len(self._lines))
            for line in list(self._lines)[position - self._written :] if position < self._written else ():
                if since is None or line.nanoseconds >= since:
                    yield line
                position += 1
            if position < self._written:
                continue
            if not follow or self._closed:
                return
            await self._news()
