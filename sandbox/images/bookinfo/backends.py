"""details, ratings and reviews, as they answer on the wire.

Reviews v1 knows no ratings. v2 (black stars) waits 10 s for them and v3 (red stars) 2.5 s: against the 3 s
productpage gives to reviews, this is what makes a delay in ratings visible as missing reviews or missing stars.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from sandbox.core import nesting
from sandbox.images.program import Container, Factory
from sandbox.images.web import JSON, WebProgram, propagated

PORT = 9080
TEXTS = {
    "Reviewer1": "Two pairs of twins, one city and not a dull minute: I laughed until the last act.",
    "Reviewer2": "Quick, silly and very funny. Do not look for the depth of the later plays.",
}


def service_url(env: Any, name: str) -> str:
    """Where a service of BookInfo is: `SERVICES_DOMAIN`, `RATINGS_HOSTNAME` and the like move it."""
    domain = f".{env['SERVICES_DOMAIN']}" if env.get("SERVICES_DOMAIN") else ""
    host = env.get(f"{name.upper()}_HOSTNAME", name)
    return f"http://{host}{domain}:{env.get(f'{name.upper()}_SERVICE_PORT', PORT)}/{name}"


def product_id(request: web.BaseRequest, prefix: str) -> int | None:
    """The number after `prefix` in the path. Raises HTTPNotFound for another path; None when it is no number."""
    path = request.path
    if not path.startswith(prefix):
        raise web.HTTPNotFound(text=f"{path} not found")
    rest = path[len(prefix) :]
    return int(rest) if rest.isdecimal() else None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), status=status, headers=JSON)


class Details(WebProgram):
    port = PORT

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return _json({"status": "Details is healthy"})
        number = product_id(request, "/details/")
        if number is None:
            return _json({"error": "please provide numeric product id"}, 400)
        return _json(
            {
                "id": number,
                "author": "William Shakespeare",
                "year": 1595,
                "type": "paperback",
                "pages": 200,
                "publisher": "PublisherA",
                "language": "English",
                "ISBN-10": "1234567890",
                "ISBN-13": "123-1234567890",
            }
        )


class Ratings(WebProgram):
    port = PORT

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._posted: dict[int, Any] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return _json({"status": "Ratings is healthy"})
        number = product_id(request, "/ratings/")
        if number is None:
            return _json({"error": "please provide numeric product ID"}, 400)
        if request.method == "POST":
            try:
                self._posted[number] = nesting.parse(await request.read())
            except ValueError:
                return _json({"error": "please provide valid ratings JSON"}, 400)
        elif request.method != "GET":
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "POST"])
        return _json({"id": number, "ratings": self._posted.get(number, {"Reviewer1": 5, "Reviewer2": 4})})


class Reviews(WebProgram):
    """`color` is that of the stars, None for a version without."""

    port = PORT

    def __init__(self, container: Container, color: str | None) -> None:
        super().__init__(container)
        env = container.env
        self._color = env.get("STAR_COLOR", color)
        if env.get("ENABLE_RATINGS", "true").lower() != "true":
            self._color = None
        self._patience = 10.0 if self._color == "black" else 2.5
        self._ratings = service_url(env, "ratings")
        self._cluster = env.get("CLUSTER_NAME", "null")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return _json({"status": "Reviews is healthy"})
        number = product_id(request, "/reviews/")
        if number is None:
            raise web.HTTPNotFound(text="no such product")
        stars = await self._stars(number, request) if self._color else None
        reviews = []
        for reviewer, text in TEXTS.items():
            review: dict[str, Any] = {"reviewer": reviewer, "text": text}
            if stars is not None:
                review["rating"] = (
                    {"stars": stars[reviewer], "color": self._color}
                    if reviewer in stars
                    else {"error": "Ratings service is currently unavailable"}
                )
            reviews.append(review)
        return _json(
            {
                "id": str(number),
                "podname": self.container.pod_name,
                "clustername": self._cluster,
                "reviews": reviews,
            }
        )

    async def _stars(self, number: int, request: web.BaseRequest) -> dict[str, int]:
        """Stars by reviewer; empty when ratings does not answer well or in time."""
        headers = propagated(request)
        if "end-user" in request.headers:
            headers["end-user"] = request.headers["end-user"]
        url = f"{self._ratings}/{number}"
        try:
            async with asyncio.timeout(self._patience):
                reply = await self.container.network.http.request("GET", url, headers)
            if reply.status == 200:
                ratings = json.loads(reply.body).get("ratings") or {}
                return {name: stars for name, stars in ratings.items() if isinstance(stars, int)}
            self.container.log(f"Error: unable to contact {url} got status of {reply.status}")
        except (OSError, ValueError) as error:
            self.container.log(f"Error: unable to contact {url} got exception {error!r}")
        return {}


def reviews(color: str | None) -> Factory:
    return lambda container: Reviews(container, color)
