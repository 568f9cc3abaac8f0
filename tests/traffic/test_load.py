from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Mapping

import pytest
from aiohttp import web

from tests.traffic.servers import eventually, serving, wired
from workshop.traffic.load import Load, Result, send
from workshop.traffic.side_requests import Login, LoginError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOGIN = Login("/login", (("username", "jason"), ("passwd", "a secret")))


def by_body(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
    return body.decode() if status == 200 else None


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def hang(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_sends_exactly_the_count_over_few_kept_connections() -> None:
    shown: list[tuple[int, int]] = []
    async with serving(hello) as server:
        result = await send(Load(server.url, by_body, concurrency=4), 300, progress=lambda *it: shown.append(it))
    assert (result.counts, result.errors) == ({"hello": 300}, {})
    assert (result.answers, result.failed) == (300, 0)
    assert len(server.requests) == 300
    assert len(server.connections) == 4
    assert shown == sorted(shown)
    assert shown[-1] == (300, 300)
    assert len(result.latencies) == 300
    assert result.latencies == sorted(result.latencies)
    assert 0 < result.percentile(0.5) <= result.percentile(0.99) <= result.seconds


@pytest.mark.parametrize(("count", "concurrency"), [(40, 8), (400, 128)])
async def test_concurrency_is_reached_and_bounded(count: int, concurrency: int) -> None:
    gate = asyncio.Event()

    async def gated(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="ok")

    async with serving(gated) as server:
        sending = asyncio.ensure_future(send(Load(server.url, by_body, concurrency=concurrency), count))
        await eventually(lambda: server.busy == concurrency)
        gate.set()
        result = await sending
    assert (result.answers, result.errors) == (count, {})
    assert server.most_busy == concurrency


async def test_classifies_by_status_headers_and_body() -> None:
    numbers = iter(range(100))

    async def split(request: web.Request) -> web.Response:
        number = next(numbers)
        return web.Response(status=200 if number % 4 else 302, headers={"x-version": f"v{number % 2}"}, text="body")

    def classify(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        assert body == b"body"
        return str(status) + " " + headers["x-version"]

    async with serving(split) as server:
        result = await send(Load(server.url, classify), 100)
    assert result.counts == {"302 v0": 25, "200 v0": 25, "200 v1": 50}


async def test_sends_headers() -> None:
    async with serving(hello) as server:
        await send(
            Load(f"{server.url}/path?query=1", by_body, headers=(("Host", "hello.example"), ("end-user", "jason"))),
            3,
        )
    for request in server.requests:
        assert (request.path_qs, request.host) == ("/path?query=1", "hello.example")
        assert request.headers["end-user"] == "jason"


async def test_logs_in_once_and_uses_the_session() -> None:
    async def application(request: web.Request) -> web.Response:
        if request.path == "/login":
            form = await request.post()
            response = web.Response(status=302, headers={"Location": "/page"})
            response.set_cookie("session", "of " + str(form["username"]), httponly=True)
            return response
        return web.Response(text=request.cookies.get("session", "nobody"))

    async with serving(application) as server:
        result = await send(Load(f"{server.url}/page", by_body, headers=(("x", "y"),), login=LOGIN), 20)
    assert result.counts == {"of jason": 20}
    assert [request.path for request in server.requests].count("/login") == 1
    assert len(server.requests) == 21
    assert {request.headers["x"] for request in server.requests} == {"y"}


async def test_cookies_of_answers_are_not_kept() -> None:
    """Else the first answer of a sticky version would decide all others."""

    async def sticky(request: web.Request) -> web.Response:
        response = web.Response(text=request.cookies.get("affinity", "none"))
        response.set_cookie("affinity", "v1")
        return response

    async with serving(sticky) as server:
        result = await send(Load(server.url.replace("127.0.0.1", "localhost"), by_body, concurrency=1), 10)
    assert result.counts == {"none": 10}


@pytest.mark.parametrize(("status", "said"), [(400, "HTTP 400"), (399, "HTTP 399 without a cookie")])
async def test_a_refused_login_sends_nothing_and_tells_no_secret(status: int, said: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as server:
        with pytest.raises(LoginError) as raised:
            await send(Load(f"{server.url}/page", by_body, login=LOGIN), 5)
    assert raised.value.came_back == said
    assert raised.value.tried == f"log in at {server.url}/login"
    assert "a secret" not in f"{raised.value} {LOGIN}"
    assert [request.path for request in server.requests] == ["/login"]


async def test_errors_are_counted_by_kind_with_an_example() -> None:
    numbers = iter(range(60))

    async def mixed(request: web.Request) -> web.Response:
        number = next(numbers)
        if number % 3 == 0:
            return web.Response(status=503, text="no healthy\nupstream")
        return web.Response(text="fine" if number % 3 == 1 else "<html><title>Odd</title></html>")

    def fine(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        return "fine" if body == b"fine" else None

    async with serving(mixed) as server:
        result = await send(Load(server.url, fine), 60)
    assert result.counts == {"fine": 20}
    told = {kind: (trouble.count, trouble.example) for kind, trouble in result.errors.items()}
    assert told == {"HTTP 503": (20, "no healthy upstream"), "unrecognised answer": (20, "Odd")}
    assert len(result.latencies) == 60


async def test_a_slow_answer_is_a_timeout() -> None:
    numbers = iter(range(6))

    async def sometimes(request: web.Request) -> web.Response:
        return await hang(request) if next(numbers) % 2 else web.Response(text="ok")

    async with serving(sometimes) as server:
        result = await send(Load(server.url, by_body, concurrency=2, request_timeout=1.0), 6)
        await eventually(lambda: server.busy == 0)
    assert result.counts == {"ok": 3}
    assert result.errors["timeout"].count == 3
    assert len(result.latencies) == 3


async def test_a_lost_connection_is_one_error_and_is_not_sent_again() -> None:
    async with wired(lambda number: None if number % 5 == 0 else OK) as (url, wires):
        result = await send(Load(url, by_body, concurrency=3), 50)
        assert sum(wire.requests for wire in wires) == 50
    assert result.counts == {"ok": 40}
    assert [(kind, trouble.count) for kind, trouble in result.errors.items()] == [("connection lost", 10)]


async def test_an_answer_cut_short_is_a_lost_connection() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"
    async with wired(lambda number: cut) as (url, _):
        result = await send(Load(url, by_body), 4)
    assert (result.counts, result.failed, result.latencies) == ({}, 4, [])
    assert result.errors["connection lost"].count == 4


async def test_an_answer_that_is_not_http() -> None:
    async with wired(lambda number: b"SSH-2.0-OpenSSH\r\n\r\n") as (url, _):
        result = await send(Load(url, by_body), 4)
    assert result.errors["not HTTP"].count == 4


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = await send(Load(url, by_body), 10)
    assert result.errors["no connection"].count == 10
    assert "Cannot connect to host 127.0.0.1" in result.errors["no connection"].example
    assert math.isnan(result.percentile(0.5))


async def test_the_time_limit_ends_it_with_what_there_is() -> None:
    numbers = iter(range(100))

    async def stuck_after_ten(request: web.Request) -> web.Response:
        return web.Response(text="ok") if next(numbers) < 10 else await hang(request)

    before = asyncio.all_tasks()
    async with serving(stuck_after_ten) as server:
        result = await send(Load(server.url, by_body, concurrency=4, within=1.5), 100)
        await eventually(lambda: server.busy == 0)
        assert len(server.requests) == 14
    assert (result.counts, result.errors) == ({"ok": 10}, {})
    assert asyncio.all_tasks() == before


async def test_the_time_limit_covers_the_login() -> None:
    async with serving(hang) as server:
        result = await send(Load(server.url, by_body, login=LOGIN, within=0.1), 10)
    assert (result.answers, result.failed) == (0, 0)


async def test_cancelling_leaves_no_task_and_no_connection() -> None:
    before = asyncio.all_tasks()
    async with serving(hang) as server:
        idle = asyncio.all_tasks()
        sending = asyncio.ensure_future(send(Load(server.url, by_body, concurrency=8), 100))
        await eventually(lambda: server.busy == 8)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await eventually(lambda: server.busy == 0 and asyncio.all_tasks() == idle)
    assert asyncio.all_tasks() == before


async def test_what_classify_raises_ends_it() -> None:
    def broken(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        raise ZeroDivisionError

    before = asyncio.all_tasks()
    async with serving(hello) as server:
        with pytest.raises(ZeroDivisionError):
            await send(Load(server.url, broken, concurrency=4), 100)
    assert len(server.requests) <= 4
    assert asyncio.all_tasks() == before


def test_percentiles_are_values_that_were_measured() -> None:
    result = Result(latencies=[float(number) for number in range(1, 101)])
    assert [result.percentile(share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]
