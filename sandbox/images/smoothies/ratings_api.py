"""ratings-api: what Fruit Smoothies knows, as JSON over HTTP, from its MongoDB and into it.

Paths, environment (`MONGODB_URI`, `PORT`) and the shape of answers are those of the Azure Kubernetes Workshop's
sample (https://github.com/MicrosoftDocs/mslearn-aks-workshop-ratings-api): {"message", "status", "payload"}. It
differs where that one is careless: a status is also the HTTP status, a rating is answered when it is kept, and a
rating of no smoothie is refused. It keeps nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.core import nesting
from sandbox.images.mongo.bson import Document, ObjectId
from sandbox.images.mongo.driver import Database, Unreachable, database
from sandbox.images.program import Container, ProgramError
from sandbox.images.web import JSON, TEXT, WebProgram

PORT = 3000
STARS = 5
_MOST_AT_ONCE = 100
_LONGEST_NAME = 60
FRUITS = ("Banana", "Coconut", "Oranges", "Pineapple")
SITE: Document = {
    "name": "Fruit Smoothies",
    "shortCode": "FR",
    "pages": {
        "Home": {"title": "Fruit Smoothies", "subtitle": "Four fruits, one blender, and your stars"},
        "Rating": {"title": "Fruit Smoothies: rate", "subtitle": "How do you like them?"},
        "Leaderboard": {"title": "Fruit Smoothies: favourites", "subtitle": "What the others like"},
    },
}


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
    port = PORT

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self._database: Database

    def configure(self, arguments: list[str]) -> None:
        super().configure([] if arguments == ["start"] else arguments)
        env = self.container.env
        self.port = port_of(env, PORT)
        try:
            self._database = database(self.container.network, env.get("MONGODB_URI", ""))
        except ValueError as error:
            raise ProgramError(f"MONGODB_URI does not say where the database is: {error}") from None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        if path == "/api/loadtest":
            raise web.HTTPNotImplemented(text=f"the sandbox's ratings-api has no {path}")
        read, write = self._reads(path), {"/api/item": self._add, "/api/rate": self._rate}.get(path)
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
            case "/" | "/api":
                return _nothing
            case "/healthz":
                return self._database.ping
            case "/api/items":
                return self._items
            case "/api/items/rated":
                return self._rated
            case "/api/sites/FR":
                return _site
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

    async def _add(self, given: Any) -> Document:
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
            raise _Refused(f'a smoothie is {{"name": "..."}}, of at most {_LONGEST_NAME} characters')
        items = await self._items()
        image = given.get("img")
        item = {
            "_id": ObjectId.new(),
            "name": name.strip(),
            "uid": len(items) + 1,
            "img": image if isinstance(image, str) else "",
        }
        await self._database.insert("items", [item])
        return item

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


async def _nothing() -> list[Any]:
    return []


async def _site() -> Document:
    return SITE


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


def port_of(env: Mapping[str, str], default: int) -> int:
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
