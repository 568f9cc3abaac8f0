from __future__ import annotations

import socket

import pytest
from aiohttp import web

from tests.traffic.servers import serving, wired
from workshop.runbook.errors import WorkshopError
from workshop.traffic.client import LoginError
from workshop.traffic.fetch import fetch
from workshop.traffic.login import Login


async def test_an_answer_has_status_headers_body_and_time() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text=f"<title>{request.headers['end-user']}</title>", status=404, headers={"x-a": "b"})

    async with serving(page) as server:
        answer = await fetch(f"{server.url}/productpage", headers={"end-user": "jason"})
    assert (answer.status, answer.headers["X-A"], answer.body) == (404, "b", "<title>jason</title>")
    assert answer.seconds > 0


async def test_a_redirect_is_an_answer() -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with serving(away) as server:
        assert (await fetch(server.url)).status == 302
    assert len(server.requests) == 1


async def test_logs_in_first() -> None:
    async def application(request: web.Request) -> web.Response:
        response = web.Response(text=request.cookies.get("user", ""))
        if request.path == "/in":
            response.set_cookie("user", str((await request.post())["name"]))
        return response

    async with serving(application) as server:
        assert (await fetch(server.url, login=Login("/in", (("name", "jason"),)))).body == "jason"
        with pytest.raises(LoginError):
            await fetch(server.url, login=Login("/out", ()))


async def test_no_answer_is_an_error_that_says_what_was_tried() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(WorkshopError) as raised:
            await fetch(url)
    assert raised.value.tried == f"GET {url}"
    assert raised.value.came_back.startswith("no connection: ")


@pytest.mark.parametrize(("answer", "kind"), [(b"", "timeout"), (None, "connection lost")])
async def test_a_silent_or_broken_server(answer: bytes | None, kind: str) -> None:
    async with wired(lambda number: answer) as (url, wires):
        with pytest.raises(WorkshopError) as raised:
            await fetch(url, request_timeout=1.0)
        assert sum(wire.requests for wire in wires) == 1
    assert raised.value.came_back.startswith(kind)
