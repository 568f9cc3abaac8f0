"""Observations that nobody waits for any more."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from typing import Any

import pytest

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
