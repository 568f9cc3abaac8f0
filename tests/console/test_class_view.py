"""Where a class is, as its instructor sees it."""

from __future__ import annotations

import pytest

from tests.kit.screens import bare, rendered
from workshop.console.class_view import class_status_lines
from workshop.console.lines import Lines
from workshop.console.words import UNICODE
from workshop.runbook.status import LabStatus, State, Status


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("not there", "not there"), ["-", "ada", "0 of 2", "not begun"]),
        (("converged", "not there"), ["✓", "ada", "1 of 2", "at a"]),
        (("not proved", "not proved"), ["?", "ada", "0 of 2", "at b, 2 not proved"]),
        (("converged", "not proved"), ["?", "ada", "1 of 2", "at b, 1 not proved"]),
        (("drifted", "not proved"), ["✗", "ada", "0 of 2", "at b, 1 not proved"]),
    ],
)
def test_what_is_applied_and_not_proved_does_not_look_like_nothing(
    states: tuple[State, ...], said: list[str]
) -> None:
    labs = tuple(LabStatus(name, name, state) for name, state in zip("ab", states, strict=True))
    found = {"ada": Status("sandbox", labs)}
    lines = bare(rendered(class_status_lines(found, Lines(80, UNICODE, False), now=0.0), 80)).splitlines()
    assert [part.strip() for part in lines[0].split("  ") if part.strip()] == said
