"""HTTP from inside a pod, over the pod's own network: for programs, and (aiohttp's) for commands such as `curl`.

BookInfo's services call each other for every page, tens of thousands of times in one lab, and all of them share
this process: a general client would be half of the work. So this one does only what they need: HTTP/1.1, whole
bodies, kept connections. Without a sidecar every request is balanced over the ready endpoints (a pool per
endpoint): the real services open a connection for each call, and an attendee expects every reload to reach another
one. With a sidecar there is a pool per destination, and Envoy balances.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from sandbox.network.http_reply import Reply

KEPT = 32
"""Connections to one place that are kept while nothing is asked over them. Hundreds of pages at a time would else
leave hundreds behind, each of them 20 KB of a proxy's memory, for as long as the pod lives."""


class Dialer(Protocol):
    """What a client needs of the network it dials through."""

    @property
    def sidecar(self) -> bool:
        """Whether a proxy takes all connections, and balances them."""

    def route(self, host: str, port: int) -> tuple[str, int]:
        """See `PodNetwork`."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """See `PodNetwork`."""


class BadReply(ConnectionError):
    """What came back is no HTTP/1.1."""


class Connection(asyncio.Protocol):
    """One connection: one request at a time. Of a reply whose status is `unread` only the head is waited for."""

    def __init__(self, unread: Callable[[int], bool] | None = None) -> None:
        self._unread = unread
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._reply: Reply | None = None

    async def exchange(self, message: bytes, reply: Reply) -> None:
        """Send a request and fill in its reply. Raises ConnectionError, and BadReply for what is none."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError(104, "Connection reset by peer")
        self._reply, self._waiting = reply, asyncio.get_running_loop().create_future()
        self._transport.write(message)
        await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _done(self, error: ConnectionError | None = None) -> None:
        waiting, self._waiting, self._reply = self._waiting, None, None
        if waiting is not None and not waiting.done():
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not say so

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self.close()  # nobody asked
            return
        try:
            reply.feed(data)
        except ValueError as error:
            self._done(BadReply(f"malformed reply: {error}"))
            return
        if reply.whole:
            self._done()
        elif reply.head_size and self._unread is not None and self._unread(reply.status):
            reply.kept = False
            self._done()

    def connection_lost(self, error: Exception | None) -> None:
        reply = self._reply
        if reply is not None and error is None:
            reply.feed_end()
        self._done(
            None if reply is not None and reply.whole else ConnectionResetError(104, "Connection reset by peer")
        )


class PodHttpClient:
    """Made with a pod's network, closed with the pod."""

    def __init__(self, network: Dialer) -> None:
        self._network = network
        self._idle: dict[tuple[str, int], list[Connection]] = {}

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
            reply = Reply(method)
            try:
                return await self._exchange(idle.pop(), idle, message, reply)
            except ConnectionError:
                # It was closed while it was kept, perhaps just now: nobody has seen the request.
                if reply.received or method not in ("GET", "HEAD"):
                    raise
        sock = await self._network.connect(*key)
        _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=sock)
        return await self._exchange(connection, idle, message, Reply(method))

    async def _exchange(
        self, connection: Connection, idle: list[Connection], message: bytes, reply: Reply
    ) -> Reply:
        try:
            await connection.exchange(message, reply)
        except BaseException:
            connection.close()
            raise
        if reply.kept and len(idle) < KEPT:
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


class PodConnector(aiohttp.BaseConnector):
    """aiohttp's way through a `Dialer`; everything else is aiohttp's own."""

    def __init__(self, network: Dialer) -> None:
        super().__init__(limit=0)
        self._network = network

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        host, port = req.url.raw_host, req.url.port
        if host is None or port is None or req.is_ssl():
            raise aiohttp.InvalidURL(req.url, "the sandbox's pods speak plain HTTP")
        try:
            async with asyncio.timeout(timeout.sock_connect):
                sock = await self._network.connect(host, port)
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {req.url}") from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol


def new_session(network: Dialer) -> aiohttp.ClientSession:
    """A session of its own, which the caller closes. It adds no header but Host, and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=PodConnector(network),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept", "Content-Type"),
    )
