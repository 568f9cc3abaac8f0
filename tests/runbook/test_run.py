"""Observations that nobody waits for any more, and how long one serves."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

import pytest

from workshop.runbook.results import Lasting
from workshop.runbook.run import Facts, Run


@dataclass(frozen=True)
class Failing:
    async def observe(self, run: Run) -> None:
        await asyncio.sleep(0)
        raise ValueError("not there")


async def test_the_error_of_an_observation_nobody_waits_for_is_not_printed() -> None:
    printed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: printed.append(context))
    facts = Facts()
    run = Run("a", {}, facts, {}, lambda event: None)
    waiting = asyncio.ensure_future(run.observe(Failing()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(3):
        await asyncio.sleep(0)
    facts.forget()
    gc.collect()
    assert not printed


@dataclass(frozen=True)
class Counting:
    seen: list[str] = field(hash=False, compare=False)
    name: str = "changes"
    fails: int = 0

    async def observe(self, run: Run) -> int:
        self.seen.append(self.name)
        if len(self.seen) <= self.fails:
            raise ValueError("not yet")
        return len(self.seen)


class CountingLasting(Counting, Lasting):
    pass


async def test_what_lasts_is_observed_once_until_all_is_forgotten() -> None:
    seen: list[str] = []
    run = Run("a", {}, Facts(), {}, lambda event: None)
    for _ in range(2):
        await run.observe(Counting(seen))
        await run.observe(CountingLasting(seen, "lasts"))
        run.facts.forget_what_changes()
    assert seen == ["changes", "lasts", "changes"]
    run.facts.forget()
    await run.observe(CountingLasting(seen, "lasts"))
    assert seen[-1] == "lasts"


async def test_an_observation_that_failed_does_not_last() -> None:
    seen: list[str] = []
    run = Run("a", {}, Facts(), {}, lambda event: None)
    with pytest.raises(ValueError, match="not yet"):
        await run.observe(CountingLasting(seen, fails=1))
    run.facts.forget_what_changes()
    assert await run.observe(CountingLasting(seen, fails=1)) == 2
