"""Where the labs are: every state, from what is there and what the journal knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.engine import Bench, Measured, Moves, Object, Put, bench, failing, lab
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import RunStarted, StepFinished
from workshop.runbook.journal import Journal, JournalProofRecord, LastRun, ProofRecord
from workshop.runbook.record import Origin
from workshop.runbook.results import ABSENT, Check, Difference, Hint, Outcome
from workshop.runbook.run import Run

STAGES = ("v1", "half", "v3")
ENDED = LastRun("a", "invoke lab.a", 1.0, converged=True, applied=True)
CUT_OFF = replace(ENDED, converged=False)
ONLY_LOOKED = replace(ENDED, applied=False)
ALL: dict[str, Object] = {"a1": (1, "a"), "a2": (1, "a"), "r": ("v3", "a")}


def one(objects: dict[str, Object]) -> Bench:
    first = lab("a", Put("a1"), Measured("a2"), Moves("r", STAGES))
    return bench(first, lab("b", Moves("r", ("user",), "v3", "v3"), needs=["a"]), objects=objects)


@pytest.mark.parametrize(
    ("objects", "last", "state", "note"),
    [
        ({}, None, "not there", ""),
        ({}, ENDED, "not there", ""),
        (ALL, ENDED, "converged", "at stage v3, 3 of 3"),
        (ALL, None, "by hand", "as wanted, and no run from here applied it"),
        (ALL, ONLY_LOOKED, "by hand", "as wanted, and no run from here applied it"),
        ({**ALL, "r": ("half", "a")}, ENDED, "under way", "at stage half, 2 of 3"),
        ({"a1": (1, "a")}, CUT_OFF, "under way", "1 of 3 parts"),
        ({"a1": (1, "a"), "a2": (1, "a")}, None, "under way", "2 of 3 parts"),
        ({"a1": (1, "a"), "a2": (1, "a")}, ENDED, "drifted", ""),
        ({"a2": (1, "a"), "r": ("v1", "a")}, CUT_OFF, "under way", "at stage v1, 1 of 3"),
        ({"a2": (1, "a"), "r": ("v1", "a")}, None, "drifted", ""),
        ({"a1": (2, "a"), "r": ("v1", "a")}, CUT_OFF, "drifted", ""),
        ({**ALL, "a1": (2, "a")}, ENDED, "drifted", ""),
        ({**ALL, "r": ("v9", "a")}, ENDED, "drifted", "off the path: v9"),
        ({**ALL, "r": ("user", "b")}, ENDED, "superseded", "by b"),
        ({**ALL, "a1": (2, "a"), "r": ("user", "b")}, ENDED, "drifted", ""),
    ],
)
async def test_state_of_a_lab(objects: dict[str, Object], last: LastRun | None, state: str, note: str) -> None:
    world = one(objects)
    found = await world.status(**({"a": last} if last else {}))
    first = found.labs[0]
    assert (first.state, first.note, first.last) == (state, note, last)
    assert bool(first.differences) == (state == "drifted")
    assert found.exit_status == int(state == "drifted")
    assert world.world.changes == world.world.verified == world.guard.asked == []
    assert world.world.observations == 1


async def test_what_differs_is_said_as_a_plan_says_it() -> None:
    world = one({**ALL, "a1": (2, "a")})
    assert (await world.status("a", a=ENDED)).labs[0].differences == (Difference("a1", "", 1, 2),)
    assert (await world.plan("a")).steps[0].check.differences == (Difference("a1", "", 1, 2),)


@pytest.mark.parametrize(
    ("objects", "following"),
    [
        ({}, "invoke lab.a"),
        ({**ALL, "r": ("half", "a")}, "invoke lab.a"),
        (ALL, "invoke lab.b"),
        ({**ALL, "a1": (2, "a"), "r": ("user", "b")}, "invoke lab.a"),
        ({"r": ("user", "b")}, "invoke lab.a"),
        ({**ALL, "r": ("user", "b")}, ""),
    ],
)
async def test_what_is_next(objects: dict[str, Object], following: str) -> None:
    found = (await one(objects).status()).following
    assert (found.what if found else "") == following


async def test_what_is_there_and_wrong_comes_before_what_is_not_there() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), Put("b2")), objects={"b2": (1, "b")})
    found = await world.status()
    assert [one.state for one in found.labs] == ["not there", "drifted"]
    assert found.following == Hint("next", "invoke lab.b", found.labs[1].title)


async def test_what_was_added_by_hand_is_told_once() -> None:
    class Decorated(Put):
        async def check(self, run: Run) -> Check:
            return replace(await super().check(run), added=(Difference("x", "spec.more", ABSENT, {"a": 1}),))

    world = bench(lab("a", Decorated("a1"), Decorated("a2")), objects={"a1": (1, "a"), "a2": (1, "a")})
    (found,) = (await world.status(a=ENDED)).labs
    assert (found.state, len(found.added)) == ("by hand", 1)


async def test_what_was_applied_and_not_proved_is_not_converged(tmp_path: Path) -> None:
    async def place(run: Run) -> str:
        return "here"

    journal = Journal(tmp_path / "journal.sqlite")
    world = bench(lab("a", Measured("a1")), objects={"a1": (1, "a")})
    world.tools = {ProofRecord: JournalProofRecord(journal, place)}
    await JournalProofRecord(journal, place).applied(Run("a", {}, None, {}, print), "Put a1")  # type: ignore[arg-type]
    found = await world.status(a=ENDED)
    assert [one.state for one in found.labs] == ["not proved"]
    assert found.exit_status == 0
    assert found.following == Hint("next", "invoke lab.a", found.labs[0].title)


async def test_a_check_that_cannot_tell_says_why_and_the_others_are_told() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1")), objects={"b1": (1, "b")})

    async def fails_at_a(name: str) -> None:
        if name == "a1":
            raise WorkshopError("look", "no")

    world.world.before_look = fails_at_a
    found = await world.status(b=ENDED)
    assert [(one.state, str(one.error) != "None") for one in found.labs] == [
        ("unknown", True),
        ("converged", False),
    ]
    assert found.exit_status == 1


async def test_where_nothing_answers_it_is_one_error() -> None:
    world = bench(lab("a", Put("a1")))

    async def gone(name: str) -> None:
        error = WorkshopError("look", "refused")
        error.everywhere = True
        raise error

    world.world.before_look = gone
    with pytest.raises(WorkshopError, match="refused"):
        await world.status()
    world.world.before_look = failing()
    assert [one.state for one in (await world.status()).labs] == ["unknown"]


def run_of(journal: Journal, *outcomes: tuple[str, Outcome], target: str = "here") -> None:
    journal.listen(RunStarted("", tuple(lab for lab, _ in outcomes), target))
    for step, (lab_name, outcome) in enumerate(outcomes):
        journal.listen(StepFinished(lab_name, step, "", outcome, 0.0))


def test_the_journal_knows_the_last_run_of_each_lab(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    assert Journal(path).last_runs("here") == {}
    assert not path.exists()
    for command, outcomes in {
        "first": (("a", "changed"), ("b", "failed")),
        "second": (("b", "changed"), ("b", "inconclusive")),
        "third": (("b", "unchanged"), ("c", "unchanged")),
    }.items():
        holder = {"third": "desk/17/ada/42@boot"}.get(command, "")
        run_of(Journal(path, origin=Origin(command, holder=holder)), *outcomes)  # type: ignore[arg-type]
    run_of(Journal(path, origin=Origin("elsewhere")), ("a", "failed"), target="there")
    known = Journal(path).last_runs("here")
    assert {name: (last.command, last.converged, last.applied, last.who) for name, last in known.items()} == {
        "a": ("first", True, True, ""),
        "b": ("third", True, True, "ada on desk"),
        "c": ("third", True, False, "ada on desk"),
    }
    assert Journal(path).last_runs("there")["a"].converged is False
