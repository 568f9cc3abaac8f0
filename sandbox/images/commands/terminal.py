"""A terminal's line discipline: what a kernel does between a person's keys and a program's lines.

With `-t`, kubectl sends every key as it is pressed and shows only what comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sandbox.images.program import Streams

_INTERRUPT, _END, _ERASE_LINE = 3, 4, 21
_ERASE = (8, 127)
_RETURN = (10, 13)


@asynccontextmanager
async def terminal(raw: Streams, interrupt: Callable[[], None]) -> AsyncIterator[Streams]:
    """The streams of a program that runs behind a terminal at `raw`. `interrupt` is called for Ctrl-C."""
    discipline = _Terminal(raw, interrupt)
    keys = asyncio.create_task(discipline.run())
    try:
        yield discipline.streams
    finally:
        keys.cancel()
        await asyncio.gather(keys, return_exceptions=True)


class _Terminal:
    """Cooks the keys of `raw` into lines on `streams.stdin`, echoes them, and ends lines with CR LF."""

    def __init__(self, raw: Streams, interrupt: Callable[[], None]) -> None:
        self._raw, self._interrupt = raw, interrupt
        self._line = bytearray()
        self.streams = Streams(asyncio.StreamReader(), self._out, self._out, tty=True)

    def _out(self, data: bytes) -> None:
        self._raw.out(data.replace(b"\n", b"\r\n"))

    async def run(self) -> None:
        """Until no more keys come."""
        while keys := await self._raw.stdin.read(4096):
            for key in keys:
                self._press(key)
        self.streams.stdin.feed_eof()

    def _press(self, key: int) -> None:
        stdin = self.streams.stdin
        if key == _INTERRUPT:
            self._line.clear()
            self._raw.out(b"^C\r\n")
            self._interrupt()
        elif key == _END:
            if self._line:
                stdin.feed_data(bytes(self._line))
                self._line.clear()
            elif not stdin.at_eof():
                stdin.feed_eof()
        elif key in _RETURN:
            self._raw.out(b"\r\n")
            stdin.feed_data(bytes(self._line) + b"\n")
            self._line.clear()
        elif key in _ERASE:
            if self._line:
                self._line.pop()
                self._raw.out(b"\b \b")
        elif key == _ERASE_LINE:
            self._raw.out(b"\b \b" * len(self._line))
            self._line.clear()
        elif key >= 32 or key == 9:
            self._line.append(key)
            self._raw.out(bytes((key,)))
