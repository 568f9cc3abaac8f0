"""Ctrl-C stops at a safe point and says how to go on; a second one, or SIGTERM, stops at once. Neither leaves the
lock, and the same command afterwards converges."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tests.kit.engine import Bench, FakeGate, Measured, Put, bench, lab
from workshop.runbook.events import Event, Interrupted
from workshop.runbook.results import Check
from workshop.runbook.run import Run
from workshop.runbook.stop import Stop


def hit(*signals: int) -> None:
    for number in signals:
        os.kill(os.getpid(), number)


async def forever(name: str) -> None:
    await asyncio.Event().wait()


def three() -> Bench:
    return bench(lab("a", Measured("a1"), Put("a2")), lab("b", Put("b1"), needs=["a"]))


def at(name: str, *signals: int, then: bool = False) -> object:
    """Send signals when `name` is reached, and then hang (or go on when `then`)."""

    async def hook(reached: str) -> None:
        if reached == name:
            hit(*signals)
            if not then:
                await forever(name)
            for _ in range(3):
                await asyncio.sleep(0.001)

    return hook


async def go_on(world: Bench) -> None:
    """The same command, undisturbed, converges, and the one after it changes nothing."""
    for hook in ("before_change", "before_verify", "before_look"):
        setattr(world.world, hook, type(world.world).__dataclass_fields__[hook].default)
    assert await world.run("b") == 0
    assert set(world.world.objects) == {"a1", "a2", "b1"}
    assert await world.run("b") == 0
    assert set(world.outcomes()) == {"unchanged"}


async def test_during_a_check_it_is_cut_short() -> None:
    world = three()
    world.world.before_look = at("a2", signal.SIGINT)  # type: ignore[assignment]
    assert await world.run("b") == 130
    assert world.outcomes() == ["changed", "skipped", "skipped"]
    assert world.finished().resume == "invoke lab.b"
    assert world.of(Interrupted) == [Interrupted("")]
    assert world.guard.held == world.guard.released == 1
    await go_on(world)


async def test_during_an_apply_it_finishes_and_no_other_step_starts() -> None:
    world = three()
    world.world.before_change = at("a1", signal.SIGINT, then=True)  # type: ignore[assignment]
    assert await world.run("b") == 130
    assert world.world.changes == ["a1"]
    assert world.outcomes() == ["inconclusive", "skipped", "skipped"]
    assert world.steps()[0].note == "applied; interrupted before its effect was seen"
    assert world.finished().resume == "invoke lab.b"
    assert world.guard.released == 1
    await go_on(world)


async def test_during_the_apply_of_a_step_without_a_probe_it_is_changed() -> None:
    world = three()
    world.world.before_change = at("a2", signal.SIGINT, then=True)  # type: ignore[assignment]
    assert await world.run("b") == 130
    assert world.outcomes() == ["changed", "changed", "skipped"]
    assert world.labs_finished() == {"a": True, "b": False}


async def test_during_a_verification_it_is_cut_short() -> None:
    world = three()
    world.world.before_verify = at("a1", signal.SIGINT)  # type: ignore[assignment]
    assert await world.run("b") == 130
    assert world.outcomes() == ["inconclusive", "skipped", "skipped"]
    assert world.finished().counts == {"inconclusive": 1, "skipped": 2}
    await go_on(world)


async def test_during_a_wait_in_an_apply_it_is_cut_short() -> None:
    class Waits(Put):
        async def apply(self, run: Run) -> None:
            await super().apply(run)

            async def missing() -> str:
                hit(signal.SIGINT)
                return "everything"

            await run.wait("nothing that comes", missing, seconds=60, every=30)

    world = bench(lab("a", Waits("a1"), Put("a2")))
    assert await world.run("a") == 130
    assert world.outcomes() == ["inconclusive", "skipped"]
    assert world.world.changes == ["a1"]


async def test_waits_in_a_task_group_are_cut_short_as_well() -> None:
    class Waits(Put):
        async def apply(self, run: Run) -> None:
            async def missing() -> str:
                return "everything"

            async with asyncio.TaskGroup() as group:
                group.create_task(run.wait("one", missing, seconds=60, every=30))
                group.create_task(run.wait("two", missing, seconds=60, every=30))
                await asyncio.sleep(0.001)
                hit(signal.SIGINT)

    world = bench(lab("a", Waits("a1")))
    assert await world.run("a") == 130
    assert world.outcomes() == ["inconclusive"]


async def test_during_the_wait_for_a_lock() -> None:
    world = three()

    async def may_change() -> None:
        hit(signal.SIGINT)
        await forever("")

    world.guard.may_change = may_change  # type: ignore[method-assign]
    assert await world.run("b") == 130
    assert world.world.changes == []
    assert set(world.outcomes()) == {"skipped"}


async def test_at_a_question() -> None:
    class Asks(FakeGate):
        async def go_on(self, lab: str, title: str, check: Check) -> bool:
            hit(signal.SIGINT)
            await forever("")
            return True

    world = three()
    world.gate = Asks()
    assert await world.run("b", pause=True) == 130
    assert world.world.changes == []


@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
@pytest.mark.parametrize("where", ["before_look", "before_change", "before_verify"])
async def test_at_once_cancels_whatever_is_at_hand(where: str, signals: tuple[int, ...]) -> None:
    world = three()

    async def hang(name: str) -> None:
        if name == "a1":
            hit(signals[0])
            await asyncio.shield(asyncio.ensure_future(asyncio.Event().wait()))

    def heard(event: Event) -> None:
        """One by one: two pending signals of a number are delivered as one."""
        if event == Interrupted(""):
            hit(*signals[1:])

    setattr(world.world, where, hang)
    world.on_event = heard
    assert await world.run("b") == 130
    assert world.outcomes()[1:] == ["skipped", "skipped"]
    assert world.outcomes()[0] == {"before_look": "skipped"}.get(where, "inconclusive")
    assert world.guard.held == world.guard.released
    assert world.finished().resume.startswith("invoke lab.b")
    assert world.of(Interrupted)[-1].at_once
    await go_on(world)


async def test_both_labs_that_run_at_the_same_time_come_to_a_safe_point() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")), lab("b", Put("b1"), Put("b2")))
    both = asyncio.Barrier(2)

    async def meet(name: str) -> None:
        await both.wait()
        if name == "a1":
            hit(signal.SIGINT)
        await asyncio.sleep(0.01)

    world.world.before_change = meet
    assert await world.run("a", "b") == 130
    assert sorted(world.world.changes) == ["a1", "b1"]
    assert sorted(world.outcomes()) == ["changed", "changed", "skipped", "skipped"]


async def test_the_signal_handlers_from_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    world = three()
    await world.run("b")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_a_run_that_is_cancelled_from_outside_gives_the_lock_back() -> None:
    world = three()
    applying = asyncio.Event()

    async def hang(name: str) -> None:
        applying.set()
        await forever(name)

    world.world.before_change = hang
    run = asyncio.create_task(world.run("b"))
    await applying.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert world.guard.released == 1


_SIGNALLED_ELSEWHERE = """
import asyncio, signal, threading, time
from workshop.runbook.stop import run_cuttable

def elsewhere():
    looks.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)

async def look():
    looks.set()
    await asyncio.sleep(60)

looks = threading.Event()
threading.Thread(target=elsewhere, daemon=True).start()
try:
    run_cuttable(look())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_that_another_thread_gets_wakes_the_loop() -> None:
    """As the kernel may decide: asyncio.run alone sleeps on (60 s here) before it notices."""
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED_ELSEWHERE], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "interrupted\n"


async def test_what_is_cancelled_stays_cancelled_and_does_not_count_as_stopped() -> None:
    """By a run that ends at once, after it was asked to, or by whoever else waits for what is looked at."""
    at_once, other = Stop(), asyncio.get_running_loop().create_future()
    ended = asyncio.ensure_future(at_once.cuttable(asyncio.sleep(60)))
    waiting = asyncio.ensure_future(Stop().cuttable(other))
    await asyncio.sleep(0)
    at_once.ask()
    ended.cancel()
    other.cancel()
    for task in (ended, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
