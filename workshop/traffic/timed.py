"""Requests that time tells apart, beside controls, until they are enough for a verdict.

A control is a request that nothing delays, through the same gateway and the same first service. One is always on
its way, or about to be: each moment belongs to a control, so that what stood still, here or there, shows in one. It
is timed from when it was due, as a client that was kept from sending it is slow as well.

Each control is sent behind a few of the requests and its answer waited for before the next few: as many as the
machine answers in BRISK, so neither side queues what it then takes for a delay. More while controls come at once,
fewer while they do not. Requests that really wait take nothing from the machine, and `most` of them may be under
way; where they do (a server with eight workers, all of them waiting), controls or undelayed answers become slow,
and half of what was under way is the most from then on.

**Two kinds of slow moments.** That of a control that came late; and that of an answer whose body is of some
category, but its time of none: it took longer than at once, and less than a delay. Controls do not go where the
delayed requests go in the end (a service further behind, with threads that the delayed ones hold, say); undelayed
ones among those that are measured do, and not all of them are made late by just as much as a delay.

**Lost.** An answer that was under way at a slow moment may be of another category than the mesh made it. It is none
of the result's, but one of `lost`, whichever category it would have been. Once there are more than may be, nothing
can be told any more, and the sending ends; also when IN_A_ROW controls are slow, with next to nothing beside them.

**The sample goes ahead.** The first requests are a sample, which shows whether a change has arrived. The others
follow before its last answers have come, so nobody waits for the same delay twice. Only the sample decides whether
what follows counts, and it is no part of that.

**Two rounds at most.** Where delays are long, what is under way cannot decide whether more is needed. So first as
many are sent as are nearly always enough (ROUND), the rest only when these were not. Where few may be under way, it
ends as soon as they are enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workshop.runbook.results import Verdict
from workshop.traffic.client import UNRECOGNISED, Answer, Session, ask
from workshop.traffic.load import Load, Result
from workshop.traffic.sequential import Sequential
from workshop.traffic.verdict import implausible

PAUSE = 0.05
"""Seconds from a control to the next one while there is nothing to send. What stands still for longer is seen."""

BRISK = 0.1
"""Seconds: while a control takes no longer (nor half of what it may), a few requests more may be sent with it."""

IN_A_ROW = 6
"""Slow controls after which the machine is too slow, whatever is sent."""

FIRST, MORE = 8, 4
"""Requests that are sent with the first control, and how many more with the next one."""

ROUND = 3.0
"""How many times the least that may be enough are sent at first: of sixty right splits one needs more, of five with
two thirds of it. One more round costs more than so many requests."""


@dataclass(slots=True)
class Timed:
    """What came back of `sent` requests after the sample. `result` is without those that were lost and those still
    under way; `odd` of all, also of the sample, had a time of no category. When that was `slow`, or `contradicts`
    what is expected, nothing is told of the others; `sampled` are its counts."""

    result: Result = field(default_factory=Result)
    verdict: Verdict = field(default_factory=lambda: Verdict("inconclusive", "nothing was sent"))
    sent: int = 0
    odd: int = 0
    slow: bool = False
    contradicts: str = ""
    sampled: dict[str, int] = field(default_factory=dict)


async def send_timed(
    load: Load,
    test: Sequential,
    *,
    sample: int = 0,
    prompt: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Timed:
    """Send a sample, and then requests until `test` has a verdict, `load.concurrency` at once at most.

    An answer of a category of `prompt` that took more than so many seconds says that fewer at once are better.
    `progress` is called with each control. Raises LoginError, and what `load.classify` raises.
    """
    sending: _Sending | None = None
    started = time.perf_counter()
    try:
        async with asyncio.timeout(load.within), load.session() as session:
            started = time.perf_counter()
            sending = _Sending(load, session, test, sample, prompt or {}, progress)
            await sending.go()
    except TimeoutError:
        pass  # What there is by now is the result; the rest is missing from it.
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    found = sending.found() if sending else Timed()
    found.result.seconds = time.perf_counter() - started
    return found


async def ask_alone(load: Load, requests: int = 0) -> Result:
    """One control, and so many requests at the same time. Raises LoginError, and what `load.classify` raises."""
    assert load.control is not None, "it is the load's"
    result = Result()
    async with load.session() as session:
        asked = ask(session, load.control.path, load.control.classify)
        answer, *others = await asyncio.gather(
            asked, *(ask(session, load.url, load.classify) for _ in range(requests))
        )
    for other in others:
        result.add(other)
    result.controls.append(answer.ended - answer.began)
    if answer.category is None:
        result.control_trouble = _said(answer)
    return result


@dataclass(slots=True, eq=False)
class _Request:
    began: float
    answer: Answer | None = None

    def meets(self, since: float, until: float) -> bool:
        """Whether it was under way at that time."""
        return self.began < until and (self.answer is None or since < self.answer.ended)


class _Sending:
    def __init__(
        self,
        load: Load,
        session: Session,
        test: Sequential,
        sample: int,
        prompt: Mapping[str, float],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        assert load.control is not None, "without one nobody knows how slow the machine is"
        self._load, self._session, self._test, self._control = load, session, test, load.control
        self._sample, self._prompt, self._progress = sample, prompt, progress
        prompt_share = sum(test.last.ranges[label].share for label in self._prompt)
        self._waits = bool(self._prompt) and prompt_share < 1
        self._round = sample + min(test.last.n, int((ROUND if self._waits else 1.0) * test.least))
        self._most, self._few = load.concurrency, min(FIRST, load.concurrency)
        self._asked: list[_Request] = []
        self._under_way = 0
        self._unseen: list[Answer] = []
        self._slow: list[tuple[float, float]] = []
        self._in_a_row = 0
        self._since = time.perf_counter()
        self._controls: list[float] = []
        self._trouble = ""
        self._sampled = ""

    async def go(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            while True:
                few = max(0, min(self._few, self._wanted(), self._most - self._under_way))
                for _ in range(few):
                    request = _Request(time.perf_counter())
                    self._asked.append(request)
                    self._under_way += 1
                    tasks.append(group.create_task(self._ask(request)))
                await self._next_control(0.0 if few else PAUSE)
                if self._over():
                    break
            for task in tasks:
                task.cancel()
        if not self._in_a_row:
            await self._next_control(0.0)  # for what has come since the last one

    def found(self) -> Timed:
        """What there is by now."""
        lost, measured = self._lost(), self._asked[self._sample :]
        found = Timed(Result(controls=sorted(self._controls), control_trouble=self._trouble), sent=len(measured))
        found.odd = sum(_odd(it.answer) for it in self._asked)
        if self._sample:
            sampled = Result()
            self._add(sampled, self._asked[: self._sample], lost)
            found.sampled, found.contradicts = sampled.counts, self._contradiction(lost)
            found.slow = not found.contradicts and (not measured or self._sample_slow(lost))
            if found.contradicts or found.slow:
                told = "most of a sample was lost to a slow machine: too few to tell"
                found.verdict = Verdict("inconclusive", found.contradicts or told)
                found.sent = 0
                return found
        self._add(found.result, measured, lost)
        found.verdict = self._judged(found.result, found.sent)
        return found

    def _add(self, result: Result, requests: list[_Request], lost: set[_Request]) -> None:
        for request in requests:
            if request in lost and request.answer is not None:
                result.lost += 1
            elif request.answer is not None:
                result.add(request.answer)
        result.latencies.sort()

    def _judged(self, result: Result, sent: int) -> Verdict:
        under_way = sent - result.answers - result.failed - result.lost
        return self._test.judge(result.counts, result.failed, result.lost, under_way)

    def _wanted(self) -> int:
        """How many more to send, if the machine lets them."""
        wanted = self._round - len(self._asked)
        if wanted <= 0 and not self._under_way:
            most = self._sample + self._test.last.n
            self._round = most if self._waits else min(most, self._round + FIRST * MORE)
            wanted = self._round - len(self._asked)
        return wanted

    async def _ask(self, request: _Request) -> None:
        try:
            request.answer = answer = await ask(self._session, self._load.url, self._load.classify)
        finally:
            self._under_way -= 1
        self._unseen.append(answer)
        if _odd(answer):
            self._slow.append((answer.began, answer.ended))

    async def _next_control(self, pause: float) -> None:
        """Raise or lower how many are sent with the next one."""
        due = time.perf_counter() + pause
        if pause:
            await asyncio.sleep(pause)
        under_way = self._under_way
        answer = await ask(self._session, self._control.path, self._control.classify)
        took = answer.ended - due
        self._controls.append(took)
        if answer.category is None and not self._trouble:
            self._trouble = _said(answer)
        since, self._since = self._since, answer.ended
        within, held_up = self._control.within, self._held_up()
        if answer.category is None or took > within:
            self._slow.append((since, answer.ended))
            self._in_a_row += 1
        else:
            self._in_a_row = 0
        if self._in_a_row or held_up:
            self._few, self._most = 1, max(1, under_way // 2)
        elif took > min(BRISK, within / 2):
            self._few = max(1, self._few // 2)
        else:
            self._few, self._most = self._few + MORE, min(self._most + MORE, self._load.concurrency)

    def _held_up(self) -> bool:
        """Whether one of the answers since the last control took too long for one that nothing delays."""
        unseen, self._unseen = self._unseen, []
        return any(
            _odd(answer) or (answer.seconds or 0.0) > self._prompt.get(answer.category or "", float("inf"))
            for answer in unseen
        )

    def _over(self) -> bool:
        lost, measured = self._lost(), self._asked[self._sample :]
        result = Result()
        self._add(result, measured, lost)
        self._show(result.answers + result.failed + result.lost)
        if self._in_a_row >= IN_A_ROW or self._sample_slow(lost) or self._contradiction(lost):
            return True
        if self._slow and self._hopeless(result.lost):
            return True
        if any(it.answer is None for it in self._asked[: self._sample]) or not measured:
            return False
        if not self._under_way and len(measured) >= self._test.last.n:
            return True
        return self._judged(result, len(measured)).kind != "inconclusive"

    def _sample_slow(self, lost: set[_Request]) -> bool:
        return 2 * sum(it in lost for it in self._asked[: self._sample]) > self._sample

    def _contradiction(self, lost: set[_Request]) -> str:
        """What of the sample does, once it has come back. What a slow machine may have changed does not."""
        sample = self._asked[: self._sample]
        if not sample or len(sample) < self._sample or any(it.answer is None for it in sample):
            return ""
        result = Result()
        self._add(result, sample, lost)
        if 2 * (result.answers + result.lost) < self._sample:
            return troubles(result)
        return "" if self._sample_slow(lost) else contradicting(self._test, result)

    def _hopeless(self, lost: int) -> bool:
        """Whether too many answers are lost, and those that will be when they come."""
        ended = max(ended for _, ended in self._slow)
        waiting = sum(it.answer is None and it.began < ended for it in self._asked[self._sample :])
        return not self._test.possible(0, lost + waiting)

    def _lost(self) -> set[_Request]:
        return {it for it in self._asked if any(it.meets(since, until) for since, until in self._slow)}

    def _show(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, self._test.last.n)


def _odd(answer: Answer | None) -> bool:
    """Whether it has a body that is expected, and a time that is not."""
    return answer is not None and answer.category is None and answer.trouble == UNRECOGNISED


def _said(answer: Answer) -> str:
    return ": ".join(filter(None, (answer.trouble, answer.example)))


def contradicting(test: Sequential, result: Result) -> str:
    """What in a sample hardly fits the expected shares; "" when nothing does not."""
    ranges = test.last.ranges
    return ", ".join(
        f"{label} {result.counts.get(label, 0)} of {result.answers}, expected {ranges[label].share:.0%}"
        for label in implausible(test.last, result.counts)
    )


def troubles(result: Result) -> str:
    return "; ".join(
        f"{kind}: {trouble.count}" + (f" ({trouble.example})" if trouble.example else "")
        for kind, trouble in result.errors.items()
    )
