"""What is worth doing once a run has converged: what to look at, where to go on, how to take it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.kit.engine import Measured, Moves, Put, bench, failing, lab
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import StepFinished
from workshop.runbook.hints import worth_doing
from workshop.runbook.model import Lab, Runbook, Timeline
from workshop.runbook.request import Request, clean_up_of
from workshop.runbook.results import Hint
from workshop.runbook.run import Run

BOOK = Runbook(
    (
        lab("azure.group", Put("g1"), Put("g2")),
        lab("azure.aks", Put("k1"), needs=["azure.group"]),
        lab("azure.cleanup", undoes=["azure.group", "azure.aks"]),
        lab("istio.install", Put("i1")),
        replace(
            lab("istio.canary", Moves("reviews", ("v1", "half", "v3")), needs=["istio.install"]),
            tries=(("--promote erring", "a bad version"), ("--to v1", "back")),
        ),
        lab("istio.shift", Put("s1"), needs=["istio.install"]),
        lab("istio.cleanup", undoes=["istio.install", "istio.canary", "istio.shift"]),
    )
)
CANARY, SHIFT = ("istio.canary",), ("istio.shift",)
ISTIO = ("istio.install", "istio.canary", "istio.shift")
ACCOUNT = ("azure.group", "azure.aks")
MINE = "invoke -f my.yaml"


@pytest.mark.parametrize(
    ("request_", "commands"),
    [
        (
            Request(CANARY),
            [
                "next invoke lab.istio.shift",
                "try invoke lab.istio.canary --promote erring",
                "undo invoke lab.istio.canary --undo",
            ],
        ),
        (
            Request(CANARY, program=MINE, pause=True),
            [
                f"next {MINE} lab.istio.shift --pause",
                f"try {MINE} lab.istio.canary --promote erring",
                f"undo {MINE} lab.istio.canary --undo",
            ],
        ),
        (Request(CANARY, to="v1"), ["next invoke lab.istio.canary", "undo invoke lab.istio.canary --undo"]),
        (
            # Seen: what came next took another sampling for a stage off the path, and began again.
            Request(CANARY, to="v1", options={"istio.canary": {"of": "a b", "only": True, "not": None}}),
            ["next invoke lab.istio.canary --of 'a b' --only", "undo invoke lab.istio.canary --undo"],
        ),
        (Request(CANARY, to="v3"), ["next invoke lab.istio.shift", "try", "undo"]),
        (Request(("azure.group",), step=1), ["next invoke lab.azure.group --step 2", "undo"]),
        (Request(("azure.group",), step=2), ["next invoke lab.azure.aks", "undo"]),
        (Request(("azure.aks",)), ["next invoke lab.istio.install", "undo invoke lab.azure.aks --undo"]),
        (Request(SHIFT), ["undo invoke lab.istio.shift --undo"]),
        (Request(ACCOUNT), ["next invoke lab.istio.install", "undo invoke lab.azure.cleanup"]),
        (Request(ISTIO), ["try invoke lab.istio.canary --promote erring", "undo invoke lab.istio.cleanup"]),
        (Request(ACCOUNT, later=ISTIO), []),
        # What was there before stays: not all of the group was asked for.
        (
            Request(("istio.canary", "istio.shift")),
            [
                "try invoke lab.istio.canary --promote erring",
                "undo invoke lab.istio.canary lab.istio.shift --undo",
            ],
        ),
        # After a reset nothing else of the group is there.
        (
            Request(("istio.install", "istio.canary"), brief=True),
            ["next invoke lab.istio.shift", "undo invoke lab.istio.cleanup"],
        ),
        (
            Request(("istio.canary", "istio.shift"), earlier=("azure.group",)),
            [
                "try",
                "undo invoke lab.istio.canary lab.istio.shift --undo",
                "undo invoke lab.azure.group --undo",
            ],
        ),
        (
            Request(ISTIO, earlier=ACCOUNT, program=MINE),
            [
                f"try {MINE} lab.istio.canary --promote erring",
                f"undo {MINE} lab.istio.cleanup",
                f"undo {MINE} lab.azure.cleanup",
            ],
        ),
        (Request(("istio.cleanup",)), ["next invoke lab.istio"]),
        (
            Request(SHIFT, activation="source .venv/bin/activate"),
            ["type source .venv/bin/activate", "undo invoke lab.istio.shift --undo"],
        ),
    ],
)
def test_where_to_go_on(request_: Request, commands: list[str]) -> None:
    """Commands in short form say only of which kind they are."""
    found = worth_doing(BOOK, request_, ())
    said = [f"{hint.kind} {hint.what}" for hint in found]
    pairs = zip(said, commands, strict=True)
    assert [one if " " in wanted else one.partition(" ")[0] for one, wanted in pairs] == commands
    assert all(hint.about for hint in found)


def test_what_was_taken_back_can_be_made_again() -> None:
    book, name = clean_up_of(BOOK, "istio.canary")
    (hint,) = worth_doing(book, Request((name,), program=MINE), ())
    assert (hint.kind, hint.what) == ("next", f"{MINE} lab.istio.canary")


def test_of_several_labs_each_address_is_told_once_as_the_last_left_it_and_no_command_beside_it() -> None:
    page, hello, pods = "http://x/page", "curl http://x/hello", "kubectl get pods"
    seen = [Hint("open", page, "v1"), Hint("type", pods), Hint("call", hello), Hint("open", page, "v3")]

    def told(labs: tuple[str, ...], hints: list[Hint]) -> list[tuple[str, str]]:
        return [(hint.what, hint.about) for hint in worth_doing(BOOK, Request(labs), hints) if hint in seen]

    assert told(ISTIO, seen) == [(hello, ""), (page, "v3")]
    assert told(ISTIO, [seen[1]]) == [(pods, "")]
    assert told(CANARY, seen) == [(pods, ""), (hello, ""), (page, "v3")]


class Seen(Put):
    """There is something to look at, once it is there."""

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        if self.value == "nowhere":
            raise WorkshopError("find the address", "there is none")
        return (Hint("open", f"http://{self.name}", f"is {self.value}"),)


class Stages(Moves):
    def step(self, stage: str, run: Run) -> Any:
        step = Seen(self.name, stage)
        step.title = f"Move {self.name} to {stage}"
        return step


def opened(hints: tuple[Hint, ...]) -> list[str]:
    return [f"{hint.what} {hint.about}" for hint in hints if hint.kind == "open"]


def moving(stages: tuple[str, ...] = ("v1", "v3")) -> Timeline:
    return Stages("reviews", stages)


def labs() -> tuple[Lab, ...]:
    return lab("a", Seen("need")), lab("b", Seen("b1"), moving(), Put("b2"), Seen("b3", "nowhere"), needs=["a"])


async def test_a_run_ends_with_what_the_labs_asked_for_show_also_when_all_had_converged() -> None:
    world = bench(*labs())
    for outcome in ("changed", "unchanged"):
        assert await world.run("b") == 0
        assert set(world.outcomes("b")) - {outcome} <= {"unchanged"}
        assert opened(world.finished().hints) == ["http://b1 is 1", "http://reviews is v3"]
        assert not [event for event in world.steps() if event.look_at]


async def test_a_stage_that_the_object_is_not_at_shows_nothing() -> None:
    world = bench(lab("b", moving()), lab("c", Stages("reviews", ("c",), "v3", "v3"), needs=["b"]))
    assert await world.run("b", "c") == 0
    assert opened(world.finished().hints) == ["http://reviews is c"]
    assert await world.run("b", "c") == 0
    assert world.outcomes() == ["unchanged"] * 3
    assert opened(world.finished().hints) == ["http://reviews is c"]


async def test_who_pauses_is_told_after_each_step() -> None:
    world = bench(*labs())
    assert await world.run("b", pause=True) == 0
    seen = {(event.lab, event.step): opened(event.look_at) for event in world.steps() if event.look_at}
    assert seen == {
        ("a", 1): ["http://need is 1"],
        ("b", 1): ["http://b1 is 1"],
        ("b", 2): ["http://reviews is v1"],
        ("b", 3): ["http://reviews is v3"],
    }


async def test_a_run_that_did_not_converge_tells_only_how_to_go_on() -> None:
    world = bench(lab("a", Seen("a1")), lab("b", Measured("b1"), needs=["a"]))
    world.world.before_verify = failing()
    assert await world.run("a", "b") == 1
    assert world.finished().hints == ()
    assert world.finished().resume == "invoke lab.a lab.b"


async def test_what_is_to_be_seen_at_one_place_is_one_hint() -> None:
    class Twice(Seen):
        async def look_at(self, run: Run) -> tuple[Hint, ...]:
            return tuple([Hint("open", "http://page", f"as {user}") for user in ("jason", "ada")])

    world = bench(lab("a", Twice("a1")))
    assert await world.run("a", pause=True) == 0
    (ended,) = world.of(StepFinished)
    assert ended.look_at == (Hint("open", "http://page", "as jason\nas ada"),)
