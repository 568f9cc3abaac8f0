"""go-httpbin: answers what it was asked, as slowly and as badly as it was told to.

It is started by its name and may be given its port. Its other paths are refused by name (501), and so are its other
flags and variables. The older httpbin is in flask_httpbin.py.
"""

from __future__ import annotations

import asyncio
import json
import random
from posixpath import normpath
from typing import Any
from urllib.parse import parse_qs, quote

from aiohttp import web

from sandbox.core import nesting
from sandbox.core.durations import nanoseconds, to_go
from sandbox.images.flask_httpbin import HttpBin
from sandbox.images.program import Factory, ProgramError, parse_flags
from sandbox.images.web import HTML, JSON, TEXT, WebProgram

LONGEST_DELAY = 10 * 10**9
"""Nanoseconds, as in httpbin itself."""

_ONLY = {name: name.upper() for name in ("get", "post", "put", "patch", "delete")}
_PATHS = (*_ONLY, "anything", "delay", "headers", "hostname", "ip", "redirect", "status", "unstable", "user-agent")
_PATHS_NOT_HERE = (
    *(
        "absolute-redirect",
        "base64",
        "basic-auth",
        "bearer",
        "brotli",
        "bytes",
        "cache",
        "cookies",
        "deflate",
        "deny",
    ),
    *(
        "digest-auth",
        "drip",
        "dump",
        "encoding",
        "env",
        "etag",
        "forms",
        "gzip",
        "head",
        "hidden-basic-auth",
        "html",
    ),
    *("image", "json", "links", "options", "range", "redirect-to", "relative-redirect", "response-headers"),
    *("robots.txt", "sse", "stream", "stream-bytes", "trailers", "uuid", "websocket", "xml"),
)
_VARIABLES_NOT_HERE = (
    *(
        "ALLOWED_REDIRECT_DOMAINS",
        "EXCLUDE_HEADERS",
        "HTTPS_CERT_FILE",
        "HTTPS_KEY_FILE",
        "LOG_FORMAT",
        "LOG_LEVEL",
    ),
    *("MAX_BODY_SIZE", "MAX_DURATION", "PORT", "PREFIX"),
    *("SRV_MAX_HEADER_BYTES", "SRV_READ_HEADER_TIMEOUT", "SRV_READ_TIMEOUT"),
)


class GoHttpBin(WebProgram):
    binaries = ("go-httpbin",)
    port = 8080

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (cleaned := _cleaned(request.path)) != request.path:
            # Go's router sends who asks for a path that is not clean to the one that is.
            query = f"?{request.query_string}" if request.query_string else ""
            where = f"{quote(cleaned)}{query}"
            text = f'<a href="{where}">Moved Permanently</a>.\n\n' if request.method in ("GET", "HEAD") else ""
            return web.Response(status=301, text=text, headers={"Location": where, **HTML})
        name, *rest = request.path[1:].split("/")
        if name in _PATHS_NOT_HERE:
            raise web.HTTPNotImplemented(text=f"the sandbox's httpbin has no /{name}: {' '.join(_PATHS)}")
        if not name:
            return web.Response(text="\n".join(f"/{one}" for one in _PATHS) + "\n")
        if name not in _PATHS:
            return _refused(404, request.path)
        wanted = _ONLY.get(name, request.method)
        if request.method != wanted and not (wanted == "GET" and request.method == "HEAD"):
            return _refused(405, f"{request.method} {request.path}", {"Allow": wanted})
        try:
            return await self._answer(request, name, rest)
        except (ValueError, IndexError) as error:
            return _refused(400, str(error))

    async def _answer(self, request: web.BaseRequest, name: str, rest: list[str]) -> web.Response:
        match name:
            case "headers":
                return _json({"headers": _headers(request)})
            case "hostname":
                return _json({"hostname": self.container.pod_name})
            case "ip":
                return _json({"origin": _origin(request)})
            case "user-agent":
                return _json({"user-agent": request.headers.get("User-Agent", "")})
            case "status":
                return self._status(int(rest[0]))
            case "unstable" if request.query_string:
                raise ValueError("the sandbox's httpbin fails half of the calls to /unstable, and takes no query")
            case "unstable":  # docs/authoring.md calls it
                return self._status(random.choice((200, 500)))  # noqa: S311
            case "redirect":
                left = int(rest[0]) - 1
                where = f"/redirect/{left}" if left > 0 else "/get"
                return web.Response(status=302, headers={"Location": where, **TEXT})
            case "delay":
                await asyncio.sleep(_delay(rest[0]) / 1e9)
        return await self._echo(request)

    def _status(self, status: int) -> web.Response:
        if not 200 <= status <= 599:
            raise ValueError(f"invalid status code: {status}")
        headers = {"Location": "/redirect/1"} if status in (301, 302, 303, 307, 308) else {}
        return web.Response(status=status, headers=TEXT | headers)

    async def _echo(self, request: web.BaseRequest) -> web.Response:
        asked = {
            "args": parse_qs(request.query_string, keep_blank_values=True),
            "headers": _headers(request),
            "method": request.method,
            "origin": _origin(request),
            "url": f"http://{request.headers.get('Host', '')}{request.path_qs}",
        }
        if request.path.startswith("/get"):
            return _json(asked)
        body = await request.read()
        text = body.decode(errors="replace")
        kind = request.headers.get("Content-Type", "")
        try:
            parsed = nesting.parse(body) if "json" in kind else None
        except ValueError:
            parsed = None
        form = parse_qs(text) if kind.startswith("application/x-www-form-urlencoded") else {}
        return _json({**asked, "data": text, "files": {}, "form": form, "json": parsed})

    def configure(self, arguments: list[str]) -> None:
        if refused := [name for name in _VARIABLES_NOT_HERE if self.container.env.get(name)]:
            raise ProgramError(f"not supported by the sandbox's go-httpbin: {' '.join(refused)}", 2)
        given, operands = parse_flags(self.without_name(arguments), ["-port"], program="go-httpbin")
        port = given.get("-port", str(self.port))
        if operands or not port.isdecimal():
            raise ProgramError(f"error: invalid arguments: {' '.join(arguments)}", 2)
        self.port = int(port)


def _cleaned(path: str) -> str:
    """As Go's path.Clean has it, but for a slash at the end, which stays."""
    clean = normpath(f"/{path.lstrip('/')}")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(value, indent=2).encode() + b"\n", status=status, headers=JSON | (headers or {})
    )


def _refused(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return _json({"status_code": status, "detail": detail}, status, headers)


def _headers(request: web.BaseRequest) -> dict[str, list[str]]:
    """By name as Go spells it, and in the order of names; the values of one as they came."""
    lists: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        lists.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
    return dict(sorted(lists.items()))


def _origin(request: web.BaseRequest) -> str:
    return request.headers.get("X-Forwarded-For", "").split(",")[0] or request.remote or ""


def _delay(text: str) -> int:
    """Nanoseconds of `2`, `0.5` or Go's `100ms`. Raises ValueError."""
    try:
        delay = int(float(text) * 1000) * 10**6
    except ValueError:
        delay = nanoseconds(text)
    if not 0 <= delay <= LONGEST_DELAY:
        raise ValueError(f"invalid duration: {text} is not from 0s to {to_go(LONGEST_DELAY)}")
    return delay


PROGRAMS: dict[str, Factory] = {"go-httpbin": GoHttpBin, "httpbin": HttpBin}
