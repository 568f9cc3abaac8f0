"""The same work for all members at the same time, with a script of what it comes to for each."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from workshop.classroom import member_record
from workshop.classroom.members import Seat
from workshop.classroom.roster import Member
from workshop.classroom.together import SILENT, Telling, Work, alike, together
from workshop.console.class_view import MemberRow, grouped
from workshop.runbook import events
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.results import Verdict
from workshop.runbook.run import Listener
from workshop.runbook.stop import Stop
from workshop.settings import collected


def seats_in(folder: Path, *names: str) -> tuple[Seat, ...]:
    settings = collected({})
    return tuple(Seat(Member(name), replace(settings, state=str(folder / name))) for name in names)


async def done(seat: Seat, listen: Listener, stop: Stop) -> int:
    return 0


async def work_on(
    seats: Sequence[Seat], work: Work, telling: Telling = SILENT, at_once: int = 100
) -> list[MemberRow]:
    rows = [MemberRow(seat.name) for seat in seats]
    await together(seats, rows, work, telling, task="run x", command="invoke class.run x", at_once=at_once)
    return rows


async def test_one_failure_stops_nobody_and_the_same_causes_are_told_once(tmp_path: Path) -> None:
    seats = seats_in(tmp_path, *(f"m{number}" for number in range(20)))

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        if seat.name in ("m3", "m7", "m11"):
            raise WorkshopError(
                f"make {seat.name}-aks in {seat.folder}", f"{len(seat.name)}4 of 10 vCPUs", cause="quota"
            )
        if seat.name == "m5":
            raise RuntimeError("boom")
        return 3 if seat.name == "m9" else 0

    rows = await work_on(seats, work)
    states = {row.name: row.state for row in rows if row.state != "done"}
    assert states == {"m3": "failed", "m5": "failed", "m7": "failed", "m9": "inconclusive", "m11": "failed"}
    groups = grouped(rows, alike(seats))
    assert [group.names for group in groups] == [("m3", "m7", "m11"), ("m5",), ("m9",)]
    assert groups[1].trouble.said == "RuntimeError: boom"
    kept = {seat.name: member_record.read(seat.folder) for seat in seats}
    assert [name for name, record in kept.items() if record and record.failed] == ["m3", "m5", "m7", "m9", "m11"]


async def test_no_more_at_once_than_the_limit(tmp_path: Path) -> None:
    seats = seats_in(tmp_path, *(f"m{number}" for number in range(9)))
    working, most, all_in = 0, 0, asyncio.Event()

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        nonlocal working, most
        working += 1
        most = max(most, working)
        if working == 4:
            all_in.set()  # so that many can be at it together
        await all_in.wait()
        working -= 1
        return 0

    await work_on(seats, work, at_once=4)
    assert most == 4


async def test_what_a_member_is_at_is_kept_for_who_watches(tmp_path: Path) -> None:
    (seat,) = seats_in(tmp_path, "ada")
    seen: list[member_record.MemberRecord] = []

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        def look() -> None:
            found = member_record.read(seat.folder)
            assert found
            assert found.under_way
            assert not found.failed
            seen.append(found)

        look()
        listen(events.StepStarted("istio.canary", 4, "All requests to v1"))
        look()
        listen(events.StepPhase("istio.canary", 4, "verify"))
        listen(events.Measured("istio.canary", "at v1", Verdict("pass", "100 % v1"), step=4))
        look()
        return 0

    (row,) = await work_on((seat,), work)
    assert [(one.lab, one.step, one.doing, one.measured) for one in seen] == [
        ("", "", "", ""),
        ("istio.canary", "4 All requests to v1", "checking", ""),
        ("istio.canary", "4 All requests to v1", "verifying", "istio.canary: at v1, 100 % v1"),
    ]
    last = member_record.read(seat.folder)
    assert last
    assert (last.status, last.task, last.lab, last.failed) == (0, "run x", "", False)
    assert row.where == "istio.canary 4 All requests to v1"


async def test_what_ctrl_c_does(tmp_path: Path) -> None:
    """Every run is asked to stop, whoever has not begun is not, and a second signal ends what does not stop."""
    seats = seats_in(tmp_path, "ada", "ben", "cleo")
    heard: list[str] = []
    begun, asked = asyncio.Event(), asyncio.Event()

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        def seen(at_once: bool) -> None:
            heard.append(f"{seat.name} {'at once' if at_once else 'asked'}")
            if len(heard) == 2:
                asked.set()

        ended = asyncio.Event()
        with stop.signals(ended.set, seen):
            if seat.name == "ben":
                begun.set()
            await (ended.wait() if seat.name == "ben" else cut_off(stop))
        return 130

    told: list[bool] = []
    rows = asyncio.create_task(
        work_on(seats, work, Telling(lambda row: None, told.append, lambda: None), at_once=2)
    )
    await begun.wait()
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(60):
        await asked.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert [(row.name, row.state) for row in await rows] == [
        ("ada", "cut off"),
        ("ben", "cut off"),
        ("cleo", "not begun"),
    ]
    assert heard == ["ada asked", "ben asked", "ben at once"]
    assert told == [False, True]
    assert member_record.read(seats[2].folder) is None


async def cut_off(stop: Stop) -> None:
    from workshop.runbook.stop import Stopped

    with pytest.raises(Stopped):
        await stop.cuttable(asyncio.Event().wait())


async def test_a_refusal_of_one_is_its_own(tmp_path: Path) -> None:
    seats = seats_in(tmp_path, "ada", "ben")

    async def work(seat: Seat, listen: Listener, stop: Stop) -> int:
        if seat.name == "ada":
            raise UsageError("run x", "another run has it", next_command="invoke history")
        return 0

    rows = await work_on(seats, work)
    assert [row.state for row in rows] == ["failed", "done"]
    assert rows[0].trouble
    assert rows[0].trouble.next_command == "invoke history"
