"""A network that swallows everything, and an Azure that takes its time: bounded, shown, and no reason to stay."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.kit.azure import Arm, Session
from workshop.azure import connection, preflight
from workshop.azure.connection import ATTEMPTS
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import Waiting


class Silence:
    """A port that takes connections and says nothing. `taken` are those."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            taken, _ = self._listener.accept()
            self.taken.append(taken)

    def end(self) -> None:
        for each in self.taken:
            each.close()


@pytest.fixture
def silent(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    """What the Arm's address is now."""
    silence = Silence()
    monkeypatch.setattr(arm, "url", silence.url)
    yield silence
    silence.end()


def waits_of(session: Session) -> list[Waiting]:
    return session.of(Waiting)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are shown soon."""
    monkeypatch.setattr(connection, "SHOWN_EVERY", 0.05)


@pytest.mark.usefixtures("at_once")
async def test_it_is_asked_a_few_times_in_sight_and_then_told(silent: Silence, session: Session) -> None:
    session.timeout = 0.2
    assert await session.run("azure.group") == 1
    error = session.errors[0]
    assert isinstance(error, WorkshopError)
    assert error.came_back == f"{silent.url.removeprefix('https://')}: no answer within 0.2 s"
    assert error.next_command == f"curl -I -m 10 {silent.url}/"
    shown = {(wait.missing, wait.limit) for wait in waits_of(session) if wait.what.startswith("look at ")}
    assert ("no answer yet", 0.2) in shown
    assert (f"no answer yet, attempt {ATTEMPTS}", 0.2) in shown


async def test_silence_ends_the_attempts_before_they_are_used_up(
    silent: Silence, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SILENCE", 0.3)
    session.timeout = 0.2
    azure = session.azure
    with pytest.raises(WorkshopError):
        await azure.get("/subscriptions/x", "2022-12-01")
    assert len(silent.taken) == 2


async def test_doctor_asks_once(silent: Silence, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_DOCTOR_TIMEOUT", 0.2)
    found = await preflight.examine(session.azure)
    states = [(finding.name, finding.state) for finding in found]
    assert states == [("login", "ok"), ("network", "fail"), ("cost", "ok")], "prices are in a table"
    assert len(silent.taken) == 1


@pytest.mark.usefixtures("at_once")
async def test_a_look_that_azure_puts_off_is_shown(arm: Arm, session: Session) -> None:
    body = {"error": {"code": "TooManyRequests", "message": "Too many requests."}}
    throttled = {"method": "GET", "path": "mesh-workshop[?]", "status": 429, "headers": {"Retry-After": "1"}}
    arm.set(faults=[{**throttled, "body": body}])
    await session.converge("azure.group")
    shown = [wait for wait in waits_of(session) if wait.missing == "Too many requests."]
    assert shown[0].waited == 0
    assert shown[-1].waited > 0.5
    assert {wait.limit for wait in shown} == {1.0}


async def test_nobody_waits_for_a_call_when_the_run_has_ended() -> None:
    begun, end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def call() -> bool:
        loop.call_soon_threadsafe(begun.set)
        return end.wait(60)

    task = asyncio.create_task(connection.in_thread(call))
    await begun.wait()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "azure")
    assert thread.daemon
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    end.set()
    thread.join(10)


async def test_what_a_call_raises_is_raised() -> None:
    def call() -> None:
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        await connection.in_thread(call)
