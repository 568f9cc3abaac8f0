"""Sends requests whose answers time tells apart, and controls beside them, which say whether it can.

A control is a request that nothing delays, through the same gateway and the same first service. One is always on
its way, or about to be: each moment belongs to a control, so that what stood still, here or there, shows in one.
It is timed from when it was due, as a client that was kept from sending it is slow as well.

**At once.** Each control is sent behind a few of the requests and its answer waited for before the next few: as
many as the machine answers in BRISK, so neither side queues what it then takes for a delay. More while controls
come at once, fewer while they do not. Requests that really wait take nothing from the machine, and `concurrency`
of them may be under way; where they do (a server with eight workers, all of them waiting), the controls become
slow, and half of what was under way is the most from then on.

**Lost.** An answer that was under way at the moment of a slow control may be of another category than the mesh made
it. It is none of the result's, but one of `lost`, whichever category it would have been. Once there are more than
`may_lose`, nothing can be told any more, and the sending ends; also when IN_A_ROW controls are slow, with next to
nothing beside them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from workshop.traffic import client
from workshop.traffic.load import Answer, Classify, Result, ask
from workshop.traffic.login import Login
from workshop.traffic.probe import Control

PAUSE = 0.05
"""Seconds from a control to the next one while there is nothing to send. What stands still for longer is seen."""

BRISK = 0.1
"""Seconds: while a control takes no longer (nor half of what it may), a few requests more may be sent with it."""

IN_A_ROW = 6
"""Slow controls after which the machine is too slow, whatever is sent."""

FIRST, MORE = 8, 4
"""Requests that are sent with the first control, and how many more with the next one."""


class _Sending:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        count: int,
        classify: Classify,
        control: Control,
        concurrency: int,
        may_lose: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._session, self._url, self._classify, self._progress = session, url, classify, progress
        self._control, self._control_url = control, url.join(URL(control.path))
        self._count, self._left, self._may_lose = count, count, may_lose
        self._concurrency, self._most, self._few = concurrency, concurrency, min(FIRST, concurrency)
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._answers: list[Answer] = []
        self._slow: list[tuple[float, float]] = []
        self._in_a_row = 0
        self._since = time.perf_counter()
        self._controls: list[float] = []
        self._trouble = ""

    async def go(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                while self._left or self._under_way:
                    few = max(0, min(self._few, self._left, self._most - len(self._under_way)))
                    self._left -= few
                    for _ in range(few):
                        task = group.create_task(self._request())
                        self._under_way[task] = time.perf_counter()
                        task.add_done_callback(self._under_way.pop)
                    await self._next_control(0.0 if few else PAUSE)
                    if self._progress is not None:
                        self._progress(len(self._answers), self._count)
                    if self._hopeless():
                        break
                for task in self._under_way:
                    task.cancel()
            await self._next_control(0.0)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    def result(self) -> Result:
        lost = self._lost()
        found = Result(lost=len(lost), controls=sorted(self._controls), control_trouble=self._trouble)
        for answer in self._answers:
            if answer not in lost:
                found.add(answer)
        found.latencies.sort()
        return found

    async def _request(self) -> None:
        self._answers.append(await ask(self._session, self._url, self._classify))

    async def _next_control(self, pause: float) -> None:
        """Raise or lower how many are sent with the next one."""
        due = time.perf_counter() + pause
        if pause:
            await asyncio.sleep(pause)
        under_way = len(self._under_way)
        answer = await ask(self._session, self._control_url, self._control.classify)
        took = answer.ended - due
        self._controls.append(took)
        if answer.category is None and not self._trouble:
            self._trouble = ": ".join(filter(None, (answer.trouble, answer.example)))
        since, self._since = self._since, answer.ended
        within = self._control.within
        if answer.category is None or took > within:
            self._slow.append((since, answer.ended))
            self._in_a_row += 1
            self._few, self._most = 1, max(1, under_way // 2)
            return
        self._in_a_row = 0
        if took > min(BRISK, within / 2):
            self._few = max(1, self._few // 2)
        else:
            self._few, self._most = self._few + MORE, min(self._most + MORE, self._concurrency)

    def _hopeless(self) -> bool:
        if not self._slow or self._in_a_row >= IN_A_ROW:
            return bool(self._slow)
        _, ended = self._slow[-1]
        return len(self._lost()) + sum(began < ended for began in self._under_way.values()) > self._may_lose

    def _lost(self) -> set[Answer]:
        return {
            answer
            for answer in self._answers
            if any(answer.began < ended and began < answer.ended for began, ended in self._slow)
        }


async def send(
    url: str,
    *,
    count: int,
    classify: Classify,
    control: Control,
    concurrency: int,
    may_lose: int,
    headers: Mapping[str, str] | None = None,
    login: Login | None = None,
    request_timeout: float = 15.0,
    within: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """As `load.send`, with controls, at least one. Fewer than `count` are sent when more than `may_lose` answers
    are lost, or the machine is too slow for any.

    Raises LoginError, and what `classify` raises.
    """
    started, sending = time.perf_counter(), None
    try:
        async with (
            asyncio.timeout(within),
            client.session(
                url,
                connections=concurrency + 1,
                request_timeout=request_timeout,
                headers=headers,
                login=login,
            ) as session,
        ):
            started = time.perf_counter()
            sending = _Sending(session, URL(url), count, classify, control, concurrency, may_lose, progress)
            await sending.go()
    except TimeoutError:
        pass  # What there is by now is the result; the rest is missing from it.
    result = sending.result() if sending else Result()
    result.seconds = time.perf_counter() - started
    return result
