"""kennethreitz/httpbin: the older httpbin, behind gunicorn, as its image of 2018 answers.

What is asked for is said as Flask says it: the value of a header or an argument alone, several in a list. Slashes
at the beginning of a path are one. Other paths of its own are refused by name (501).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from sandbox.core import nesting
from sandbox.images.web import HTML, JSON, WebProgram

_ONLY = {name: name.upper() for name in ("get", "post", "put", "patch", "delete")}
_PATHS = (*_ONLY, "anything", "delay", "headers", "ip", "redirect", "status", "user-agent")
_PATHS_NOT_HERE = frozenset(
    (
        *("absolute-redirect", "base64", "basic-auth", "bearer", "brotli", "bytes", "cache", "cookies", "deflate"),
        *(
            "deny",
            "digest-auth",
            "drip",
            "encoding",
            "etag",
            "flasgger_static",
            "forms",
            "gzip",
            "hidden-basic-auth",
        ),
        *("html", "image", "json", "legacy", "links", "range", "redirect-to", "relative-redirect", "robots.txt"),
        *("response-headers", "spec.json", "static", "stream", "stream-bytes", "uuid", "xml"),
    )
)
_SERVER = {
    "Server": "gunicorn/19.9.0",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
}
_INDEX = """<!DOCTYPE html>
<html lang="en">
<head><title>httpbin.org</title></head>
<body>
<h2>httpbin.org</h2>
%s</body>
</html>
"""
_REFUSED = '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n'
_TEAPOT = r"""
    -=[ teapot ]=-

       _...._
     .'  _ _ `.
    | ."` ^ `". _,
    \_;`"---"`|//
      |       ;/
      \_     _/
        `""'`
"""
_OF_STATUSES: Mapping[int, tuple[dict[str, str], str]] = {
    **{status: ({"Location": "/redirect/1"}, "") for status in (301, 302, 303, 305, 307)},
    401: ({"WWW-Authenticate": 'Basic realm="Fake Realm"'}, ""),
    407: ({"Proxy-Authenticate": 'Basic realm="Fake Realm"'}, ""),
    418: ({"x-more-info": "http://tools.ietf.org/html/rfc2324"}, _TEAPOT),
}


class HttpBin(WebProgram):
    port = 80

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name, *rest = request.path.lstrip("/").split("/")
        if name in _PATHS_NOT_HERE:
            raise web.HTTPNotImplemented(text=f"the sandbox's httpbin has no /{name}: {' '.join(_PATHS)}")
        if not name:
            listed = "".join(f"<p>/{one}</p>\n" for one in _PATHS)
            return web.Response(text=_INDEX % listed, headers=HTML | _SERVER)
        takes = {"anything": None, "delay": 1, "redirect": 1, "status": 1}.get(name, 0)
        if name not in _PATHS or (takes is not None and len(rest) != takes):
            return _not_found()
        wanted = _ONLY.get(name, "GET" if name in ("headers", "ip", "redirect", "user-agent") else request.method)
        if request.method != wanted and not (wanted == "GET" and request.method == "HEAD"):
            allowed = {"Allow": f"{wanted}, HEAD, OPTIONS" if wanted == "GET" else f"{wanted}, OPTIONS"}
            said = "The method is not allowed for the requested URL."
            return _refused(405, "Method Not Allowed", said, allowed)
        return await self._answer(request, name, rest)

    async def _answer(self, request: web.BaseRequest, name: str, rest: list[str]) -> web.Response:
        match name:
            case "headers":
                return _json({"headers": _headers(request)})
            case "ip":
                return _json({"origin": _origin(request)})
            case "user-agent":
                return _json({"user-agent": request.headers.get("User-Agent")})
            case "status":
                return _status(rest[0])
            case "redirect":
                if not rest[0].isdecimal() or int(rest[0]) < 1:
                    return _not_found()
                left = int(rest[0]) - 1
                where = f"/redirect/{left}" if left else "/get"
                said = f'You should be redirected automatically to target URL: <a href="{where}">{where}</a>.'
                return _refused(302, "Redirecting...", said, {"Location": where})
            case "delay":
                try:
                    await asyncio.sleep(min(max(float(rest[0]), 0), 10))
                except ValueError:
                    return _not_found()
        return _json(await _echo(request, name))


async def _echo(request: web.BaseRequest, name: str) -> dict[str, Any]:
    path = request.path_qs
    said: dict[str, Any] = {
        "args": _single(parse_qs(request.query_string, keep_blank_values=True)),
        "headers": _headers(request),
        "origin": _origin(request),
        "url": f"http://{request.headers.get('Host', '')}/{path.lstrip('/')}",
    }
    if name == "get":
        return said
    text, kind = (await request.read()).decode(errors="replace"), request.headers.get("Content-Type", "")
    is_form = kind.startswith("application/x-www-form-urlencoded")
    said |= {"data": "" if is_form else text, "files": {}, "form": _single(parse_qs(text)) if is_form else {}}
    if name == "anything":
        said["method"] = request.method
    if name != "delay":
        said["json"] = _parsed(text)
    return said


def _parsed(text: str) -> Any:
    try:
        return nesting.parse(text.encode())
    except ValueError:
        return None


def _single(found: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _headers(request: web.BaseRequest) -> dict[str, str]:
    lists: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        lists.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
    return {name: ",".join(values) for name, values in lists.items()}


def _origin(request: web.BaseRequest) -> str:
    return request.headers.get("X-Forwarded-For", "") or request.remote or ""


def _status(codes: str) -> web.Response:
    """One of several, `CODE:WEIGHT` each."""
    try:
        pairs = [one.partition(":") for one in codes.split(",")]
        choices = [(int(code), float(weight or 1)) for code, _, weight in pairs]
    except ValueError:
        return web.Response(text="Invalid status code", status=400, headers=HTML | _SERVER)
    numbers, weights = zip(*choices, strict=True)
    (status,) = random.choices(numbers, weights)  # noqa: S311
    if not 200 <= status <= 599:
        return web.Response(text="Invalid status code", status=400, headers=HTML | _SERVER)
    headers, text = _OF_STATUSES.get(status, ({}, ""))
    return web.Response(status=status, text=text, headers=HTML | _SERVER | headers)


def _json(value: Any) -> web.Response:
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    return web.Response(body=text.encode(), headers=JSON | _SERVER)


def _not_found() -> web.Response:
    said = (
        "The requested URL was not found on the server.  If you entered the URL manually please check your "
        "spelling and try again."
    )
    return _refused(404, "Not Found", said)


def _refused(status: int, words: str, said: str, headers: Mapping[str, str] | None = None) -> web.Response:
    title = f"{status} {words}" if status >= 400 else words
    return web.Response(
        text=_REFUSED % (title, words, said), status=status, headers={**HTML, **_SERVER, **(headers or {})}
    )
