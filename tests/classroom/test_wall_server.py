"""The wall over HTTP: who is told what, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from labs import RUNBOOK
from sandbox.server import launcher
from tests.classroom.walls import LABS, wall
from tests.kit.workshop import Workshop, until
from workshop import page_address, settings, watch_task
from workshop.classroom.wall import Wall
from workshop.classroom.wall_server import Board
from workshop.classroom.wall_sources import Sources, Watched
from workshop.console.wall_page import WALL
from workshop.live_page import PageServer, serving
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.record import Trouble
from workshop.runbook.request import Request

NOW = 1_800_000_000.0
TOKEN = "right-token"  # noqa: S105
HANGS = 30.0


@dataclass
class World:
    board: Board
    server: PageServer
    wall: Wall
    port: int
    session: aiohttp.ClientSession

    def url(self, path: str, token: str = TOKEN) -> str:
        return f"http://127.0.0.1:{self.port}{path}" + (f"?token={token}" if token else "")

    def change(self, *places: int, **told: Any) -> None:
        rows = list(self.wall.rows)
        for place in places:
            rows[place] = replace(rows[place], **told)
        self.wall = replace(self.wall, rows=tuple(rows))
        self.board.put(self.wall)

    @contextlib.asynccontextmanager
    async def listening(self, last: str = "") -> AsyncIterator[Heard]:
        headers = {"Last-Event-ID": last} if last else {}
        async with self.session.get(self.url("/events"), headers=headers) as answer:
            yield Heard(answer)


class Heard:
    """The events of a client."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str, str, Any]:
        """Its id, its kind, and what it tells."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(HANGS):
            async for line in self.answer.content:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "" and "data" in fields:
                    return fields["id"], fields["event"], json.loads(fields["data"])
                fields[key] = value
        raise AssertionError("it ended")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with _world(read_within=HANGS) as world:
        yield world


@contextlib.asynccontextmanager
async def _world(*, read_within: float, members: int = 3) -> AsyncIterator[World]:
    board, told = Board(), wall(members, NOW)
    board.put(told)
    server = PageServer(board, WALL, TOKEN, read_within=read_within)
    # With a limit of 64 KB of a line, a wall of 200 would not fit into a test's client.
    async with (
        serving(server, "127.0.0.1", 0, task="watch") as port,
        aiohttp.ClientSession(read_bufsize=2**22) as session,
    ):
        yield World(board, server, told, port, session)


@pytest.mark.parametrize("token", ["", "wrong-token", "right-token0", "RIGHT-TOKEN", "%C3%BC%00%FF"])
@pytest.mark.parametrize("path", ["/", "/events", "/nothing-here"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_without_the_token_nothing_is_told(world: World, method: str, path: str, token: str) -> None:
    async with world.session.request(method, world.url(path, token)) as answer:
        assert (answer.status, await answer.read()) == (403, b"")
        assert "Server" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_it_is_only_read(world: World, method: str) -> None:
    for path in ("/", "/events"):
        async with world.session.request(method, world.url(path)) as answer:
            assert (answer.status, await answer.read()) == (405, b"")


async def test_what_is_no_http_is_not_told_to_the_instructor(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for sent in (b"\0\xff\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), HANGS)
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert not {b"aiohttp", b"Python"} & {name for name in (b"aiohttp", b"Python") if name in answer}
        assert answer.endswith(b"\r\n\r\n")
        writer.close()
    assert not caplog.records


async def test_the_page_is_not_kept_and_may_do_nothing_but_listen(world: World) -> None:
    async with world.session.get(world.url("/")) as answer:
        assert await answer.text() == WALL.page
        headers = answer.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in str(policy)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", WALL.page), "nothing from elsewhere"


async def test_all_is_told_at_first_and_then_what_changes(world: World) -> None:
    async with world.listening() as heard:
        _, kind, told = await heard.next()
        assert kind == "wall"
        assert [row["name"] for row in told["rows"]] == ["ada", "grace", "edsger"]
        assert told["labs"] == [list(lab) for lab in LABS]
        assert (told["title"], told["patience"]) == ("mesh-day-1", 600)
        assert abs(told["now"] - time.time()) < 3600
        world.change(1, doing="verifying")
        _, kind, told = await heard.next()
        assert kind == "rows"
        assert [(row["name"], row["doing"]) for row in told["rows"]] == [("grace", "verifying")]
        assert "labs" not in told


async def test_what_has_not_changed_is_not_told(world: World) -> None:
    version = world.board.version
    world.board.put(wall(3, NOW))
    assert world.board.version == version
    assert not await world.board.newer(version, 0.01)


async def test_who_comes_again_is_told_what_was_missed(world: World) -> None:
    async with world.listening() as heard:
        last, _, _ = await heard.next()
    world.change(0, doing="one")
    world.change(2, doing="two")
    async with world.listening(last) as heard:
        _, kind, told = await heard.next()
    assert (kind, {row["name"] for row in told["rows"]}) == ("rows", {"ada", "edsger"})
    for unknown in ("0000.1", f"{world.board.epoch}.99", f"{world.board.epoch}.x", "nothing"):
        async with world.listening(unknown) as heard:
            assert (await heard.next())[1] == "wall", unknown


async def test_an_error_cannot_end_an_event(world: World) -> None:
    said = 'no\n\nevent: wall\ndata: {"rows": []}\r\n\r\n</script>\u2028' + "x" * 5000
    async with world.listening() as heard:
        await heard.next()
        world.change(0, trouble=Trouble(said))
        _, kind, told = await heard.next()
    assert kind == "rows"
    shown = told["rows"][0]["trouble"][0]
    assert shown.startswith('no event: wall data: {"rows": []} </script>')
    assert len(shown) < 1000


async def test_a_message_is_made_once_for_all_who_listen(world: World) -> None:
    first, second = world.board.message(0), world.board.message(0)
    assert world.board._since(0) is world.board._since(0)
    assert re.sub(rb'"now": [\d.]+', b"", first) == re.sub(rb'"now": [\d.]+', b"", second)


async def test_a_client_that_does_not_read_is_dropped_and_others_are_told() -> None:
    async with _world(read_within=0.05, members=200) as world:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", world.port))
            await loop.sock_sendall(deaf, f"GET /events?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with world.listening() as heard, asyncio.timeout(HANGS):
                await heard.next()
                round_ = 0
                while world.server.clients == 2:
                    round_ += 1
                    world.change(*range(200), doing=str(round_) * 100)
                    while (await heard.next())[2]["rows"][0]["doing"] != str(round_) * 100:
                        pass
            assert round_ < 100, "what waits for it has a bound"
            async with asyncio.timeout(HANGS):
                with contextlib.suppress(ConnectionResetError):
                    while await loop.sock_recv(deaf, 2**20):
                        pass


async def test_it_ends_at_once_whoever_listens() -> None:
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(_world(read_within=HANGS))
        heard = await stack.enter_async_context(world.listening())
        await heard.next()
        began = time.monotonic()
        async with asyncio.timeout(HANGS):
            await stack.aclose()
        assert time.monotonic() - began < HANGS / 2


async def test_a_port_that_is_taken_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match=f"listen on 127.0.0.1, port {world.port}") as refused:
        async with serving(world.server, "127.0.0.1", world.port, task="watch"):
            pass
    assert refused.value.next_command == "invoke watch --port 0"


def test_a_class_is_watched_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "day.yaml").write_text("members: [ada, ben]\n")
    workshop = Workshop(tmp_path / "state")
    watching = workshop.start("watch", "--roster", str(tmp_path / "day.yaml"), "--port", "0")
    try:
        said = until(watching, "until Ctrl-C")
        assert "the wall (day, 2 members) is at" in said
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", said)
        with urllib.request.urlopen(url, timeout=HANGS) as page:  # noqa: S310
            assert page.read().decode() == WALL.page
        with urllib.request.urlopen(url.replace("/?", "/events?"), timeout=HANGS) as events:  # noqa: S310
            data = next(line for line in events if line.startswith(b"data: "))
        told = json.loads(data.removeprefix(b"data: "))
        assert [(row["name"], row["condition"]) for row in told["rows"]] == [
            ("ada", "not begun"),
            ("ben", "not begun"),
        ]
        assert [name for name, _ in told["labs"]] == [name for name, _ in LABS]
        assert not (tmp_path / "state").exists(), "a look leaves nothing"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(HANGS) == 130
    finally:
        watching.kill()
        watching.communicate()


async def test_a_sandbox_that_does_not_run_is_said_and_not_started(tmp_path: Path) -> None:
    call = settings.collected({"state": str(tmp_path / "state")})
    look = watch_task.looking(call, RUNBOOK, Request(()))
    with pytest.raises(WorkshopError, match="its sandbox does not run"):
        await look()
    assert not (tmp_path / "state").exists()


async def test_a_look_sees_what_is_there_and_writes_nothing_down(
    own_sandbox: launcher.Running, tmp_path: Path
) -> None:
    state = own_sandbox.kubeconfig.parent.parent
    (state / "sandbox").symlink_to(own_sandbox.kubeconfig.parent)
    found = await watch_task.looking(settings.collected({"state": str(state)}), RUNBOOK, Request(()))()
    assert [lab.name for lab in found.labs] == [name for name, _ in LABS]
    assert {lab.state for lab in found.labs} == {"not there"}
    assert not (state / "journal.sqlite").exists()


def test_without_a_roster_it_is_the_one_member_of_the_call(tmp_path: Path) -> None:
    watching = Workshop(tmp_path / "state").start("watch", "--port", "0")
    try:
        assert "the wall (sandbox) is at" in until(watching, "until Ctrl-C")
    finally:
        watching.kill()
        watching.communicate()


@pytest.mark.parametrize(
    ("host", "warns"),
    [
        *(("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("localhost", False)),
        *(("0.0.0.0", True), ("192.0.2.7", True), ("::", True), ("my-laptop", True)),  # noqa: S104
    ],
)
def test_who_lets_others_see_it_is_told_what_they_see(host: str, warns: bool) -> None:
    warning = page_address.warning_of(host, watch_task.SEEN)
    assert ("plain HTTP" in warning) == ("sees the members' names" in warning) == warns


def test_the_address_is_one_that_others_can_open() -> None:
    sources = Sources("day", LABS, [Watched("ada", Path()), Watched("ben", Path())], RUNBOOK)
    told = watch_task.told(sources, "0.0.0.0", 8440, "secret")  # noqa: S104
    assert told[0] == "the wall (day, 2 members) is at"
    assert told[-2] == "  http://127.0.0.1:8440/?token=secret"
    assert not any("0.0.0.0" in line for line in told)  # noqa: S104
    assert watch_task.told(sources, "::1", 8440, "secret")[1] == "  http://[::1]:8440/?token=secret"


@pytest.mark.parametrize("port", ["-1", "70000", "http"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    ran = Workshop(tmp_path).run("watch", f"--port={port}")
    assert ran.status == 2
    assert "it is a number from 1 to 65535" in ran.unfolded
