"""What becomes of a request, against servers on loopback that answer well or badly; and an answer that nobody
expected, in a few readable words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.kit.cases import cases
from tests.sandbox.mesh.test_gateway_tls import Authority
from tests.traffic.servers import eventually, serving
from workshop.traffic import client
from workshop.traffic.client import Answer, Session, Unanswered, ask, excerpt
from workshop.traffic.side_requests import Login, LoginError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def as_text(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
    return f"{status} {body.decode()}".rstrip()


class Said:
    """A server that says `pieces` to each request, and then closes if it does: its address, the requests that came,
    and over how many connections."""

    def __init__(self, pieces: list[bytes], *, closes: bool = False) -> None:
        self._pieces, self._closes = pieces, closes
        self.port, self.connections, self.requests = 0, 0, list[bytes]()
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self._pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self._closes:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def saying(
    *pieces: bytes, closes: bool = False, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Said]:
    said = Said(list(pieces), closes=closes)
    server = await asyncio.start_server(said.handle, host, 0, ssl=tls)
    said.port = server.sockets[0].getsockname()[1]
    try:
        yield said
    finally:
        server.close()
        for writer in said.writers:
            writer.transport.abort()
        await server.wait_closed()


@contextlib.contextmanager
def session(url: str, *, seconds: float = 30.0, headers: Mapping[str, str] | None = None) -> Iterator[Session]:
    opened = Session(url, headers or {}, seconds)
    try:
        yield opened
    finally:
        opened.close()


async def asked(url: str, times: int = 1, *, seconds: float = 30.0) -> list[Answer]:
    with session(url, seconds=seconds) as opened:
        return [await ask(opened, url, as_text) for _ in range(times)]


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "in pieces"])
@cases(__file__, "answers")
async def test_an_answer_is_what_it_is_in_whatever_pieces_it_comes(
    of: str, case: dict[str, Any], in_pieces: bool
) -> None:
    answer = case["answer"].encode("latin-1")
    pieces = [answer[at : at + 1] for at in range(len(answer))] if in_pieces else [answer]
    async with saying(*pieces, closes=case.get("closes", False)) as server:
        answers = await asked(server.url, 2)
    assert len(server.requests) == 2, "nothing is sent again"
    for found in answers:
        if "trouble" in case:
            assert (found.trouble, found.seconds) == (case["trouble"], None)
            assert case.get("said", found.example) == found.example
        else:
            assert found.category == f"{case['status']} {case.get('body', '')}".rstrip()
            assert found.seconds is not None
            assert 0 < found.seconds <= found.ended - found.began
    assert server.connections == (1 if case.get("kept") else 2)


@pytest.mark.parametrize("more", [OK, b"HTTP", b"!!"])
async def test_what_comes_after_an_answer_is_no_answer_to_the_next_request(more: bytes) -> None:
    async with saying(OK + more) as server:
        answers = await asked(server.url, 3)
    assert [answer.category for answer in answers] == ["200 ok"] * 3
    assert server.connections == 3


@pytest.mark.parametrize("then", ["is closing", "closes", "says something"])
async def test_a_kept_connection_that_is_not_what_it_was_is_not_used(then: str) -> None:
    async with saying(OK) as server:
        with session(server.url) as opened:
            await opened.get("/")
            (idle,) = opened._idle
            if then == "is closing":
                idle.abort()
                assert not idle.kept, "although nobody has told it yet that it is lost"
            elif then == "closes":
                server.writers[0].close()
            else:
                server.writers[0].write(OK)
            await eventually(lambda: not idle.kept)
            assert (await opened.get("/")).body == b"ok"
            await eventually(lambda: server.writers[0].transport.is_closing())
    assert server.connections == 2


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n\r\na body that ends with the connection"])
async def test_a_reset_is_a_lost_connection(before: bytes) -> None:
    async with saying(before) as server:
        asking = asyncio.ensure_future(asked(server.url))
        await eventually(lambda: bool(server.requests))
        for _ in range(5):
            await asyncio.sleep(0)  # for what was said to be read
        sending = server.writers[0].get_extra_info("socket")
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.writers[0].transport.abort()
        (answer,) = await asking
    assert (answer.trouble, answer.example) == ("connection lost", "[Errno 104] Connection reset by peer")


async def test_what_is_too_long_is_one_answer_and_not_all_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST", 2 * len(OK))
    async with saying(OK) as server:
        answers = await asked(server.url, 5)
    assert [answer.category for answer in answers] == ["200 ok"] * 5
    assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nEndless: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;endless=",
    ],
)
async def test_what_has_no_end_is_ended(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST", 2**20)
    async with saying(head, *[b"x" * 2**16] * 64) as server:
        (answer,) = await asked(server.url)
    assert (answer.trouble, answer.example) == ("too long", "more than 1 MiB")


async def test_an_answer_may_be_large() -> None:
    body = b"x" * (client.LONGEST - 100)
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body) as server:
        with session(server.url) as opened:
            assert (await opened.get("/")).body == body


async def test_each_request_has_its_time_and_connecting_is_part_of_it() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n") as server:
        (silent,) = await asked(server.url, seconds=0.05)
        await eventually(lambda: server.writers[0].transport.is_closing())
    assert (silent.trouble, silent.example, silent.seconds) == ("timeout", "", None)
    with contextlib.ExitStack() as full:
        listening = full.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # more than its queue holds: the kernel lets the next ones wait
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        (unaccepted,) = await asked(f"http://127.0.0.1:{listening.getsockname()[1]}/", seconds=0.05)
    assert unaccepted.trouble == "timeout"


async def test_the_time_of_a_request_is_its_own_over_a_connection_that_is_older() -> None:
    seconds = 0.1
    answers: list[Answer] = []
    async with saying(OK) as server:
        with session(server.url, seconds=seconds) as opened:
            until = time.perf_counter() + 3 * seconds
            while time.perf_counter() < until:
                answers.append(await ask(opened, "/", as_text))
    assert any(answer.category for answer in answers)
    for answer in answers:  # a busy machine may make some of them late
        assert answer.category == "200 ok" or answer.ended - answer.began >= seconds


async def test_why_there_is_no_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        (refused,) = await asked(f"http://127.0.0.1:{port}/")
        (unknown,) = await asked("http://no-such-host.invalid/")
    assert refused.trouble == unknown.trouble == "no connection"
    assert refused.example == f"Cannot connect to host 127.0.0.1:{port}: Connection refused"
    assert unknown.example.startswith("Cannot connect to host no-such-host.invalid:80: ")


async def test_the_time_of_an_answer_is_not_that_of_whoever_looks_at_the_one_before() -> None:
    """Eight answers that are there at once, of which the last would otherwise have waited for the others."""
    took = 0.05
    together = asyncio.Barrier(8)

    async def at_once(request: web.Request) -> web.Response:
        await together.wait()
        return web.Response(text="ok")

    def looks(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
        time.sleep(took)
        return "seen"

    async with serving(at_once) as server:
        with session(server.url) as opened:
            began = time.perf_counter()
            answers = await asyncio.gather(*(ask(opened, "/", looks) for _ in range(8)))
            until = time.perf_counter()
    assert until - began > 8 * took
    assert max(answer.ended for answer in answers) < until - 7 * took


async def test_what_is_sent() -> None:
    async with saying(OK) as server:
        with session(server.url, headers={"Host": "books.example", "End-User": "jäson"}) as opened:
            await opened.get("/a b/ü%20ö?q=ß&r=%C3#not-sent")
            await opened.get("/again")
    first, second = server.requests
    assert first.decode() == (
        "GET /a%20b/%C3%BC%20%C3%B6?q=%C3%9F&r=%C3 HTTP/1.1\r\n"
        "host: books.example\r\naccept: */*\r\nuser-agent: mesh-workshop\r\nend-user: jäson\r\n\r\n"
    )
    assert second.startswith(b"GET /again HTTP/1.1\r\n")
    assert server.connections == 1


async def test_a_host_is_sent_with_its_port_and_no_path_is_the_first() -> None:
    async with saying(OK) as server:
        await asked(f"http://127.0.0.1:{server.port}")
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % server.port)


@pytest.mark.parametrize("header", [{"a": "b\r\nc: d"}, {"a\n": "b"}, {"a": "b\0"}])
async def test_a_header_is_one_line(header: dict[str, str]) -> None:
    async with saying(OK) as server:
        with session(server.url, headers=header) as opened, pytest.raises(ValueError, match="more than one line"):
            await opened.get("/")
    assert not server.requests


async def test_an_address_of_ipv6() -> None:
    try:
        async with saying(OK, host="::1") as server:
            (answer,) = await asked(f"http://[::1]:{server.port}/")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert answer.category == "200 ok"
    assert b"host: [::1]:%d\r\n" % server.port in server.requests[0]


async def test_a_name_with_an_address_that_nobody_listens_at() -> None:
    """localhost is ::1 as well, on most machines."""
    async with saying(OK) as server:
        (answer,) = await asked(f"http://localhost:{server.port}/")
    assert answer.category == "200 ok"


async def test_tls_is_spoken_with_who_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority("the test's")
    pair = authority.issue("localhost")
    for name, pem in (("crt", pair.certificate), ("key", pair.key), ("ca", authority.pem)):
        (tmp_path / name).write_bytes(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    async with saying(OK, tls=context) as server:
        (distrusted,) = await asked(f"https://localhost:{server.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca"))
        (trusted,) = await asked(f"https://localhost:{server.port}/")
    assert distrusted.trouble == "no connection"
    assert "certificate verify failed" in distrusted.example
    assert trusted.category == "200 ok"


async def test_all_cookies_of_a_login_are_sent_as_they_came() -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nSet-Cookie: a=1; Path=/; Expires=Thu, 1 Jan 2099 00:00:00 GMT"
    )
    async with saying(answer + b'\r\nset-cookie: b="x y"; HttpOnly\r\n\r\n') as server:
        with session(server.url) as opened:
            await opened.log_in(Login("/login", (("name", "Jäson & Co"),)))
            await opened.get("/page")
    form = b"name=J%C3%A4son+%26+Co"
    assert server.requests[0].startswith(b"POST /login HTTP/1.1\r\n")
    assert (
        b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n" % len(form)
        in (server.requests[0])
    )
    assert server.requests[1].startswith(form + b"GET /page HTTP/1.1\r\n")
    assert b'\r\ncookie: a=1; b="x y"\r\n' in server.requests[1]


async def test_a_login_without_an_answer_is_told_in_the_same_words() -> None:
    async with saying(closes=True) as server:
        with (
            session(server.url) as opened,
            pytest.raises(LoginError, match="connection lost: closed before") as raised,
        ):
            await opened.log_in(Login("/login", (("name", "a secret"),)))
    assert "a secret" not in str(raised.value)


async def test_nothing_is_left_of_a_request_that_is_cancelled() -> None:
    async with saying() as server:
        with session(server.url) as opened:
            asking = asyncio.ensure_future(opened.get("/"))
            await eventually(lambda: bool(server.requests))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await eventually(lambda: server.writers[0].transport.is_closing())
            assert not opened._idle


def test_an_error_is_one_line() -> None:
    assert str(Unanswered("not HTTP", "two\n lines")) == "not HTTP: two lines"
    assert str(Unanswered("timeout")) == "timeout"


HEAD = '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><style>p {color: red}</style>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            HEAD + "<title>\n Simple Bookstore\n App</title></head><body><p>Hello</p></body></html>",
            "Simple Bookstore App",
        ),
        (HEAD + "</head><body><h1>Not &amp; found</h1><p>Try again</p></body></html>", "Not & found Try again"),
        (HEAD + "<title></title><script>if (a < b) {}</script><p>Hello</p></html>", "Hello"),
        ("<HTML><p>" + "word " * 40, ("word " * 40)[:59] + "…"),
        ("no healthy\nupstream", "no healthy upstream"),
        ('{"a": "<title>b</title>"}', '{"a": "<title>b</title>"}'),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_a_page_is_its_title_or_its_text_and_other_text_its_beginning(body: str, said: str) -> None:
    assert excerpt(body.encode()) == said


def test_what_is_no_text_is_still_told() -> None:
    assert excerpt(b"\xff\xfe") == "\ufffd\ufffd"
