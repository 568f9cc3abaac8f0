"""`kubectl port-forward`: each connection is a pair of SPDY streams, one for data and one for what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import WSCloseCode, WSMsgType, web

from workshop.sandbox.network import listen_port
from workshop.sandbox.node.pod_run import PodRun
from workshop.sandbox.node.streams.request import bad, require_websocket
from workshop.sandbox.node.streams.spdy import SpdyError, SpdySession, SpdyStream

_PROTOCOL = "SPDY/3.1+portforward.k8s.io"

log = logging.getLogger(__name__)


async def serve_port_forward(request: web.Request, pod: PodRun) -> web.StreamResponse:
    if pod.terminating or not any(run.running for run in pod.containers):
        raise bad(f"unable to forward port because pod {pod.name} is not running")
    require_websocket(request)
    if _PROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
        raise bad(f"unable to upgrade: the sandbox's port-forward is {_PROTOCOL}")
    socket = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=0)
    await socket.prepare(request)
    forwarder = _Forwarder(pod)
    session = SpdySession(socket.send_bytes, forwarder.opened)
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await session.feed(message.data)
    except SpdyError as error:  # behind the upgrade there is no HTTP to answer with
        await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=str(error).encode()[:123])
    finally:
        session.close()
        await forwarder.stop()
    return socket


class _Forwarder:
    """Pairs streams by their request and connects each pair to the pod."""

    def __init__(self, pod: PodRun) -> None:
        self._pod = pod
        self._errors: dict[str, SpdyStream] = {}
        self._data: dict[str, SpdyStream] = {}
        self._connections: set[asyncio.Task[None]] = set()

    def opened(self, stream: SpdyStream) -> None:
        request = stream.headers.get("requestid", "")
        kind = self._errors if stream.headers.get("streamtype") == "error" else self._data
        kind[request] = stream
        if request in self._errors and request in self._data:
            task = asyncio.create_task(self._forward(self._data.pop(request), self._errors.pop(request)))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def stop(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _forward(self, data: SpdyStream, error: SpdyStream) -> None:
        """What fails is told on the error stream: behind the upgrade there is no HTTP to answer with."""
        try:
            await self._connected(data, error)
        except ConnectionError:
            return  # the client is gone
        except Exception as failure:
            log.exception("port-forward to %s failed", self._pod.name)
            await error.write(f"an error occurred forwarding to pod {self._pod.name}: {failure}".encode())
            await error.end()
            await data.end()

    async def _connected(self, data: SpdyStream, error: SpdyStream) -> None:
        port = int(data.headers.get("port", "0"))
        try:
            reader, writer = await asyncio.open_connection(self._pod.ip, listen_port(port))
        except OSError as failure:
            pod, reason = self._pod.name, failure.strerror or failure
            await error.write(f"failed to connect to port {port} inside pod {pod}: {reason}".encode())
            await error.end()
            await data.end()
            return
        with contextlib.closing(writer):
            upload = asyncio.create_task(self._upload(data, writer))
            try:
                with contextlib.suppress(ConnectionError):
                    while piece := await reader.read(65536):
                        await data.write(piece)
                await data.end()
                await error.end()
            finally:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)

    async def _upload(self, data: SpdyStream, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await data.reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
