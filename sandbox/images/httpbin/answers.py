"""What httpbin answers: what it was asked, as slowly and as badly as it was told to."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from sandbox.core import nesting
from sandbox.images import gofmt
from sandbox.images.program import Container
from sandbox.images.web import HTML, JSON, TEXT, WebProgram

LONGEST_DELAY = 10 * 10**9
"""Nanoseconds, as in httpbin itself."""
MOST_BYTES = 100 * 1024

Answer = Callable[[web.BaseRequest, list[str]], Awaitable[web.StreamResponse]]


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(value, indent=2).encode() + b"\n", status=status, headers=JSON | (headers or {})
    )


class HttpBin(WebProgram):
    def __init__(self, container: Container, port: int) -> None:
        super().__init__(container)
        self.port = port
        self.longest_delay = LONGEST_DELAY
        methods = ("get", "post", "put", "patch", "delete")
        self._answers: dict[str, Answer] = {
            **dict.fromkeys(methods, self._echo),
            "": self._index,
            "anything": self._echo,
            "basic-auth": self._basic_auth,
            "bytes": self._bytes,
            "cookies": self._cookies,
            "delay": self._delay,
            "headers": self._headers,
            "hostname": self._hostname,
            "html": self._html,
            "ip": self._ip,
            "json": self._sample,
            "redirect": self._redirect,
            "redirect-to": self._redirect_to,
            "response-headers": self._response_headers,
            "status": self._status,
            "unstable": self._unstable,
            "user-agent": self._user_agent,
            "uuid": self._uuid,
        }
        self._only = {name: name.upper() for name in methods}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name, *rest = request.path[1:].split("/")
        answer = self._answers.get(name)
        if answer is None:
            return _json({"status_code": 404, "error": "Not Found", "detail": request.path}, 404)
        wanted = self._only.get(name, request.method)
        if request.method != wanted and not (wanted == "GET" and request.method == "HEAD"):
            return _json({"status_code": 405, "error": "Method Not Allowed"}, 405, {"Allow": wanted})
        try:
            return await answer(request, rest)
        except (ValueError, IndexError) as error:
            return _json({"status_code": 400, "error": "Bad Request", "detail": str(error)}, 400)

    async def _index(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return web.Response(
            body=("\n".join(f"/{name}" for name in sorted(self._answers)) + "\n").encode(), headers=TEXT
        )

    async def _echo(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        asked = self._asked(request)
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

    def _asked(self, request: web.BaseRequest) -> dict[str, Any]:
        query = parse_qs(request.query_string, keep_blank_values=True)
        return {
            "args": query,
            "headers": self._header_lists(request),
            "method": request.method,
            "origin": self.origin(request),
            "url": f"http://{request.headers.get('Host', '')}{request.path_qs}",
        }

    @staticmethod
    def _header_lists(request: web.BaseRequest) -> dict[str, list[str]]:
        """By name as Go spells it, and in the order of names; the values of one as they came."""
        lists: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            lists.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
        return dict(sorted(lists.items()))

    @staticmethod
    def origin(request: web.BaseRequest) -> str:
        return request.headers.get("X-Forwarded-For", "").split(",")[0] or request.remote or ""

    async def _headers(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"headers": self._header_lists(request)})

    async def _ip(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"origin": self.origin(request)})

    async def _user_agent(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"user-agent": request.headers.get("User-Agent", "")})

    async def _uuid(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"uuid": str(uuid.uuid4())})

    async def _hostname(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"hostname": self.container.pod_name})

    async def _html(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return web.Response(body=b"<!DOCTYPE html><title>httpbin</title><h1>A page</h1>\n", headers=HTML)

    async def _sample(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return _json({"slideshow": {"title": "Sample", "slides": [{"title": "One", "type": "all"}]}})

    async def _status(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        """`/status/503`, or one of several by weight: `/status/200:0.9,503:0.1`."""
        choices = [choice.partition(":") for choice in rest[0].split(",")]
        weights = [float(weight) if weight else 1.0 for _, _, weight in choices]
        status = int(random.choices([code for code, _, _ in choices], weights)[0])  # noqa: S311
        if not 200 <= status <= 599:
            raise ValueError(f"invalid status code: {rest[0]}")
        headers = {"Location": "/redirect/1"} if status in (301, 302, 303, 307, 308) else {}
        return web.Response(status=status, headers=TEXT | headers)

    async def _unstable(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        query = parse_qs(request.query_string)
        if "seed" in query:
            raise web.HTTPNotImplemented(text="the sandbox's httpbin cannot draw as Go's generator does: seed")
        rate = float(query.get("failure_rate", ["0.5"])[0])
        if not 0 <= rate <= 1:
            raise ValueError(f"invalid failure rate: {rate} not in range [0, 1]")
        return web.Response(status=500 if random.random() < rate else 200, headers=TEXT)  # noqa: S311

    async def _delay(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        try:
            delay = gofmt.duration(rest[0])
        except ValueError:
            delay = int(float(rest[0]) * 1000) * 10**6
        if not 0 <= delay <= self.longest_delay:
            told, most = gofmt.written(delay), gofmt.written(self.longest_delay)
            raise ValueError(
                f"invalid duration: duration {told} {'shorter than 0s' if delay < 0 else f'longer than {most}'}"
            )
        await asyncio.sleep(delay / 1e9)
        return await self._echo(request, rest)

    async def _bytes(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        return web.Response(body=bytes(min(int(rest[0]), MOST_BYTES)), content_type="application/octet-stream")

    async def _cookies(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        if rest[:1] == ["set"]:
            response = web.Response(status=302, headers={"Location": "/cookies", **TEXT})
            for name, values in parse_qs(request.query_string).items():
                response.headers.add("Set-Cookie", f"{name}={values[-1]}; Path=/; HttpOnly")
            return response
        return _json({"cookies": dict(request.cookies)})

    async def _basic_auth(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        wanted = "Basic " + base64.b64encode(f"{rest[0]}:{rest[1]}".encode()).decode()
        ok = request.headers.get("Authorization") == wanted
        headers = {} if ok else {"WWW-Authenticate": 'Basic realm="Fake Realm"'}
        return _json({"authenticated": ok, "authorized": ok, "user": rest[0]}, 200 if ok else 401, headers)

    async def _redirect(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        left = int(rest[0]) - 1
        return web.Response(status=302, headers={"Location": f"/redirect/{left}" if left > 0 else "/get", **TEXT})

    async def _redirect_to(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        query = parse_qs(request.query_string)
        if "url" not in query:
            raise ValueError("missing query parameter: url")
        status = int(query.get("status_code", ["302"])[0])
        return web.Response(status=status, headers={"Location": query["url"][0], **TEXT})

    async def _response_headers(self, request: web.BaseRequest, rest: list[str]) -> web.StreamResponse:
        query = parse_qs(request.query_string)
        return _json(query, headers={name: values[-1] for name, values in query.items()})
