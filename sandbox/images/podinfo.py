"""podinfo: says who it is, in a colour and with a message of one's choice; made for trying roll-outs.

Flags, their `PODINFO_...` variables, paths and answers are podinfo's own (`cmd/podinfo/main.go`, `pkg/api/http`),
as far as roll-outs need them. What else podinfo has is refused by its name: a flag with status 2, a path with 501.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from aiohttp import web

from sandbox.images.program import Container, Factory, ProgramError, parse_flags
from sandbox.images.web import HTML, JSON, WebProgram

_DEFAULTS = {"port": "9898", "ui-color": "#34577c", "ui-message": ""}
_NOT_HERE = (
    *("cache-server", "cert-path", "config", "config-path", "data-path", "grpc-port", "grpc-service-name", "h2c"),
    *("host", "http-client-timeout", "http-server-timeout", "otel-service-name", "port-metrics", "secure-port"),
    *("server-shutdown-timeout", "stress-cpu", "stress-memory", "ui-path", "ui-logo", "level", "backend-url"),
    *("random-delay", "random-delay-unit", "random-delay-min", "random-delay-max", "random-error"),
    *("unhealthy", "unready"),
)
"""Flags of podinfo's that the sandbox's does not have: their variables would otherwise be passed over."""
_PATHS_NOT_HERE = (
    *("cache", "chunked", "configs", "debug", "delay", "echo", "env", "headers", "metrics", "panic", "store"),
    *("swagger", "swagger.json", "token", "ws"),
)

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: {color}; color: #fff;
  font: 20px/1.6 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; text-align: center; }}
main {{ padding: 20px; }} h1 {{ font-size: 44px; margin: 0 0 12px; overflow-wrap: anywhere; }}
code {{ display: inline-block; background: #0003; padding: 4px 12px; border-radius: 7px; overflow-wrap: anywhere; }}
</style></head><body><main><h1>{message}</h1><p>version <code>{version}</code></p>
<p>served by <code>{name}</code></p></main></body></html>
"""


def parse(arguments: list[str], env: Mapping[str, str]) -> dict[str, str]:
    """What each flag is: given, by its variable, or by default. Raises ProgramError, with podinfo's status.

    A port of the environment that is no number is passed over, as podinfo does: Kubernetes sets PODINFO_PORT to
    tcp://... for a service of that name.
    """
    for name in _NOT_HERE:
        if env.get(_variable(name)):
            raise ProgramError(f"not supported by the sandbox's podinfo: {_variable(name)}", 2)
    given, operands = parse_flags(arguments, [f"--{name}" for name in _DEFAULTS], program="podinfo")
    if operands:
        raise ProgramError(f"unknown arguments for the sandbox's podinfo: {' '.join(operands)}", 2)
    options = {name: given.get(f"--{name}") or env.get(_variable(name)) or _DEFAULTS[name] for name in _DEFAULTS}
    if "--port" not in given and not options["port"].isdecimal():
        options["port"] = _DEFAULTS["port"]
    if not options["port"].isdecimal():
        raise ProgramError(f'Error: invalid argument "{options["port"]}" for "--port"', 2)
    return options


def _variable(name: str) -> str:
    return f"PODINFO_{name.upper().replace('-', '_')}"


class PodInfo(WebProgram):
    binaries = ("podinfo",)

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._version = container.image.split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2] or "latest"
        self._color = self._message = ""
        self._ready = True

    def configure(self, arguments: list[str]) -> None:
        options = parse(arguments, self.container.env)
        self.port, self._color = int(options["port"]), options["ui-color"]
        self._message = options["ui-message"] or f"greetings from podinfo v{self._version}"

    def record(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """podinfo logs no request."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.strip("/")
        allowed = ("POST",) if path in ("readyz/enable", "readyz/disable") else ("GET", "HEAD")
        name, _, rest = path.partition("/")
        known = path in ("", "api/info", "version", "healthz", "readyz") or (name == "status" and rest.isdecimal())
        if name in _PATHS_NOT_HERE or path == "api/echo":
            raise web.HTTPNotImplemented(text=f"the sandbox's podinfo has no {request.path}")
        if not known and allowed != ("POST",):
            raise web.HTTPNotFound(text=f"{request.path} not found")
        if request.method not in allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        match name:
            case "" | "api":
                return self._info(request)
            case "version":
                return _json({"commit": "sandbox", "version": self._version})
            case "healthz":
                return _json({"status": "OK"})
            case "status":
                return self._status(int(rest))
        if rest:
            self._ready = rest == "enable"
            return web.Response(status=202)
        return _json({"status": "OK"}) if self._ready else web.Response(status=503)

    def _info(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/" and request.headers.get("User-Agent", "").startswith("Mozilla"):
            page = _PAGE.format(
                name=escape(self.container.pod_name),
                color=escape(self._color),
                message=escape(self._message),
                version=escape(self._version),
            )
            return web.Response(body=page.encode(), headers=HTML)
        return _json(
            {
                "hostname": self.container.pod_name,
                "version": self._version,
                "revision": "sandbox",
                "color": self._color,
                "message": self._message,
                "goos": "linux",
                "goarch": "amd64",
                "runtime": "sandbox",
            }
        )

    def _status(self, code: int) -> web.Response:
        if not 200 <= code <= 599:
            raise web.HTTPNotImplemented(text=f"the sandbox's podinfo answers with 200 to 599, not {code}")
        return _json({"status": code}, code)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(value, indent=2).encode(), status=status, headers=JSON)


PROGRAMS: dict[str, Factory] = {"podinfo": PodInfo}
