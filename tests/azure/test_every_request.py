"""A fault at every single request of a run from nothing, one run for each request and kind of fault.

It converges in that run or, when it cannot, says so clearly and the next one does. What Azure has accepted is never
sent twice.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.azure import Arm, Session, twice
from workshop.runbook.errors import WorkshopError

TIMEOUT = 0.15
"""Seconds that an answer may take in these runs."""

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"Retry-After": "0"}, "body": {"error": {"code": "TooManyRequests"}}},
    "500": {"status": 500, "body": {"error": {"code": "InternalServerError", "message": "it broke"}}},
    "reset": {"reset": True},
    "timeout": {"delay": 2 * TIMEOUT, "status": 504},
}
PRIMARY = ("azure.group", "azure.vnet", "azure.acr", "azure.aks")
AT_ONCE = 32
"""Runs share a process: each takes every thirty-second request, so that one test ends in seconds. Of each kind one
part runs in CI, each its own, so that every eighth request has its fault; the others with `-m exhaustive`."""
ALWAYS = {kind: place * AT_ONCE // len(FAULTS) for place, kind in enumerate(FAULTS)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        pytest.param(kind, part, marks=() if part == always else pytest.mark.exhaustive)
        for kind, always in ALWAYS.items()
        for part in range(AT_ONCE)
    ],
)
async def test_a_fault_at_every_request(kind: str, part: int, arm: Arm, session: Session) -> None:
    session.timeout = TIMEOUT
    last = part + 1
    number = part + 1
    while number <= last:
        arm.reset()
        session.forget()
        arm.set(faults=[{"nth": number, **FAULTS[kind]}])
        status = await session.run(*PRIMARY)
        last = max(last, len(arm.requests()))
        assert status in (0, 1), session.errors
        if status:
            for error in session.errors:
                assert isinstance(error, WorkshopError)
                assert error.came_back
        again = await session.converge(*PRIMARY)
        assert status or set(again) == {"unchanged"}, number
        assert not twice(arm.sent("PUT", accepted=True)), number
        number += AT_ONCE
