"""What holds of every runbook, wherever its objects are and whatever is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.engine import Bench, Moves, World, bench, lab
from tests.kit.laws import LAW
from tests.runbook.strategies import FOREIGN, Case, cases, objects, runbooks
from workshop.runbook.errors import UsageError
from workshop.runbook.events import RunStarted
from workshop.runbook.model import Runbook
from workshop.runbook.request import clean_up_of


async def planned(world: Bench, *labs: str, **asked: Any) -> set[tuple[str, int]]:
    """The steps that a plan says would change, having seen that planning changes nothing."""
    before, guarded = dict(world.world.objects), list(world.guard.asked)
    plan = await world.plan(*labs, **asked)
    assert (world.world.objects, world.guard.asked) == (before, guarded)
    return {(lab.name, step.number) for lab in plan.labs for step in lab.steps if step.changes}


@settings(LAW, max_examples=200)
@given(cases())
async def test_a_run_does_what_its_plan_said_and_a_second_one_nothing(case: Case) -> None:
    world, labs, asked = case.bench(), case.labs, dict(case.asked)
    refused = ""
    try:
        expected = await planned(world, *labs, **asked)
    except UsageError as error:
        refused = str(error)
    if refused:
        assert await world.run(*labs, **asked) == 2
        assert str(world.finished().error) == refused
        assert world.world.changes == []
        return
    assert await world.run(*labs, **asked) == 0
    assert world.changed() == expected
    assert set(world.outcomes()) <= {"changed", "unchanged"}

    asked.pop("restart", None)
    world.world.observations, world.guard.asked = 0, []
    assert await planned(world, *labs, **asked) == set()
    assert await world.run(*labs, **asked) == 0
    assert set(world.outcomes()) <= {"unchanged"}
    assert world.guard.asked == []
    assert world.world.observations <= 2  # the plan's and the run's
    assert world.world.objects["not ours"] == (1, "")


@st.composite
def left_by_runs(draw: st.DrawFn) -> Case:
    runbook = draw(runbooks())
    return Case(runbook, draw(objects(runbook, by_hand=False)), ["cleanup"])


@settings(LAW, max_examples=100)
@given(left_by_runs())
async def test_a_clean_up_removes_what_its_plan_said_and_all_that_is_the_labs(case: Case) -> None:
    world = case.bench()
    expected = await planned(world, "cleanup")
    assert await world.run("cleanup", yes=True) == 0
    assert world.changed() == expected
    assert world.world.objects == FOREIGN
    assert await world.run("cleanup") == 0
    assert set(world.outcomes()) <= {"unchanged"}


def values(world: Bench) -> dict[str, Any]:
    """Who moved an object last may be another lab than before: the one that took its change back."""
    return {name: value for name, (value, _) in world.world.objects.items()}


@settings(LAW, max_examples=100)
@given(runbooks(), st.data())
async def test_undo_after_apply_leaves_what_was_there_before(runbook: Runbook, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([item.name for item in runbook.labs if not item.undoes]))
    with_undo, undo = clean_up_of(runbook, name)
    world = Bench(with_undo, World(dict(FOREIGN)))
    if needs := runbook.lab(name).all_needs:
        assert await world.run(*needs) == 0
    before = values(world)
    assert await world.run(name) == 0
    assert await world.run(undo, yes=True) == 0
    assert values(world) == before
    assert await world.run(undo) == 0
    assert set(world.outcomes()) <= {"unchanged"}


STAGES = ("v1", "thirds", "half", "v3")
ANYWHERE = st.sampled_from(["none", *STAGES, "80/20", "5/95"])


@settings(LAW, max_examples=150)
@given(st.lists(ANYWHERE, min_size=1, max_size=6), st.sampled_from(["", *STAGES, "by hand"]))
async def test_any_stage_is_reached_from_any_other_and_proved_and_a_run_goes_on_from_there(
    ways: list[str], at: str
) -> None:
    world = bench(lab("canary", Moves("reviews", STAGES)), objects={"reviews": (at, "canary")} if at else {})
    for stage in ways:
        own = {"options": {"canary": {"weights": stage}}}
        asked: dict[str, Any] = {"to": stage} if stage in ("none", *STAGES) else own
        there = values(world).get("reviews", "none")
        expected = await planned(world, "canary", **asked)
        assert bool(expected) == (there != stage)
        world.world.verified.clear()
        assert await world.run("canary", **asked) == 0
        assert world.changed() == expected
        assert values(world).get("reviews", "none") == stage
        assert world.world.verified == ([f"reviews={stage}"] if expected and stage != "none" else [])
    last = values(world).get("reviews", "none")
    later = STAGES[STAGES.index(last) + 1 :] if last in STAGES else STAGES
    world.world.verified.clear()
    assert await world.run("canary") == 0
    assert world.world.verified == [f"reviews={stage}" for stage in later]


@settings(LAW, max_examples=100)
@given(cases(), st.data())
async def test_a_run_killed_anywhere_converges_to_the_same_when_it_is_repeated(
    case: Case, data: st.DataObject
) -> None:
    undisturbed, killed = case.bench(), case.bench()
    assert await undisturbed.run(*case.all_labs) == 0
    last = data.draw(st.integers(1, max(1, len(undisturbed.world.changes))))
    reached = asyncio.Event()

    async def die(name: str) -> None:
        if len(killed.world.changes) >= last - 1:
            reached.set()
            await asyncio.Event().wait()

    alive = killed.world.before_change
    killed.world.before_change = die
    run = asyncio.create_task(killed.run(*case.all_labs))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
    run.cancel()
    waiting.cancel()
    await asyncio.wait({run, waiting})

    killed.world.before_change = alive
    assert await killed.run(*case.all_labs) == 0
    assert killed.world.objects == undisturbed.world.objects


@settings(LAW, max_examples=100)
@given(cases())
async def test_after_a_run_a_check_finds_nothing_missing_and_changes_nothing(case: Case) -> None:
    world = case.bench()
    await world.check(*case.all_labs)
    await world.check("cleanup")
    assert (world.world.objects, world.world.changes, world.guard.asked) == (case.objects, [], [])
    assert await world.run(*case.all_labs) == 0
    assert await world.check(*case.all_labs) == 0
    for name in case.all_labs:
        assert await world.check(name) == 0, name
        (started,) = world.of(RunStarted)
        assert started.steps == len(world.steps())
