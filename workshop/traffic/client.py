"""An HTTP/1.1 client that hides nothing: one request is one request, and what became of it has a name.

Nothing is sent again, not even when a kept connection breaks under an idempotent request. Redirects are answers and
are not followed. The cookies of a log-in are sent from then on, those of other answers are not kept: else the first
answer of a sticky version would decide all others.

It must not be what is measured: it has to take a fraction of the processor time that a gateway takes for an answer,
where general clients take more (`benchmarks/README.md`). So llhttp, the parser of Node.js, reads the answers,
asyncio moves the bytes, and here is only what lies between. The time of an answer ends when the last of it has been
read, before anybody looks at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from workshop.traffic.side_requests import Login, LoginError

LONGEST = 16 * 2**20
"""Bytes of an answer with its head: one without end must not fill the memory before its time is up."""

_NEXT_ADDRESS = 0.25
"""Seconds until another address of a host is tried as well (RFC 8305, "Connection Attempt Delay")."""

_IN_URLS = "!#$%&'()*+,/:;=?@[]~"
"""What is sent as it is, beside letters, digits and "-._"."""


class Unanswered(Exception):
    """No answer came: the `kind` that this is counted under, and what more is known, on one line."""

    def __init__(self, kind: str, said: object = "") -> None:
        self.kind, self.said = kind, " ".join(str(said).split())
        super().__init__(": ".join(filter(None, (self.kind, self.said))))


@dataclass(slots=True)
class Reply:
    """What was answered. `headers` are as they came, `ended` is when the last of it was read (perf_counter)."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    ended: float


class _Connection(asyncio.Protocol):
    """One connection, for one request at a time. `on_...` is what the parser calls."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._waiting: asyncio.Future[Reply] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size, self._read = 0, 0.0
        self._stays = True
        self._ends_with_it = False
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def kept(self) -> bool:
        """Whether another request may be sent."""
        return self._stays and self._waiting is None and not self._transport.is_closing()

    async def exchange(self, message: bytes, until: float) -> Reply:
        """Until that time of the loop. Raises Unanswered. Once it was cancelled the connection is not `kept`."""
        self._size, self._until = 0, until
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._look_at_the_time)
        self._waiting = self._loop.create_future()
        self._transport.write(message)
        return await self._waiting

    def _look_at_the_time(self) -> None:
        """One timer for many requests: one for each would cost a quarter of the request."""
        self._timer = None
        if self._waiting is not None:
            if self._until <= self._loop.time():
                self._give_up(Unanswered("timeout"))
            else:
                self._timer = self._loop.call_at(self._until, self._look_at_the_time)

    def abort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()

    def _give_up(self, why: Unanswered) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(why)
        self._stays = False
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read = time.perf_counter()
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._give_up(Unanswered("not HTTP", error))
        except HttpParserUpgrade:
            self._give_up(Unanswered("not HTTP", "another protocol, which nobody asked for"))
        else:
            if self._size > LONGEST:
                self._give_up(Unanswered("too long", f"more than {LONGEST >> 20} MiB"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._ends_with_it and error is None:
            self.on_message_complete()
        self._give_up(Unanswered("connection lost", error or "closed before the answer was whole"))

    def on_message_begin(self) -> None:
        self._headers, self._body = [], []
        self._stays = self._waiting is not None  # else nobody asked

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self._stays = False
            framing = {name.lower(): value.lower() for name, value in self._headers}
            chunked = framing.get(b"transfer-encoding", b"").endswith(b"chunked")
            self._ends_with_it = not chunked and b"content-length" not in framing

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status, waiting = self._parser.get_status_code(), self._waiting
        if not 100 <= status < 200 and waiting is not None and not waiting.done():
            self._waiting = None
            waiting.set_result(Reply(status, self._headers, b"".join(self._body), self._read))


class Session:
    """Requests to the host of `url`, with these headers and `request_timeout` seconds for each. Where so many are
    under way at once, so many connections are kept."""

    def __init__(self, url: str, headers: Mapping[str, str], request_timeout: float) -> None:
        self._url, self._timeout = url, request_timeout
        parts = urlsplit(url)
        self._tls, self._host = parts.scheme == "https", parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._headers = {"host": parts.netloc, "accept": "*/*", "user-agent": "mesh-workshop"}
        self._headers |= {name.lower(): value for name, value in headers.items()}
        self._idle: list[_Connection] = []
        self._gets: dict[str, bytes] = {}

    async def get(self, path: str) -> Reply:
        """`path` is relative to the URL. Raises Unanswered."""
        message = self._gets.get(path)
        if message is None:
            message = self._gets[path] = self._message("GET", path)
        return await self._exchange(message)

    async def post(self, path: str, fields: Iterable[tuple[str, str]]) -> Reply:
        """A form. Raises Unanswered."""
        form = urlencode([*fields]).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(form))}
        return await self._exchange(self._message("POST", path, sent) + form)

    async def log_in(self, login: Login) -> None:
        """Send the answer's cookies from now on. Raises LoginError."""
        tried = f"log in at {urljoin(self._url, login.path)}"
        try:
            reply = await self.post(login.path, login.fields)
        except Unanswered as error:
            raise LoginError(tried, str(error)) from error
        if reply.status >= 400:
            raise LoginError(tried, f"HTTP {reply.status}")
        cookies = [value.partition(b";")[0] for name, value in reply.headers if name.lower() == b"set-cookie"]
        if not cookies:
            raise LoginError(tried, f"HTTP {reply.status} without a cookie")
        self._headers["cookie"] = b"; ".join(cookies).decode()

    def close(self) -> None:
        for connection in self._idle:
            connection.abort()

    def _message(self, method: str, path: str, more: Mapping[str, str] | None = None) -> bytes:
        parts = urlsplit(urljoin(self._url, path))
        target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=_IN_URLS)
        head = {**self._headers, **(more or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        for line in lines:
            if re.search(r"[\r\n\0]", line):
                raise ValueError(f"a header cannot have more than one line: {line!r}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _exchange(self, message: bytes) -> Reply:
        until = asyncio.get_running_loop().time() + self._timeout
        connection = self._kept() or await self._connect(until)
        try:
            return await connection.exchange(message, until)
        finally:
            if connection.kept:
                self._idle.append(connection)
            else:
                connection.abort()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.kept:
                return connection
            connection.abort()
        return None

    async def _connect(self, until: float) -> _Connection:
        try:
            async with asyncio.timeout_at(until) as limit:
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, self._host, self._port, ssl=self._tls, happy_eyeballs_delay=_NEXT_ADDRESS
                )
        except OSError as error:
            if limit.expired():
                raise Unanswered("timeout") from None
            why = str(error)
            if error.errno and not isinstance(error, (ssl.SSLError, socket.gaierror)):
                why = os.strerror(error.errno)  # instead of asyncio's "Connect call failed"
            raise Unanswered("no connection", f"Cannot connect to host {self._host}:{self._port}: {why}") from error
        return connection


@contextlib.asynccontextmanager
async def session(
    url: str, *, request_timeout: float, headers: Mapping[str, str] | None = None, login: Login | None = None
) -> AsyncIterator[Session]:
    """A session that is logged in at `url`'s host if asked. Raises LoginError."""
    ready = Session(url, headers or {}, request_timeout)
    try:
        if login is not None:
            await ready.log_in(login)
        yield ready
    finally:
        ready.close()


Classify = Callable[[int, Mapping[str, str], bytes, float], str | None]
"""Status, headers (by lower-case name), body and seconds of an answer to its category; None when the answer is of
no use."""

UNRECOGNISED = "unrecognised answer"
"""The trouble with an answer that has the right status and no category."""


@dataclass(slots=True, eq=False)
class Answer:
    """What became of one request that was sent at `began` and was over at `ended` (perf_counter). `seconds` is None
    when there was no answer; one without a category has a `trouble`, of which `example` says more."""

    began: float
    ended: float
    seconds: float | None
    category: str | None
    trouble: str = ""
    example: str = ""


async def ask(session: Session, path: str, classify: Classify) -> Answer:
    """One request. Raises what `classify` raises."""
    began = time.perf_counter()
    try:
        reply = await session.get(path)
    except Unanswered as error:
        return Answer(began, time.perf_counter(), None, None, error.kind, error.said)
    ended = reply.ended
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reply.headers}
    category = classify(reply.status, headers, reply.body, ended - began)
    if category is not None:
        return Answer(began, ended, ended - began, category)
    kind = UNRECOGNISED if reply.status == 200 else f"HTTP {reply.status}"
    return Answer(began, ended, ended - began, None, kind, excerpt(reply.body))


_LONGEST, _LONGEST_OF_PAGE = 200, 60
"""Characters: a proxy's words end with the cause, while the first ones of a page tell which one it is."""

_PAGE = re.compile(r"\s*<(?:!doctype|html)\b", re.I)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.I | re.S)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.I | re.S)


def excerpt(body: bytes) -> str:
    """What an answer that nobody expected says, short enough for one line: a page's title, or its text when it has
    none; of anything else the beginning."""
    text = body.decode(errors="replace")
    if not _PAGE.match(text):
        return _shortened(text, _LONGEST)
    title = _TITLE.search(text)
    return _shortened(_read(title[1]) if title else "", _LONGEST_OF_PAGE) or _shortened(
        _read(text), _LONGEST_OF_PAGE
    )


def _read(markup: str) -> str:
    return html.unescape(_TAG.sub(" ", markup))


def _shortened(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
