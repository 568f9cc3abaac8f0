"""What is wanted is contained in what is there; what is sent to change it keeps the rest. The cases are in
comparisons.yaml."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cases import content_of
from workshop.azure.resource import differences, merged

_CASES = content_of(Path(__file__).with_name("comparisons.yaml"))
LIVE: dict[str, Any] = _CASES["live"]


@pytest.mark.parametrize("case", _CASES["cases"].values(), ids=_CASES["cases"])
def test_what_is_wanted_is_compared_and_sent(case: dict[str, Any]) -> None:
    live = copy.deepcopy(LIVE)
    if "differs" in case:
        assert [found.path for found in differences("it", case["wanted"], live)] == case["differs"]
    body = merged(case["wanted"], live)
    assert body == case.get("sent", body)
    assert not differences("it", case["wanted"], body), "it is wanted again"
    assert live == LIVE


def test_one_that_is_not_there_differs_as_a_whole() -> None:
    (found,) = differences("it", {"location": "westeurope"}, None)
    assert (found.subject, found.path, found.wanted) == ("it", "", "present")
