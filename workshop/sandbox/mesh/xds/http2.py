"""A gRPC server for one client and one bidirectional streaming method, on a Unix socket.

It implements what HTTP/2 (RFC 9113) demands of a server that has a single client, Envoy, which only ever calls
one method: every stream the client opens is a call of it. So request headers are skipped unread, which makes
their compression (HPACK) irrelevant, and response headers are two fixed fields.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_PADDED = 8
_INITIAL_WINDOW_SIZE = 4
_MAX_FRAME = 16384
_DEFAULT_WINDOW = 65535

_RESPONSE_HEADERS = b"\x88\x0f\x10\x10application/grpc"
"""`:status: 200` (static table entry 8), and `content-type` (entry 31) as a literal."""


class Call:
    """One call of the method: messages in both directions."""

    def __init__(self, connection: _Connection, number: int) -> None:
        self._connection, self._number = connection, number
        self._buffer = bytearray()
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.window = connection.initial_window

    def send(self, message: bytes) -> None:
        """Queue a message; it goes as fast as the client's flow control lets it."""
        self._connection.send(self, self._number, b"\x00" + struct.pack("!I", len(message)) + message)

    async def messages(self) -> AsyncIterator[bytes]:
        """What the client sends, until it ends the call or the connection."""
        while (message := await self._messages.get()) is not None:
            yield message

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 5:
            size = int.from_bytes(self._buffer[1:5], "big")
            if len(self._buffer) < 5 + size:
                return
            self._messages.put_nowait(bytes(self._buffer[5 : 5 + size]))
            del self._buffer[: 5 + size]

    def end(self) -> None:
        self._messages.put_nowait(None)


Handler = Callable[[Call], Awaitable[None]]


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader, self._writer, self._handler = reader, writer, handler
        self._calls: dict[int, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[Call, int, bytes]] = deque()
        self._window = _DEFAULT_WINDOW
        self.initial_window = _DEFAULT_WINDOW

    async def serve(self) -> None:
        try:
            if await self._reader.readexactly(len(_PREFACE)) != _PREFACE:
                return
            self._frame(_SETTINGS, 0, 0, b"")
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                self._received(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for call in self._calls.values():
                call.end()
            self._writer.close()

    def _received(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._data(flags, number, payload)
        elif kind == _HEADERS:
            self._open(number)
        elif kind == _RST_STREAM:
            self._close(number)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE:
            self._widen(number, int.from_bytes(payload, "big"))

    def _open(self, number: int) -> None:
        call = self._calls[number] = Call(self, number)
        self._frame(_HEADERS, _END_HEADERS, number, _RESPONSE_HEADERS)
        task = asyncio.ensure_future(self._handle(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, call: Call) -> None:
        await self._handler(call)

    def _close(self, number: int) -> None:
        if call := self._calls.pop(number, None):
            call.end()

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        if payload:
            size = struct.pack("!I", len(payload))
            self._frame(_WINDOW_UPDATE, 0, 0, size)
            self._frame(_WINDOW_UPDATE, 0, number, size)
        if flags & _PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if call := self._calls.get(number):
            call.feed(payload)
        if flags & _END_STREAM:
            self._close(number)

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            setting, value = struct.unpack_from("!HI", payload, at)
            if setting == _INITIAL_WINDOW_SIZE:
                for call in self._calls.values():
                    call.window += value - self.initial_window
                self.initial_window = value
        self._frame(_SETTINGS, _ACK, 0, b"")
        self._flush()

    def _widen(self, number: int, size: int) -> None:
        if number == 0:
            self._window += size
        elif call := self._calls.get(number):
            call.window += size
        self._flush()

    def send(self, call: Call, number: int, data: bytes) -> None:
        self._waiting.append((call, number, data))
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            call, number, data = self._waiting.popleft()
            allowed = min(len(data), self._window, call.window, _MAX_FRAME)
            if allowed > 0 and number in self._calls:
                self._window -= allowed
                call.window -= allowed
                self._frame(_DATA, 0, number, data[:allowed])
                data = data[allowed:]
            elif number in self._calls:
                self._waiting.appendleft((call, number, data))
                return
            else:
                continue
            if data:
                self._waiting.appendleft((call, number, data))

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(
                struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, number) + payload
            )


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Serve on a Unix socket at `path` until the server is closed.

    A socket's path must be shorter than 108 bytes, which that of a checkout need not be; the directory's file
    descriptor stands for it while binding.
    """
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - nothing waits on this
    listening = socket.socket(socket.AF_UNIX)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listening.bind(f"/proc/self/fd/{directory}/{path.name}")
        return await asyncio.start_unix_server(
            lambda reader, writer: _Connection(reader, writer, handler).serve(), sock=listening
        )
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(directory)
