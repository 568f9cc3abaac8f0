"""A container that serves HTTP: aiohttp's low-level server on the pod's address, without routing or middlewares.

Stopping must lose no request. The pod has left the EndpointSlices by then, but whoever balances over them may
need a moment to hear of it, and a kept connection must not be closed while a request is on its way. So a
stopping server goes on serving, asks clients to close (`Connection: close`), and ends when nothing was in
flight for `QUIET` seconds or the grace period is over.

A request whose caller has given up is answered on, as the real services do; but nothing waits for it any more.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from typing import Any

from aiohttp import web

from sandbox.images.program import Container, Program, ProgramError

QUIET = 0.25
"""Seconds: two and a half times what the mesh may take to stop sending here."""

_PARTING = 0.1
"""Seconds for answers that are given but not yet written when everything else is over."""

_KEPT = 2 * 3600
"""Seconds: longer than Envoy keeps an idle connection (1 h), so that it is never closed under a request."""

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}

# Carried from an incoming request to the calls it causes, so that traces join up and rules on the user apply.
PROPAGATED = (
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "sw8",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
)


class WebProgram(Program):
    """Subclasses answer; `port` is what the image's server listens on."""

    port = 8080
    binaries: tuple[str, ...] = ()
    """Names a container's `command` may call the image's own program by."""

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._answering: dict[asyncio.Task[Any] | None, web.BaseRequest] = {}
        self._last = 0.0
        self._stopping = False

    @abstractmethod
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request."""

    def configure(self, arguments: list[str]) -> None:
        """Take the program's command line. Raises ProgramError for what it does not know."""
        if arguments:
            raise ProgramError(
                f"unknown arguments for the sandbox's {self.container.image}: {' '.join(arguments)}", 2
            )

    def without_name(self, arguments: list[str]) -> list[str]:
        """Of an image without an entry point: without `command` the first of `args` is the program."""
        if self.container.spec.get("command") or not arguments:
            return arguments
        self._check_name(arguments[0])
        return arguments[1:]

    def _check_name(self, name: str) -> None:
        if name.rsplit("/", 1)[-1] not in self.binaries:
            raise ProgramError(f'exec: "{name}": executable file not found in $PATH', 127)

    async def start(self) -> None:
        command = self.container.command
        if self.container.spec.get("command"):
            self._check_name(command.pop(0))
        self.configure(command)
        loop = asyncio.get_running_loop()
        self._server = web.Server(self._handle, access_log=None, keepalive_timeout=_KEPT)
        try:
            address = self.container.network.listening(self.port)
            self._listener = await loop.create_server(self._server, *address, backlog=1024, start_serving=False)
            await self._listener.start_serving()
        except OSError as error:
            raise ProgramError(f"listen tcp {self.container.ip}:{self.port}: {error.strerror}") from error
        self.container.log(f"listening on port {self.port}")

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Log one request; `response` is about to be sent."""
        self.container.log(f"{request.method} {request.path_qs} {response.status}")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        self._answering[task] = request
        try:
            response = await self.answer(request)
        except web.HTTPException as refusal:
            allow = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
            response = web.Response(text=refusal.text, status=refusal.status, headers=allow)
        finally:
            del self._answering[task]
            if self._stopping:
                self._last = time.monotonic()
        self.record(request, response)
        if self._stopping:
            response.force_close()
        return response

    async def stop(self, grace: float) -> None:
        if self._listener is None or self._server is None:
            return
        self._stopping = True
        self._last = now = time.monotonic()
        deadline = now + grace
        while (now := time.monotonic()) < deadline and (self._awaited() or now < self._last + QUIET):  # noqa: ASYNC110
            await asyncio.sleep(min(0.02, deadline - now))
        self._listener.close()
        # Idle connections take all of this time. Not 0, which aiohttp takes for "as long as it takes".
        await self._server.shutdown(timeout=0.001 if now >= deadline else _PARTING)
        left = [task for task in self._answering if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _awaited(self) -> bool:
        """Whether anybody still waits for an answer."""
        return any(request.transport is not None for request in self._answering.values())


def propagated_headers(request: web.BaseRequest) -> dict[str, str]:
    """The headers of `request` that the calls it causes carry on."""
    headers = request.headers
    return {name: headers[name] for name in PROPAGATED if name in headers}
