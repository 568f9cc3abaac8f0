"""`kubectl port-forward`: each connection is a pair of SPDY streams, one for data and one for what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.core.addresses import listen_port
from sandbox.node.pod_run import PodRun
from sandbox.node.streams.request import bad, require_websocket
from sandbox.node.streams.spdy import SpdyError, SpdySession, SpdyStream

log = logging.getLogger(__name__)

_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_LONGEST_REASON = 123


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
    except SpdyError as error:
        log.warning("%s: %s", request.path, error)
        reason = f"SPDY: {error}".encode()[:_LONGEST_REASON]
        await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=reason)
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

    async def _carry(self, data: SpdyStream) -> None:
        """Raises OSError when the port does not take connections."""
        address = self._pod.ip, listen_port(int(data.headers["port"]))
        reader, writer = await asyncio.open_connection(*address)
        with contextlib.closing(writer):
            upload = asyncio.create_task(self._upload(data, writer))
            try:
                with contextlib.suppress(OSError):  # either side has gone: its end is all there is to tell
                    while piece := await reader.read(65536):
                        await data.write(piece)
            finally:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)

    async def _upload(self, data: SpdyStream, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await data.reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
