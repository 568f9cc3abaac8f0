"""podinfo: says who it is, in a colour of one's choice; made for trying roll-outs."""

from __future__ import annotations

import asyncio
import json
from html import escape
from typing import Any

from aiohttp import web

from workshop.sandbox.images.program import Container, Factory, Program, ProgramError
from workshop.sandbox.images.web import HTML, JSON, TEXT, WebProgram

PANIC = 255

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<link rel="icon" href="data:,"><style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: {color}; color: #fff;
  font: 20px/1.6 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; text-align: center; }}
h1 {{ font-size: 44px; margin: 0 0 12px; }} code {{ background: #0003; padding: 4px 12px; border-radius: 7px; }}
</style></head><body><main><h1>{message}</h1><p>version <code>{version}</code></p>
<p>served by <code>{name}</code></p></main></body></html>
"""


class PodInfo(WebProgram):
    port = 9898
    binaries = ("podinfo",)

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        env = container.env
        tag = container.image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
        self._version = tag or "latest"
        self._color = env.get("PODINFO_UI_COLOR", "#34577c")
        self._message = env.get("PODINFO_UI_MESSAGE", f"greetings from podinfo v{self._version}")
        self._ready = True
        self._panic: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def configure(self, arguments: list[str]) -> None:
        for word in arguments:
            name, _, value = word.removeprefix("--").partition("=")
            if name == "port":
                self.port = int(value)
            elif name == "ui-color":
                self._color = value
            elif name == "ui-message":
                self._message = value
            elif name != "level" and (name, value) not in (("random-delay", "false"), ("random-error", "false")):
                raise ProgramError(
                    f"unknown flag: {word} (the sandbox's podinfo has --port, --ui-color, --ui-message)", 2
                )

    async def wait(self) -> int:
        return await self._panic

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name, _, rest = request.path[1:].partition("/")
        if name == "" and "text/html" in request.headers.get("Accept", ""):
            page = _PAGE.format(
                name=escape(self.container.pod_name),
                color=escape(self._color),
                message=escape(self._message),
                version=escape(self._version),
            )
            return web.Response(body=page.encode(), headers=HTML)
        if name in ("", "api"):
            return _json(self._info())
        if name == "version":
            return _json({"commit": "sandbox", "version": self._version})
        if name in ("healthz", "readyz"):
            return await self._health(request, name, rest)
        return await self._tool(request, name, rest)

    def _info(self) -> dict[str, Any]:
        return {
            "hostname": self.container.pod_name,
            "version": self._version,
            "revision": "sandbox",
            "color": self._color,
            "logo": "",
            "message": self._message,
            "goos": "linux",
            "goarch": "amd64",
            "runtime": "sandbox",
            "num_goroutine": "1",
            "num_cpu": "1",
        }

    async def _health(self, request: web.BaseRequest, name: str, rest: str) -> web.StreamResponse:
        if rest in ("enable", "disable") and request.method == "POST":
            self._ready = rest == "enable"
            return _json({"status": "OK"}, 202)
        ok = name == "healthz" or self._ready
        return _json({"status": "OK"} if ok else {"status": "Service Unavailable"}, 200 if ok else 503)

    async def _tool(self, request: web.BaseRequest, name: str, rest: str) -> web.StreamResponse:
        if name == "status" and rest.isdigit() and 200 <= int(rest) <= 599:
            return _json({"status": rest}, int(rest))
        if name == "delay" and rest.isdigit():
            await asyncio.sleep(int(rest))
            return _json({"delay": int(rest)})
        if name == "headers":
            headers: dict[str, list[str]] = {}
            for key, value in request.headers.items():
                headers.setdefault(key.title(), []).append(value)
            return _json(headers)
        if name == "env":
            return _json([f"{key}={value}" for key, value in self.container.env.items()])
        if name == "echo" and request.method == "POST":
            return web.Response(body=await request.read(), status=202, headers=TEXT)
        if name == "panic":
            self._panic.set_result(PANIC)
        raise web.HTTPNotFound(text=f"{request.path} not found")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(value, indent=2).encode() + b"\n", status=status, headers=JSON)


def podinfo(container: Container) -> Program:
    return PodInfo(container)


PROGRAMS: dict[str, Factory] = {"podinfo": podinfo}
