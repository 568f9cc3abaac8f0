"""One lab taken back, and what needs it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runbook.world import Moves, Put, bench, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Runbook
from workshop.runbook.request import Request, clean_up_of, refuse_with_undo

LABS = (
    lab("a", Put("a1")),
    lab("b", Put("b1"), needs=["a"]),
    lab("c", Moves("reviews", ("v1", "v3")), needs=["b"]),
    lab("d", Put("d1"), needs=["a"]),
    lab("cleanup", undoes=["a", "b", "c", "d"]),
)


async def test_a_lab_and_what_needs_it_go_and_the_rest_stays() -> None:
    runbook, name = clean_up_of(Runbook(LABS), "b")
    world = bench(*runbook.labs, objects={})
    await world.run("a", "b", "c", "d")
    assert name == "b --undo"
    assert await world.run(name, yes=True) == 0
    assert set(world.world.objects) == {"a1", "d1"}
    assert world.world.changes[-2:] == ["reviews", "b1"]


async def test_labs_are_taken_back_together_last_first() -> None:
    runbook, name = clean_up_of(Runbook(LABS), "b", "d")
    world = bench(*runbook.labs, objects={})
    await world.run("a", "b", "c", "d")
    assert name == "b d --undo"
    assert await world.run(name, yes=True) == 0
    assert set(world.world.objects) == {"a1"}
    assert world.world.changes[-3:] == ["d1", "reviews", "b1"]


async def test_it_is_asked_for_before_anything_goes() -> None:
    runbook, name = clean_up_of(Runbook(LABS), "d")
    world = bench(*runbook.labs, objects={"d1": (1, "d")})
    world.gate.interactive = False
    assert await world.run(name) == 2
    assert world.world.objects == {"d1": (1, "d")}


@pytest.mark.parametrize(
    "asked",
    [
        {"to": "v1"},
        {"step": 1},
        {"restart": True},
        {"only": True},
        {"verify": True},
        {"options": {"c": {"weights": "80,20,0"}}},
    ],
)
def test_nothing_else_says_where_to_go(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_with_undo(Request(("c",), **asked), ("b", "c"))
    assert caught.value.next_command == "invoke lab.b lab.c --undo"
    refuse_with_undo(Request(("c",), pause=True, yes=True), ("c",))
