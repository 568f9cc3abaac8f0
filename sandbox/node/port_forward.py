"""`kubectl port-forward`: SPDY/3.1 inside a WebSocket, which is how every kubectl since 1.31 does it; and channels
of a WebSocket, which is how client libraries do it.

With SPDY each connection is a pair of streams, one for data and one for what went wrong. Of SPDY this is the
server's side, as far as it is needed here: streams are opened by the client only, and neither side uses flow
control, as kubectl's implementation has none.

With channels there is one connection for each port that is asked for. A message's first byte is its channel: 0 is
the first port's data, 1 what went wrong with it, 2 and 3 are the next one's. The first message of each says the
port, and the WebSocket ends with the last connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.core.cluster import ApiError
from sandbox.images.program import LocalAnswer
from sandbox.node.pod_run import PodRun

log = logging.getLogger(__name__)

_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHANNELS = "v4.channel.k8s.io"
_LONGEST_REASON = 123

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


async def serve_port_forward(request: web.Request, pod: PodRun) -> web.StreamResponse:
    """Raises ApiError for a client that speaks something else. One that does not say what speaks by channels."""
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    if not asked or _CHANNELS in asked:
        return await _serve_channels(request, pod)
    if _PROTOCOL not in asked:
        known = f"{_PROTOCOL} and {_CHANNELS}"
        raise ApiError(400, "BadRequest", f"unable to upgrade: {asked}: the sandbox's port-forward has {known}")
    channel = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=0)
    await channel.prepare(request)
    forwarder = _Forwarder(pod)
    session = SpdySession(channel.send_bytes, forwarder.opened)
    try:
        async for message in channel:
            if message.type is WSMsgType.BINARY:
                await session.feed(message.data)
    except SpdyError as error:
        log.warning("%s: %s", request.path, error)
        reason = f"SPDY: {error}".encode()[:_LONGEST_REASON]
        await channel.close(code=WSCloseCode.PROTOCOL_ERROR, message=reason)
    finally:
        session.close()
        await forwarder.stop()
    return channel


class Stream(Protocol):
    """One way of a connection that is forwarded."""

    reader: asyncio.StreamReader

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None: ...


class _Channel:
    """A stream that is a channel of a WebSocket, whose end nobody is told."""

    def __init__(self, socket: web.WebSocketResponse, number: int, port: int) -> None:
        self.headers = {"port": str(port)}
        self.reader = asyncio.StreamReader()
        self._socket, self._number = socket, number

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(bytes((self._number,)) + data)

    async def end(self) -> None:
        pass


async def _serve_channels(request: web.Request, pod: PodRun) -> web.StreamResponse:
    ports = _ports(request)
    socket = web.WebSocketResponse(protocols=(_CHANNELS,), max_msg_size=0)
    await socket.prepare(request)
    channels = [_Channel(socket, number, ports[number // 2]) for number in range(2 * len(ports))]
    for channel in channels:
        await channel.write(int(channel.headers["port"]).to_bytes(2, "little"))
    forwarder = _Forwarder(pod)
    for data, error in zip(channels[::2], channels[1::2], strict=True):
        forwarder.connect(data, error)
    closing = asyncio.create_task(_close_after(forwarder, socket))
    try:
        async for message in socket:
            content = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if content and content[0] < len(channels):
                channels[content[0]].reader.feed_data(content[1:])
    finally:
        for channel in channels:
            channel.reader.feed_eof()
        await forwarder.stop()
        await asyncio.gather(closing, return_exceptions=True)
    return socket


def _ports(request: web.Request) -> list[int]:
    """Raises ApiError."""
    said = [port for text in request.query.getall("ports", []) for port in text.split(",")]
    for port in said:
        if not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ApiError(400, "BadRequest", f'unable to upgrade: query parameter "ports": {port!r} is no port')
    if not said:
        raise ApiError(400, "BadRequest", 'unable to upgrade: query parameter "ports" is required')
    return [int(port) for port in said]


async def _close_after(forwarder: _Forwarder, socket: web.WebSocketResponse) -> None:
    await forwarder.ended()
    await socket.close()


async def connected(answer: LocalAnswer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a server that has only this one: nobody else can reach it."""

    async def handle(request: web.BaseRequest) -> web.Response:
        status, body = await answer(request.method, request.path_qs)
        kind = "application/json" if body.startswith(("{", "[")) else "text/plain"
        return web.Response(status=status, text=body, content_type=kind)

    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(web.Server(handle, access_log=None), theirs)
    return await asyncio.open_connection(sock=ours)


class _Forwarder:
    """Pairs streams by their request and connects each pair to the pod."""

    def __init__(self, pod: PodRun) -> None:
        self._pod = pod
        self._errors: dict[str, Stream] = {}
        self._data: dict[str, Stream] = {}
        self._connections: set[asyncio.Task[None]] = set()

    def opened(self, stream: SpdyStream) -> None:
        request = stream.headers.get("requestid", "")
        kind = self._errors if stream.headers.get("streamtype") == "error" else self._data
        kind[request] = stream
        if request in self._errors and request in self._data:
            self.connect(self._data.pop(request), self._errors.pop(request))

    def connect(self, data: Stream, error: Stream) -> None:
        task = asyncio.create_task(self._forward(data, error))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def ended(self) -> None:
        """Until all that there are now have."""
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def stop(self) -> None:
        for task in self._connections:
            task.cancel()
        await self.ended()

    async def _forward(self, data: Stream, error: Stream) -> None:
        """What fails is told on the connection's error stream: the others go on."""
        try:
            await self._carry(data)
        except OSError as failure:
            port, pod, reason = data.headers.get("port"), self._pod.name, failure.strerror or failure
            await error.write(f"failed to connect to port {port} inside pod {pod}: {reason}".encode())
        except Exception as failure:
            log.exception("a forwarded connection of pod %s", self._pod.name)
            await error.write(f"Internal error occurred: {failure!r}".encode())
        await data.end()
        await error.end()

    async def _carry(self, data: Stream) -> None:
        """Raises OSError when the port does not take connections."""
        port = int(data.headers["port"])
        answers = (run.program and run.program.answers_at(port) for run in (*self._pod.init, *self._pod.containers))
        answer = next((found for found in answers if found), None)
        if answer is None:
            reader, writer = await asyncio.open_connection(*self._pod.network.inside(port))
        else:
            reader, writer = await connected(answer)
        with contextlib.closing(writer):
            upload = asyncio.create_task(self._upload(data, writer))
            try:
                with contextlib.suppress(OSError):  # either side has gone: its end is all there is to tell
                    while piece := await reader.read(65536):
                        await data.write(piece)
            finally:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)

    async def _upload(self, data: Stream, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await data.reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
