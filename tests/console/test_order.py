"""Steps that run at the same time end in any order, and are shown in that of their numbers."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

import pytest

from tests.console.performance import finished
from tests.console.rendering import bare, live, live_screen, plain, region, written
from tests.runbook.world import Put, bench, lab
from workshop.runbook.events import Event, LabFinished, LabStarted, Measured, RunStarted, StepStarted
from workshop.runbook.model import Together
from workshop.runbook.results import Outcome, Verdict

_NUMBER = re.compile(r"^ *\S? *(?:changed|unchanged|failed|inconclusive|skipped|measured) +(\d+) ", re.M)


def numbers(said: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(bare(said))]


def test_cleanup_prints_26_before_27() -> None:
    run: list[Event] = [
        LabStarted("istio.cleanup", "Undo all", 2),
        StepStarted("istio.cleanup", 26, "Undo: Deploy"),
        StepStarted("istio.cleanup", 27, "Undo: Label"),
        finished("istio.cleanup", 27, "Undo: Label", "changed"),
        finished("istio.cleanup", 26, "Undo: Deploy", "changed"),
        LabFinished("istio.cleanup", 1.0, True),
    ]
    assert numbers(plain(run)) == numbers(live(run)) == [26, 27]


@pytest.mark.parametrize("seed", range(50))
def test_numbers_ascend_whatever_ends_first(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    run: list[Event] = [RunStarted("", ("a",), "sandbox", 12), LabStarted("a", "Lab A", 12)]
    number, outcomes = 0, list[Outcome](("changed", "unchanged", "failed", "skipped", "skipped"))
    expected: list[int] = []
    while number < 12:
        group = list(range(number + 1, min(number + dice.randint(1, 4), 12) + 1))
        number = group[-1]
        run += [StepStarted("a", each, f"Step {each}") for each in group]
        measured = [each for each in group if dice.random() < 0.3]
        endings = [*group, *measured]
        dice.shuffle(endings)
        for each in endings:
            if each in measured:
                measured.remove(each)
                expected.append(each)
                run.append(Measured("a", "at 5 %", Verdict("pass", "fine"), step=each))
            else:
                expected.append(each)
                run.append(finished("a", each, f"Step {each}", dice.choice(outcomes)))
    run.append(LabFinished("a", 1.0, False))
    assert numbers(plain(run)) == numbers(live(run)) == sorted(expected)


def test_what_has_ended_early_is_seen_in_the_moving_region_and_printed_in_its_turn() -> None:
    screen = live_screen()
    begun = [RunStarted("", ("a",), "sandbox", 3), LabStarted("a", "Lab A", 3)]
    for event in (*begun, *(StepStarted("a", number, f"Put a{number}") for number in (1, 2, 3))):
        screen.listen(event)
    screen.listen(finished("a", 3, "Put a3", "changed"))
    screen.listen(finished("a", 2, "Put a2", "failed"))
    shown = region(screen)
    assert [shown.index(f"Put a{number}") for number in (1, 2, 3)] == sorted(
        shown.index(f"Put a{number}") for number in (1, 2, 3)
    )
    assert "2 of 3 steps" in shown
    assert numbers(written(screen)) == []
    screen.listen(finished("a", 1, "Put a1", "changed"))
    assert numbers(written(screen)) == [1, 2, 3]


def test_a_step_alone_is_shown_at_once_whatever_its_number() -> None:
    run = [LabStarted("a", "Lab A", 1), StepStarted("a", 7, "Put"), finished("a", 7, "Put", "changed")]
    assert numbers(plain(run)) == [7]


async def test_a_run_of_the_engine_whose_steps_end_backwards() -> None:
    steps = tuple(Put(f"a{number}") for number in range(5))
    world = bench(lab("a", Together(steps), Put("z")), lab("cleanup", undoes=["a"]))

    async def later(name: str) -> None:
        await asyncio.sleep(0.05 - int(name[1:] or 0) / 100 if name != "z" else 0)

    world.world.before_change = later
    for name, count in (("a", 6), ("cleanup", 6)):
        assert await world.run(name, yes=True) == 0
        ended = [event.step for event in world.steps()]
        assert ended != sorted(ended)
        assert numbers(plain(world.events)) == numbers(live(world.events)) == list(range(1, count + 1))


async def test_of_labs_that_were_not_begun_when_a_person_stops_one_line_is_shown() -> None:
    """Seen: what each of them teaches, pages of it, below the answer q."""
    taught = [replace(lab(name, Put(f"{name}1"), Put(f"{name}2")), text=f"What {name} teaches") for name in "abcd"]
    world = bench(*taught)
    world.gate.stops_at = "Put b1"
    assert await world.run("a", "b", "c", "d", pause=True) == 130
    for said in (plain(world.events), bare(live(world.events))):
        assert "What b teaches" in said
        _, after = said.split("What b teaches")
        assert "2 labs were not begun  4 steps skipped" in after
        assert not re.search(r"What [cd] teaches|Lab [cd]", after)
