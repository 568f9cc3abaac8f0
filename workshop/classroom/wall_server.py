"""The wall over HTTP: a page, and what changes on it as server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html).

It only tells, and only who has the token, which is part of the address; anybody else is told nothing, not even what
there is. Each row has the version of the wall with which it changed last. So a client is told whatever is newer
than what it has, be it one that has just come (all), one that comes again (what it has missed), or one that was too
slow for the last three changes (all three at once): nothing is kept for anybody. One that does not read at all is
dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import json
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from workshop import invocation
from workshop.classroom.wall import PATIENCE, Cell, Measured, Wall, WallRow
from workshop.classroom.wall_sources import Sources
from workshop.console import wall_page
from workshop.runbook.errors import UsageError

EVERY = 1.0
"""Seconds between two looks whether something has changed."""
_KEPT_ALIVE_EVERY = 15.0
"""Seconds: less than what proxies and phones take for the end of a connection."""
_READ_WITHIN = 10.0
"""Seconds in which a client has to take what was sent before it is sent more."""
_BACK_AFTER = 2.0
_BUFFERED = 256 * 1024
"""Bytes that may wait for a client to read them: about one wall of 200 members."""
_LONGEST = 800
"""Signs of an error that are shown."""

_LOG = logging.getLogger(__name__)
_LOG.addFilter(lambda said: not (said.exc_info and isinstance(said.exc_info[1], HttpProcessingError)))
"""Without what is no HTTP: whoever reaches the port could fill the instructor's screen with it, token or not."""

_UNSAID: dict[str, Any] = {"access_log": None, "logger": _LOG}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": wall_page.POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def row_as_data(row: WallRow) -> dict[str, Any]:
    """As the page has it; what is empty is left out."""
    trouble = row.trouble
    data = {
        "name": row.name,
        "condition": row.condition,
        "since": row.since,
        "why": row.why,
        "lab": row.lab,
        "step": row.step,
        "doing": row.doing,
        "typed": row.typed,
        "trouble": trouble and [_cut(part) for part in (trouble.said, trouble.cause, trouble.next_command)],
        "measured": row.measured and _measured(row.measured),
        "looked": row.looked,
        "tried": row.tried,
        "error": _cut(row.error),
    }
    told = {key: value for key, value in data.items() if value not in (None, "")}
    return {**told, "cells": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> list[Any]:
    return [cell.state, cell.since, _cut(cell.note)]


def _measured(measured: Measured) -> dict[str, Any]:
    bars = [[bar.label, _number(bar.measured), _number(bar.expected)] for bar in measured.bars]
    return {
        "lab": measured.lab,
        "said": _cut(measured.said),
        "at": measured.at,
        "kind": measured.kind,
        "bars": bars,
    }


def _number(share: float | None) -> float | None:
    """JSON has no others."""
    return share if share is not None and math.isfinite(share) else None


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\u2026"


class Board:
    """The wall as it is now, and with which version each row has changed last."""

    def __init__(self) -> None:
        self.version = 0
        self.epoch = secrets.token_hex(4)
        """Of this board among others that had the same address: their versions say nothing here."""
        self._wall: Wall | None = None
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._since = functools.lru_cache(maxsize=16)(self._message)

    def put(self, wall: Wall) -> None:
        """It is this one from now on. The members are always the same."""
        rows = {row.name: row_as_data(row) for row in wall.rows}
        changed = [name for name, data in rows.items() if name not in self._rows or self._rows[name][1] != data]
        if not changed:
            return
        self.version += 1
        self._wall = wall
        self._rows |= {name: (self.version, rows[name]) for name in changed}
        self._since.cache_clear()
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

    def message(self, version: int) -> bytes:
        """What is new since that version, as an event: with version 0, all of the wall. Made once for all who have
        that version, but for the time."""
        now = f'"now": {time.time():.3f}'
        return self._since(version).replace(b'"now": 0', now.encode(), 1)

    def _message(self, version: int) -> bytes:
        assert self._wall is not None
        rows = [data for since, data in self._rows.values() if since > version]
        told: dict[str, Any] = {"now": 0, "rows": rows}
        if not version:
            told |= {"title": self._wall.title, "labs": self._wall.labs, "patience": PATIENCE}
        kind = "rows" if version else "wall"
        text = json.dumps(told, allow_nan=False)
        return f"id: {self.epoch}.{self.version}\nevent: {kind}\ndata: {text}\n\n".encode()

    def version_of(self, event: str) -> int:
        """Of the event that a client had last; 0 of one that is not from here."""
        epoch, _, version = event.partition(".")
        known = epoch == self.epoch and version.isdecimal() and len(version) < 12
        return int(version) if known and int(version) <= self.version else 0


class WallServer:
    """`read_within` are seconds in which a client has to read, and `back_after` those after which one whose
    connection has ended comes again."""

    def __init__(
        self, board: Board, token: str, *, read_within: float = _READ_WITHIN, back_after: float = _BACK_AFTER
    ) -> None:
        self._board, self._token, self._read_within = board, token.encode(), read_within
        self._back_after = f"retry: {back_after * 1000:.0f}\n\n".encode()
        self.clients = 0

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._refusing])
        app.router.add_get("/", self._page, allow_head=False)
        app.router.add_get("/events", self._events, allow_head=False)
        app.on_response_prepare.append(_with_headers)
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
        return web.Response(text=wall_page.PAGE, content_type="text/html")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=_BUFFERED)
        version = self._board.version_of(request.headers.get("Last-Event-ID", ""))
        self.clients += 1
        try:
            await self._send(request, response, self._back_after)
            while True:
                if await self._board.newer(version, _KEPT_ALIVE_EVERY):
                    message, version = self._board.message(version), self._board.version
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


async def _with_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
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
async def serving(server: WallServer, host: str, port: int) -> AsyncIterator[int]:
    """The port. Raises UsageError where it cannot be had. Ends at once, whoever is connected."""
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
                next_command=f"{invocation.invoke()} watch --port 0",
            ) from error
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()


async def serve(sources: Sources, board: Board, *, every: float = EVERY) -> None:
    """Keep the board as things are, until it is cancelled. The files are read in a thread: pages do not wait."""
    async with asyncio.TaskGroup() as group:
        group.create_task(sources.looks())
        while True:
            board.put(await asyncio.to_thread(sources.wall))
            await asyncio.sleep(every)
