"""The server's side of SPDY/3.1, as far as port-forward needs it: kubectl speaks it inside a WebSocket.

Streams are opened by the client only. Neither side uses flow control: kubectl's implementation has none.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_VERSION, _CONTROL, _FIN = 3, 0x8000, 0x01
_LARGEST_DATA = 64 * 1024

# The protocol's initial dictionary for header compression: names and values that were common in 2012.
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age"
    " allow authorization cache-control connection content-base content-encoding content-language content-length"
    " content-location content-md5 content-range content-type date etag expect expires from host if-match"
    " if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma"
    " proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status|200 OK|version HTTP/1.1 url public set-cookie"
    " keep-alive origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    before, middle, after = _NAMES.split("|")
    names = [*before.split(), middle, *after.split()]
    return b"".join(struct.pack("!I", len(name)) + name.encode() for name in names) + _REST.encode()


DICTIONARY = _dictionary()


class SpdyError(Exception):
    """The other side does not keep to the protocol."""


class SpdyStream:
    """One stream the client opened: its headers, what it sends, and what we answer."""

    def __init__(self, session: SpdySession, number: int, headers: dict[str, str]) -> None:
        self.headers = headers
        self.reader = asyncio.StreamReader()
        self._session, self._number, self._ended = session, number, False

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), _LARGEST_DATA):
            await self._session.send_data(self._number, data[start : start + _LARGEST_DATA], 0)

    async def end(self) -> None:
        """Nothing more will be written."""
        if not self._ended:
            self._ended = True
            await self._session.send_data(self._number, b"", _FIN)


class SpdySession:
    """`feed` takes bytes as they come; `send` gets whole frames; `opened` is called with each new stream."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]], opened: Callable[[SpdyStream], None]) -> None:
        self._send, self._opened = send, opened
        self._buffer = bytearray()
        self._streams: dict[int, SpdyStream] = {}
        self._compressor = zlib.compressobj(zdict=DICTIONARY)
        self._decompressor = zlib.decompressobj(zdict=DICTIONARY)
        self._sending = asyncio.Lock()

    async def feed(self, data: bytes) -> None:
        """Raises SpdyError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[5:8], "big")
            if len(self._buffer) < 8 + size:
                return
            first, second, flags = struct.unpack_from("!HHB", self._buffer)
            body = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            if first & _CONTROL:
                if first & 0x7FFF != _VERSION:
                    raise SpdyError(f"version {first & 0x7FFF}")
                await self._control(second, flags, body)
            else:
                self._data((first & 0x7FFF) << 16 | second, flags, body)

    def close(self) -> None:
        """The connection is gone: everybody who reads from a stream finds its end."""
        for stream in self._streams.values():
            stream.reader.feed_eof()
        self._streams.clear()

    def _data(self, number: int, flags: int, body: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if body:
            stream.reader.feed_data(body)
        if flags & _FIN:
            stream.reader.feed_eof()

    async def _control(self, kind: int, flags: int, body: bytes) -> None:
        if kind == _SYN_STREAM:
            await self._open(int.from_bytes(body[:4], "big") & 0x7FFFFFFF, flags, body[10:])
        elif kind == _RST_STREAM:
            stream = self._streams.pop(int.from_bytes(body[:4], "big") & 0x7FFFFFFF, None)
            if stream is not None:
                stream.reader.feed_eof()
        elif kind == _PING:
            async with self._sending:
                await self._send(_frame(_PING, 0, body))
        elif kind == _GOAWAY:
            self.close()
        # SETTINGS, HEADERS and WINDOW_UPDATE ask for nothing we have to answer.

    async def _open(self, number: int, flags: int, block: bytes) -> None:
        stream = self._streams[number] = SpdyStream(self, number, self._headers(block))
        if flags & _FIN:
            stream.reader.feed_eof()
        async with self._sending:
            empty = self._compressor.compress(struct.pack("!I", 0)) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
            await self._send(_frame(_SYN_REPLY, 0, struct.pack("!I", number) + empty))
        self._opened(stream)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._decompressor.decompress(block)
            (count,), at = struct.unpack_from("!I", text), 4
            words = []
            for _ in range(2 * count):
                (size,) = struct.unpack_from("!I", text, at)
                words.append(text[at + 4 : at + 4 + size].decode())
                at += 4 + size
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise SpdyError(f"headers: {error}") from error
        return dict(zip(words[::2], words[1::2], strict=True))

    async def send_data(self, number: int, data: bytes, flags: int) -> None:
        async with self._sending:
            await self._send(struct.pack("!II", number, flags << 24 | len(data)) + data)


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!HHI", _CONTROL | _VERSION, kind, flags << 24 | len(body)) + body
