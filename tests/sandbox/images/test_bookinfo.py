"""BookInfo answers as Istio's own does, as far as a lab or an attendee can see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from sandbox.images import bookinfo as images
from sandbox.images.bookinfo import signed, user_of
from sandbox.images.web import WebProgram
from sandbox.network.http_reply import Reply
from tests.sandbox.node.conftest import Place, container

ALL = ("details", "ratings", "reviews", "productpage")


async def bookinfo(place: Place, *names: str, version: str = "v3") -> None:
    """Start services of BookInfo."""
    for name in names or ALL:
        image = f"docker.io/istio/examples-bookinfo-{name}-{version if name == 'reviews' else 'v1'}:1.20.3"
        await place.serving(name, container(image))
        await place.expose(name, 9080)


async def get(place: Place, service: str, path: str, headers: Mapping[str, str] | None = None, **how: Any) -> Reply:
    client = place.run("productpage" if service == "productpage" else service).network.http
    return await client.request(
        how.get("method", "GET"), f"http://{service}:9080{path}", headers or {}, how.get("body", b"")
    )


async def page(place: Place, headers: Mapping[str, str] | None = None) -> str:
    reply = await get(place, "productpage", "/productpage", headers)
    assert reply.status == 200
    return reply.body.decode()


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
async def test_the_page_shows_which_reviews_answered(place: Place, version: str, color: str | None) -> None:
    await bookinfo(place, version=version)
    text = await page(place)
    assert "<title>Simple Bookstore App</title>" in text
    assert "Reviews served by: <u>reviews</u>" in text
    assert "1234567890" in text
    assert text.count('class="glyphicon glyphicon-star"') == (9 if color else 0)
    assert text.count('class="glyphicon glyphicon-star-empty"') == (1 if color else 0)
    for one in ("black", "red"):
        assert (f'<font color="{one}"' in text) == (one == color)


async def test_the_page_says_what_is_missing(place: Place) -> None:
    await bookinfo(place, "productpage")
    text = await page(place)
    assert "Error fetching product details" in text
    assert "Error fetching product reviews" in text
    reply = await get(place, "productpage", "/api/v1/products/0/reviews")
    assert reply.status == 500
    assert json.loads(reply.body) == {"error": "Sorry, product reviews are currently unavailable for this book."}


async def test_missing_ratings_are_said_in_each_review(place: Place) -> None:
    await bookinfo(place, "details", "reviews", "productpage", version="v2")
    assert (await page(place)).count("Ratings service is currently unavailable") == 2


async def test_the_api_is_the_services_own_json(place: Place) -> None:
    await bookinfo(place)
    products = json.loads((await get(place, "productpage", "/api/v1/products")).body)
    assert [(book["id"], book["title"]) for book in products] == [(0, "The Comedy of Errors")]
    details = json.loads((await get(place, "productpage", "/api/v1/products/0")).body)
    assert details["ISBN-13"] == "123-1234567890"
    ratings = json.loads((await get(place, "productpage", "/api/v1/products/0/ratings")).body)
    assert ratings == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
    reviews = json.loads((await get(place, "productpage", "/api/v1/products/0/reviews")).body)
    assert (reviews["id"], reviews["podname"], reviews["clustername"]) == ("0", "reviews", "null")
    assert [review["rating"] for review in reviews["reviews"]] == [
        {"stars": 5, "color": "red"},
        {"stars": 4, "color": "red"},
    ]
    assert (await get(place, "productpage", "/nothing")).status == 404


async def test_what_of_the_original_is_not_here_is_refused(place: Place) -> None:
    await bookinfo(place, "ratings", "productpage")
    posted = await get(place, "ratings", "/ratings/0", method="POST", body=b'{"Reviewer1": 1}')
    assert (posted.status, b"takes no POST" in posted.body) == (501, True)
    assert (await get(place, "ratings", "/ratings/x")).status == 400
    assert (await get(place, "productpage", "/")).status == 501


@pytest.mark.parametrize("name", ALL)
async def test_every_service_says_that_it_is_healthy(place: Place, name: str) -> None:
    await bookinfo(place, name)
    assert b"healthy" in (await get(place, name, "/health")).body


async def test_a_log_in_is_a_cookie_that_names_the_user_to_the_services(place: Place) -> None:
    heard: list[Mapping[str, str]] = []

    class Listening(WebProgram):
        port = 9080

        async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
            heard.append(dict(request.headers))
            return web.Response(body=b'{"ratings": {}}')

    place.programs["examples-bookinfo-ratings-v1"] = Listening
    await bookinfo(place)
    form = {"content-type": "application/x-www-form-urlencoded", "referer": "http://x/productpage?u=normal"}
    login = await get(place, "productpage", "/login", form, method="POST", body=b"username=jason&passwd=x")
    assert (login.status, login.headers["location"]) == (302, "/productpage?u=normal")
    session = login.headers["set-cookie"].split(";")[0]
    sent = {"cookie": session, "x-request-id": "r1", "x-b3-traceid": "t1", "user-agent": "me", "x-other": "no"}
    assert '<span class="user">jason</span>' in await page(place, sent)
    assert {key.lower(): value for key, value in heard[-1].items()}.items() >= {
        "end-user": "jason",
        "x-request-id": "r1",
        "x-b3-traceid": "t1",
        "user-agent": "me",
    }.items()
    assert "x-other" not in heard[-1]
    await page(place)
    assert "end-user" not in heard[-1]
    out = await get(place, "productpage", "/logout", {"cookie": session})
    assert out.headers["set-cookie"].startswith("session=;")


def test_a_session_nobody_else_can_make() -> None:
    assert user_of(signed("jason")) == "jason"
    assert user_of(signed("jason").replace(".", "x.")) is None
    assert user_of("nonsense") is None


class Slow(WebProgram):
    """Counts its requests and takes longer than anybody waits."""

    port = 9080
    requests = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        type(self).requests += 1
        await asyncio.sleep(60)
        return web.Response()


async def test_productpage_gives_up_on_reviews_after_two_tries(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images.PATIENCE == 3.0
    monkeypatch.setattr(images, "PATIENCE", 0.1)
    Slow.requests = 0
    place.programs["examples-bookinfo-reviews-v3"] = Slow
    await bookinfo(place)
    assert "Error fetching product reviews" in await page(place)
    assert Slow.requests == 2


@pytest.mark.parametrize(("version", "patience"), [("v2", 10.0), ("v3", 2.5)])
async def test_reviews_wait_for_ratings_as_long_as_their_version(
    place: Place, monkeypatch: pytest.MonkeyPatch, version: str, patience: float
) -> None:
    waited: list[float] = []
    timeout = asyncio.timeout

    def impatient(seconds: float) -> asyncio.Timeout:
        waited.append(seconds)
        return timeout(0.1)

    place.programs["examples-bookinfo-ratings-v1"] = Slow
    await bookinfo(place, "ratings", "reviews", version=version)
    monkeypatch.setattr(asyncio, "timeout", impatient)
    reply = await place.run("reviews").network.http.request("GET", "http://reviews:9080/reviews/0", {})
    monkeypatch.undo()
    assert waited == [patience]
    assert "Ratings service is currently unavailable" in reply.body.decode()


async def test_reviews_v1_does_not_ask_for_ratings(place: Place) -> None:
    Slow.requests = 0
    place.programs["examples-bookinfo-ratings-v1"] = Slow
    await bookinfo(place, "ratings", "reviews", version="v1")
    assert (await get(place, "reviews", "/reviews/0")).status == 200
    assert Slow.requests == 0


async def test_what_a_user_types_is_not_html(place: Place) -> None:
    await bookinfo(place)
    assert "<script>" not in await page(place, {"cookie": f"session={signed('<script>')}"})


async def test_the_page_brings_its_own_style(place: Place) -> None:
    await bookinfo(place, "productpage")
    text = await page(place)
    assert "static/bookinfo.css" in text
    assert "https://" not in text.replace("https://en.wikipedia.org/wiki/The_Comedy_of_Errors", "")
    assert (await get(place, "productpage", "/static/bookinfo.css")).headers["content-type"] == "text/css"


class HalfSlow(WebProgram):
    """Ratings of which every other answer takes longer than reviews or productpage wait for."""

    port = 9080
    requests = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        type(self).requests += 1
        if self.requests % 2:
            await asyncio.sleep(60)
        return web.Response(body=b'{"ratings": {"Reviewer1": 5, "Reviewer2": 4}}')


async def test_a_hundred_pages_at_once_get_through_a_fault(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PATIENCE", 1.0)
    HalfSlow.requests = 0
    place.programs["examples-bookinfo-ratings-v1"] = HalfSlow
    await bookinfo(place, version="v2")
    before = len(asyncio.all_tasks())
    pages = await asyncio.gather(*(page(place) for _ in range(100)))
    failed = sum("Sorry, product reviews are currently unavailable for this book." in text for text in pages)
    assert failed + sum('<font color="black"' in text for text in pages) == 100
    # Every other of the first hundred calls is slow, and of the fifty tried again; a busy machine adds some.
    assert 25 <= failed <= 60
    assert 150 <= HalfSlow.requests <= 200
    names = ("productpage", "reviews", "ratings")
    for name in names:
        place.cluster.delete("pods", "default", name, grace_seconds=30)
    # Nobody waits for the answers that are still to come, not even the pods that would give them.
    async with asyncio.timeout(20):  # less than the pods' grace
        await place.until(lambda: not any(place.cluster.find("pods", "default", name) for name in names))
    assert len(asyncio.all_tasks()) < before
