"""ratings-web: the page of Fruit Smoothies. It knows nothing itself and asks ratings-api for everything.

Environment (`API`, `PORT`) and the paths below /api, handed on to ratings-api as they are, are those of the Azure
Kubernetes Workshop's sample (https://github.com/MicrosoftDocs/mslearn-aks-workshop-ratings-web). The page is ours:
plain HTML with forms, no script, all addresses relative, so that it also works behind a path of a gateway.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from sandbox.images.program import Container, ProgramError
from sandbox.images.smoothies import smoothies_page
from sandbox.images.smoothies.ratings_api import STARS, port_of
from sandbox.images.web import HTML, WebProgram, propagated
from sandbox.network.http_client import Reply

PORT = 8080
PATIENCE = 10.0
"""Seconds for one answer of ratings-api: it gives MongoDB 5."""
_GIVEN = frozenset(str(number) for number in range(1, STARS + 1))
_ONLY_OURS = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'"


class RatingsWeb(WebProgram):
    binaries = ("npm",)
    port = PORT

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._api = container.env.get("API", "").rstrip("/")

    def configure(self, arguments: list[str]) -> None:
        super().configure([] if arguments == ["start"] else arguments)
        self.port = port_of(self.container.env, PORT)
        if not self._api.startswith("http://"):
            raise ProgramError(f"API does not say where ratings-api is, as http://HOST: {self._api!r}")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if path == "/api" or path.startswith("/api/"):
            return await self._handed_on(request)
        allowed = ("POST",) if path == "/rate" else ("GET", "HEAD")
        static = smoothies_page.STATIC.get(path)
        if path not in ("/", "/rate") and static is None:
            raise web.HTTPNotFound(text=f"{path} not found")
        if method not in allowed:
            raise web.HTTPMethodNotAllowed(method, allowed)
        if static is not None:
            headers = {"Content-Type": static.content_type, "Cache-Control": "max-age=3600"}
            return web.Response(body=static.body, headers=headers)
        return await (self._rate(request) if path == "/rate" else self._page(request))

    async def _page(self, request: web.BaseRequest) -> web.Response:
        try:
            items = await self._asked(request, "GET", "/api/items")
            rated = await self._asked(request, "GET", "/api/items/rated")
            body = smoothies_page.menu(items, rated, self.container.pod_name, thanks=_thanks(request))
            status = 200
        except _NoAnswer as error:
            self.container.log(str(error))
            body, status = smoothies_page.closed(str(error), self.container.pod_name), 503
        return web.Response(body=body, status=status, headers={**HTML, "Content-Security-Policy": _ONLY_OURS})

    async def _rate(self, request: web.BaseRequest) -> web.Response:
        """Give the stars of a form to ratings-api, and lead back to the page: a reload of that rates nothing."""
        form = parse_qs((await request.read()).decode(errors="replace"))
        fruit, stars = (form.get(name, [""])[0] for name in ("fruit", "stars"))
        if stars not in _GIVEN:
            raise web.HTTPBadRequest(text=f"stars are 1 to {STARS}")
        rater = request.headers.get("X-Forwarded-For", request.remote or "").split(",")[0]
        rating = {"userIp": rater, "ratings": [{"id": fruit, "rating": int(stars)}]}
        try:
            await self._asked(request, "POST", "/api/rate", json.dumps(rating).encode())
        except _NoAnswer as error:
            self.container.log(str(error))
            body = smoothies_page.closed(str(error), self.container.pod_name)
            return web.Response(
                body=body,
                status=400 if error.status == 400 else 503,
                headers={**HTML, "Content-Security-Policy": _ONLY_OURS},
            )
        query = urlencode({"fruit": fruit, "stars": stars})
        return web.Response(status=303, headers={"Location": f"./?{query}#fruit-{fruit}"})

    async def _asked(self, request: web.BaseRequest, method: str, path: str, body: bytes = b"") -> Any:
        """What ratings-api has to say. Raises _NoAnswer."""
        reply = await self._sent(request, method, path, body)
        try:
            answer = json.loads(reply.body)
            message, payload = str(answer["message"]), answer["payload"]
        except (ValueError, KeyError, TypeError):
            message, payload = reply.body.decode(errors="replace")[:200], None
        if reply.status != 200 or payload is None:
            raise _NoAnswer(f"ratings-api answered {reply.status}: {message}", reply.status)
        return payload

    async def _sent(self, request: web.BaseRequest, method: str, path: str, body: bytes) -> Reply:
        headers = propagated(request)
        if body:
            headers["content-type"] = "application/json"
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.container.network.http.request(method, f"{self._api}{path}", headers, body)
        except TimeoutError:
            raise _NoAnswer(f"{self._api} did not answer within {PATIENCE:.0f} s") from None
        except OSError as error:
            raise _NoAnswer(f"{self._api} is not reached: {error.strerror or error}") from error

    async def _handed_on(self, request: web.BaseRequest) -> web.Response:
        try:
            reply = await self._sent(request, request.method, request.path_qs, await request.read())
        except _NoAnswer as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        headers = {"Content-Type": reply.headers.get("content-type", "text/plain")}
        if "allow" in reply.headers:
            headers["Allow"] = reply.headers["allow"]
        return web.Response(body=reply.body, status=reply.status, headers=headers)


class _NoAnswer(Exception):
    def __init__(self, said: str, status: int = 0) -> None:
        super().__init__(said)
        self.status = status


def _thanks(request: web.BaseRequest) -> tuple[str, int] | None:
    """For which item somebody has just given how many stars: what the address says."""
    query = parse_qs(request.path_qs.partition("?")[2])
    fruit, stars = (query.get(name, [""])[0] for name in ("fruit", "stars"))
    return (fruit, int(stars)) if stars in _GIVEN else None
