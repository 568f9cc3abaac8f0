"""fortio's own HTTP client: one connection, kept while it is answered well.

What makes it special matters to a circuit breaker's figures, and is as in fortio (`fhttp/http_client.go`): a
connection whose answer is not 2xx or 418 is closed, the rest of that answer unread; a kept connection may turn out
to be dead once and is replaced; whatever fails below HTTP counts as code -1. Sizes are what was read.
The standard client (`-stdclient`) reads every answer whole and keeps its connection.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from sandbox.images.fortio.flags import Options
from sandbox.images.fortio.logger import ERROR, INFO, WARNING, Logger
from sandbox.images.fortio.stats import Histogram
from sandbox.images.fortio.version import USER_AGENT
from sandbox.images.program import Container

SOCKET_ERROR = -1
_STATUS_AT = len(b"HTTP/1.1 ")


class Fetched(NamedTuple):
    code: int
    size: int
    """Bytes read: headers and body."""
    headers: int
    """Bytes of headers; 0 when they were not looked at."""
    data: bytes


def is_ok(code: int) -> bool:
    return 200 <= code <= 299 or code == 418


@dataclass(frozen=True)
class Target:
    """What every request of a run is: where to, and the bytes to send."""

    host: str
    port: int
    url: str
    message: bytes
    method: str

    @classmethod
    def of(cls, url: str, options: Options) -> Target:
        """Raises ValueError for what is no URL of plain HTTP."""
        parts = urlsplit(url)
        if parts.scheme != "http":
            raise ValueError(f"unsupported protocol {parts.scheme!r}: the sandbox's pods speak plain HTTP")
        if not parts.hostname:
            raise ValueError("can't resolve empty host")
        kind = options.content_type
        host, agent, extra = parts.netloc, USER_AGENT, []
        for name, value in options.headers:
            match name.lower():
                case "host":
                    host = value.strip()
                case "user-agent":
                    agent = value
                case "content-type":
                    kind = value.strip()
                case _:
                    extra.append((name.title(), value.strip()))
        payload = options.payload.encode()
        method = options.method or ("POST" if payload or kind else "GET")
        if payload and not kind:
            kind = "application/octet-stream"
        headers = [("Host", host)] + ([] if options.keepalive else [("Connection", "close")])
        if payload or method == "POST":
            extra.append(("Content-Length", str(len(payload))))
        extra += [("Content-Type", kind)] if kind else []
        extra += [("User-Agent", agent.strip())] if agent else []
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in [*headers, *sorted(extra)])
        message = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + payload
        return cls(parts.hostname, parts.port or 80, url, message, method)


class Client:
    """One of fortio's threads' own. `connecting` are the times it took to connect, in seconds."""

    def __init__(self, target: Target, options: Options, container: Container, logger: Logger, thread: int) -> None:
        """Raises OSError for a host nobody knows."""
        self._target, self._options, self._logger, self._thread = target, options, logger, thread
        self._network = container.network
        self._wire: _Wire | None = None
        self.connecting = Histogram(options.resolution, options.offset / 1e9)
        self.addresses: dict[str, int] = {}
        self._address = self._resolve()

    def _resolve(self) -> str:
        address = f"{self._network.resolve(self._target.host)}:{self._target.port}"
        self.addresses[address] = self.addresses.get(address, 0) + 1
        return address

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def fetch(self) -> Fetched:
        """One request and its answer."""
        wire, self._wire = self._wire, None
        if wire is not None:
            fetched = await self._exchange(wire, reused=True)
            if fetched is not None:
                return fetched
        wire = await self._connected()
        if wire is None:
            return Fetched(SOCKET_ERROR, 0, 0, b"")
        fetched = await self._exchange(wire, reused=False)
        assert fetched is not None
        return fetched

    async def _connected(self) -> _Wire | None:
        began = time.perf_counter_ns()
        try:
            if self.connecting.count:
                self._address = self._resolve()
            async with asyncio.timeout(self._options.timeout / 1e9):
                sock = await self._network.connect(self._target.host, self._target.port)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            told = "i/o timeout" if isinstance(error, TimeoutError) else f"connect: {reason}"
            err = f"dial tcp {self._address}: {told}"
            self._tell(ERROR, 962, "Unable to connect", dest=self._address, err=err)
            return None
        finally:
            self.connecting.record((time.perf_counter_ns() - began) / 1e9)
        whole = self._options.standard_client
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: _Wire(whole, self._target.method), sock=sock
        )
        return wire

    async def _exchange(self, wire: _Wire, *, reused: bool) -> Fetched | None:
        """None when a reused connection was dead."""
        seconds = self._options.timeout / 1e9
        timer = asyncio.get_running_loop().call_later(seconds, wire.time_out)
        try:
            await wire.exchange(self._target.message)
        except BaseException:
            wire.close()
            raise
        finally:
            timer.cancel()
        if reused and not wire.data and wire.failed:
            self._tell(INFO, 1119, "Closing dead socket (err at first read)", err=wire.failed)
            wire.close()
            return None
        code = SOCKET_ERROR if wire.failed else wire.code
        if wire.failed:
            timed_out = "Timeout error (incomplete/invalid response)" if "timeout" in wire.failed else "Read error"
            read, head = len(wire.data), wire.header_size
            where = {"dest": self._address, "url": self._target.url}
            self._tell(ERROR, 1138, timed_out, err=wire.failed, size=read, header_len=head, **where)
        elif not is_ok(code) and self._options.log_errors:
            status = bytes(wire.data[: _STATUS_AT + 3]).decode("latin-1")
            self._tell(WARNING, 1159, "Non ok http code", code=code, status=status)
        data = bytes(wire.data)
        fetched = Fetched(code, len(data), wire.header_size, data)
        if wire.reusable and self._options.keepalive and (is_ok(code) or self._options.standard_client):
            self._wire = wire
        else:
            wire.close()
        return fetched

    def _tell(self, level: int, line: int, message: str, **facts: str | int) -> None:
        facts |= {"thread": self._thread, "run": self._options.run_id}
        self._logger.log(level, f"http_client.go:{line}", message, self._thread + 18, **facts)


class _Wire(asyncio.Protocol):
    """One connection. After an exchange: what was read, and how it ended.

    `whole`: read answers to their end whatever they are, as the standard client does.
    """

    def __init__(self, whole: bool, method: str) -> None:
        self._whole, self._method = whole, method
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._lost = False
        self._reset()

    def _reset(self) -> None:
        self.data = bytearray()
        self.code = SOCKET_ERROR
        self.header_size = 0
        self.reusable = False
        self.failed = ""
        """Why there is no answer: `EOF`, `i/o timeout`, ..."""
        self._end: int | None = None
        """Where the answer ends, or its next chunk's size begins; None: with the connection."""
        self._chunked = self._kept = False

    async def exchange(self, message: bytes) -> None:
        self._reset()
        if self._lost or self._transport is None:
            self.failed = "EOF"
            return
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        await self._waiting

    def close(self) -> None:
        self._waiting = None
        if self._transport is not None:
            self._transport.close()

    def time_out(self) -> None:
        self._done("i/o timeout")

    def _done(self, failed: str = "", *, kept: bool = False) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            self.failed, self.reusable = failed, kept
            waiting.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if error is not None and not self.data:
            self._done("connection reset by peer")
        else:
            # An answer may end with its connection or break off with it: fortio does not tell them apart.
            self._done("EOF" if self.code == SOCKET_ERROR else "")

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            return
        self.data += data
        try:
            self._parse()
        except ValueError as error:
            self._done(f"malformed answer: {error}")

    # What has arrived.

    def _parse(self) -> None:
        if not self.header_size:
            self._head()
        if not self.header_size:
            return
        if self._chunked:
            self._chunks()
        elif self._end is not None and len(self.data) >= self._end:
            self._done(kept=self._kept)

    def _head(self) -> None:
        if len(self.data) < _STATUS_AT + 3:
            return
        self.code = int(self.data[_STATUS_AT : _STATUS_AT + 3])
        if not is_ok(self.code) and not self._whole:
            self._done()
            return
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        self.header_size = self._end = end + 4
        lines = (line.partition(b":") for line in bytes(self.data[:end]).lower().split(b"\r\n")[1:])
        headers = {name.strip(): value.strip() for name, _, value in lines}
        self._kept = headers.get(b"connection") != b"close"
        if b"content-length" in headers:
            self._end += 0 if self._method == "HEAD" else int(headers[b"content-length"])
        elif headers.get(b"transfer-encoding") == b"chunked":
            self._chunked = self._method != "HEAD"
        elif not self._whole:
            # fortio's client does not wait for more, nor does it use the connection again.
            self._kept = False
        elif self._method != "HEAD" and self.code not in (204, 304):
            self._end = None

    def _chunks(self) -> None:
        assert self._end is not None
        while (line := self.data.find(b"\r\n", self._end)) >= 0:
            size = int(bytes(self.data[self._end : line]).split(b";")[0], 16)
            if size == 0:
                if self.data.find(b"\r\n", line + 2) >= 0:
                    self._done(kept=self._kept)
                return
            if len(self.data) < line + 2 + size + 2:
                return
            self._end = line + 2 + size + 2
