"""For tests: how this Azure behaves (`/sandbox/settings`), and what was asked of it (`/sandbox/requests`).

GET    /sandbox/settings     how it behaves
POST   /sandbox/settings     change that: what is named is replaced (settings.py)
GET    /sandbox/requests     the requests since the log was cleared, in the order they came
DELETE /sandbox/requests     clear the log; the next request is number 1
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.faults import Fault, faults
from sandbox.arm.routes import Answer

_MOST_LOGGED = 20_000


@dataclass(slots=True)
class Logged:
    number: int
    method: str
    path: str
    query: str
    when: float
    """Seconds since the epoch."""
    status: int | None = None
    """None while it is answered, and for a connection that was reset."""
    seconds: float | None = None
    fault: bool = False
    accepted: bool = False
    """It took effect, whatever the answer that a fault put in the place of its own."""


class Control:
    """`changed` is called when the settings were."""

    def __init__(self, cloud: Cloud, changed: Callable[[], None]) -> None:
        self._cloud, self._changed = cloud, changed
        self._log: list[Logged] = []
        self._asked = 0
        self._faults: list[Fault] = faults(cloud.settings.faults)

    async def answer(self, method: str, path: str, body: Any) -> Answer:
        settings = self._cloud.settings
        match method, path:
            case "GET", "/sandbox/settings":
                return Answer(200, settings.show())
            case "POST", "/sandbox/settings":
                self._set(body)
                return Answer(200, self._cloud.settings.show())
            case "GET", "/sandbox/requests":
                return Answer(200, {"value": [asdict(each) for each in self._log]})
            case "DELETE", "/sandbox/requests":
                self._log.clear()
                self._asked = 0
                return Answer(204)
        raise ArmError(404, "NotFound", f"{method} {path} is not served.")

    def _set(self, said: Any) -> None:
        try:
            new = self._cloud.settings.changed(said)
            scripted = faults(new.faults)
        except (ValueError, TypeError) as error:
            raise ArmError(400, "InvalidSettings", str(error)) from None
        self._cloud.apply(new, providers="providers" in said, failures="failures" in said)
        if "faults" in said:
            self._faults = scripted
        self._changed()

    async def watched(
        self, request: web.Request, answer: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        """Answer and log it, or do what a fault says instead."""
        self._asked += 1
        logged = Logged(self._asked, request.method, request.path, request.query_string, time.time())
        self._log.append(logged)
        del self._log[:-_MOST_LOGGED]
        started = time.monotonic()
        fault = next((each for each in self._faults if each.hits(logged.number, request)), None)

        async def act() -> web.Response:
            response = await answer(request)
            logged.accepted = response.status < 300
            return response

        try:
            if fault is None:
                response = await act()
            else:
                logged.fault = True
                response = await self._faulty(fault, request, act)
            logged.status = None if fault is not None and fault.reset else response.status
            return response
        finally:
            logged.seconds = round(time.monotonic() - started, 4)

    async def _faulty(
        self, fault: Fault, request: web.Request, act: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        done = await act() if fault.acts or not fault.answers else None
        await asyncio.sleep(fault.delay)
        if fault.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if done is not None and not fault.answers:
            return done
        return fault.response()
