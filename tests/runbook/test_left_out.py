"""A part that the target lacks something for is left out: plan and run say so alike."""

from __future__ import annotations

import pytest

from tests.runbook.world import Bench, Moves, bench, lab
from workshop.runbook.model import Step
from workshop.runbook.results import Check, Difference
from workshop.runbook.run import Run

WHY = "left out: there is no other cluster"


class Across(Moves):
    """The stages named "there" (and what begins so) need what this target lacks."""

    def step(self, stage: str, run: Run) -> Step:
        step = super().step(stage, run)
        return LeftOut(step) if stage.startswith("there") else step


class LeftOut(Step):
    def __init__(self, step: Step) -> None:
        self.title, self.explain = step.title, step.explain  # type: ignore[method-assign]

    async def check(self, run: Run) -> Check:
        return Check(note=WHY, left_out=True)

    async def apply(self, run: Run) -> None:
        raise AssertionError("left out")

    def explain(self, run: Run) -> None:  # type: ignore[override]
        raise AssertionError("replaced")


async def same(world: Bench, *labs: str, **asked: str) -> set[int]:
    """The steps that the plan says would change, having seen that the run agrees on each."""
    plan = await world.plan(*labs, **asked)
    said = [(step.number, step.changes, step.check.note.startswith("left out")) for step in plan.steps]
    assert await world.run(*labs, **asked) == 0
    ran = [(event.step, event.outcome == "changed", event.note.startswith("left out")) for event in world.steps()]
    assert said == ran
    return {number for number, changes, _ in said if changes}


@pytest.mark.parametrize("at", ["", "here", "80/20"])
async def test_a_stage_that_is_left_out_is_not_counted_by_a_plan(at: str) -> None:
    world = bench(lab("a", Across("r", ("here", "there", "there too"))), objects={"r": (at, "a")} if at else {})
    assert await same(world, "a") == ({1} if at != "here" else set())


async def test_the_stage_after_one_that_is_left_out_comes_from_the_one_before() -> None:
    world = bench(lab("a", Across("r", ("here", "there", "last"))))
    plan = await world.plan("a")
    assert plan.steps[2].check.differences == (Difference("r", "", "last", "here"),)
    assert await same(world, "a") == {1, 3}


async def test_a_stage_that_was_reached_when_the_other_cluster_was_there_is_not_measured() -> None:
    world = bench(lab("a", Across("r", ("here", "there"))), objects={"r": ("there", "a")})
    assert await same(world, "a") == set()
    assert await world.run("a", verify=True) == 0
    assert world.world.verified == []


async def test_moving_straight_to_a_stage_that_is_left_out_changes_nothing() -> None:
    world = bench(lab("a", Across("r", ("here", "there"))), objects={"r": ("here", "a")})
    assert await same(world, "a", to="there") == set()
    assert world.steps()[0].note == WHY
