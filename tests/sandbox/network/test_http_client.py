"""The small HTTP client of the pods, against servers that answer in every way HTTP/1.1 allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from sandbox.network.http_client import KEPT
from sandbox.network.http_reply import Reply
from tests.sandbox.node.conftest import Place, container


class Script:
    """A server that reads requests and writes the next of `answers`; an empty one closes the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            self.requests.append(head)
            answer = self.answers.pop(0)
            for piece in (answer[: len(answer) // 2], answer[len(answer) // 2 :]):
                writer.write(piece)
                await asyncio.sleep(0)
            if not answer or b"HTTP/1.0" in answer or b"close" in answer:
                break
        writer.close()


@pytest.fixture
async def script(place: Place) -> AsyncIterator[tuple[Script, Callable]]:  # type: ignore[type-arg]
    pod = await place.serving("client", container("busybox", "sleep", "inf"))
    script = Script()
    server = await asyncio.start_server(script.serve, pod.ip, 9000)

    async def ask(*answers: bytes, method: str = "GET") -> list[tuple[int, bytes]]:
        script.answers[:] = answers
        replies = []
        while script.answers:
            reply = await pod.network.http.request(method, f"http://{pod.ip}:9000/x?y=1", {"a": "b"})
            replies.append((reply.status, reply.body))
        return replies

    yield script, ask
    pod.network.http.close()
    server.close()


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"


async def test_bodies_by_length_and_in_chunks_keep_the_connection(script) -> None:  # type: ignore[no-untyped-def]
    server, ask = script
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    replies = await ask(LENGTH, CHUNKED, interim + LENGTH, empty, LENGTH)
    assert replies == [(200, b"hello")] * 3 + [(204, b"")] + [(200, b"hello")]
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nhost: ")
    assert b"\r\na: b\r\n" in server.requests[0]


async def test_a_reply_may_end_the_connection(script) -> None:  # type: ignore[no-untyped-def]
    server, ask = script
    until_end = b"HTTP/1.0 200 OK\r\n\r\nhello"
    told = b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    assert await ask(until_end, told, LENGTH) == [(200, b"hello"), (503, b"no"), (200, b"hello")]
    assert server.connections == 3


async def test_head_has_no_body(script) -> None:  # type: ignore[no-untyped-def]
    server, ask = script
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert await ask(head, head, method="HEAD") == [(200, b"")] * 2
    assert server.connections == 1


async def test_a_kept_connection_that_was_closed_is_replaced_without_a_trace(script) -> None:  # type: ignore[no-untyped-def]
    server, ask = script
    assert await ask(LENGTH) == [(200, b"hello")]  # the script ends, and with it the connection
    assert await ask(LENGTH, b"", LENGTH) == [(200, b"hello")] * 2
    assert server.connections == 3


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhel"])
async def test_a_broken_reply_is_an_error(script, answer: bytes) -> None:  # type: ignore[no-untyped-def]
    _, ask = script
    with pytest.raises(ConnectionError):
        await ask(answer)


async def test_of_many_connections_at_a_time_few_are_kept(place: Place) -> None:
    """Go's client keeps two for a host, Python's `requests` ten."""
    pod = await place.serving("client", container("busybox", "sleep", "inf"))
    many, open_now = KEPT + 3, 0
    all_asked, surplus_closed = asyncio.Barrier(many), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        await reader.readuntil(b"\r\n\r\n")
        await all_asked.wait()
        writer.write(LENGTH)
        await reader.read()
        open_now -= 1
        if open_now == KEPT:
            surplus_closed.set()
        writer.close()

    server = await asyncio.start_server(serve, pod.ip, 9000)
    ask = (pod.network.http.request("GET", f"http://{pod.ip}:9000/", {}) for _ in range(many))
    assert {reply.status for reply in await asyncio.gather(*ask)} == {200}
    async with asyncio.timeout(10):
        await surplus_closed.wait()
    assert open_now == KEPT
    pod.network.http.close()
    server.close()


async def test_what_is_not_http_is_an_error(script) -> None:  # type: ignore[no-untyped-def]
    _, ask = script
    with pytest.raises(ConnectionError, match="malformed"):
        await ask(b"220 smtp ready close\r\n\r\n")


async def test_a_connection_that_ended_while_it_was_kept_is_not_used(script) -> None:  # type: ignore[no-untyped-def]
    server, ask = script
    assert await ask(LENGTH) == [(200, b"hello")]
    await asyncio.sleep(0.05)  # the server has no more answers and closes; the client is told
    assert await ask(LENGTH) == [(200, b"hello")]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (LENGTH, b"hello"),
        (CHUNKED, b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_reply_is_the_same_in_whatever_pieces_it_comes(answer: bytes, body: bytes) -> None:
    single = [[answer[at : at + 1] for at in range(len(answer))]]
    for pieces in [[answer], *single, *([answer[:at], answer[at:]] for at in range(1, len(answer)))]:
        reply = Reply("GET")
        for piece in pieces:
            assert not reply.whole
            reply.feed(piece)
        assert (reply.whole, reply.kept, reply.body) == (True, True, body)
