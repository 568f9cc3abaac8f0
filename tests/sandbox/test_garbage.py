"""When old garbage is looked for: not while anybody is there to notice, but not never."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from sandbox.server import garbage


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "_EVERY", 0.01)
    monkeypatch.setattr(garbage, "_QUIET", 1e9)
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


class Cycle:
    def __init__(self, ends: list[bool]) -> None:
        self.me, self._ends = self, ends

    def __del__(self) -> None:
        self._ends.append(True)


@pytest.mark.parametrize(("idle", "most", "collected"), [(59.0, 250, False), (61.0, 250, True), (59.0, 5, True)])
async def test_old_garbage_is_collected_when_nobody_has_asked_for_a_minute_or_there_is_much(
    monkeypatch: pytest.MonkeyPatch, idle: float, most: int, collected: bool
) -> None:
    monkeypatch.setattr(garbage, "_MOST", most)
    there = gc.get_freeze_count()
    garbage.begin()
    assert gc.get_freeze_count() > there
    ends: list[bool] = []
    cycle = Cycle(ends)
    for _ in range(6):  # it grows old
        gc.collect(1)
    del cycle
    gc.collect(1)
    assert not ends
    looks = 0

    def ask() -> float:
        nonlocal looks
        looks += 1
        return idle

    task = asyncio.create_task(garbage.collect_when_quiet(ask))
    while looks < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    assert bool(ends) == collected
