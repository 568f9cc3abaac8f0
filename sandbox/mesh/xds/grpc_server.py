"""A gRPC server for the one method that Envoy calls, on a Unix socket. The protocol is grpclib's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Cardinality
from grpclib.const import Handler as Method
from grpclib.server import Server, Stream

from sandbox.mesh.xds import envoy_messages

REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"
_PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class Call:
    """One call of the method: messages in both directions."""

    def __init__(self, stream: Stream[Any, Message]) -> None:
        self._stream = stream
        self._waiting: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        """Queue a message; it goes as fast as the client's flow control lets it."""
        self._waiting.put_nowait(message)

    def messages(self) -> AsyncIterator[Any]:
        """What the client sends, until it ends the call; with the connection the handler is cancelled."""
        return self._stream

    async def send_all(self) -> None:
        while True:
            await self._stream.send_message(await self._waiting.get())


Handler = Callable[[Call], Awaitable[None]]


class _Service:
    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __mapping__(self) -> dict[str, Method]:
        request, response = envoy_messages.message_class(REQUEST), envoy_messages.message_class(RESPONSE)
        return {_PATH: Method(self._answer, Cardinality.STREAM_STREAM, request, response)}

    async def _answer(self, stream: Stream[Any, Message]) -> None:
        call = Call(stream)
        sending = asyncio.create_task(call.send_all())
        try:
            await self._handler(call)
        finally:
            sending.cancel()


async def serve(path: Path, handler: Handler) -> Server:
    """Serve on a Unix socket at `path` until the server is closed."""
    server = Server([_Service(handler)])
    with short_path(path) as name:
        await server.start(path=name)
    return server


@contextlib.contextmanager
def short_path(socket: Path) -> Iterator[str]:
    """A name for the socket to bind or connect by. A socket's name may have 107 bytes (unix(7)), which that of a
    checkout need not keep to; the folder's file descriptor stands for the folder meanwhile."""
    directory = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{socket.name}"
    finally:
        os.close(directory)
