"""Which fields an exercise leaves open."""

from __future__ import annotations

from typing import Any

import pytest

from workshop.kubernetes.exercises import exercise

ROUTE = {"http": [{"match": 1, "route": [{"weight": 1}, {"weight": 2}]}, {"route": [{"weight": 3}]}]}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("http", {"http": "___"}),
        ("http[0].match", {"http": [{**ROUTE["http"][0], "match": "___"}, ROUTE["http"][1]]}),
        (
            "http[*].route[*].weight",
            {
                "http": [
                    {"match": 1, "route": [{"weight": "___"}, {"weight": "___"}]},
                    {"route": [{"weight": "___"}]},
                ]
            },
        ),
        ("http[1].route[0]", {"http": [ROUTE["http"][0], {"route": ["___"]}]}),
    ],
)
def test_a_path_leads_to_all_its_fields(path: str, left: dict[str, Any]) -> None:
    before = repr(ROUTE)
    assert exercise("What?", path).left_open([ROUTE, {}]) == [left, {}]
    assert repr(ROUTE) == before


@pytest.mark.parametrize("path", ["spec", "http[2]", "http[0].route[*].wait", "http.route", "http[0].match[*]"])
def test_a_path_that_leads_nowhere_is_a_mistake_of_the_lab(path: str) -> None:
    with pytest.raises(ValueError, match="no object of the step has"):
        exercise("What?", path).left_open([ROUTE])
