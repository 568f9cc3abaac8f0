"""Where the labs are, as a person sees it."""

from __future__ import annotations

import json

import pytest

from tests.kit.screens import bare, rendered
from workshop.console.lines import Lines
from workshop.console.status_view import status_json, status_lines
from workshop.console.words import UNICODE
from workshop.runbook.journal import LastRun
from workshop.runbook.results import Hint
from workshop.runbook.status import LabStatus, Status

LABS = (LabStatus("a", "Lab a", "converged"), LabStatus("b", "Lab b", "not there"))


def shown(status: Status, width: int) -> list[str]:
    return bare(rendered(status_lines(status, Lines(width, UNICODE, False), now=0.0), width)).splitlines()


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (80, ["  next  invoke lab.b  Lab b"]),
        (24, ["  next  invoke lab.b", "        Lab b"]),
    ],
)
def test_what_is_next_has_its_title_beside_or_below_it(width: int, last: list[str]) -> None:
    status = Status("sandbox", LABS, Hint("next", "invoke lab.b", "Lab b"))
    assert shown(status, width)[-len(last) :] == last
    assert json.loads(status_json(status))["next"] == "invoke lab.b"


def test_who_ran_what_last_is_told_where_something_is_to_do() -> None:
    last = LastRun("b", "invoke lab.b", 0.0, converged=True, applied=True, who="ada on desk")
    status = Status("sandbox", (LabStatus("b", "Lab b", "drifted", last=last),))
    assert any("last run: invoke lab.b (" in line and ", ada on desk)" in line for line in shown(status, 80))
    assert json.loads(status_json(status))["labs"][0]["last"]["who"] == "ada on desk"


def test_where_all_is_done_nothing_is_next() -> None:
    status = Status("sandbox", LABS[:1])
    assert "next" not in "".join(shown(status, 80))
    assert json.loads(status_json(status))["next"] is None
