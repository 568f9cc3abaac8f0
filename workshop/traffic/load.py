"""Sends a fixed number of requests and counts what comes back.

A few workers share one session, each sending its next request when its last one is answered, over connections that
are kept alive. Nothing is retried. Whatever ends the sending (the count, the time limit, a cancellation), no task
and no connection is left.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from workshop.traffic import client
from workshop.traffic.excerpt import excerpt
from workshop.traffic.login import Login

Classify = Callable[[int, Mapping[str, str], bytes, float], str | None]
"""Status, headers, body and seconds of an answer to its category; None when the answer is of no use."""

UNRECOGNISED = "unrecognised answer"
"""The trouble with an answer that has the right status and no category."""

_SHOWN_EVERY = 0.1


@dataclass(slots=True)
class Trouble:
    """Requests without a usable answer that failed in the same way, with what the first one said (if anything)."""

    example: str
    count: int = 0


@dataclass(slots=True)
class Result:
    """`latencies` are seconds, sorted, of every request that was answered (usable or not).

    Requests that the time limit cut off, or kept from being sent, are in none of the figures. With controls
    (`controlled`), `controls` are the seconds that each took, sorted, `control_trouble` what came back instead of a
    good answer to one, and `lost` counts the answers that a slow machine may have changed.
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

    @property
    def done(self) -> int:
        return self.answers + self.failed

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request that was sent at `began` and was over at `ended` (perf_counter). `seconds` is None
    when there was no answer; one without a category has a `trouble`, of which `example` says more."""

    began: float
    ended: float
    seconds: float | None
    category: str | None
    trouble: str = ""
    example: str = ""


async def ask(session: aiohttp.ClientSession, url: URL, classify: Classify) -> Answer:
    """One request. Raises what `classify` raises."""
    began = time.perf_counter()
    try:
        async with session.get(url, allow_redirects=False) as response:
            body = await response.read()
    except client.FAILURES as error:
        return Answer(began, time.perf_counter(), None, None, client.kind_of(error), client.said(error))
    ended = time.perf_counter()
    category = classify(response.status, response.headers, body, ended - began)
    if category is not None:
        return Answer(began, ended, ended - began, category)
    kind = UNRECOGNISED if response.status == 200 else f"HTTP {response.status}"
    return Answer(began, ended, ended - began, None, kind, excerpt(body))


class _Sending:
    """One load while it runs: what is left to send, and the result so far."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        count: int,
        classify: Classify,
        progress: Callable[[int, int], None] | None,
        result: Result,
    ) -> None:
        self._session, self._url, self._classify, self._progress = session, URL(url), classify, progress
        self._count, self._left, self._shown, self._done = count, count, time.perf_counter(), 0
        self.result = result

    async def work(self) -> None:
        while self._left > 0:
            self._left -= 1
            self.result.add(await ask(self._session, self._url, self._classify))
            self._done += 1
            now = time.perf_counter()
            if self._progress is not None and (now - self._shown >= _SHOWN_EVERY or self._done == self._count):
                self._shown = now
                self._progress(self._done, self._count)


async def send(
    url: str,
    *,
    count: int,
    classify: Classify,
    concurrency: int = 16,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    login: Login | None = None,
    request_timeout: float = 15.0,
    within: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """GET `url` `count` times, `concurrency` at once, within `within` seconds in all.

    With `login`, logs in once first and sends all requests with that session's cookies. `progress` is called with
    what is done and `count`, ten times a second at most, and at the end. `Result.seconds` is without the log-in.

    Raises LoginError, and what `classify` raises.
    """
    result = Result()
    workers = max(1, min(concurrency, count))
    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(within),
            client.session(
                url,
                connections=workers,
                request_timeout=request_timeout,
                headers=headers,
                cookies=cookies,
                login=login,
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            started = time.perf_counter()
            sending = _Sending(session, url, count, classify, progress, result)
            for _ in range(workers):
                group.create_task(sending.work())
    except TimeoutError:
        pass  # What there is by now is the result; the rest is missing from it.
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    result.seconds = time.perf_counter() - started
    result.latencies.sort()
    return result
