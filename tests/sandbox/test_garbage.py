"""When old garbage is looked for: not while anybody is there to notice, but not never. What is free goes back."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc's")
async def test_what_is_free_between_pieces_in_use_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pieces = [b"x" * 100_000 for _ in range(400)]
    before, in_use = resident(), pieces[::8]
    del pieces
    assert resident() > before - 20_000_000, "the C library keeps it"
    task = asyncio.create_task(garbage.collect_when_quiet(lambda: 0.0))
    async with asyncio.timeout(10):
        while resident() > before - 20_000_000:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    assert len(in_use) == 50
