"""What an object has is said beside what was wanted, and nothing of who made it so."""

from __future__ import annotations

from typing import Any

import pytest

from workshop.kubernetes.deviations import worded
from workshop.runbook.results import ABSENT, Difference

LIMIT = "spec.trafficPolicy.connectionPool.tcp.maxConnections"


@pytest.mark.parametrize(
    ("path", "wanted", "found", "said"),
    [
        (LIMIT, 1, 2, "has tcp.maxConnections 2, not 1"),
        (LIMIT, 1, ABSENT, "has no tcp.maxConnections"),
        (LIMIT, ABSENT, 2, "has tcp.maxConnections 2 as well"),
        ("spec.http[0].fault", ABSENT, {"delay": {}}, "has http[0].fault as well"),
        ("spec.http[0].fault", "none", {"delay": {}}, "has another http[0].fault"),
        ("metadata.labels[a.io/b]", "x", "y", "has metadata.labels[a.io/b] y, not x"),
        ("", "present", ABSENT, "is not there"),
        ("", ABSENT, "present", "is there as well"),
    ],
)
def test_what_is_found_and_what_is_wanted(path: str, wanted: Any, found: Any, said: str) -> None:
    assert worded([Difference("Kind a/b", path, wanted, found)]) == f"Kind a/b {said}"


def test_of_many_fields_some_are_named() -> None:
    many = [Difference("Kind a/b", f"data.{name}", 1, 2) for name in "abcde"]
    said = worded([*many, Difference("Kind a/c", "", ABSENT, "present")])
    assert said == (
        "Kind a/b has data.a 2, not 1, has data.b 2, not 1, has data.c 2, not 1, and 2 more; "
        "Kind a/c is there as well"
    )
