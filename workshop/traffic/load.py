"""Sends a fixed number of requests and counts what comes back.

A few workers share one session, each sending its next request when its last one is answered, over connections that
are kept alive. Nothing is retried. Whatever ends the sending (the count, the time limit, a cancellation), no task
and no connection is left.

**With controls.** Where time tells answers apart, a load has a control: a request that nothing delays, through the
same gateway and the same first service. One is always on its way, or about to be: each moment belongs to a control,
so that what stood still, here or there, shows in one. It is timed from when it was due, as a client that was kept
from sending it is slow as well.

Each control is sent behind a few of the requests and its answer waited for before the next few: as many as the
machine answers in BRISK, so neither side queues what it then takes for a delay. More while controls come at once,
fewer while they do not. Requests that really wait take nothing from the machine, and `concurrency` of them may be
under way; where they do (a server with eight workers, all of them waiting), the controls become slow, and half of
what was under way is the most from then on.

**Lost.** An answer that was under way at the moment of a slow control may be of another category than the mesh made
it. It is none of the result's, but one of `lost`, whichever category it would have been. Once there are more than
`may_lose`, nothing can be told any more, and the sending ends; also when IN_A_ROW controls are slow, with next to
nothing beside them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from workshop.traffic import client
from workshop.traffic.client import UNRECOGNISED, Answer, Classify, Session, ask
from workshop.traffic.side_requests import Control, Login

Progress = Callable[[int, int], None]
"""Told how many requests are done, and of how many."""

_SHOWN_EVERY = 0.1

PAUSE = 0.05
"""Seconds from a control to the next one while there is nothing to send. What stands still for longer is seen."""

BRISK = 0.1
"""Seconds: while a control takes no longer (nor half of what it may), a few requests more may be sent with it."""

IN_A_ROW = 6
"""Slow controls after which the machine is too slow, whatever is sent."""

FIRST, MORE = 8, 4
"""Requests that are sent with the first control, and how many more with the next one."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, but for how often: GET requests for `url`, `concurrency` at once (with a `control` that many at
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


@dataclass(slots=True)
class Trouble:
    """Requests without a usable answer that failed in the same way, with what the first one said (if anything)."""

    example: str
    count: int = 0


@dataclass(slots=True)
class Result:
    """`latencies` are seconds, sorted, of every request that was answered (usable or not).

    Requests that the time limit cut off, or kept from being sent, are in none of the figures. With controls,
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

    @property
    def unrecognised(self) -> bool:
        """Whether some answers had the right status and no category."""
        return UNRECOGNISED in self.errors

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


async def send(load: Load, count: int, *, may_lose: int = 0, progress: Progress | None = None) -> Result:
    """Send `count` requests, and controls where the load has them, at least one: then fewer than `count` are sent
    when more than `may_lose` answers are lost, or the machine is too slow for any.

    `progress` is called ten times a second at most, and at the end; with controls after each of them.
    `Result.seconds` is without the log-in. Raises LoginError, and what `classify` raises.
    """
    workers = max(1, min(load.concurrency, count))
    sending: _Sending | None = None
    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(load.within),
            client.session(
                load.url,
                request_timeout=load.request_timeout,
                headers=dict(load.headers),
                login=load.login,
            ) as session,
        ):
            started = time.perf_counter()
            if load.control is None:
                sending = _Workers(load, session, count, progress, workers)
            else:
                sending = _WithControls(load, session, count, progress, load.control, may_lose)
            await sending.go()
    except TimeoutError:
        pass  # What there is by now is the result; the rest is missing from it.
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    result = sending.result() if sending else Result()
    result.latencies.sort()
    result.seconds = time.perf_counter() - started
    return result


class _Sending:
    """One load while it runs."""

    def __init__(self, load: Load, session: Session, count: int, progress: Progress | None) -> None:
        self.count = self.left = count
        self._load, self._session, self._progress = load, session, progress
        self._shown = time.perf_counter()

    async def go(self) -> None:
        raise NotImplementedError

    def result(self) -> Result:
        """What there is by now."""
        raise NotImplementedError

    async def ask(self) -> Answer:
        return await ask(self._session, self._load.url, self._load.classify)

    def show(self, done: int) -> None:
        if self._progress is not None:
            self._shown = time.perf_counter()
            self._progress(done, self.count)

    def show_now_and_then(self, done: int) -> None:
        if done == self.count or time.perf_counter() - self._shown >= _SHOWN_EVERY:
            self.show(done)


class _Workers(_Sending):
    def __init__(self, load: Load, session: Session, count: int, progress: Progress | None, workers: int) -> None:
        super().__init__(load, session, count, progress)
        self._workers, self._result, self._done = workers, Result(), 0

    async def go(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def result(self) -> Result:
        return self._result

    async def _work(self) -> None:
        while self.left > 0:
            self.left -= 1
            self._result.add(await self.ask())
            self._done += 1
            self.show_now_and_then(self._done)


class _WithControls(_Sending):
    def __init__(
        self,
        load: Load,
        session: Session,
        count: int,
        progress: Progress | None,
        control: Control,
        may_lose: int,
    ) -> None:
        super().__init__(load, session, count, progress)
        self._control = control
        self._may_lose = may_lose
        self._most, self._few = load.concurrency, min(FIRST, load.concurrency)
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._answers: list[Answer] = []
        self._slow: list[tuple[float, float]] = []
        self._in_a_row = 0
        self._since = time.perf_counter()
        self._controls: list[float] = []
        self._trouble = ""

    async def go(self) -> None:
        async with asyncio.TaskGroup() as group:
            while self.left or self._under_way:
                few = max(0, min(self._few, self.left, self._most - len(self._under_way)))
                self.left -= few
                for _ in range(few):
                    task = group.create_task(self._request())
                    self._under_way[task] = time.perf_counter()
                    task.add_done_callback(self._under_way.pop)
                await self._next_control(0.0 if few else PAUSE)
                self.show(len(self._answers))
                if self._hopeless():
                    break
            for task in self._under_way:
                task.cancel()
        await self._next_control(0.0)

    def result(self) -> Result:
        lost = self._lost()
        found = Result(lost=len(lost), controls=sorted(self._controls), control_trouble=self._trouble)
        for answer in self._answers:
            if answer not in lost:
                found.add(answer)
        return found

    async def _request(self) -> None:
        self._answers.append(await self.ask())

    async def _next_control(self, pause: float) -> None:
        """Raise or lower how many are sent with the next one."""
        due = time.perf_counter() + pause
        if pause:
            await asyncio.sleep(pause)
        under_way = len(self._under_way)
        answer = await ask(self._session, self._control.path, self._control.classify)
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
            self._few, self._most = self._few + MORE, min(self._most + MORE, self._load.concurrency)

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
