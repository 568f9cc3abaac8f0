"""A container's log keeps its last lines and hands them out, also while it grows."""

from __future__ import annotations

import asyncio
import time

from sandbox.node.container_log import KEPT_LINES, ContainerLog


async def texts(log: ContainerLog, **how: object) -> list[str]:
    return [line.text.decode() async for line in log.read(**how)]  # type: ignore[arg-type]


async def test_lines_are_put_together_from_pieces() -> None:
    log = ContainerLog()
    for piece in (b"on", b"e\ntw", b"o\n\nthree"):
        log.out(piece)
    assert await texts(log) == ["one", "two", ""]
    assert log.so_far() == b"one\ntwo\n\nthree"
    log.close()
    assert await texts(log) == ["one", "two", "", "three"]


async def test_only_the_last_lines_are_kept() -> None:
    log = ContainerLog()
    for number in range(KEPT_LINES + 5):
        log.out(b"%d\n" % number)
    assert (await texts(log))[0] == "5"
    assert await texts(log, tail=2) == [str(KEPT_LINES + 3), str(KEPT_LINES + 4)]
    assert await texts(log, tail=0) == []


async def test_older_lines_are_left_out() -> None:
    log = ContainerLog()
    log.out(b"old\n")
    since = time.time_ns()
    log.out(b"new\n")
    assert await texts(log, since=since) == ["new"]


async def test_a_follower_gets_what_comes_and_ends_with_the_run() -> None:
    log = ContainerLog()
    log.out(b"one\ntwo\n")
    following = asyncio.create_task(texts(log, follow=True, tail=1))
    for text in (b"three\n", b"four\n"):
        await asyncio.sleep(0)
        log.out(text)
    log.close()
    assert await following == ["two", "three", "four"]


async def test_a_slow_follower_loses_lines_but_not_its_place() -> None:
    log = ContainerLog()
    log.out(b"first\n")
    reading = log.read(follow=True)
    assert (await anext(reading)).text == b"first"
    for number in range(KEPT_LINES + 1):
        log.out(b"%d\n" % number)
    assert (await anext(reading)).text == b"1"


def test_a_stamp_is_a_time_with_nanoseconds() -> None:
    log = ContainerLog()
    log.out(b"x\n")
    stamp = log._lines[0].timestamp()
    assert len(stamp) == len(b"2026-01-02T03:04:05.123456789Z")
    assert stamp.endswith(b"Z")
