"""Requests beside controls: what goes ahead, what is lost, and when it ends; servers do what their test says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from tests.traffic.servers import Handler, serving
from workshop.traffic.load import Load
from workshop.traffic.sequential import sequential
from workshop.traffic.side_requests import Control
from workshop.traffic.timed import ROUND, ask_alone, send_timed

HALVES = sequential({"at once": 0.5, "late": 0.5, "other": 0.0}, 0.3, 3)
PROMPT = {"at once": 5.0}
SAMPLE = 20


def by_body(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> str | None:
    """Odd ones are said to be of no category, as if they had taken a time of none."""
    said = body.decode()
    return said if status == 200 and said in HALVES.sides else None


def load(url: str) -> Load:
    return Load(url, by_body, concurrency=256, control=Control("/control", 30.0))


def halves(waits: Handler | None = None) -> tuple[Handler, list[str]]:
    """At once and late by turns; what becomes of the late ones first."""
    said: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/control":
            return web.Response(text="fine")
        said.append("late" if len(said) % 2 else "at once")
        mine = said[-1]
        if waits is not None and mine == "late":
            await waits(request)
        return web.Response(text=mine)

    return answer, said


async def test_the_measurement_follows_before_the_samples_late_answers_have_come() -> None:
    """Late ones come when more than the sample has been asked for: waiting for the sample would never end."""
    more = asyncio.Event()

    async def until_more(request: web.Request) -> web.StreamResponse:
        await more.wait()
        return web.Response()

    handler, said = halves(until_more)

    async def watched(request: web.Request) -> web.StreamResponse:
        if len(said) > 2 * SAMPLE:
            more.set()
        return await handler(request)

    async with serving(watched) as server:
        found = await send_timed(load(server.url), HALVES, sample=SAMPLE, prompt=PROMPT)
    assert (found.verdict.kind, found.contradicts, found.slow) == ("pass", "", False)
    assert sum(found.sampled.values()) == SAMPLE
    assert len(said) == SAMPLE + found.sent
    assert found.sent == min(HALVES.last.n, int(ROUND * HALVES.least)), "nearly always enough, and no more"


async def test_a_sample_that_contradicts_ends_it_and_is_no_part_of_a_measurement() -> None:
    async def late(request: web.Request) -> web.Response:
        return web.Response(text="late")

    async with serving(late) as server:
        found = await send_timed(load(server.url), HALVES, sample=SAMPLE, prompt=PROMPT)
    assert found.contradicts == "at once 0 of 20, expected 50%, late 20 of 20, expected 50%"
    assert (found.verdict.kind, found.sent, found.result.answers) == ("inconclusive", 0, 0)
    assert found.sampled == {"late": SAMPLE}


async def test_what_took_a_time_of_no_category_takes_along_all_that_was_under_way_with_it() -> None:
    """However good the controls were: they do not go where the measured ones go in the end."""
    together, asked = asyncio.Event(), 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        if request.path == "/control":
            return web.Response(text="fine")
        asked += 1
        mine = asked
        if mine >= 30:
            together.set()
        if mine <= 30:
            await together.wait()
        return web.Response(text="odd" if mine == 1 else "late" if mine % 2 else "at once")

    async with serving(answer) as server:
        found = await send_timed(load(server.url), HALVES, prompt=PROMPT)
    assert found.odd == 1
    assert found.result.lost >= 30
    assert found.result.errors == {}, "the odd one is lost itself"
    assert found.verdict.kind in ("pass", "inconclusive")


async def test_where_most_of_the_sample_is_lost_nothing_is_told() -> None:
    async def odd(request: web.Request) -> web.Response:
        return web.Response(text="odd")

    async with serving(odd) as server:
        found = await send_timed(load(server.url), HALVES, sample=SAMPLE, prompt=PROMPT)
    assert (found.slow, found.contradicts, found.sent) == (True, "", 0)
    assert found.verdict.reason == "most of a sample was lost to a slow machine: too few to tell"


async def test_where_nothing_is_expected_to_wait_it_ends_with_the_answer_that_is_enough() -> None:
    handler, said = halves()
    async with serving(handler) as server:
        found = await send_timed(load(server.url), HALVES)
    assert found.verdict.kind == "pass"
    assert HALVES.least <= found.sent == len(said) < int(ROUND * HALVES.least)


async def test_a_control_alone_and_with_a_few_others() -> None:
    handler, said = halves()
    async with serving(handler) as server:
        alone = await ask_alone(load(server.url))
        assert (len(alone.controls), alone.counts, said) == (1, {}, [])
        few = await ask_alone(load(server.url), 4)
    assert (len(few.controls), few.counts) == (1, {"at once": 2, "late": 2})
