"""A run killed at fifty moments, and the same command again: it converges, and nothing is made twice.

Every run of CI has five of them, spread over the run as all are; `-m exhaustive` has the others.

The moments are requests of the run, spread over all of it: the process is killed while that request is on its way,
of a part's moments every other one before Azure acts on it and every other one after.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from pathlib import Path

import pytest

from tests.kit.azure import Arm, Session, twice

MOMENTS = 50
AT_ONCE = 10
REQUESTS = 100
"""About as many as a run from nothing makes."""

_context = multiprocessing.get_context("forkserver")
_CLIENTS = ("containerregistry", "containerservice", "network", "resource.resources")
_context.set_forkserver_preload([__name__, *(f"azure.mgmt.{client}" for client in _CLIENTS)])


def converge(url: str, ca: str, folder: str) -> None:
    """What the killed process does."""
    asyncio.run(Session(Arm.at(url, Path(ca)), Path(folder), polling=0.005).run())


def killed(arm: Arm, session: Session, number: int, *, acts: bool) -> bool:
    """Whether the run got as far as that request before it ended."""
    arm.set(faults=[{"nth": number, "delay": 1, "acts": acts, "status": 500}])
    process = _context.Process(target=converge, args=(arm.url, str(arm.ca), str(session.folder)))
    process.start()
    limit = time.monotonic() + 60
    while process.is_alive() and arm.asked < number and time.monotonic() < limit:
        time.sleep(0.002)
    reached = arm.asked >= number
    process.kill()
    process.join()
    arm.set(faults=[])
    return reached


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, AT_ONCE))]
)
async def test_killed_at_any_moment_the_same_command_converges(part: int, arm: Arm, session: Session) -> None:
    reached = 0
    for moment in range(part, MOMENTS, AT_ONCE):
        arm.reset()
        session.forget()
        number, acts = 1 + moment * REQUESTS // MOMENTS, (moment + moment // AT_ONCE) % 2 == 1
        reached += await asyncio.to_thread(killed, arm, session, number, acts=acts)
        await session.converge()
        puts = arm.sent("PUT", accepted=True)
        assert len(set(puts)) == 13
        assert not twice(puts), moment
        assert not session.journal.under_way()
    assert reached >= MOMENTS // AT_ONCE - 1
