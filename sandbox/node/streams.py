"""What kubectl streams from and to pods: logs, exec, attach and port-forward.

Over WebSockets, which kubectl prefers since 1.31; its older SPDY upgrade is refused. What is wrong with
a request is said before that, because after any refusal kubectl tries SPDY, and shows what came back last.

The streams of `exec` and `attach` are channels of one WebSocket. A message's first byte is its channel: 0 stdin,
1 stdout, 2 stderr, 3 the outcome as a Status, 4 the window's size, and in version 5 of the protocol 255, which says
that the channel in the next byte is closed. Which kind of frame it comes in means nothing: Python's clients send
stdin as text. In the base64 forms of the protocol (which browsers take) all frames are text, the channel is a
digit, and the rest is encoded. Before version 4 the outcome is silence or a message.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.api.api_errors import bad_request
from sandbox.api.requests import flag
from sandbox.core.cluster import Object
from sandbox.images.commands import NotFound
from sandbox.images.program import Streams
from sandbox.node.container_log import ContainerLog
from sandbox.node.container_run import ContainerRun, Stopped
from sandbox.node.pod_run import PodRun
from sandbox.node.port_forward import serve_port_forward

log = logging.getLogger(__name__)

_STDIN, _STDOUT, _STDERR, _OUTCOME, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PROTOCOLS = (
    *("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"),
    *("channel.k8s.io", "base64.channel.k8s.io"),
)
_NOT_FOUND = 127
_LISTENING_SECONDS = 10
_SETTLING_SECONDS = 0.02
_LOG_PARAMETERS = {
    "container",
    "follow",
    "insecureSkipTLSVerifyBackend",
    "limitBytes",
    "pretty",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "tailLines",
    "timestamps",
}
_PARTLY = {"follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "tailLines"}
"""Parameters with which not all of the log is shown, or more than there is now."""
_BATCH = 65536


class StreamServer:
    """Serves the streaming subresources of the pods that `run_of` knows a run of."""

    def __init__(self, run_of: Callable[[Object], PodRun | None]) -> None:
        self._run_of = run_of

    async def handle(self, request: web.Request, pod: Object, subresource: str) -> web.StreamResponse:
        """Raises ApiError, before anything was answered."""
        run = self._run_of(pod)
        if run is None:
            name = pod["metadata"]["name"]
            where = pod["spec"].get("nodeName")
            why = f"pod {name} does not have a host assigned" if not where else f"pod {name} is not running"
            raise bad_request(why)
        match subresource:
            case "log":
                return await _serve_log(request, run)
            case "exec":
                return await _serve_exec(request, run)
            case "attach":
                return await _serve_attach(request, run)
        if run.terminating or not any(one.running for one in run.containers):
            raise bad_request(f"unable to forward port because pod {run.name} is not running")
        _require_websocket(request)
        return await serve_port_forward(request, run)


def _container(pod: PodRun, name: str) -> ContainerRun:
    """The container of this name; without one, the only container. Raises ApiError."""
    if not name:
        names = [run.name for run in pod.containers]
        if len(names) > 1:
            raise bad_request(
                f"a container name must be specified for pod {pod.name}, choose one of: [{' '.join(names)}]"
            )
        name = names[0]
    run = pod.container_run(name)
    if run is None:
        raise bad_request(f"container {name} is not valid for pod {pod.name}")
    return run


def _require_websocket(request: web.Request) -> None:
    """Raises ApiError."""
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        raise bad_request("unable to upgrade: the sandbox streams over WebSocket only")


def _require_channels(request: web.Request) -> None:
    """Raises ApiError when the client knows none of the protocols. One that names none gets the oldest."""
    header = "Sec-WebSocket-Protocol"
    asked = [one.strip() for text in request.headers.getall(header, []) for one in text.split(",")]
    if asked and not set(asked) & set(_PROTOCOLS):
        known = ", ".join(_PROTOCOLS)
        raise bad_request(f"unable to upgrade: {', '.join(asked)}: not supported by the sandbox, which has {known}")


# Logs.


async def _serve_log(request: web.Request, pod: PodRun) -> web.StreamResponse:
    query = request.query
    if unknown := set(query) - _LOG_PARAMETERS:
        raise bad_request(f"not supported by the sandbox: {', '.join(sorted(unknown))}")
    run = _container(pod, query.get("container", ""))
    log = _log(pod, run, flag(query, "previous"))
    stamped, limit = flag(query, "timestamps"), _number(query, "limitBytes")
    lines = log.read(tail=_number(query, "tailLines"), since=_since(query), follow=flag(query, "follow"))
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
    await response.prepare(request)
    waiting = bytearray()
    async for line in lines:
        waiting += (line.timestamp() + b" " if stamped else b"") + line.text + b"\n"
        if limit is not None and len(waiting) >= limit:
            del waiting[limit:]
            break
        # Line by line when following; else in pieces, unless a limit has to be counted from the start.
        if limit is None and (flag(query, "follow") or len(waiting) > _BATCH):
            await response.write(bytes(waiting))
            waiting.clear()
    if run.awaits_client and not set(query) & _PARTLY:
        run.told = run.log.so_far().rfind(b"\n") + 1
    if waiting:
        await response.write(bytes(waiting))
    await response.write_eof()
    return response


def _log(pod: PodRun, run: ContainerRun, previous: bool) -> ContainerLog:
    if previous:
        if run.previous_log is None:
            raise bad_request(f'previous terminated container "{run.name}" in pod "{pod.name}" not found')
        return run.previous_log
    if not run.container_id:
        reason = run.state.get("waiting", {}).get("reason", "ContainerCreating")
        raise bad_request(f'container "{run.name}" in pod "{pod.name}" is waiting to start: {reason}')
    return run.log


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise bad_request(f"{name}: Invalid value: {text!r}: must be a whole number, not negative")
    return int(text)


def _since(query: Mapping[str, str]) -> int | None:
    seconds = _number(query, "sinceSeconds")
    if seconds is not None:
        return time.time_ns() - seconds * 1_000_000_000
    if moment := query.get("sinceTime"):
        try:
            return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000_000
        except ValueError:
            raise bad_request(f"sinceTime: Invalid value: {moment!r}") from None
    return None


# exec and attach.


async def _serve_exec(request: web.Request, pod: PodRun) -> web.StreamResponse:
    run = _running(pod, request)
    command = request.query.getall("command", [])
    if not command:
        raise bad_request("you must specify at least 1 command for the container")

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


async def _serve_attach(request: web.Request, pod: PodRun) -> web.StreamResponse:
    run = _running(pod, request, or_ended=True)

    async def attach(streams: Streams) -> int:
        def listen(stream: str, data: bytes) -> None:
            (streams.out if stream == "out" else streams.err)(data)

        # Of this run of the container: it may have begun another by the time this one's end is noticed.
        written = run.log
        # Who starts a container to talk to it must not miss what it said before the connection was there, nor its
        # end. A kubectl from 1.36 on has read the log up to now, and would show it twice.
        if run.awaits_client:
            streams.out(written.so_far()[run.told :])
        run.attached = True
        written.listeners.append(listen)
        feeding = asyncio.create_task(_feed(streams.stdin, run)) if flag(request.query, "stdin") else None
        try:
            await written.closed()
        finally:
            written.listeners.remove(listen)
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


def _running(pod: PodRun, request: web.Request, *, or_ended: bool = False) -> ContainerRun:
    run = _container(pod, request.query.get("container", ""))
    if not run.running and not (or_ended and run.awaits_client and run.exit_code is not None):
        raise bad_request(f'container not found ("{run.name}"): it is not running')
    _require_websocket(request)
    _require_channels(request)
    return run


class _Session:
    """One WebSocket: feeds stdin, sends output in order, and the outcome last."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=0, autoping=False)
        self._output: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._encoded = False

    async def serve(self, execute: Callable[[Streams], Awaitable[int]]) -> web.StreamResponse:
        await self._socket.prepare(self._request)
        protocol = self._socket.ws_protocol or ""
        self._encoded, told_as_status = "base64" in protocol, protocol.startswith("v")
        query = self._request.query
        tty = flag(query, "tty")
        errors = _STDOUT if tty else _STDERR
        streams = Streams(
            out=lambda data: self._send(_STDOUT, data), err=lambda data: self._send(errors, data), tty=tty
        )
        if flag(query, "stdin"):
            streams.stdin = asyncio.StreamReader(limit=2**24)
        sending = asyncio.create_task(self._pump())
        receiving = asyncio.create_task(self._receive(streams.stdin))
        running = asyncio.create_task(self._run(execute, streams))
        try:
            await asyncio.wait({running, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                self._send(_OUTCOME, _told(running.result(), as_status=told_as_status))
                self._output.put_nowait(None)
                with contextlib.suppress(ConnectionError):  # the client has left meanwhile
                    await sending
                    await self._socket.close()
        finally:
            tasks = (running, receiving, sending)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._socket

    async def _run(self, execute: Callable[[Streams], Awaitable[int]], streams: Streams) -> dict[str, Any]:
        """Its outcome. The connection is the streams' already: an error can be told in there only.

        Raises ConnectionError when the client has left before it began.
        """
        await self._listening()
        try:
            return _outcome(await execute(streams))
        except Exception as error:
            log.exception("%s", self._request.path)
            return _failure(f"error executing command in container: {type(error).__name__}: {error}", streams)

    async def _listening(self) -> None:
        """Wait until the client has created the streams it asked for: it throws away what comes before.

        A WebSocket does not tell when. Newer kubectls read only afterwards, so that they answer a ping says it.
        Older ones (to 1.32 at least) read at once and create streams meanwhile: they get as much time as the answer
        took, and must then answer another one. With a real server this is the time it takes to reach the container.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LISTENING_SECONDS):
                took = await self._ping()
                await asyncio.sleep(max(took, _SETTLING_SECONDS))
                await self._ping()

    async def _ping(self) -> float:
        """How long the answer took."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._answered.clear()
        await self._socket.ping()
        await self._answered.wait()
        return clock() - began

    def _send(self, channel: int, data: bytes) -> None:
        if data:
            self._output.put_nowait(bytes((channel,)) + data)

    async def _pump(self) -> None:
        while (message := await self._output.get()) is not None:
            if self._encoded:
                await self._socket.send_str(f"{message[0]}{base64.b64encode(message[1:]).decode()}")
            else:
                await self._socket.send_bytes(message)

    async def _receive(self, stdin: asyncio.StreamReader) -> None:
        """Until the client is gone."""
        closed = stdin.at_eof()
        async for message in self._socket:
            if message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._answered.set()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT) or not message.data:
                continue
            received = message.data.encode() if isinstance(message.data, str) else message.data
            try:
                channel, data = self._decoded(received)
            except ValueError:
                await self._socket.close(code=WSCloseCode.INVALID_TEXT, message=b"it is not base64")
                return
            if channel == _STDIN and not closed:
                stdin.feed_data(data)
            elif channel == _CLOSE and data[:1] == bytes((_STDIN,)):
                closed = True
                stdin.feed_eof()

    def _decoded(self, message: bytes) -> tuple[int, bytes]:
        """Channel and data. Raises ValueError for a message that is not of the protocol."""
        if not self._encoded:
            return message[0], message[1:]
        return int(message[:1]), base64.b64decode(message[1:], validate=True)


def _told(outcome: Mapping[str, Any], *, as_status: bool) -> bytes:
    if as_status:
        return json.dumps(outcome).encode()
    return b"" if outcome["status"] == "Success" else str(outcome["message"]).encode()


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


def _failure(message: str, streams: Streams) -> dict[str, Any]:
    """The Status of a command that neither ended nor could be run, as the API has it of a runtime's failure."""
    streams.err(f"{message}\n".encode())
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {message}",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
