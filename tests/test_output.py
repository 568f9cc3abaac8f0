"""Output that is lost while it is written: what goes on, and what is told in the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.engine import Put, bench, lab
from workshop.console.screen import PlainScreen
from workshop.console.words import UNICODE
from workshop.output import Output


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    """To a file, at a descriptor of its own."""
    opened = Output((tmp_path / "log").open("wb"), encoding="utf-8")
    yield opened
    opened.close()


def fill_the_disk(output: Output) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, output.fileno())
    os.close(full)


def test_what_cannot_be_written_is_dropped_and_the_first_reason_kept(output: Output, tmp_path: Path) -> None:
    print("before", file=output, flush=True)
    fill_the_disk(output)
    print("lost", file=output, flush=True)
    print("x" * 100_000, file=output, flush=True)
    assert output.lost
    assert output.lost.errno == errno.ENOSPC
    assert (tmp_path / "log").read_text() == "before\n"


def test_a_pipe_that_nobody_reads_is_no_lost_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(os.fdopen(writer, "wb"), encoding="utf-8")
    with pytest.raises(BrokenPipeError):
        print("anything", file=output, flush=True)
    assert output.lost is None
    PlainScreen(output, debug=False, echo=False, glyphs=UNICODE)._write("more")
    output.close()


async def test_a_run_whose_log_fills_the_disk_is_brought_to_its_end(output: Output, tmp_path: Path) -> None:
    screen = PlainScreen(output, debug=False, echo=False, glyphs=UNICODE)
    world = bench(lab("a", Put("a1"), Put("a2"), Put("a3")))
    world.on_event = screen.listen

    async def fill(name: str) -> None:
        if name == "a2":
            fill_the_disk(output)

    world.world.before_change = fill
    assert await world.run("a") == 0
    assert world.world.changes == ["a1", "a2", "a3"]
    assert output.lost
    assert "Put a1" in (tmp_path / "log").read_text()
