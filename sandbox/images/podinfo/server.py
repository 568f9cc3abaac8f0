"""What podinfo answers, and how it misbehaves when it is told to.

Figures and behaviour are podinfo's (`pkg/api/http`): with `--random-error` one answer of three is a 500, 400 or 409
with nothing in it; with `--random-delay` every answer waits a whole number of units, at least the minimum and less
than the maximum. Both meet every path there is, the probes' included.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from aiohttp import web

from sandbox.images.podinfo.options import LEVELS, Options, parse
from sandbox.images.program import Container
from sandbox.images.web import HTML, JSON, TEXT, WebProgram

PANIC = 255
RANDOM_ERRORS = (500, 400, 409)
ONE_IN = 3
_BACKEND_PATIENCE = 120.0
"""Seconds: podinfo's --http-client-timeout."""
_SAMPLED = 100
"""Of one second's equal log lines the first hundred are written, then every hundredth."""
_FORWARDED = (
    *("x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"),
    "x-ot-span-context",
)
_NOT_HERE = ("cache", "chunked", "configs", "debug", "metrics", "store", "swagger", "swagger.json", "token", "ws")

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: {color}; color: #fff;
  font: 20px/1.6 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; text-align: center; }}
main {{ padding: 20px; }} h1 {{ font-size: 44px; margin: 0 0 12px; overflow-wrap: anywhere; }}
code {{ display: inline-block; background: #0003; padding: 4px 12px; border-radius: 7px; overflow-wrap: anywhere; }}
</style></head><body><main><h1>{message}</h1><p>version <code>{version}</code></p>
<p>served by <code>{name}</code></p></main></body></html>
"""


class _Route(NamedTuple):
    answer: Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
    methods: tuple[str, ...]
    """Empty: any."""


class PodInfo(WebProgram):
    binaries = ("podinfo",)

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._version = container.image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2] or "latest"
        self._options = Options()
        self._ready = True
        self._panic: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._second, self._lines = 0, 0

    def configure(self, arguments: list[str]) -> None:
        self._options = parse(arguments, self.container.env)
        self.port = self._options.port
        self._ready = not self._options.unready

    def greet(self) -> None:
        facts = {"version": self._version, "revision": "sandbox", "port": str(self.port)}
        self._log("info", "podinfo/main.go:153", "Starting podinfo", facts)

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if self._options.level != "debug":
            return
        second = int(time.time())
        self._second, self._lines = second, self._lines + 1 if second == self._second else 1
        if self._lines > _SAMPLED and self._lines % _SAMPLED:
            return
        facts = {
            "proto": f"HTTP/{request.version.major}.{request.version.minor}",
            "uri": request.path_qs,
            "method": request.method,
            "remote": str(request.remote),
            "user-agent": request.headers.get("User-Agent", ""),
        }
        self._log("debug", "http/logging.go:35", "request started", facts)

    def _log(self, level: str, caller: str, message: str, facts: dict[str, Any]) -> None:
        if LEVELS.index(level) >= LEVELS.index(self._options.level):
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
            line = {"level": level, "ts": now, "caller": caller, "msg": message, **facts}
            self.container.streams.err(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    async def wait(self) -> int:
        return await self._panic

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name, _, rest = request.path[1:].partition("/")
        if name in _NOT_HERE:
            raise web.HTTPNotImplemented(text=f"the sandbox's podinfo has no {request.path}")
        route = self._route(name, rest)
        if route is None:
            raise web.HTTPNotFound(text=f"{request.path} not found")
        if route.methods and request.method not in route.methods:
            raise web.HTTPMethodNotAllowed(request.method, route.methods)
        options = self._options
        if options.random_delay:
            unit = 0.001 if options.random_delay_unit == "ms" else 1.0
            units = random.randrange(options.random_delay_min, options.random_delay_max)  # noqa: S311
            await asyncio.sleep(units * unit)
        if options.random_error and random.randrange(ONE_IN) == 0:  # noqa: S311 - fault injection
            return web.Response(status=random.choice(RANDOM_ERRORS))  # noqa: S311
        return await route.answer(request, rest)

    def _route(self, name: str, rest: str) -> _Route | None:
        match name, rest:
            case ("", "") | ("api", "info"):
                return _Route(self._index, ("GET",))
            case "version", "":
                return _Route(self._said_version, ("GET",))
            case "healthz" | "readyz", "":
                return _Route(self._healthz if name == "healthz" else self._readyz, ("GET",))
            case "readyz", "enable" | "disable":
                return _Route(self._switch, ("POST",))
            case "status", code if code.isdecimal():
                return _Route(self._status, ("GET", "POST", "PUT"))
            case "delay", seconds if seconds.isdecimal():
                return _Route(self._delay, ("GET",))
            case "headers" | "env", "":
                return _Route(self._headers if name == "headers" else self._env, ("GET", "POST"))
            case ("echo", _) | ("api", "echo"):
                return _Route(self._echo, ())
            case "panic", "":
                return _Route(self._end, ("GET",))
        return None

    async def _index(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        if request.path == "/" and request.headers.get("User-Agent", "").startswith("Mozilla"):
            page = _PAGE.format(
                name=escape(self.container.pod_name),
                color=escape(self._options.ui_color),
                message=escape(self._message),
                version=escape(self._version),
            )
            return web.Response(body=page.encode(), headers=HTML)
        return _json(
            {
                "hostname": self.container.pod_name,
                "version": self._version,
                "revision": "sandbox",
                "color": self._options.ui_color,
                "logo": self._options.ui_logo,
                "message": self._message,
                "goos": "linux",
                "goarch": "amd64",
                "runtime": "sandbox",
                "num_goroutine": "1",
                "num_cpu": "1",
            }
        )

    @property
    def _message(self) -> str:
        return self._options.ui_message or f"greetings from podinfo v{self._version}"

    async def _said_version(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        return _json({"commit": "sandbox", "version": self._version})

    async def _healthz(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        return web.Response(status=503) if self._options.unhealthy else _json({"status": "OK"})

    async def _readyz(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        return _json({"status": "OK"}) if self._ready else web.Response(status=503)

    async def _switch(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        self._ready = rest == "enable"
        return web.Response(status=202)

    async def _status(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        code = int(rest)
        if not 200 <= code <= 599:
            raise web.HTTPNotImplemented(text=f"the sandbox's podinfo answers with 200 to 599, not {code}")
        return _json({"status": code}, code)

    async def _delay(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        await asyncio.sleep(int(rest))
        return _json({"delay": int(rest)})

    async def _headers(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        headers: dict[str, list[str]] = {}
        for key, value in request.headers.items():
            headers.setdefault(key.title(), []).append(value)
        return _json(headers)

    async def _env(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        return _json([f"{key}={value}" for key, value in self.container.env.items()])

    async def _end(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        self._log("info", "http/panic.go:15", "Panic command received", {})
        if not self._panic.done():
            self._panic.set_result(PANIC)
        return web.Response(status=500)

    async def _echo(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        body = await request.read()
        color = {"X-Color": self._options.ui_color}
        if not self._options.backend_url:
            return web.Response(body=body, status=202, headers=TEXT | color)
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        answers = await asyncio.gather(*(self._asked(url, headers, body) for url in self._options.backend_url))
        response = _json(list(answers))
        response.headers.update(color)
        return response

    async def _asked(self, url: str, headers: dict[str, str], body: bytes) -> str:
        """What a backend made of the body, or why it did not."""
        try:
            async with asyncio.timeout(_BACKEND_PATIENCE):
                reply = await self.container.network.http.request(
                    "POST", url, {**headers, "x-api-version": self._version, "x-api-revision": "sandbox"}, body
                )
        except OSError as error:
            self._log("error", "http/echo.go:68", "backend call failed", {"error": str(error), "url": url})
            return f"backend {url} call failed {error}"
        if reply.status >= 400:
            self._log("error", "http/echo.go:76", "backend call failed", {"status": reply.status, "url": url})
            return f"backend {url} response status code {reply.status}"
        return reply.body.decode(errors="replace")


def _json(value: Any, status: int = 200) -> web.Response:
    headers = JSON | {"X-Content-Type-Options": "nosniff"}
    return web.Response(body=json.dumps(value, indent=2).encode(), status=status, headers=headers)
