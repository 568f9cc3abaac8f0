"""A plan says what a run then does, and changes nothing (see also test_laws)."""

from __future__ import annotations

import pytest

from tests.runbook.world import Everything, Moves, Put, Remove, bench, failing, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Position, Runbook, Step
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
