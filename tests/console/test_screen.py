"""`console.open` chooses the view by where it writes, costs nothing before, and asks at the terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import RenderableType

from tests.kit.engine import Measured, Put, bench, lab
from tests.kit.screens import bare, rendered, whole_run
from workshop import console
from workshop.console.lines import Lines
from workshop.console.live import LiveScreen
from workshop.console.screen import PlainScreen, TerminalGate
from workshop.console.words import UNICODE
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import Check, Difference


def test_importing_the_console_imports_no_rich() -> None:
    code = (
        "import sys, workshop.console; sys.exit(any(m.split('.')[0] in ('rich', 'asyncio') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pipe_gets_plain_lines_and_a_terminal_a_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKSHOP_PICTURE", raising=False)
    assert isinstance(console.open(io.StringIO()), PlainScreen)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        live = console.open(terminal)
        assert isinstance(live, LiveScreen)
        assert not live.console.no_color
        monkeypatch.setenv("NO_COLOR", "1")
        assert console.open(terminal).console.no_color
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(console.open(terminal), PlainScreen)
    os.close(leader)


def test_a_terminal_s_width_is_used_for_charts_and_values_and_80_columns_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        for columns, width in ((160, 160), (60, 80)):
            monkeypatch.setenv("COLUMNS", str(columns))
            assert console.open(terminal).lines.width == width
    os.close(leader)


def test_a_pipe_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="ascii")
    with console.open(stdout) as screen:
        for event in whole_run():
            screen.listen(event)
        screen.show_error(WorkshopError("read the name", "Zoë"))
    assert b"+ changed" in raw.getvalue()
    assert b"Zo?" in raw.getvalue()


async def test_a_run_goes_on_when_nobody_reads_its_output_any_more() -> None:
    reader, writer = os.pipe()
    world = bench(lab("a", Put("a1"), Put("a2")))
    with os.fdopen(writer, "w") as stdout, console.open(stdout) as screen:
        os.close(reader)
        world.on_event = screen.listen
        assert await world.run("a") == 0
    assert world.world.changes == ["a1", "a2"]


def test_a_picture_is_an_svg_of_what_stays_on_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.svg"
    monkeypatch.setenv("WORKSHOP_PICTURE", str(path))
    monkeypatch.setenv("WORKSHOP_PICTURE_TITLE", "invoke lab.istio")
    out = io.StringIO()
    with console.open(out) as screen:
        for event in whole_run():
            screen.listen(event)
    assert "Release reviews v3 as a canary" in out.getvalue()
    drawn = "".join(xml.etree.ElementTree.parse(path).getroot().itertext()).replace("\xa0", " ")  # noqa: S314
    for said in ("invoke lab.istio", "Release reviews v3 as a canary", "every share is as expected", "go on with"):
        assert said in drawn
    assert "url(http" not in path.read_text()
    assert "@font-face" not in path.read_text()


@pytest.fixture
def keyboard() -> Iterator[tuple[int, TerminalGate, list[RenderableType]]]:
    """Where a test types, the gate that reads it, and what it showed."""
    leader, follower = pty.openpty()
    shown: list[RenderableType] = []
    yield leader, TerminalGate(shown.append, Lines(80, UNICODE), shown.append, stdin=follower), shown
    os.close(leader)
    os.close(follower)


NEXT = Check((Difference("Namespace bookinfo"),))


@pytest.mark.parametrize(("typed", "answer"), [(b"\n", True), (b"q\n", False), (b"Q \n", False), (b"\x04", False)])
async def test_pause_goes_on_at_enter_and_stops_at_q(
    keyboard: tuple[int, TerminalGate, list[RenderableType]], typed: bytes, answer: bool
) -> None:
    leader, gate, shown = keyboard
    assert gate.interactive
    os.write(leader, typed)
    async with asyncio.timeout(60):
        assert await gate.go_on("istio.inject", "Create the namespaces", NEXT) is answer
    text = bare(rendered(shown))
    assert "next  Create the namespaces  istio.inject" in text
    assert "+ Namespace bookinfo" in text
    assert "[Enter] go on, q stop" in str(shown[-1])


@pytest.mark.parametrize(("typed", "answer"), [(b"primary\n", True), (b"yes\n", False), (b"\n", False)])
async def test_destroying_asks_for_the_name(
    keyboard: tuple[int, TerminalGate, list[RenderableType]], typed: bytes, answer: bool
) -> None:
    leader, gate, shown = keyboard
    os.write(leader, typed)
    async with asyncio.timeout(60):
        assert await gate.confirm("primary", [f"Pod a/{number}" for number in range(30)]) is answer
    text = bare(rendered(shown))
    assert "remove  30 objects from primary" in text
    assert "and 10 more: 10 Pod" in text


async def test_a_question_can_be_cancelled(keyboard: tuple[int, TerminalGate, list[RenderableType]]) -> None:
    _, gate, _ = keyboard
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await gate.confirm("primary", [])


def test_what_is_no_terminal_cannot_be_asked() -> None:
    reader, writer = os.pipe()
    assert not TerminalGate(lambda line: None, Lines(80, UNICODE), lambda text: None, stdin=reader).interactive
    os.close(reader)
    os.close(writer)
    assert not TerminalGate(lambda line: None, Lines(80, UNICODE), lambda text: None, stdin=reader).interactive


async def test_a_real_run_is_shown_from_beginning_to_end() -> None:
    world = bench(lab("a", Put("a1"), Measured("a2")), lab("b", Put("b1"), needs=["a"]))
    out = io.StringIO()
    with console.open(out) as screen:
        world.on_event = screen.listen
        assert await world.run("b") == 0
        assert await world.run("b") == 0
    assert out.getvalue().count("changed       1 Put a1") == 1
    assert "✓ Converged  3 unchanged  nothing was applied" in out.getvalue()
