"""A clean-up undoes other labs' parts last first, and is asked for before it destroys anything."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.engine import Bench, Moves, Object, Put, bench, lab
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.events import LabStarted, Removing, StepPhase
from workshop.runbook.model import Runbook, Together
from workshop.runbook.request import Request
from workshop.runbook.run import Facts, Run
from workshop.runbook.schedule import unfold

CONVERGED: dict[str, Object] = {
    "a1": (1, "a"),
    "a2": (1, "a"),
    "b1": (1, "b"),
    "b2": (1, "b"),
    "reviews": ("v3", "b"),
}


def cleanup(objects: dict[str, Object]) -> Bench:
    return bench(
        lab("a", Put("a1"), Put("a2")),
        lab("b", Together((Put("b1"), Put("b2"))), Moves("reviews", ("v1", "v3")), needs=["a"]),
        lab("cleanup", undoes=["a", "b"]),
        objects=objects,
    )


async def test_everything_is_undone_last_first_and_what_is_not_ours_stays() -> None:
    world = cleanup(CONVERGED | {"other": (1, "")})
    assert await world.run("cleanup", yes=True) == 0
    assert world.world.objects == {"other": (1, "")}
    assert world.world.changes[0] == "reviews"
    assert sorted(world.world.changes[1:3]) == ["b1", "b2"]
    assert world.world.changes[3:] == ["a2", "a1"]
    assert [event.title for event in world.steps()][-1] == "Undo: Put a1"
    assert [event.note for event in world.steps()] == ["b", "b", "b", "a", "a"]
    assert "undo" in [event.phase for event in world.of(StepPhase)]
    (started,) = world.of(LabStarted)
    assert started.steps == 5


async def test_what_is_left_only_is_undone_and_nothing_twice() -> None:
    world = cleanup({"a1": (1, "a")})
    await world.run("cleanup", yes=True)
    assert world.outcomes() == ["unchanged"] * 4 + ["changed"]


async def test_with_nothing_left_nobody_is_asked_and_no_lock_taken() -> None:
    world = cleanup({})
    assert await world.run("cleanup") == 0
    assert set(world.outcomes()) == {"unchanged"}
    assert world.guard.asked == []
    assert world.gate.asked == []
    assert world.world.observations == 1


async def test_a_person_confirms_once_having_seen_everything_that_goes() -> None:
    world = cleanup(CONVERGED)
    assert await world.run("cleanup") == 0
    assert world.gate.asked == ["primary: reviews, b1, b2, a2, a1"]
    assert world.guard.asked == ["may_destroy", "hold"]


@pytest.mark.parametrize(("there", "doomed"), [(CONVERGED, "5 objects"), ({"a1": (1, "a")}, "1 object")])
async def test_without_confirmation_nothing_is_destroyed(there: dict[str, Object], doomed: str) -> None:
    world = cleanup(there)
    world.gate.typed = False
    assert await world.run("cleanup") == 2
    assert world.finished().error.tried == f"remove {doomed} from primary"  # type: ignore[union-attr]
    assert world.world.changes == []
    assert world.outcomes().count("skipped") == len(there)


async def test_a_cluster_without_the_mark_is_refused_even_with_yes() -> None:
    world = cleanup(CONVERGED)
    world.guard.refusal["may_destroy"] = UsageError("clean up", "no mark")
    assert await world.run("cleanup", yes=True) == 2
    assert world.finished().error is world.guard.refusal["may_destroy"]
    assert world.world.changes == []


async def test_without_a_terminal_yes_must_be_said() -> None:
    world = cleanup(CONVERGED)
    world.gate.interactive = False
    assert await world.run("cleanup") == 2
    assert world.finished().error.next_command == "invoke lab.cleanup --yes"  # type: ignore[union-attr]
    assert await world.run("cleanup", yes=True) == 0


async def test_a_disposable_target_needs_no_confirmation() -> None:
    world = cleanup(CONVERGED)
    world.guard.disposable = True
    world.gate.interactive = False
    assert await world.run("cleanup") == 0
    assert world.guard.asked == ["may_destroy", "hold"]


@pytest.mark.parametrize("disposable", [False, True])
async def test_what_goes_is_shown_before_anything_does_also_when_nobody_is_asked(disposable: bool) -> None:
    world = cleanup(CONVERGED)
    world.guard.disposable = disposable
    changed: list[int] = []

    async def count(name: str) -> None:
        changed.append(sum(isinstance(event, Removing) for event in world.events))

    world.world.before_change = count
    assert await world.run("cleanup", yes=not disposable) == 0
    (removing,) = [event for event in world.events if isinstance(event, Removing)]
    assert removing == Removing("", "primary", ("reviews", "b1", "b2", "a2", "a1"))
    assert changed == [1] * 5


async def test_what_cannot_be_looked_at_is_told_by_its_own_step_when_nobody_is_asked() -> None:
    world = cleanup(CONVERGED)

    async def broken(name: str) -> None:
        if name == "a1":
            raise WorkshopError("look at a1", "no answer")

    world.world.before_undo_look = broken
    assert await world.run("cleanup", yes=True) == 1
    assert world.outcomes() == ["changed"] * 4 + ["failed"]


async def test_undo_waits_until_what_was_deleted_is_gone() -> None:
    world = cleanup({"a1": (1, "a")})
    remove = world.world.change

    async def slowly(name: str, value: Object | None) -> None:
        asyncio.get_running_loop().call_later(0.02, lambda: world.world.objects.pop(name))

    world.world.change = slowly  # type: ignore[method-assign]
    assert await world.run("cleanup", yes=True) == 0
    assert world.world.objects == {}
    world.world.change = remove  # type: ignore[method-assign]


async def test_a_timeline_another_lab_has_moved_on_is_not_undone() -> None:
    world = bench(
        lab("b", Moves("reviews", ("v1", "v3"))),
        lab("c", Moves("reviews", ("jason",), start="v3", start_value="v3")),
        lab("cleanup-b", undoes=["b"]),
        lab("cleanup-c", undoes=["c"]),
        objects={"reviews": ("jason", "c")},
    )
    assert await world.run("cleanup-b", yes=True) == 0
    assert world.outcomes() == ["unchanged"]
    assert await world.run("cleanup-c", yes=True) == 0
    assert world.world.objects["reviews"][0] == "v3"
    assert await world.run("cleanup-c", yes=True) == 0
    assert world.outcomes() == ["unchanged"]


async def test_a_hand_edit_of_what_the_lab_put_is_undone_too() -> None:
    world = cleanup({"reviews": ("80/20", "b")})
    await world.run("cleanup", yes=True)
    assert world.world.objects == {}


def test_labs_that_do_not_need_each_other_are_undone_at_the_same_time() -> None:
    runbook = Runbook(
        (
            lab("base", Put("base")),
            lab("one", Put("one"), Put("one's"), needs=("base",)),
            lab("two", Put("two"), needs=("base",)),
            lab("moved", Moves("two", ("v1",)), needs=("base",)),
            lab("clean", undoes=("base", "one", "two", "moved")),
        )
    )
    world = bench(*runbook.labs)
    run = Run("clean", {}, Facts(), {}, world.events.append)
    schedule = unfold(runbook, runbook.lab("clean"), Request(("clean",)), run)
    assert [[step.title.removeprefix("Undo: ") for step in group] for group in schedule] == [
        ["Move two"],
        ["Put two", "Put one's"],
        ["Put one"],
        ["Put base"],
    ]
    assert [step.number for group in schedule for step in group] == [1, 2, 3, 4, 5]


async def test_what_cannot_be_taken_back_keeps_only_what_it_needs() -> None:
    """b needs a, and neither needs c, which is taken back after both: c goes, a stays."""
    world = bench(
        lab("c", Put("c1"), Put("c2")),
        lab("a", Put("a1")),
        lab("b", Put("b1"), needs=["a"]),
        lab("cleanup", undoes=["c", "a", "b"]),
        objects={"a1": (1, "a"), "b1": (1, "b"), "c1": (1, "c"), "c2": (1, "c")},
    )

    async def refuse(name: str) -> None:
        if name == "b1":
            raise WorkshopError("remove b1", "it is held")

    world.world.before_change = refuse
    assert await world.run("cleanup", yes=True) == 1
    assert world.world.objects == {"a1": (1, "a"), "b1": (1, "b")}
    assert [(event.outcome, event.note) for event in world.steps() if event.title in ("Undo: Put a1",)] == [
        ("skipped", "b has not been taken back")
    ]
    assert world.finished().exit_status == 1
