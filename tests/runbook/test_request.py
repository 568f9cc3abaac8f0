"""What is asked for is checked against the runbook before anything is looked at; so is taking labs back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.engine import Moves, Put, bench, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Runbook, Together
from workshop.runbook.options import Option
from workshop.runbook.plan import explain
from workshop.runbook.request import Request, clean_up_of, refuse_with_undo, step_count
from workshop.runbook.results import Explanation

RUNBOOK = Runbook(
    (
        lab("istio.install", Put("base"), Together((Put("one"), Put("two")))),
        lab("istio.canary", Put("rules"), Moves("reviews", ("v1", "v1-v3", "v3"))),
        lab("istio.cleanup", undoes=["istio.install", "istio.canary"]),
    )
)


@pytest.mark.parametrize(
    ("asked", "came_back", "next_command"),
    [
        (
            {"labs": ("istio.canry",)},
            "the labs are istio.install, istio.canary, istio.cleanup",
            "invoke lab.istio.canary",
        ),
        (
            {"labs": ("istio.canary",), "to": "v1-v2"},
            "its stages are none, v1, v1-v3, v3",
            "invoke lab.istio.canary --to v1-v3",
        ),
        ({"labs": ("istio.install",), "to": "v1"}, "it has no stages", "invoke lab.istio.install"),
        ({"labs": ("istio.cleanup",), "to": "v1"}, "it has no stages", "invoke lab.istio.cleanup"),
        ({"labs": ("istio.canary",), "step": 5}, "it has steps 1 to 4", "invoke lab.istio.canary --explain"),
        ({"labs": ("istio.canary",), "step": 0}, "it has steps 1 to 4", "invoke lab.istio.canary --explain"),
        ({"labs": ("istio.install", "istio.canary"), "step": 1}, "it is about one lab", ""),
        (
            {"labs": ("istio.canary",), "step": 1, "to": "v1"},
            "each says where to begin",
            "invoke lab.istio.canary --step 1",
        ),
        (
            {"labs": ("istio.canary",), "restart": True, "to": "v1"},
            "each says where to begin",
            "invoke lab.istio.canary --to v1",
        ),
    ],
)
def test_what_the_runbook_does_not_have_is_refused(
    asked: dict[str, Any], came_back: str, next_command: str
) -> None:
    with pytest.raises(UsageError) as refused:
        Request(**asked).validate(RUNBOOK)
    assert refused.value.came_back == came_back
    assert refused.value.next_command == next_command


@pytest.mark.parametrize(("parts", "said"), [("a", "it has one step"), ("ab", "it has steps 1 to 2")])
def test_how_many_steps_there_are_is_told(parts: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Request(("a",), step=3).validate(Runbook((lab("a", *map(Put, parts)),)))
    assert refused.value.came_back == said


def test_a_stage_without_a_name_is_told_as_one() -> None:
    with pytest.raises(UsageError) as refused:
        Request(("istio.canary",), to="").validate(RUNBOOK)
    assert refused.value.tried == "find the stage '' of istio.canary"
    assert refused.value.next_command == "invoke lab.istio.canary --to v1"  # the start would undo


def test_commands_to_type_call_invoke_as_it_was_called() -> None:
    with pytest.raises(UsageError) as refused:
        Request(("istio.canary",), to="v2", program="invoke -f mine.yaml").validate(RUNBOOK)
    assert refused.value.next_command == "invoke -f mine.yaml lab.istio.canary --to v3"


def test_what_the_runbook_has_is_accepted() -> None:
    for asked in ({"to": "none"}, {"to": "v1-v3"}, {"step": 4}, {"restart": True}, {}):
        Request(("istio.canary",), **asked).validate(RUNBOOK)


def test_each_stage_and_each_step_together_counts() -> None:
    assert [step_count(RUNBOOK, item) for item in RUNBOOK.labs] == [3, 4, 5]


def test_options_not_given_have_their_defaults() -> None:
    item = lab("a")
    assert Request(("a",)).options_of(item) == {"weights": None}
    assert Request(("a",), options={"a": {"weights": "1"}}).options_of(item) == {"weights": "1"}
    assert item.options == (Option("weights", "a stage of one's own"),)


def test_explain_needs_no_cluster_and_has_every_step() -> None:
    install, canary = explain(RUNBOOK, Request(("istio.canary", "istio.install")))
    assert install.lab.name == "istio.install"
    assert [(step.number, step.title) for step in canary.steps] == [
        (1, "Put rules"),
        (2, "Move reviews to v1"),
        (3, "Move reviews to v1-v3"),
        (4, "Move reviews to v3"),
    ]
    assert canary.steps[3].explanation == Explanation("reviews: v3\n", ("put reviews v3",))


def test_explain_of_one_step_of_a_stage_of_ones_own_and_of_a_clean_up() -> None:
    (one,) = explain(RUNBOOK, Request(("istio.canary",), step=3))
    assert [step.number for step in one.steps] == [3]
    (own,) = explain(RUNBOOK, Request(("istio.canary",), options={"istio.canary": {"weights": "80/20"}}))
    assert own.steps[1].explanation.commands == ("put reviews 80/20",)
    (cleanup,) = explain(RUNBOOK, Request(("istio.cleanup",)))
    assert [step.title for step in cleanup.steps][-1] == "Undo: Put base"
    assert cleanup.steps[-1].explanation.commands == ("remove base",)


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
