"""`kubectl exec` and `kubectl attach`: a command's streams on the channels of one WebSocket.

A message's first byte is its channel: 0 stdin, 1 stdout, 2 stderr, 3 the outcome as a Status, 4 the window's
size, and in version 5 of the protocol 255, which says that the channel in the next byte is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

from workshop.sandbox.images.commands import NotFound
from workshop.sandbox.images.program import Streams
from workshop.sandbox.node.container_run import ContainerRun, Stopped
from workshop.sandbox.node.pod_run import PodRun
from workshop.sandbox.node.streams.request import bad, container, flag, require_websocket

_STDIN, _STDOUT, _STDERR, _OUTCOME, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_NOT_FOUND = 127

_LISTENS_SECONDS, _REGISTERS_SECONDS = 5.0, 0.01
"""How long a client is waited for: to answer a ping, and then to make its streams. kubectl before 1.33 reads
messages before it has made them, and drops those of a stream it does not know yet; a real container takes longer to
start than that."""

log = logging.getLogger(__name__)


async def serve_exec(request: web.Request, pod: PodRun) -> web.StreamResponse:
    run = _running(pod, request)
    command = request.query.getall("command", [])
    if not command:
        raise bad("you must specify at least 1 command for the container")

    async def execute(streams: Streams) -> int:
        try:
            return await run.exec(command, streams)
        except NotFound as error:
            failure = f"OCI runtime exec failed: exec failed: unable to start container process: {error}\n"
            streams.err(failure.encode())
            return _NOT_FOUND
        except Stopped:
            streams.err(f"container {run.name} is not running\n".encode())
            return 1

    return await _Session(request).serve(execute)


async def serve_attach(request: web.Request, pod: PodRun) -> web.StreamResponse:
    run = _running(pod, request)

    async def attach(streams: Streams) -> int:
        def listen(stream: str, data: bytes) -> None:
            (streams.out if stream == "out" else streams.err)(data)

        # Of this run of the container: it may have begun another by the time this one's end is noticed.
        log = run.log
        # Who starts a container to talk to it must not miss what it said before the connection was there.
        if run.spec.get("stdin") and not run.attached:
            streams.out(log.so_far())
        run.attached = True
        log.listeners.append(listen)
        feeding = asyncio.create_task(_feed(streams.stdin, run)) if flag(request.query, "stdin") else None
        try:
            await log.closed()
        finally:
            log.listeners.remove(listen)
            if feeding:
                feeding.cancel()
        # That it ended is all there is to say: how is the pod's status, where `kubectl run` looks for it.
        return 0

    return await _Session(request).serve(attach)


async def _feed(stdin: asyncio.StreamReader, run: ContainerRun) -> None:
    theirs = run.stdin
    while data := await stdin.read(65536):
        theirs.feed_data(data)
    if run.spec.get("stdinOnce"):
        theirs.feed_eof()


def _running(pod: PodRun, request: web.Request) -> ContainerRun:
    run = container(pod, request.query.get("container", ""))
    if not run.running:
        raise bad(f'container not found ("{run.name}"): it is not running')
    require_websocket(request)
    return run


class _Session:
    """One WebSocket: feeds stdin, sends output in order, and the outcome last."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=0, autoping=False)
        self._output: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listens = asyncio.Event()

    async def serve(self, execute: Callable[[Streams], Awaitable[int]]) -> web.StreamResponse:
        await self._socket.prepare(self._request)
        query = self._request.query
        streams = Streams(
            out=lambda data: self._send(_STDOUT, data),
            err=lambda data: self._send(_STDERR, data),
            tty=flag(query, "tty"),
        )
        if flag(query, "stdin"):
            streams.stdin = asyncio.StreamReader(limit=2**24)
        sending = asyncio.create_task(self._pump())
        receiving = asyncio.create_task(self._receive(streams.stdin))
        running = asyncio.create_task(self._outcome_of(execute, streams))
        try:
            await asyncio.wait({running, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                self._send(_OUTCOME, json.dumps(running.result()).encode())
                self._output.put_nowait(None)
                await sending
                await self._socket.close()
        finally:
            tasks = (running, receiving, sending)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._socket

    async def _outcome_of(self, execute: Callable[[Streams], Awaitable[int]], streams: Streams) -> dict[str, Any]:
        """The Status that tells how it ended. Whatever fails here fails behind the upgrade: an HTTP error would be
        written into the open WebSocket."""
        try:
            await self._socket.ping()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LISTENS_SECONDS):
                    await self._listens.wait()
            await asyncio.sleep(_REGISTERS_SECONDS)
            return _outcome(await execute(streams))
        except Exception as error:
            log.exception("%s failed", self._request.rel_url.path)
            return _failure(error)

    def _send(self, channel: int, data: bytes) -> None:
        if data:
            self._output.put_nowait(bytes((channel,)) + data)

    async def _pump(self) -> None:
        while (message := await self._output.get()) is not None:
            await self._socket.send_bytes(message)

    async def _receive(self, stdin: asyncio.StreamReader) -> None:
        """Until the client is gone."""
        async for message in self._socket:
            if message.type is WSMsgType.PONG:
                self._listens.set()
            if message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _STDIN and not stdin.at_eof():
                stdin.feed_data(data)
            elif channel == _CLOSE and data[:1] == bytes((_STDIN,)):
                stdin.feed_eof()


def _outcome(status: int) -> dict[str, Any]:
    """The Status kubectl takes its exit status from."""
    if status == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: {status}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(status)}]},
    }


def _failure(error: Exception) -> dict[str, Any]:
    """As the kubelet has it for a command that its runtime could not run (NewInternalError in apimachinery)."""
    why = f"error executing command in container: {error or type(error).__name__}"
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {why}",
        "details": {"causes": [{"message": why}]},
        "code": 500,
    }
