"""Answers that time tells apart, from servers on loopback that are slow on purpose: as a whole, at a moment, in the
measured path alone, or because too much is asked at once."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.traffic.servers import Handler, serving
from workshop.runbook import events
from workshop.runbook.run import Facts, Run
from workshop.traffic import measuring
from workshop.traffic.load import Load
from workshop.traffic.probe import Category, Probe
from workshop.traffic.sequential import Sequential
from workshop.traffic.side_requests import Control, Login
from workshop.traffic.timed import Timed, send_timed

PAGE = "served by"
AT_ONCE = Category("at once", PAGE, within=(0, 0.6))
LATE = Category("late", PAGE, within=(0.85, 2.0))
DELAY = 0.9
"""Seconds. The times between are for a machine that is slow because other tests run."""

DELAYED = Probe(
    "delays",
    "/page",
    (AT_ONCE, LATE),
    (0.75, 0.25),
    deviation=0.3,
    concurrency=256,
    visible_within=0.1,
    latencies=True,
    control=Control("/control", 0.3, "fine"),
)
N = DELAYED.test().last.n
UNDELAYED = replace(DELAYED, title="before", expected=(1.0, 0.0))


def listening() -> tuple[Run, list[events.Event]]:
    heard: list[events.Event] = []
    return Run("istio.fault", {}, Facts(), {}, heard.append), heard


async def nothing(request: web.Request) -> None:
    return


def application(
    share: float = 0.25,
    *,
    delay: float = DELAY,
    page: Callable[[web.Request], Awaitable[None]] = nothing,
    both: Callable[[web.Request], Awaitable[None]] = nothing,
    control: str = "fine",
) -> Handler:
    """One that delays a share of its pages, at random (seeded). `page` is what happens to pages first, `both` what
    happens to pages and controls."""
    rng = random.Random(5)  # noqa: S311

    async def answer(request: web.Request) -> web.Response:
        await both(request)
        if request.path == "/control":
            return web.Response(text=control)
        await page(request)
        await asyncio.sleep(delay if rng.random() < share else 0)
        return web.Response(text=PAGE)

    return answer


async def slow(request: web.Request) -> None:
    await asyncio.sleep(0.15)


def titles(heard: list[events.Event]) -> list[str]:
    return list(dict.fromkeys(event.what for event in heard if isinstance(event, events.Progress)))


Judged = list[str]
"""What each measurement came to."""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    """What the measurements of this test have come to, one by one."""
    seen: Judged = []

    async def watched(load: Load, test: Sequential, **more: Any) -> Timed:
        found = await send_timed(load, test, **more)
        if found.sent:
            seen.append(found.verdict.kind)
        return found

    monkeypatch.setattr(measuring, "send_timed", watched)
    return seen


def only_what_told_nothing_was_measured_again(judged: Judged) -> None:
    """Nothing was, on a quiet machine; beside busy ones controls may be slow at any moment."""
    assert set(judged[:-1]) <= {"inconclusive"}, judged


@pytest.mark.parametrize(("share", "kind"), [(0.25, "pass"), (0.0, "fail")])
async def test_the_verdict_covers_the_latencies_and_shows_them(share: float, kind: str, judged: Judged) -> None:
    run, heard = listening()
    async with serving(application(share)) as server:
        verdict = await DELAYED.measure(run, server.url)
    assert verdict.kind == kind, verdict
    (measured,) = verdict.measurements
    assert [bar.label for bar in measured.bars] == ["at once", "late"]
    assert measured.latencies is not None
    assert sum(measured.latencies.counts) == measured.samples <= N
    assert (measured.latencies.p99 >= DELAY) == (share > 0)
    only_what_told_nothing_was_measured_again(judged)
    assert len(titles(heard)) == len(judged)
    told = re.search(r"measured (\d+) times", verdict.reason)
    assert told is None or int(told[1]) <= len(judged)
    last = heard[-1]
    assert isinstance(last, events.Progress)
    assert (last.what, last.done == last.total) == (titles(heard)[-1], True)
    assert measured.samples <= last.done <= N


async def test_a_fail_says_that_the_control_was_fine() -> None:
    run, _ = listening()
    async with serving(application(0.0)) as server:
        verdict = await DELAYED.measure(run, server.url)
    assert verdict.kind == "fail"
    assert re.search(r"late: 0.0%, accepted 0.\d% to 4\d.\d%", verdict.reason), verdict.reason
    fine = "; /control, which nothing delays, took 0.0" in verdict.reason
    assert fine or "; the machine is slow: /control" in verdict.reason  # where this one is, just now


STRICT = replace(DELAYED.control or Control("", 0), within=0.1)


async def test_a_server_that_is_slow_as_a_whole_is_told_nothing_of() -> None:
    run, heard = listening()
    async with serving(application(both=slow)) as server:
        verdict = await replace(DELAYED, control=STRICT, visible_within=1.0).measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert "lost to a slow machine: too few to tell; the machine is slow: /control, which nothing delays, took" in (
        verdict.reason
    )
    assert "s at most meanwhile, where 0.1 s are the most" in verdict.reason
    waiting = [event for event in heard if isinstance(event, events.Waiting)]
    assert waiting[-1].what == "delays: the machine to be less busy"
    assert waiting[-1].missing.startswith("the machine is slow: /control, which nothing delays, took")
    # Nobody waits for what can say nothing.
    assert len([request for request in server.requests if request.path == "/page"]) < N / 4


async def test_a_wrong_one_that_is_slow_as_a_whole_neither_passes_nor_fails() -> None:
    run, _ = listening()
    async with serving(application(0.0, both=slow)) as server:
        verdict = await replace(DELAYED, control=STRICT).measure(run, server.url)
    assert verdict.kind == "inconclusive"


async def test_a_server_that_is_slow_only_in_the_measured_path_fails(judged: Judged) -> None:
    async def slower(request: web.Request) -> None:
        await asyncio.sleep(DELAY)

    run, _ = listening()
    async with serving(application(0.0, page=slower)) as server:
        verdict = await UNDELAYED.measure(run, server.url)
    assert verdict.kind == "fail", verdict
    assert "at once: 0.0%, accepted 100.0%; late: 100.0%, accepted 0.0%" in verdict.reason
    # With fewer at once each time, as it could have been for what waits in line behind others.
    assert judged.count("fail") <= 3
    assert judged[-1] == "fail"


async def test_a_server_that_is_slow_for_a_while_is_measured_again_when_it_is_not() -> None:
    pages = slow_controls = 0

    async def for_a_while(request: web.Request) -> None:
        nonlocal pages, slow_controls
        pages += request.path == "/page"
        if pages > 40 and slow_controls < 7:  # after the sample
            slow_controls += request.path == "/control"
            await asyncio.sleep(0.4)

    run, heard = listening()
    async with serving(application(both=for_a_while)) as server:
        verdict = await replace(DELAYED, visible_within=30.0).measure(run, server.url)
    assert verdict.kind == "pass", verdict
    assert titles(heard)[:2] == ["delays", "delays, once more, with 32 at once at most"]
    assert "the machine is slow" not in verdict.reason


async def test_what_was_under_way_at_a_slow_moment_is_lost_and_the_rest_may_prove_the_split() -> None:
    """Undelayed pages that a standstill makes late would otherwise be delayed ones."""
    stood, going_on = 0, asyncio.Event()

    async def standstill(request: web.Request) -> None:
        nonlocal stood
        stood += request.path == "/page"
        if stood == 120:  # of 20 in the sample and 157 in the measurement
            asyncio.get_running_loop().call_later(DELAY, going_on.set)
        if stood >= 120:
            await going_on.wait()

    run, heard = listening()
    probe = replace(UNDELAYED, deviation=0.1)
    async with serving(application(0.0, both=standstill)) as server:
        verdict = await probe.measure(run, server.url)
    assert verdict.kind == "pass", verdict
    (measured,) = verdict.measurements
    assert measured.bars[1].measured == 0
    assert "lost to a slow machine" in verdict.reason or "once more" in titles(heard)[1]


async def test_undelayed_pages_are_asked_for_no_faster_than_they_come() -> None:
    """A server that makes one page at a time: 256 at once would each wait for 255 others, 2.5 s."""
    one_by_one = asyncio.Lock()

    async def made(request: web.Request) -> None:
        async with one_by_one:
            await asyncio.sleep(0.01)

    run, _ = listening()
    async with serving(application(0.0, both=made)) as server:
        verdict = await UNDELAYED.measure(run, server.url)
    assert verdict.kind == "pass", verdict
    assert server.most_busy < 64
    (measured,) = verdict.measurements
    assert measured.latencies is not None
    assert measured.latencies.p99 < 0.6


async def test_workers_that_delayed_pages_fill_are_left_some_room() -> None:
    """As the real productpage has eight (its Dockerfile: `gunicorn -w 8`), if each did one page at a time."""
    workers = asyncio.Semaphore(8)
    rng = random.Random(5)  # noqa: S311

    async def answer(request: web.Request) -> web.Response:
        async with workers:
            if request.path == "/control":
                return web.Response(text="fine")
            await asyncio.sleep(DELAY / 2 if rng.random() < 0.25 else 0)
            return web.Response(text=PAGE)

    late = replace(LATE, within=(DELAY / 2 - 0.05, 2.0))
    at_once = replace(AT_ONCE, within=(0, DELAY / 2 - 0.05))
    control = replace(DELAYED.control or Control("", 0), within=0.2)
    run, heard = listening()
    probe = replace(DELAYED, categories=(at_once, late), control=control, visible_within=30.0)
    async with serving(answer) as server:
        verdict = await probe.measure(run, server.url)
    assert verdict.kind == "pass" or "the machine is slow" in verdict.reason, verdict
    assert titles(heard)[-1].startswith("delays, once more, with ")


WAIT = 0.5
"""Seconds that a page waits for what is behind it."""


def with_threads_behind(threads: int, share: float = 0.25) -> Handler:
    """Pages as BookInfo's: they wait WAIT seconds at most for a service behind, which holds one of its `threads`
    for longer than that for a share of its calls, also when nobody waits any more. Controls do not go there."""
    rng, free, calls = random.Random(5), asyncio.Semaphore(threads), set[asyncio.Task[None]]()  # noqa: S311

    async def call(seconds: float) -> None:
        async with free:
            await asyncio.sleep(seconds)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/control":
            return web.Response(text="fine")
        called = asyncio.ensure_future(call(1.5 * WAIT if rng.random() < share else 0.0))
        calls.add(called)
        called.add_done_callback(calls.discard)
        done, _ = await asyncio.wait([called], timeout=WAIT)
        return web.Response(text=PAGE if done else "unavailable")

    return answer


BEHIND = replace(
    DELAYED,
    categories=(
        Category("at once", PAGE, within=(0, 0.5 * WAIT)),
        Category("none", "unavailable", within=(0.95 * WAIT, 1.5 * WAIT)),
    ),
    deviation=0.4,
    control=Control("/control", WAIT / 6, "fine"),
    visible_within=30.0,
)


async def test_what_waits_in_line_behind_is_not_taken_for_delayed() -> None:
    """The pages that are under way hold all threads of a service that no control asks: all pages come as late as
    delayed ones then, with 256 at once nine of ten (a fail, before fewer at once were tried)."""
    run, heard = listening()
    async with serving(with_threads_behind(8)) as server:
        verdict = await BEHIND.measure(run, server.url)
    assert verdict.kind == "pass" or "the machine is slow" in verdict.reason, verdict
    assert titles(heard)[-1].startswith("delays, once more, with ")


async def test_a_share_that_is_late_however_few_are_at_once_fails() -> None:
    run, _ = listening()
    async with serving(with_threads_behind(1000, 1.0)) as server:
        verdict = await replace(BEHIND, visible_within=0.1).measure(run, server.url)
    assert verdict.kind == "fail" or "the machine is slow" in verdict.reason, verdict
    assert verdict.kind != "fail" or "none: 100.0%" in verdict.reason


async def test_a_control_that_is_not_served_proves_nothing_and_is_named() -> None:
    run, _ = listening()
    async with serving(application(control="other")) as server:
        verdict = await DELAYED.measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert "/control, which nothing delays, did not answer as it should meanwhile: unrecognised answer: other" in (
        verdict.reason
    )


async def test_a_few_answers_of_no_category_are_measured_again_and_most_of_them_are_not(judged: Judged) -> None:
    asked = until = 0

    async def between(request: web.Request) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.7 if 30 <= asked < until else 0)  # neither at once nor late

    for until, again in ((42, True), (10_000, False)):  # noqa: B007 (`between` uses it)
        judged.clear()
        asked = 0
        run, heard = listening()
        async with serving(application(0.0, page=between)) as server:
            verdict = await UNDELAYED.measure(run, server.url)
        only_what_told_nothing_was_measured_again(judged)
        assert len(titles(heard)) > 1, "a machine that is slow meanwhile makes it be the sample"
        assert verdict.kind == ("pass" if again else "inconclusive")
        assert again or "took a time of no category; /control" in verdict.reason


@pytest.mark.parametrize(("few", "kind"), [(0, "fail"), (3, "pass")])
async def test_answers_that_no_slowness_explains_fail_when_they_are_not_few(
    few: int, kind: str, judged: Judged
) -> None:
    served = 0

    async def other(request: web.Request) -> web.Response:
        nonlocal served
        served += request.path == "/page"
        strange = request.path == "/page" and (not few or 30 < served <= 30 + few)
        return web.Response(text="another page" if strange else f"fine, {PAGE}")

    run, heard = listening()
    async with serving(other) as server:
        verdict = await UNDELAYED.measure(run, server.url)
    assert verdict.kind == kind, verdict
    only_what_told_nothing_was_measured_again(judged)
    assert not few or len(titles(heard)) > 1, "a machine that is slow meanwhile makes it be the sample"
    assert ("other answers: 100.0%, accepted 0.0%" in verdict.reason) == (kind == "fail")
    (measured,) = verdict.measurements
    assert [bar.label for bar in measured.bars] == ["at once", "late"]


async def test_the_time_limit_is_for_all_measurements_together() -> None:
    async def never(request: web.Request) -> None:
        await asyncio.Event().wait()

    run, heard = listening()
    async with serving(application(page=never)) as server:
        limited = replace(DELAYED, within=0.3, request_timeout=1.0, visible_within=0.01)
        verdict = await limited.measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert titles(heard) == ["delays"]
    assert server.busy == 0


async def test_controls_are_sent_by_whoever_is_logged_in_too() -> None:
    async def entered(request: web.Request) -> web.Response:
        if request.path == "/login":
            response = web.Response(status=302)
            response.set_cookie("session", "jason")
            return response
        found = PAGE if request.path == "/page" else "fine"
        return web.Response(text=found if request.cookies.get("session") else "log in first")

    run, _ = listening()
    async with serving(entered) as server:
        verdict = await replace(UNDELAYED, login=Login("/login", ())).measure(run, server.url)
        refused = await replace(UNDELAYED, login=Login("/page", ())).measure(run, server.url)
    assert verdict.kind == "pass"
    assert (refused.kind, refused.measurements[0].samples) == ("inconclusive", 0)
    assert "without a cookie" in refused.reason
