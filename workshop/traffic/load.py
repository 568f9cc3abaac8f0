"""Sends a fixed number of requests and counts what comes back.

A few workers share one session, each sending its next request when its last one is answered, over connections that
are kept alive. Nothing is retried. Whatever ends the sending (the count, the time limit, a cancellation), no task
and no connection is left.

Where time tells answers apart, `timed` sends them beside controls.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from workshop.traffic import client
from workshop.traffic.client import Answer, Classify, Session, ask
from workshop.traffic.side_requests import Control, Login

Progress = Callable[[int, int], None]
"""Told how many requests are done, and of how many."""

_SHOWN_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, but for how often: GET requests for `url`, `concurrency` at once (beside a `control` so many at
    most), within `within` seconds in all and `request_timeout` each. With `login`, logs in once first and sends all
    requests with that session's cookies."""

    url: str
    classify: Classify
    concurrency: int = 16
    headers: tuple[tuple[str, str], ...] = ()
    login: Login | None = None
    control: Control | None = None
    request_timeout: float = 15.0
    within: float = 120.0

    def session(self) -> AbstractAsyncContextManager[Session]:
        """That all of it is sent over. Entering it raises LoginError."""
        return client.session(
            self.url, request_timeout=self.request_timeout, headers=dict(self.headers), login=self.login
        )


@dataclass(slots=True)
class Trouble:
    """Requests without a usable answer that failed in the same way, with what the first one said (if anything)."""

    example: str
    count: int = 0


@dataclass(slots=True)
class Result:
    """`latencies` are seconds, sorted, of every request that was answered (usable or not).

    Requests that the time limit cut off, or kept from being sent, are in none of the figures. Beside controls,
    `controls` are the seconds that each took, sorted, `control_trouble` what came back instead of a good answer to
    one, and `lost` counts the answers that a slow machine may have changed.
    """

    counts: dict[str, int] = field(default_factory=dict)
    errors: dict[str, Trouble] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    lost: int = 0
    controls: list[float] = field(default_factory=list)
    control_trouble: str = ""

    @property
    def answers(self) -> int:
        """Usable ones."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        return sum(trouble.count for trouble in self.errors.values())

    def percentile(self, share: float) -> float:
        """The latency that this share (0 to 1) of the answers did not exceed; NaN without answers."""
        if not self.latencies:
            return math.nan
        return self.latencies[max(0, math.ceil(share * len(self.latencies)) - 1)]

    def add(self, answer: Answer) -> None:
        if answer.seconds is not None:
            self.latencies.append(answer.seconds)
        if answer.category is not None:
            self.counts[answer.category] = self.counts.get(answer.category, 0) + 1
        else:
            self.errors.setdefault(answer.trouble, Trouble(answer.example)).count += 1


async def send(load: Load, count: int, *, progress: Progress | None = None) -> Result:
    """Send `count` requests. `progress` is called ten times a second at most, and at the end. `Result.seconds` is
    without the log-in. Raises LoginError, and what `classify` raises."""
    sending: _Sending | None = None
    started = time.perf_counter()
    try:
        async with asyncio.timeout(load.within), load.session() as session:
            started = time.perf_counter()
            sending = _Sending(load, session, count, progress)
            await sending.go()
    except TimeoutError:
        pass  # What there is by now is the result; the rest is missing from it.
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    result = sending.result if sending else Result()
    result.latencies.sort()
    result.seconds = time.perf_counter() - started
    return result


class _Sending:
    """One load while it runs; `result` is what there is by now."""

    def __init__(self, load: Load, session: Session, count: int, progress: Progress | None) -> None:
        self.result = Result()
        self._load, self._session, self._progress = load, session, progress
        self._count = self._left = count
        self._done, self._shown = 0, time.perf_counter()

    async def go(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(self._load.concurrency, self._count))):
                group.create_task(self._work())

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            self.result.add(await ask(self._session, self._load.url, self._load.classify))
            self._done += 1
            self._show_now_and_then()

    def _show_now_and_then(self) -> None:
        now = time.perf_counter()
        if self._progress is not None and (self._done == self._count or now - self._shown >= _SHOWN_EVERY):
            self._shown = now
            self._progress(self._done, self._count)
