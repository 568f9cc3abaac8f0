"""A plan says what a run then does, no more and no less, and changes nothing: over many random worlds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.runbook.world import Bench, Everything, Moves, Object, Put, Remove, bench, failing, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Part, Position, Runbook, Step, Together
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation
from workshop.runbook.run import Run


async def planned(world: Bench, *labs: str, **asked: Any) -> set[tuple[str, int]]:
    """The steps that a plan says would change, having seen that planning changes nothing."""
    before = dict(world.world.objects)
    plan = await world.plan(*labs, **asked)
    assert world.world.objects == before
    assert world.guard.asked == []
    return {(lab.name, step.number) for lab in plan.labs for step in lab.steps if step.changes}


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


class Chance:
    """A random runbook, a random state of the world, and a random request."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311
        self.movers: dict[str, list[str]] = {}
        self.last_stage: dict[str, str] = {}
        self.state: dict[str, Object] = {"not ours": (1, "")}
        self.labs: list[Lab] = []
        for number in range(self.dice.randint(1, 6)):
            self.labs.append(self.lab(f"lab{number}"))
        for name, movers in self.movers.items():
            self.place(name, movers)
        self.cleanup = lab("cleanup", undoes=[item.name for item in self.labs])

    def lab(self, name: str) -> Lab:
        needs = [item.name for item in self.labs if self.dice.random() < 0.4]
        parts: list[Part] = []
        for number in range(self.dice.randint(0, 3)):
            if self.dice.random() < 0.25:
                parts.append(Together(tuple(self.put(name, f"{number}{half}") for half in "xy")))
            else:
                parts.append(self.put(name, str(number)))
        if self.dice.random() < 0.6:
            moved = self.dice.choice(["red", "blue"])
            needs += [item for item in self.movers.get(moved, [])[-1:] if item not in needs]
            parts.insert(self.dice.randint(0, len(parts)), self.timeline(moved, name))
        return lab(name, *parts, needs=needs)

    def put(self, name: str, number: str) -> Put:
        subject = f"{name}-{number}"
        found = self.dice.choice([None, (1, name), (1, name), (2, name), (1, "somebody")])
        if found:
            self.state[subject] = found
        return Put(subject)

    def timeline(self, moved: str, name: str) -> Moves:
        stages = [f"{name}-stage{number}" for number in range(self.dice.randint(1, 4))]
        start = self.last_stage.get(moved, "none")
        timeline = Moves(moved, stages, start, "" if start == "none" else start)
        self.movers.setdefault(moved, []).append(name)
        self.last_stage[moved] = stages[-1]
        return timeline

    def place(self, moved: str, movers: list[str]) -> None:
        """Put the object of a timeline somewhere that a run, or a hand edit after one, may have left it."""
        holder = self.dice.choice(movers)
        (timeline,) = [
            part
            for item in self.labs
            if item.name == holder
            for part in item.parts
            if isinstance(part, Moves) and part.name == moved
        ]
        value = self.dice.choice([None, "off the path", *timeline.stages, *timeline.stages])
        if value:
            self.state[moved] = (value, holder)

    def request(self) -> dict[str, Any]:
        """Keywords for `Bench.run`; the labs under "labs"."""
        names = self.dice.sample([item.name for item in self.labs], self.dice.randint(1, len(self.labs)))
        asked: dict[str, Any] = {}
        if self.dice.random() < 0.3:
            asked["only"] = True
        if self.dice.random() < 0.5:
            names = names[:1]
            stages = [
                stage
                for item in self.labs
                if item.name == names[0]
                for part in item.parts
                if isinstance(part, Moves)
                for stage in (part.start, *part.stages)
            ]
            choice = self.dice.random()
            if choice < 0.2:
                asked["step"] = self.dice.randint(1, 4)
            elif stages and choice < 0.5:
                asked["to"] = self.dice.choice(stages)
            elif stages and choice < 0.7:
                asked["options"] = {names[0]: {"weights": "80/20"}}
        if not {"to", "step", "options"} & asked.keys() and self.dice.random() < 0.2:
            asked["restart"] = True
        return {"labs": names, **asked}

    def bench(self) -> Bench:
        return Bench(Runbook((*self.labs, self.cleanup)), replace(bench().world, objects=dict(self.state)))


@pytest.mark.parametrize("seed", range(300))
async def test_a_run_changes_exactly_what_the_plan_said(seed: int) -> None:
    chance = Chance(seed)
    world = chance.bench()
    asked = chance.request()
    labs = asked.pop("labs")
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


@pytest.mark.parametrize("seed", range(100))
async def test_a_clean_up_removes_exactly_what_its_plan_said(seed: int) -> None:
    world = Chance(seed).bench()
    for name, (_, holder) in list(world.world.objects.items()):
        if holder == "somebody":
            del world.world.objects[name]
    expected = await planned(world, "cleanup")
    assert await world.run("cleanup", yes=True) == 0
    assert world.changed() == expected
    assert world.world.objects == {"not ours": (1, "")}
    assert await world.run("cleanup") == 0
    assert set(world.outcomes()) <= {"unchanged"}


@pytest.mark.parametrize("seed", range(100))
async def test_a_run_killed_anywhere_converges_to_the_same_when_it_is_repeated(seed: int) -> None:
    undisturbed, killed = Chance(seed).bench(), Chance(seed).bench()
    names = [item.name for item in undisturbed.runbook.labs if not item.undoes]
    assert await undisturbed.run(*names) == 0
    last = random.Random(seed).randint(1, max(1, len(undisturbed.world.changes)))  # noqa: S311
    reached = asyncio.Event()

    async def die(name: str) -> None:
        if len(killed.world.changes) >= last - 1:
            reached.set()
            await asyncio.Event().wait()

    alive = killed.world.before_change
    killed.world.before_change = die
    run = asyncio.create_task(killed.run(*names))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
    run.cancel()
    waiting.cancel()
    await asyncio.wait({run, waiting})

    killed.world.before_change = alive
    assert await killed.run(*names) == 0
    assert killed.world.objects == undisturbed.world.objects


def test_a_request_without_labs_of_the_runbook_is_refused() -> None:
    with pytest.raises(UsageError):
        Request(("nowhere",)).validate(Runbook((lab("a"),)))
