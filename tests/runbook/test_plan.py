"""A plan says what a run then does, and changes nothing (see also test_laws); also of what is left out."""

from __future__ import annotations

import pytest

from tests.kit.engine import Bench, Everything, Moves, Put, Remove, bench, failing, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Position, Runbook, Step, WrappedStep
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation
from workshop.runbook.run import Run


async def test_a_plan_has_differences_and_what_a_person_would_type() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")), objects={"a1": (7, "a"), "a2": (1, "a")})
    plan = await world.plan("a")
    first, second = plan.steps
    assert first.check.differences == (Difference("a1", "", 1, 7),)
    assert first.explanation == Explanation("a1: 1\n", ("put a1 1",))
    assert first.changes
    assert not second.changes
    assert second.explanation == Explanation()
    assert plan.exit_status == 0


async def test_later_stages_are_planned_from_the_stage_before_not_from_what_is_there_now() -> None:
    world = bench(lab("a", Moves("r", ("v1", "v2", "v3"))), objects={"r": ("80/20", "a")})
    plan = await world.plan("a")
    assert [step.check.differences for step in plan.steps] == [
        (Difference("r", "", "v1", "80/20"),),
        (Difference("r", "", "v2", "v1"),),
        (Difference("r", "", "v3", "v2"),),
    ]
    world.world.objects["r"] = ("v3", "a")
    plan = await world.plan("a", restart=True)
    assert [step.check.differences for step in plan.steps] == [
        (Difference("r", "", "v1", "v3"),),
        (Difference("r", "", "v2", "v1"),),
        (Difference("r", "", "v3", "v2"),),
    ]


class Clears(Moves):
    """None of whose stages has the object "tried"."""

    def step(self, stage: str, run: Run) -> Step:
        return ClearingPut(self.name, stage)

    async def position(self, run: Run) -> Position:
        found = await super().position(run)
        return Position(None, "tried is there") if "tried" in await run.observe(Everything()) else found


class ClearingPut(Put):
    async def check(self, run: Run) -> Check:
        surplus = await Remove("tried").check(run)
        return Check(((await super().check(run)).differences) + surplus.differences)


@pytest.mark.parametrize("at", ["v1", "v2", "80/20"])
async def test_what_no_stage_has_is_removed_once_and_not_moved(at: str) -> None:
    world = bench(lab("a", Clears("r", ("v1", "v2", "v3"))), objects={"r": (at, "a"), "tried": (1, "a")})
    plan = await world.plan("a")
    assert [step.check.differences for step in plan.steps] == [
        (*((Difference("r", "", "v1", at),) if at != "v1" else ()), Difference("tried", "", ABSENT, 1)),
        (Difference("r", "", "v2", "v1"),),
        (Difference("r", "", "v3", "v2"),),
    ]


async def test_a_check_that_cannot_decide_is_in_the_plan_and_the_others_are_planned() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1")))

    async def fail(name: str) -> None:
        if name == "a1":
            await failing()(name)

    world.world.before_look = fail
    plan = await world.plan("a", "b")
    assert str(plan.steps[0].error) == "put a1: no"
    assert plan.steps[1].changes
    assert plan.exit_status == 1


async def test_a_plan_refuses_what_a_run_would_refuse() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), needs=["a"]))
    with pytest.raises(UsageError):
        await world.plan("b", only=True)
    with pytest.raises(UsageError):
        await world.plan("b", to="v1")


async def test_one_observation_is_enough_for_a_plan() -> None:
    world = bench(lab("a", Put("a1"), Moves("r", ("v1", "v2"))), lab("b", Put("b1"), needs=["a"]))
    await world.plan("b")
    assert world.world.observations == 1


def test_a_request_without_labs_of_the_runbook_is_refused() -> None:
    with pytest.raises(UsageError):
        Request(("nowhere",)).validate(Runbook((lab("a"),)))


WHY = "left out: there is no other cluster"


class Across(Moves):
    """The stages named "there" (and what begins so) need what this target lacks."""

    def step(self, stage: str, run: Run) -> Step:
        step = super().step(stage, run)
        return LeftOut(step) if stage.startswith("there") else step


class LeftOut(WrappedStep):
    def inner_run(self, run: Run) -> Run | None:
        return None

    def left_out(self) -> str:
        return WHY

    async def apply(self, run: Run) -> None:
        raise AssertionError("left out")


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
