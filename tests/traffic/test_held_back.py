"""Only what a fault delays is late on purpose, and only while nothing else is under way."""

from __future__ import annotations

import pytest

from tests.kit.screens import Clock
from workshop.traffic.held_back import HeldBack


@pytest.mark.parametrize(
    ("answers", "late"),
    [
        pytest.param([(6.3, 6.3, "late")], [(0.3, 6.3)], id="an answer takes its own time first"),
        pytest.param(
            [(6.3, 6.3, "late"), (7.0, 6.5, "late")],
            [(0.3, 0.5), (1.0, 7.0)],
            id="the others' time is the machine's",
        ),
        pytest.param([(2.0, 1.0, "at once"), (8.0, 8.0, "late")], [(2.0, 8.0)], id="also that of one beside it"),
        pytest.param(
            [(3.0, 0.5, "at once"), (6.0, 6.0, "late")], [(0.0, 2.5), (3.0, 6.0)], id="for as long as it is"
        ),
        pytest.param([(6.0, 6.0, "at once")], [], id="a slow machine is no purpose"),
        pytest.param([(6.0, 6.0, "of no category")], [], id="nor is what nobody knows"),
        pytest.param([], [], id="nothing came"),
    ],
)
def test_late_on_purpose(answers: list[tuple[float, float, str]], late: list[tuple[float, float]]) -> None:
    """Each answer as it came: when, after how many seconds, and of which category, of which one waits 6 s."""
    clock = Clock()
    held = HeldBack(lambda status, headers, body, seconds: body.decode() or None, {"late": 6.0}, clock)
    for clock.now, seconds, category in answers:
        assert held.classify(200, {}, category.encode(), seconds) == category
    assert [round(moment, 6) for both in held.moments() for moment in both] == [it for both in late for it in both]
