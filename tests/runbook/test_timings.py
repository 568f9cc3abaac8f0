"""Where the time of a run goes: what overlaps is never added up, and nothing is told twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.engine import Measured, Put, bench, lab
from tests.kit.laws import LAW
from tests.kit.screens import Clock
from tests.runbook.test_interrupts import hit
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.events import LabFinished
from workshop.runbook.request import Request, refuse_timings
from workshop.runbook.results import Verdict
from workshop.runbook.run import Facts, Run
from workshop.runbook.timings import (
    KINDS,
    PHASES,
    Kind,
    Piece,
    Seconds,
    Span,
    Stopwatch,
    TimeKeeper,
    merged,
    without,
)

MOMENTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


def whole(when: Iterable[tuple[float, float]]) -> set[int]:
    """The whole seconds that the intervals cover."""
    return {second for began, ended in when for second in range(int(began), int(ended))}


@LAW
@given(MOMENTS, MOMENTS)
def test_moments_are_merged_and_taken_away(when: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    one = merged(when)
    assert whole(one) == whole(when)
    assert all(first[1] < second[0] for first, second in pairwise(one))
    left = without(when, others)
    assert whole(left) == whole(when) - whole(others)
    assert left == merged(left)


@LAW
@given(st.lists(st.sampled_from(["check", "apply", "verify", "wait"]), max_size=12), MOMENTS)
def test_each_moment_of_a_step_is_of_one_kind(did: list[str], late: list[tuple[int, int]]) -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    waited = []
    for what in did:
        clock.now += 2
        if what == "wait":
            with watch.waiting():
                clock.now += 2
            waited.append((clock.now - 2, clock.now))
        else:
            watch.go_on(PHASES[what])
    clock.now += 2
    for began, ended in late:
        watch.was("delays", began, ended)
    span = watch.span("a")
    assert (span.began, span.ended) == (0, clock.now)
    assert all(first.ended == second.began for first, second in pairwise(span.pieces))
    found = {kind: whole(piece[1:] for piece in span.pieces if piece.kind == kind) for kind in KINDS}
    assert found["delays"] == whole(late) & whole([(0, clock.now)])
    assert found["waiting"] == whole(waited) - whole(late)


def test_a_step_counts_as_waiting_while_anything_in_it_waits() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    clock.now = 1.0
    watch.go_on("proving")
    clock.now = 2.0
    with watch.waiting():
        clock.now = 3.0
        with watch.waiting():
            clock.now = 5.0
        clock.now = 6.0
    clock.now = 10.0
    watch.was("delays", 5.5, 7.0)
    watch.was("delays", 8.0, 9.0)
    keeper = TimeKeeper(lambda lab: ())
    keeper.add(watch.span("a"))
    assert keeper.of_lab("a") == {"looking": 1.0, "waiting": 3.5, "proving": 3.0, "delays": 2.5}


def step(lab: str, began: float, ended: float, kind: Kind = "applying") -> Span:
    return Span(lab, (Piece(kind, began, ended),))


@pytest.mark.parametrize(
    ("spans", "seconds", "of_run"),
    [
        pytest.param(
            [step("", 0, 1, "looking"), step("a", 1, 3), step("b", 3, 9, "proving"), step("c", 3, 5)],
            {"looking": 1, "applying": 2, "proving": 6},
            {"a": 2, "b": 6, "c": 0},
            id="what ran beside the longest adds nothing",
        ),
        pytest.param(
            [step("a", 0, 3), step("b", 3, 4), step("c", 3, 8, "proving"), step("", 8, 9, "looking")],
            {"applying": 3, "proving": 5, "looking": 1},
            {"a": 3, "b": 0, "c": 5},
            id="the engine waits for all",
        ),
        pytest.param(
            [step("a", 0, 2), step("a", 0, 5), step("b", 5, 6), step("c", 4, 4.9), step("b", 6, 8, "proving")],
            {"applying": 6, "proving": 2},
            {"a": 5, "b": 3, "c": 0},
            id="steps beside each other",
        ),
        pytest.param(
            [step("a", 0, 2), step("c", 2, 4.5), step("b", 5, 7)],
            {"applying": 4},
            {"a": 2, "b": 2, "c": 0},
            id="a lab that it does not wait for is not on its way",
        ),
        pytest.param([], {}, {}, id="nothing has begun"),
    ],
)
def test_a_run_took_as_long_as_its_longest_chain(
    spans: list[Span], seconds: Seconds, of_run: Mapping[str, float]
) -> None:
    """Of labs of which b and c need a."""
    keeper = TimeKeeper({"a": (), "b": ("a",), "c": ("a",)}.__getitem__)
    for span in spans:
        keeper.add(span)
    timings = keeper.of_run("abc")
    assert timings.seconds == seconds
    assert {each.lab: each.of_run for each in timings.labs} == of_run


class Waits(Put):
    """Put, and then waited for."""

    async def apply(self, run: Run) -> None:
        await super().apply(run)
        looks = iter(["its pods", ""])

        async def missing() -> str:
            return next(looks)

        await run.wait("it", missing, seconds=60, every=0.001)


class LateOnPurpose(Measured):
    async def verify(self, run: Run) -> Verdict | None:
        looks = iter(["a fault", ""])

        async def missing() -> str:
            return next(looks)

        await run.wait("it", missing, seconds=60, every=0.001, on_purpose=True)
        return await super().verify(run)


@pytest.mark.parametrize(
    ("looks", "kinds"),
    [
        pytest.param([""], {"looking": 3.0}, id="there at once"),
        pytest.param(["its pods", "its pods", ""], {"looking": 3.0, "waiting": 6.0}, id="there at the third look"),
        pytest.param(["its pods"], {"waiting": 3.0}, id="never there"),
    ],
)
async def test_the_look_that_finds_nothing_missing_has_waited_for_nothing(looks: list[str], kinds: Seconds) -> None:
    clock, left = Clock(), iter(looks)
    run = Run("a", {}, Facts(), {}, lambda event: None, stopwatch=Stopwatch(clock))

    async def missing() -> str:
        clock.now += 3.0
        return next(left)

    with contextlib.suppress(WorkshopError):
        await run.wait("it", missing, seconds=60 if looks[-1] == "" else 0, every=0.001)
    keeper = TimeKeeper(lambda lab: ())
    keeper.add(run.stopwatch.span("a"))
    assert keeper.of_lab("a") == kinds


async def test_a_run_tells_where_its_time_went() -> None:
    world = bench(
        lab("a", Waits("a1")),
        lab("b", LateOnPurpose("b1"), needs=["a"]),
        lab("c", Put("c1"), needs=["a"]),
    )
    assert await world.run("b", "c") == 0
    timings = world.finished().timings
    assert timings
    assert [each.lab for each in timings.labs] == ["a", "b", "c"]
    a, b, c = (set(each.seconds) for each in timings.labs)
    assert a == c == {"looking", "applying", "waiting"}, "for the lock all of them"
    assert b == {"looking", "applying", "waiting", "proving", "delays"}
    assert 0 < timings.labs[0].of_run == pytest.approx(timings.labs[0].total), "all others have waited for it"
    assert sum(timings.seconds.values()) <= world.finished().seconds
    spent = {event.lab: event.spent for event in world.events if isinstance(event, LabFinished)}
    assert spent == {each.lab: each.seconds for each in timings.labs}


async def test_a_run_that_is_cut_short_tells_it_as_well() -> None:
    async def cut(name: str) -> None:
        hit(signal.SIGINT)
        await asyncio.Event().wait()

    world = bench(lab("a", Measured("a1"), Put("a2")))
    world.world.before_verify = cut
    assert await world.run("a") == 130
    timings = world.finished().timings
    assert timings
    assert set(timings.seconds) >= {"looking", "applying", "proving"}


async def test_a_person_s_time_is_none_of_the_step_s() -> None:
    world = bench(lab("a", Put("a1")))
    assert await world.run("a", pause=True) == 0
    timings = world.finished().timings
    assert timings
    assert "answers" in timings.seconds


async def test_a_check_has_no_timings() -> None:
    world = bench(lab("a", Put("a1")))
    await world.check("a")
    assert world.finished().timings is None


@pytest.mark.parametrize("mode", ["--plan", "--explain", "--dry"])
def test_they_are_refused_where_nothing_runs(mode: str) -> None:
    request = Request(("a",), command=f"invoke lab.a --timings {mode}", timings=True)
    refuse_timings(request, "")
    with pytest.raises(UsageError) as refused:
        refuse_timings(request, mode)
    assert refused.value.tried == f"use --timings and {mode} together"
    assert refused.value.next_command == f"invoke lab.a {mode}"
