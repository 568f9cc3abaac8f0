"""Real servers on loopback for the tests: an aiohttp application, and a bare one that misbehaves on the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """What a test sees of the server: its address, and how it was used."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.connections: set[object] = set()
        self.busy = self.most_busy = 0


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    server = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        server.requests.append(request)
        server.connections.add(request.protocol)
        server.busy += 1
        server.most_busy = max(server.most_busy, server.busy)
        try:
            return await handler(request)
        finally:
            server.busy -= 1

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    # A client that goes away ends its handler, as the tests count what is left.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


class Wire(asyncio.Protocol):
    """Answers the n-th request of all connections with what `answer(n)` says; None breaks the connection off."""

    def __init__(self, answer: Callable[[int], bytes | None], wires: list[Wire]) -> None:
        self._answer, self._wires, self.requests = answer, wires, 0
        wires.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n"), "a request came in pieces"
        self.requests += 1
        answer = self._answer(sum(wire.requests for wire in self._wires))
        if answer is None:
            self.transport.abort()
        else:
            self.transport.write(answer)
            if b"Connection: close" in answer:
                self.transport.close()


@contextlib.asynccontextmanager
async def wired(answer: Callable[[int], bytes | None]) -> AsyncIterator[tuple[str, list[Wire]]]:
    """The address, and the connections that were made."""
    wires: list[Wire] = []
    server = await asyncio.get_running_loop().create_server(lambda: Wire(answer, wires), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", wires
    finally:
        server.close()
        for wire in wires:
            wire.transport.abort()
        await server.wait_closed()


async def eventually(true: Callable[[], bool]) -> None:
    """Poll, for half a minute at most: a busy machine takes its time."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (what is waited for is on the other side of a socket)
            await asyncio.sleep(0.005)
