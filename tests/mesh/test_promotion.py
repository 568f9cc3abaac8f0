from __future__ import annotations

import pytest

from workshop.mesh.promotion import MAX_ERRORS, MAX_LATENCY, STAGES
from workshop.runbook.options import Number


def test_what_is_asked_for() -> None:
    assert STAGES.of({}) == (5, 25, 50, 100)
    assert STAGES.of({"promote-stages": "10, 100"}) == (10, 100)
    assert MAX_LATENCY.of({"max-latency": "1.5"}) == 1.5
    assert (MAX_ERRORS.of({}), MAX_LATENCY.of({})) == (5, 2.0)
    assert [option.problem(option.default) for option in (STAGES, MAX_ERRORS, MAX_LATENCY)] == [""] * 3


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("5,25", "the last stage must be 100, not 25"),
        ("25,5,100", "every stage must be larger"),
        ("50,50,100", "every stage must be larger"),
        ("0,100", "the first one more than 0"),
        ("50,100,200", "the last stage must be 100, not 200"),
        ("100", "a stage before 100"),
        ("5%,100", "no whole percentages"),
        ("2.5,100", "no whole percentages"),
        ("-5,100", "no whole percentages"),
        ("", "no whole percentages"),
        ("²,100", "no whole percentages"),
    ],
)
def test_stages_that_make_no_promotion(given: str, problem: str) -> None:
    assert problem in STAGES.problem(given)


@pytest.mark.parametrize("given", ["0.5", "101", "two", "", "2x", "nan"])
def test_factors_that_make_no_bound(given: str) -> None:
    assert "a number from 1 to 100" in MAX_LATENCY.problem(given)


def test_errors_are_whole_points() -> None:
    assert isinstance(MAX_ERRORS, Number)
    assert MAX_ERRORS.problem("0")
    assert MAX_ERRORS.problem("100")
