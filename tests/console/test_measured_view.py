"""A step that measures several times shows each measurement as it comes, and its own line at its end."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.console.performance import breaker
from tests.console.rendering import bare, live, live_screen, plain, region, written
from workshop.runbook.events import LabStarted, Measured, Progress, StepStarted


def test_each_measurement_is_shown_once_and_before_the_steps_line() -> None:
    log = plain(breaker())
    said = [
        "istio.circuit-breaker  Break",
        "- skipped       1 Deploy httpbin",
        "    measured      2 One connection\n      Answers over one connection",
        "✓ one connection: as expected",
        "    measured      2 Two connections\n",
        "✓ two connections: as expected",
        "✓ changed       2 Limit the connections to one",
        "      ✓ more connections, more 503",
    ]
    places = [log.index(text) for text in said]
    assert places == sorted(places)
    assert [log.count(text) for text in said] == [1] * len(said)


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_it_at_once_above_the_running_step(width: int) -> None:
    screen = live_screen(width)
    for event in breaker():
        screen.listen(event)
        if isinstance(event, Measured):
            assert bare(written(screen)).splitlines()[-1].strip().endswith(": as expected")
            assert "Limit the connections to one" in region(screen)
            assert "40 of 40" not in region(screen)
        elif isinstance(event, Progress):
            assert "40 of 40" in region(screen)
    assert max(cell_len(line) for line in bare(live(breaker(), width)).splitlines()) <= width


def test_a_lab_whose_turn_has_not_come_keeps_its_measurements_back() -> None:
    screen = live_screen()
    screen.listen(LabStarted("istio.shift", "Shift", 1))
    screen.listen(StepStarted("istio.shift", 1, "Deploy HelloWorld"))
    screen.listen(LabStarted("istio.install", "Install", 1))
    for event in breaker():
        screen.listen(event)
    assert "One connection" not in written(screen)
    assert "istio.circuit-breaker" in region(screen)
