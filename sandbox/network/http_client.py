"""HTTP from inside a pod, over the pod's own network.

BookInfo's services call each other for every page, tens of thousands of times in one lab, and all of them share
this process: a general client would be half of the work. So this one does only what they need: HTTP/1.1, whole
bodies, kept connections. Without a sidecar every request is balanced over the ready endpoints (a pool per
endpoint): the real services open a connection for each call, and an attendee expects every reload to reach another
one. With a sidecar there is a pool per destination, and Envoy balances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from sandbox.network.dialer import Dialer

_BODILESS = (204, 304)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """By lower-case name; the last one of several."""
    body: bytes


class BadReply(ConnectionError):
    """What came back is no HTTP/1.1."""


class PodHttpClient:
    """Made with a pod's network, closed with the pod."""

    def __init__(self, network: Dialer) -> None:
        self._network = network
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Raises OSError: no such name, refused, broken off. Has no time limit of its own: use asyncio.timeout."""
        host, port, authority, path = _split(url)
        lines = [f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        lines.append(f"content-length: {len(body)}\r\n\r\n" if body else "\r\n")
        message = "".join(lines).encode("latin-1") + body
        key = (host, port) if self._network.sidecar else self._network.route(host, port)
        idle = self._idle.setdefault(key, [])
        while idle:
            connection = idle.pop()
            try:
                return await self._exchange(connection, idle, message, method)
            except ConnectionError:
                # It was closed while it was kept, perhaps just now: nobody has seen the request.
                if connection.answered or method not in ("GET", "HEAD"):
                    raise
        sock = await self._network.connect(*key)
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, sock=sock)
        return await self._exchange(connection, idle, message, method)

    async def _exchange(
        self, connection: _Connection, idle: list[_Connection], message: bytes, method: str
    ) -> Reply:
        try:
            reply = await connection.exchange(message, head_only=method == "HEAD")
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()


@lru_cache(maxsize=1024)
def _split(url: str) -> tuple[str, int, str, str]:
    parts = urlsplit(url)
    path = parts.path or "/"
    return parts.hostname or "", parts.port or 80, parts.netloc, f"{path}?{parts.query}" if parts.query else path


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self.answered = False
        """Whether any of the current reply has arrived."""
        self.reusable = False
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._head_only = False
        self._reset()

    def _reset(self) -> None:
        self._buffer = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        """Of the body; None: until the connection ends."""
        self._chunks: bytearray | None = None

    async def exchange(self, message: bytes, *, head_only: bool) -> Reply:
        self.answered, self._head_only = False, head_only
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError(104, "Connection reset by peer")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not say so

    def data_received(self, data: bytes) -> None:
        self.answered = True
        self._buffer += data
        try:
            self._parse()
        except ValueError as error:
            self._fail(BadReply(f"malformed reply: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self._status and self._length is None and self._chunks is None and error is None:
            self._finish(bytes(self._buffer))
        else:
            self._fail(ConnectionResetError(104, "Connection reset by peer"))

    # Parsing.

    def _parse(self) -> None:
        while not self._status:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].decode("latin-1")
            del self._buffer[: end + 4]
            self._take_head(head)
        if self._chunks is not None:
            self._take_chunks()
        elif self._length is not None and len(self._buffer) >= self._length:
            self._finish(bytes(self._buffer[: self._length]))

    def _take_head(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        version, status = first[:8], int(first[9:12])
        if status < 200:
            return
        for line in lines:
            name, _, value = line.partition(":")
            self._headers[name.lower()] = value.strip()
        self._status = status
        length = self._headers.get("content-length")
        chunked = self._headers.get("transfer-encoding", "").lower().endswith("chunked")
        if self._head_only or status in _BODILESS:
            self._length = 0
        elif chunked:
            self._chunks = bytearray()
        elif length is not None:
            self._length = int(length)
        ends = self._length is None and not chunked
        self.reusable = (
            not ends and version == "HTTP/1.1" and self._headers.get("connection", "").lower() != "close"
        )

    def _take_chunks(self) -> None:
        assert self._chunks is not None
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = int(self._buffer[:end].split(b";")[0], 16)
            if size == 0:
                if self._buffer[end : end + 4] == b"\r\n\r\n":
                    self._finish(bytes(self._chunks))
                elif self._buffer.find(b"\r\n\r\n", end) >= 0:
                    raise ValueError("trailers")
                return
            if len(self._buffer) < end + 2 + size + 2:
                return
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]

    def _finish(self, body: bytes) -> None:
        waiting, reply = self._waiting, Reply(self._status, self._headers, body)
        self._waiting = None
        self._reset()
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _fail(self, error: ConnectionError) -> None:
        self.reusable = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
