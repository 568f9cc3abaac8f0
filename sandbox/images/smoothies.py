"""Fruit Smoothies: ratings-api, and ratings-web, which knows nothing itself and asks ratings-api for everything.

Paths, environment (`MONGODB_URI`, `API`, `PORT`) and the shape of the API's answers are those of the Azure
Kubernetes Workshop's samples (https://github.com/MicrosoftDocs/mslearn-aks-workshop-ratings-api and -web):
{"message", "status", "payload"}. The API differs where that one is careless: a status is also the HTTP status, a
rating is answered when it is kept, and a rating of no smoothie is refused. Both answer 501 to paths of the
originals that the page does not need. The page is ours, and so is `WELCOME`, its first line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from sandbox.core import nesting
from sandbox.images import smoothies_page
from sandbox.images.mongo_protocol import Database, Document, ObjectId, Unreachable, database
from sandbox.images.program import Container, Factory, ProgramError
from sandbox.images.smoothies_page import STARS
from sandbox.images.web import HTML, JSON, TEXT, WebProgram, propagated_headers
from sandbox.network.http_reply import Reply

_MOST_AT_ONCE = 100
_API_NOT_HERE = ("/", "/api", "/api/item", "/api/loadtest")
FRUITS = ("Banana", "Coconut", "Oranges", "Pineapple")


def _first_items() -> list[Document]:
    """The menu of a database that is empty. Their ids are always the same, so replicas cannot put them in twice."""
    return [
        {
            "_id": ObjectId(uid.to_bytes(12, "big")),
            "name": name,
            "uid": uid,
            "img": f"/static/fruits/{name.lower()}.svg",
        }
        for uid, name in enumerate(FRUITS, 1)
    ]


class RatingsApi(WebProgram):
    binaries = ("npm",)
    port = 3000

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._database: Database

    def configure(self, arguments: list[str]) -> None:
        super().configure([] if arguments == ["start"] else arguments)
        env = self.container.env
        self.port = _port(env, self.port)
        try:
            self._database = database(self.container.network, env.get("MONGODB_URI", ""))
        except ValueError as error:
            raise ProgramError(f"MONGODB_URI does not say where the database is: {error}") from None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        if path in _API_NOT_HERE or path.startswith("/api/sites"):
            raise web.HTTPNotImplemented(text=f"the sandbox's ratings-api has no {path}")
        read, write = self._reads(path), self._rate if path == "/api/rate" else None
        if read is None and write is None:
            raise web.HTTPNotFound(text=f"{path} not found")
        allowed = ("GET", "HEAD") if read else ("POST",)
        if request.method not in allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        payload: Any = []
        try:
            if write:
                payload = await write(_parsed(await request.read()))
            elif read:
                payload = await read()
        except Unreachable as error:
            self.container.log(f"ERROR: UNABLE TO CONNECT TO {error}")
            return _answer(f"MongoDB is not reached: {error}", 503, None)
        except _Refused as refused:
            return _answer(str(refused), 400, None)
        if path == "/healthz":
            return web.Response(body=b"API health check - OK", headers=TEXT)
        return _answer("ok", 200, payload)

    def _reads(self, path: str) -> Callable[[], Awaitable[Any]] | None:
        match path:
            case "/healthz":
                return self._database.ping
            case "/api/items":
                return self._items
            case "/api/items/rated":
                return self._rated
        return None

    async def _items(self) -> list[Document]:
        items = await self._database.find("items")
        if not items:
            self.container.log("No items found in the database. Loading data.")
            await self._database.insert("items", _first_items())
            items = await self._database.find("items")
        return items

    async def _rated(self) -> list[Document]:
        """What has been rated, the most stars first."""
        given: dict[Any, list[int]] = {}
        items = await self._items()
        for one in await self._database.find("ratings"):
            for item in one["itemRated"]:
                given.setdefault(item, []).append(one["rating"])
        rated = [_summary(item, given[item["_id"]]) for item in items if item["_id"] in given]
        return sorted(rated, key=lambda one: (-one["stars"], one["name"]))

    async def _rate(self, given: Any) -> list[Document]:
        wanted = given.get("ratings") if isinstance(given, dict) else None
        if not isinstance(wanted, list) or not 0 < len(wanted) <= _MOST_AT_ONCE:
            raise _Refused('ratings are {"ratings": [{"id": "...", "rating": 5}]}')
        items = {str(item["_id"]): item["_id"] for item in await self._items()}
        now, rater = datetime.now(UTC), given.get("userIp")
        ratings = [
            {
                "_id": ObjectId.new(),
                "rating": stars,
                "timestamp": now,
                "raterIp": rater if isinstance(rater, str) else "",
                "itemRated": [items[name]],
            }
            for name, stars in _checked(wanted, items)
        ]
        await self._database.insert("ratings", ratings)
        return ratings


class _Refused(Exception):
    """What was sent is not what is taken; says what is."""


def _checked(ratings: Iterable[Any], known: Mapping[str, ObjectId]) -> Iterable[tuple[str, int]]:
    """Raises _Refused."""
    for one in ratings:
        name, stars = (one.get("id"), one.get("rating")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or name not in known:
            raise _Refused(f"there is no smoothie of the id {name!r}")
        if not isinstance(stars, int) or isinstance(stars, bool) or not 0 <= stars <= STARS:
            raise _Refused(f"a rating is a whole number from 0 to {STARS}, not {stars!r}")
        yield name, stars


def _parsed(body: bytes) -> Any:
    try:
        return nesting.parse(body)
    except ValueError as error:
        raise _Refused(f"that is no JSON: {error}") from None


def _summary(item: Document, given: list[int]) -> Document:
    average = sum(given) / len(given)
    return {
        "id": item["_id"],
        "name": item["name"],
        "img": item["img"],
        "stars": sum(given),
        "votes": len(given),
        "average": average,
        "halfstar": round(average * 2) / 2,
    }


def _port(env: Mapping[str, str], default: int) -> int:
    """Where to listen, by the variable PORT. Raises ProgramError when it is none."""
    given = env.get("PORT") or str(default)
    if not given.isdecimal():
        raise ProgramError(f"PORT is no number: {given}")
    return int(given)


def _answer(message: str, status: int, payload: Any) -> web.Response:
    whole = {"message": message, "status": status, "payload": payload}
    return web.Response(body=json.dumps(whole, default=_plain).encode(), status=status, headers=JSON)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


# The page.

PATIENCE = 10.0
"""Seconds for one answer of ratings-api: it gives MongoDB 5."""
_GIVEN = frozenset(str(number) for number in range(1, STARS + 1))
_ONLY_OURS = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'"


class RatingsWeb(WebProgram):
    binaries = ("npm",)
    port = 8080

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._api = container.env.get("API", "").rstrip("/")
        self._welcome = container.env.get("WELCOME") or smoothies_page.WELCOME

    def configure(self, arguments: list[str]) -> None:
        super().configure([] if arguments == ["start"] else arguments)
        self.port = _port(self.container.env, self.port)
        if not self._api.startswith("http://"):
            raise ProgramError(f"API does not say where ratings-api is, as http://HOST: {self._api!r}")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if path == "/api" or path.startswith("/api/"):
            raise web.HTTPNotImplemented(text=f"the sandbox's ratings-web has no {path}: ask ratings-api")
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
            items = await self._request_payload(request, "GET", "/api/items")
            rated = await self._request_payload(request, "GET", "/api/items/rated")
            thanks = _just_rated(request)
            body = smoothies_page.menu(items, rated, self.container.pod_name, thanks=thanks, welcome=self._welcome)
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
            await self._request_payload(request, "POST", "/api/rate", json.dumps(rating).encode())
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

    async def _request_payload(self, request: web.BaseRequest, method: str, path: str, body: bytes = b"") -> Any:
        """What ratings-api has to say. Raises _NoAnswer."""
        reply = await self._request(request, method, path, body)
        try:
            answer = json.loads(reply.body)
            message, payload = str(answer["message"]), answer["payload"]
        except (ValueError, KeyError, TypeError):
            message, payload = reply.body.decode(errors="replace")[:200], None
        if reply.status != 200 or payload is None:
            raise _NoAnswer(f"ratings-api answered {reply.status}: {message}", reply.status)
        return payload

    async def _request(self, request: web.BaseRequest, method: str, path: str, body: bytes) -> Reply:
        headers = propagated_headers(request)
        if body:
            headers["content-type"] = "application/json"
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.container.network.http.request(method, f"{self._api}{path}", headers, body)
        except TimeoutError:
            raise _NoAnswer(f"{self._api} did not answer within {PATIENCE:.0f} s") from None
        except OSError as error:
            raise _NoAnswer(f"{self._api} is not reached: {error.strerror or error}") from error


class _NoAnswer(Exception):
    def __init__(self, said: str, status: int = 0) -> None:
        super().__init__(said)
        self.status = status


def _just_rated(request: web.BaseRequest) -> tuple[str, int] | None:
    """For which item somebody has just given how many stars: what the address says."""
    query = parse_qs(request.path_qs.partition("?")[2])
    fruit, stars = (query.get(name, [""])[0] for name in ("fruit", "stars"))
    return (fruit, int(stars)) if stars in _GIVEN else None


PROGRAMS: dict[str, Factory] = {"ratings-api": RatingsApi, "ratings-web": RatingsWeb}
