"""A page that is served while a task runs, and what changes on it as server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html).

It only tells, and only who has the token, which is part of the address; anybody else is told nothing, not even what
there is. A client is told whatever is newer than what it has, be it one that has just come (all), one that comes
again (what it has missed), or one that was too slow for the last three changes (all three at once): nothing is kept
for anybody. One that does not read at all is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from workshop import invocation
from workshop.console.live_document import Document
from workshop.runbook.errors import UsageError

_KEPT_ALIVE_EVERY = 15.0
"""Seconds: less than what proxies and phones take for the end of a connection."""
_READ_WITHIN = 10.0
"""Seconds in which a client has to take what was sent before it is sent more."""
_BACK_AFTER = 2.0
_BUFFERED = 256 * 1024
"""Bytes that may wait for a client to read them: about one wall of 200 members."""

_LOG = logging.getLogger(__name__)
_LOG.addFilter(lambda said: not (said.exc_info and isinstance(said.exc_info[1], HttpProcessingError)))
"""Without what is no HTTP: whoever reaches the port could fill the person's screen with it, token or not."""

_UNSAID: dict[str, Any] = {"access_log": None, "logger": _LOG}

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Feed(ABC):
    """What a page shows, as it is now; `version` counts its changes."""

    def __init__(self) -> None:
        self.version = 0
        self.epoch = secrets.token_hex(4)
        """Of this feed among others that had the same address: their versions say nothing here."""
        self._changed = asyncio.Event()

    @abstractmethod
    def message(self, version: int) -> bytes:
        """What is new since that version, as an event: with version 0, all of it."""

    def changed(self) -> None:
        """It is another version from now on."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer(self, version: int, seconds: float) -> bool:
        """Whether there is something newer than that version, within that time."""
        changed = self._changed
        if self.version == version:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await changed.wait()
        return self.version != version

    def event(self, kind: str, text: str) -> bytes:
        """Of this version."""
        return f"id: {self.epoch}.{self.version}\nevent: {kind}\ndata: {text}\n\n".encode()

    def version_of(self, event: str) -> int:
        """Of the event that a client had last; 0 of one that is not from here."""
        epoch, _, version = event.partition(".")
        known = epoch == self.epoch and version.isdecimal() and len(version) < 12
        return int(version) if known and int(version) <= self.version else 0


class PageServer:
    """`read_within` are seconds in which a client has to read, and `back_after` those after which one whose
    connection has ended comes again."""

    def __init__(
        self,
        feed: Feed,
        document: Document,
        token: str,
        *,
        read_within: float = _READ_WITHIN,
        back_after: float = _BACK_AFTER,
    ) -> None:
        self._feed, self._document, self._token = feed, document, token.encode()
        self._read_within = read_within
        self._back_after = f"retry: {back_after * 1000:.0f}\n\n".encode()
        self.clients = 0

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._refusing])
        app.router.add_get("/", self._page, allow_head=False)
        app.router.add_get("/events", self._events, allow_head=False)
        app.on_response_prepare.append(self._with_headers)
        return app

    @web.middleware
    async def _refusing(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.query.get("token", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._token):
            return web.Response(status=403)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._document.page, content_type="text/html")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=_BUFFERED)
        version = self._feed.version_of(request.headers.get("Last-Event-ID", ""))
        self.clients += 1
        try:
            await self._send(request, response, self._back_after)
            while True:
                if await self._feed.newer(version, _KEPT_ALIVE_EVERY):
                    message, version = self._feed.message(version), self._feed.version
                else:
                    message = b": still here\n\n"
                if not await self._send(request, response, message):
                    return response
        except ConnectionError:
            return response
        finally:
            self.clients -= 1

    async def _send(self, request: web.Request, response: web.StreamResponse, message: bytes) -> bool:
        """Whether the client has room for more."""
        try:
            async with asyncio.timeout(self._read_within):
                await response.write(message)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return False
        return True

    async def _with_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = self._document.policy
        response.headers.popall("Server", None)


class _Connection(web.RequestHandler):
    """Tells whoever sends what is no HTTP no more than that, and not what serves it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # which logs it, and raises where an answer has begun
        answer = web.Response(status=status, headers={"Server": ""})
        answer.force_close()
        return answer


@contextlib.asynccontextmanager
async def serving(server: PageServer, host: str, port: int, *, task: str) -> AsyncIterator[int]:
    """The port; `task` is whose page it is. Raises UsageError where the port cannot be had. Ends at once, whoever
    is connected."""
    runner = web.AppRunner(server.app(), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    there, loop = runner.server, asyncio.get_running_loop()
    try:
        try:
            listening = await loop.create_server(
                lambda: _Connection(there, loop=loop, **_UNSAID), host, port, backlog=128
            )
        except OSError as error:
            raise UsageError(
                f"listen on {host}, port {port}",
                error.strerror or str(error),
                cause="another program has that port, or this machine has no such address",
                next_command=f"{invocation.invoke()} {task} --port 0",
            ) from error
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()
