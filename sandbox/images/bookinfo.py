"""Istio's BookInfo: one page made of four services, and reviews in three versions to tell apart.

Reviews v1 knows no ratings. v2 (black stars) waits 10 s for them and v3 (red stars) 2.5 s: against the 3 s
productpage gives to reviews, this is what makes a delay in ratings visible as missing reviews or missing stars.

productpage is the front, with the log-in and the JSON API the page is made from. It gives every service 3 s, and
reviews a second try: the built-in fault that Istio's fault injection task finds. The page itself is always 200;
what could not be fetched is said in its place.
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

from sandbox.images import bookinfo_page
from sandbox.images.program import Container, Factory
from sandbox.images.web import HTML, JSON, TEXT, WebProgram, propagated_headers

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

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return _json({"status": "Ratings is healthy"})
        number = product_id(request, "/ratings/")
        if number is None:
            return _json({"error": "please provide numeric product ID"}, 400)
        if request.method != "GET":
            raise web.HTTPNotImplemented(text=f"the sandbox's ratings takes no {request.method}")
        return _json({"id": number, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})


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
        headers = propagated_headers(request)
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


def signed(user: str) -> str:
    """A session cookie's value: the user, and a signature so that nobody else can make one."""
    payload = base64.urlsafe_b64encode(json.dumps({"user": user}).encode()).decode().rstrip("=")
    return f"{payload}.{hmac.new(_KEY, payload.encode(), hashlib.sha256).hexdigest()[:32]}"


def user_of(cookie: str) -> str | None:
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
            return await self._products(request, path.removeprefix("/api/v1/products").strip("/"))
        if path == "/login" and request.method == "POST":
            form = parse_qs((await request.read()).decode(errors="replace"))
            return self._redirect(request, form.get("username", [""])[0])
        if path == "/logout":
            return self._redirect(request, "")
        if path == "/health":
            return web.Response(body=b"Product page is healthy", headers=TEXT)
        if path in ("/", "/index.html"):
            raise web.HTTPNotImplemented(text="the sandbox's productpage has no start page: /productpage")
        if path == "/static/bookinfo.css":
            return web.Response(
                body=bookinfo_page.CSS, headers={"Content-Type": "text/css", "Cache-Control": "max-age=3600"}
            )
        raise web.HTTPNotFound(text=f"{path} not found")

    def _redirect(self, request: web.BaseRequest, user: str) -> web.Response:
        """To where the log-in came from, with the session's cookie set or taken away."""
        came_from = urlsplit(request.headers.get("Referer", ""))
        target = came_from.path or "/productpage"
        if came_from.query:
            target += f"?{came_from.query}"
        cookie = f"session={signed(user)}; HttpOnly; Path=/" if user else "session=; Max-Age=0; HttpOnly; Path=/"
        return web.Response(status=302, headers={"Location": target, "Set-Cookie": cookie, **HTML})

    def _user(self, request: web.BaseRequest) -> str | None:
        cookie = request.cookies.get("session") if "Cookie" in request.headers else None
        return user_of(cookie) if cookie else None

    async def _page(self, request: web.BaseRequest) -> web.Response:
        user = self._user(request)
        headers = self._headers(request, user)
        details_status, details = await self._fetch("details", 0, headers)
        reviews_status, reviews = await self._fetch("reviews", 0, headers)
        body = bookinfo_page.product(
            PRODUCTS[0],
            details if details_status == 200 else None,
            reviews if reviews_status == 200 else None,
            user,
        )
        return web.Response(body=body, headers=HTML)

    async def _products(self, request: web.BaseRequest, rest: str) -> web.Response:
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
        headers = propagated_headers(request)
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


def _reviews(color: str | None) -> Factory:
    return lambda container: Reviews(container, color)


PROGRAMS: dict[str, Factory] = {
    "examples-bookinfo-productpage-v1": ProductPage,
    "examples-bookinfo-details-v1": Details,
    "examples-bookinfo-ratings-v1": Ratings,
    "examples-bookinfo-reviews-v1": _reviews(None),
    "examples-bookinfo-reviews-v2": _reviews("black"),
    "examples-bookinfo-reviews-v3": _reviews("red"),
}
