"""productpage: the front of BookInfo, its log-in, and the JSON API the page is made from.

It gives every service 3 s, and reviews a second try: the built-in fault that Istio's fault injection task finds.
The page itself is always 200; what could not be fetched is said in its place.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from sandbox.images.bookinfo import page
from sandbox.images.bookinfo.backends import PORT, service_url
from sandbox.images.program import Container
from sandbox.images.web import HTML, JSON, TEXT, WebProgram, propagated

PATIENCE = 3.0
"""Seconds for one call."""

PRODUCTS = [
    {
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": (
            '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: '
            "one of <b>William Shakespeare's</b> earliest and shortest plays, a farce about two pairs of twins, "
            "taken for each other all through one day in Ephesus."
        ),
    }
]

_KEY = secrets.token_bytes(32)  # of all productpages in the sandbox, so that replicas share log-ins


def seal(user: str) -> str:
    """A session cookie's value: the user, and a signature so that nobody else can make one."""
    payload = base64.urlsafe_b64encode(json.dumps({"user": user}).encode()).decode().rstrip("=")
    return f"{payload}.{hmac.new(_KEY, payload.encode(), hashlib.sha256).hexdigest()[:32]}"


def unseal(cookie: str) -> str | None:
    """The user of a session cookie's value, None when it is not one of ours."""
    payload, _, signature = cookie.partition(".")
    expected = hmac.new(_KEY, payload.encode(), hashlib.sha256).hexdigest()[:32]
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return None
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(decoded["user"]) or None


class ProductPage(WebProgram):
    port = PORT

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._urls = {name: service_url(container.env, name) for name in ("details", "reviews", "ratings")}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/productpage":
            return await self._page(request)
        if path.startswith("/api/v1/products"):
            return await self._api(request, path.removeprefix("/api/v1/products").strip("/"))
        if path == "/login" and request.method == "POST":
            form = parse_qs((await request.read()).decode(errors="replace"))
            return self._back(request, form.get("username", [""])[0])
        if path == "/logout":
            return self._back(request, "")
        if path == "/health":
            return web.Response(body=b"Product page is healthy", headers=TEXT)
        if path in ("/", "/index.html"):
            return web.Response(body=page.index(), headers=HTML)
        if path == "/static/bookinfo.css":
            return web.Response(
                body=page.CSS, headers={"Content-Type": "text/css", "Cache-Control": "max-age=3600"}
            )
        raise web.HTTPNotFound(text=f"{path} not found")

    def _back(self, request: web.BaseRequest, user: str) -> web.Response:
        """To where the log-in came from, with the session's cookie set or taken away."""
        came_from = urlsplit(request.headers.get("Referer", ""))
        target = came_from.path or "/productpage"
        if came_from.query:
            target += f"?{came_from.query}"
        cookie = f"session={seal(user)}; HttpOnly; Path=/" if user else "session=; Max-Age=0; HttpOnly; Path=/"
        return web.Response(status=302, headers={"Location": target, "Set-Cookie": cookie, **HTML})

    def _user(self, request: web.BaseRequest) -> str | None:
        cookie = request.cookies.get("session") if "Cookie" in request.headers else None
        return unseal(cookie) if cookie else None

    async def _page(self, request: web.BaseRequest) -> web.Response:
        user = self._user(request)
        headers = self._headers(request, user)
        details_status, details = await self._fetch("details", 0, headers)
        reviews_status, reviews = await self._fetch("reviews", 0, headers)
        body = page.product(
            PRODUCTS[0],
            details if details_status == 200 else None,
            reviews if reviews_status == 200 else None,
            user,
        )
        return web.Response(body=body, headers=HTML)

    async def _api(self, request: web.BaseRequest, rest: str) -> web.Response:
        status: int
        answer: Any
        number, _, what = rest.partition("/")
        if not rest:
            status, answer = 200, PRODUCTS
        elif number.isdecimal() and what in ("", "reviews", "ratings"):
            headers = self._headers(request, self._user(request))
            status, answer = await self._fetch(what or "details", int(number), headers)
        else:
            raise web.HTTPNotFound(text=f"{request.path} not found")
        return web.Response(body=json.dumps(answer).encode(), status=status, headers=JSON)

    def _headers(self, request: web.BaseRequest, user: str | None) -> dict[str, str]:
        headers = propagated(request)
        if user:
            headers["end-user"] = user
        return headers

    async def _fetch(self, service: str, number: int, headers: dict[str, str]) -> tuple[int, Any]:
        status = 500
        for _ in range(2 if service == "reviews" else 1):
            try:
                async with asyncio.timeout(PATIENCE):
                    reply = await self.container.network.http.request(
                        "GET", f"{self._urls[service]}/{number}", headers
                    )
                if reply.status == 200:
                    return 200, json.loads(reply.body)
                status = reply.status
                self.container.log(f"{service} answered {status}")
            except (OSError, ValueError) as error:
                status = 500
                self.container.log(f"{service} failed: {error!r}")
        return status, {"error": f"Sorry, product {service} are currently unavailable for this book."}
