"""`fortio server`: echoes, and errs, waits or closes as the query asks (`status=503:50&delay=1s:20`)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from aiohttp import web

from sandbox.images import gofmt
from sandbox.images.fortio.version import VERSION
from sandbox.images.program import Container, ProgramError
from sandbox.images.web import TEXT, WebProgram

LONGEST_DELAY = 1_500_000_000
"""Nanoseconds: fortio's own limit (`-max-echo-delay`)."""
MOST_BYTES = 256 * 1024

_PARAMETERS = frozenset({"status", "delay", "close", "size", "header"})


def drawn(text: str, read: Callable[[str], int], none: int) -> int:
    """`503`, or one of `503:50,500:10` by its percentage; `none` for the rest of a hundred. Raises ValueError."""
    if ":" not in text and "," not in text:
        return read(text)
    chances = []
    total = 0.0
    for entry in text.split(","):
        value, colon, percent = entry.partition(":")
        share = float(percent.removesuffix("%"))
        total = round(total + share, 4)
        if not colon or not 0 <= share <= 100 or total > 100:
            raise ValueError(text)
        chances.append((total, read(value)))
    roll = random.random() * 100  # noqa: S311 - fault injection
    return next((value for limit, value in chances if roll <= limit), none)


class Server(WebProgram):
    """Every path echoes but /debug, as fortio's does."""

    def __init__(self, container: Container, arguments: list[str]) -> None:
        super().__init__(container)
        self._arguments = arguments
        self._began = time.monotonic()

    def configure(self, arguments: list[str]) -> None:
        words = list(self._arguments)
        while words:
            name, equals, value = words.pop(0).lstrip("-").partition("=")
            if name in ("http-port", "config-dir") and not equals:
                value = words.pop(0) if words else ""
            if name == "http-port" and value.isdecimal():
                self.port = int(value)
            elif name != "config-dir":
                raise ProgramError(
                    f"flag not supported by the sandbox's fortio server: -{name} {value}".rstrip(), 2
                )

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if unknown := set(request.query) - _PARAMETERS - {"env"}:
            # fortio's gzip, and whatever it does not know either, would be passed over.
            self.container.log(f"ignored: {', '.join(sorted(unknown))}")
        await self._delay(request.query.get("delay", ""))
        if request.path.rstrip("/") == "/debug":
            return self._finish(request, web.Response(body=self._debug(request, body), headers=TEXT))
        status = self._status(request.query.get("status", ""))
        size = self._size(request.query.get("size", ""))
        kind = request.headers.get("Content-Type", "")
        if size >= 0:
            body, kind = bytes(size), "application/octet-stream"
        response = web.Response(body=body, status=status, headers={"Content-Type": kind} if kind else {})
        return self._finish(request, response)

    def _finish(self, request: web.BaseRequest, response: web.Response) -> web.Response:
        for line in request.query.getall("header", []):
            name, colon, value = line.partition(":")
            if colon:
                response.headers.add(name.strip(), value.strip())
        close = request.query.get("close", "")
        try:
            if close.lower() == "true" or (close and random.random() * 100 < float(close.split(":")[-1])):  # noqa: S311
                response.force_close()
        except ValueError:
            self.container.log(f"bad input close {close}")
        return response

    async def _delay(self, text: str) -> None:
        if not text:
            return
        try:
            delay = min(drawn(text, gofmt.duration, 0), LONGEST_DELAY)
        except ValueError:
            self.container.log(f"bad input delay {text}")
            return
        if delay > 0:
            await asyncio.sleep(delay / 1e9)

    def _status(self, text: str) -> int:
        try:
            status = drawn(text, int, 200) if text else 200
        except ValueError:
            self.container.log(f"bad input status {text}")
            return 400
        return status if 200 <= status <= 999 else 400

    def _size(self, text: str) -> int:
        try:
            size = drawn(text, int, -1) if text else -1
        except ValueError:
            self.container.log(f"bad input size {text}")
            return -1
        return min(size, MOST_BYTES)

    def _debug(self, request: web.BaseRequest, body: bytes) -> bytes:
        up = gofmt.written(int((time.monotonic() - self._began) * 10) * 10**8)
        lines = [
            f"Φορτίο version {VERSION} echo debug server up for {up} on {self.container.pod_name}"
            f" - request from {request.remote}",
            "",
            f"{request.method} {request.path_qs} HTTP/{request.version.major}.{request.version.minor}",
            "",
            "headers:",
            "",
            f"Host: {request.headers.get('Host', '')}",
        ]
        names = sorted({name.title() for name in request.headers if name.lower() != "host"})
        lines += [f"{name}: {','.join(request.headers.getall(name))}" for name in names]
        lines += ["", "body:", "", body.decode(errors="replace")]
        if request.query.get("env") == "dump":
            lines += ["environment:", "", *(f"{key}={value}" for key, value in self.container.env.items())]
        return ("\n".join(lines) + "\n").encode()
