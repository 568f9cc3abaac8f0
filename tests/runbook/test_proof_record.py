"""What was applied and not proved is not converged: the next run proves it, and a plan says so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.kit.engine import Bench, Measured, Moves, Put, bench, failing, lab
from workshop.runbook.journal import Journal, JournalProofRecord, ProofRecord
from workshop.runbook.model import Lab
from workshop.runbook.results import Verdict
from workshop.runbook.run import Run

Remembering = Callable[..., Bench]


@pytest.fixture
def remembering(tmp_path: Path) -> Iterator[Remembering]:
    """A bench of these labs whose target remembers, in one journal, on the place named. What it is kept in stays
    open: the last who closes the file writes into it."""
    journals: list[Journal] = []

    def make(*labs: Lab, place: str = "one") -> Bench:
        async def here(run: Run) -> str:
            return place

        made = bench(*labs)
        journals.append(Journal(tmp_path / "journal.sqlite"))
        made.tools[ProofRecord] = JournalProofRecord(journals[-1], here)
        return made

    yield make
    for journal in journals:
        journal.close()


def again(world: Bench, remembering: Remembering, place: str = "one") -> Bench:
    """The same world, as a later process finds it."""
    later = remembering(*world.runbook.labs, place=place)
    later.world.objects = dict(world.world.objects)
    return later


async def unproved(world: Bench, *labs: str, **asked: Any) -> list[tuple[str, int]]:
    plan = await world.plan(*labs, **asked)
    assert plan.exit_status == 0
    return [(one.name, step.number) for one in plan.labs for step in one.steps if step.unproved]


@pytest.mark.parametrize(("kind", "status"), [("fail", 1), ("inconclusive", 3)])
async def test_a_proof_that_did_not_pass_is_repeated_without_applying_again(
    remembering: Remembering, kind: Literal["fail", "inconclusive"], status: int
) -> None:
    world = remembering(lab("a", Put("a0"), Measured("a1"), Put("a2")))
    world.world.verdicts["a1"] = Verdict(kind, "no overflows")
    assert await world.run("a") == status
    later = again(world, remembering)
    later.world.verdicts["a1"] = Verdict(kind, "no overflows")
    assert await unproved(later, "a") == [("a", 2)]
    assert await later.run("a") == status
    assert later.world.verified == ["a1=1"]
    assert later.world.changes == []
    assert "applied by an earlier run" in later.steps()[1].note
    last = again(world, remembering)
    assert await last.run("a") == 0
    assert (last.world.verified, last.world.changes) == (["a1=1"], ["a2"])
    assert last.outcomes() == ["unchanged", "unchanged", "changed"]
    done = again(last, remembering)
    assert await unproved(done, "a") == []
    assert await done.run("a") == 0
    assert done.world.verified == []


async def test_a_proof_that_raised_is_repeated(remembering: Remembering) -> None:
    world = remembering(lab("a", Measured("a1")))
    world.world.before_verify = failing()
    assert await world.run("a") == 1
    assert await unproved(again(world, remembering), "a") == [("a", 1)]


async def test_an_apply_that_raised_halfway_is_proved_when_it_turns_out_well(
    remembering: Remembering,
) -> None:
    class Halfway(Measured):
        async def apply(self, run: Run) -> None:
            await super().apply(run)
            await failing()(self.name)

    world = remembering(lab("a", Halfway("a1")))
    assert await world.run("a") == 1
    assert await unproved(again(world, remembering), "a") == [("a", 1)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_proof_that_was_cut_off_is_repeated(remembering: Remembering, number: int) -> None:
    world = remembering(lab("a", Measured("a1"), Put("a2")))

    async def cut(name: str) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(60)

    world.world.before_verify = cut
    assert await world.run("a") == 130
    assert world.finished().resume == "invoke lab.a"
    later = again(world, remembering)
    assert await unproved(later, "a") == [("a", 1)]
    assert await later.run("a") == 0
    assert later.world.verified == ["a1=1"]


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.kit.engine import Measured, bench, lab
from workshop.runbook.journal import Journal, JournalProofRecord, ProofRecord

async def here(run):
    return "one"

async def die(name):
    os.kill(os.getpid(), signal.SIGKILL)

world = bench(lab("a", Measured("a1")))
world.tools[ProofRecord] = JournalProofRecord(Journal(Path(sys.argv[1])), here)
setattr(world.world, sys.argv[2], die)
asyncio.run(world.run("a"))
"""


@pytest.mark.parametrize("moment", ["before_change", "before_verify"])
async def test_killed_between_apply_and_proof(remembering: Remembering, tmp_path: Path, moment: str) -> None:
    """kill -9 leaves no moment to write anything down: it has to be there before the change."""
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _KILLED, tmp_path / "journal.sqlite", moment],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    later = remembering(lab("a", Measured("a1")))
    later.world.objects["a1"] = (1, "a")
    assert await unproved(later, "a") == [("a", 1)]
    assert await later.run("a") == 0
    assert later.world.verified == ["a1=1"]


async def test_what_failed_under_verify_is_not_proved_any_more(remembering: Remembering) -> None:
    world = remembering(lab("a", Measured("a1")))
    assert await world.run("a") == 0
    world.world.verdicts["a1"] = Verdict("fail", "not as expected")
    assert await world.run("a", verify=True) == 1
    assert await unproved(world, "a") == [("a", 1)]


async def test_cutting_a_second_look_off_leaves_proved_what_was(remembering: Remembering) -> None:
    world = remembering(lab("a", Measured("a1")))
    assert await world.run("a") == 0

    async def cut(name: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    world.world.before_verify = cut
    assert await world.run("a", verify=True) == 130
    assert await unproved(world, "a") == []


async def test_a_lab_that_another_needs_is_proved_first(remembering: Remembering) -> None:
    world = remembering(lab("a", Measured("a1")), lab("b", Measured("b1"), needs=["a"]))
    world.world.verdicts["a1"] = Verdict("fail", "no")
    assert await world.run("a") == 1
    later = again(world, remembering)
    assert await unproved(later, "b") == [("a", 1)]
    later.world.verdicts["a1"] = Verdict("fail", "still no")
    assert await later.run("b") == 1
    assert later.outcomes("b") == ["skipped"]
    last = again(later, remembering)
    assert await last.run("b", only=True) == 2
    assert "a must have converged before, and has not" in str(last.finished().error)
    assert await last.run("b") == 0
    assert last.world.verified == ["a1=1", "b1=1"]
    assert await last.run("b", only=True) == 0


async def test_a_step_alone_refuses_behind_one_that_is_not_proved(remembering: Remembering) -> None:
    world = remembering(lab("a", Measured("a1"), Put("a2")))
    world.world.verdicts["a1"] = Verdict("fail", "no")
    assert await world.run("a") == 1
    later = again(world, remembering)
    assert await later.run("a", step=2) == 2
    assert await later.run("a", step=1) == 0
    assert later.world.verified == ["a1=1"]
    assert await later.run("a", step=2) == 0


STAGES = ("v1", "half", "v3")


def canary() -> list[Lab]:
    return [
        lab("canary", Moves("reviews", STAGES)),
        lab("identity", Moves("reviews", ("jason",), start="v3", start_value="v3"), needs=["canary"]),
        lab("cleanup", undoes=["canary", "identity"]),
    ]


async def stuck(remembering: Remembering, *at: str) -> Bench:
    """The canary at `at`, where its proof has failed."""
    world = remembering(*canary())
    for stage in at[:-1]:
        assert await world.run("canary", to=stage) == 0
    world.world.verdicts["reviews"] = Verdict("fail", "not the split")
    assert await world.run("canary", to=at[-1]) == 1
    return again(world, remembering)


async def test_the_stage_that_the_object_is_at_is_proved_before_it_moves_on(remembering: Remembering) -> None:
    world = await stuck(remembering, "v1", "half")
    assert await unproved(world, "canary") == [("canary", 2)]
    assert await world.run("canary") == 0
    assert world.world.verified == ["reviews=half", "reviews=v3"]
    assert await unproved(world, "canary") == []


async def test_a_stage_that_was_left_with_a_proof_needs_none_any_more(remembering: Remembering) -> None:
    world = await stuck(remembering, "half")
    assert await world.run("canary", to="v3") == 0
    world.world.objects["reviews"] = ("half", "canary")  # by hand
    assert await unproved(world, "canary") == []


async def test_a_stage_of_a_later_lab_needs_no_proof_of_the_earlier_one(remembering: Remembering) -> None:
    world = await stuck(remembering, "v3")
    world.world.objects["reviews"] = ("jason", "identity")
    assert await unproved(world, "identity") == []
    assert await world.run("identity") == 0
    assert world.world.verified == []


async def test_off_the_path_there_is_nothing_to_prove(remembering: Remembering) -> None:
    world = await stuck(remembering, "half")
    world.world.objects["reviews"] = ("80/20", "canary")
    assert await unproved(world, "canary") == []
    assert await world.run("canary") == 0
    assert world.world.verified == [f"reviews={stage}" for stage in STAGES]


async def test_a_stage_of_one_s_own_that_ended_at_a_stage_is_proved_as_that(remembering: Remembering) -> None:
    """As a promotion, killed when it had come to its end."""
    world = remembering(*canary())
    world.world.verdicts["reviews"] = Verdict("inconclusive", "cut off")
    assert await world.run("canary", options={"canary": {"weights": "mine"}}) == 3
    later = again(world, remembering)
    later.world.objects["reviews"] = ("v3", "canary")
    assert await unproved(later, "canary") == [("canary", 3)]


@pytest.mark.parametrize("undo", ["cleanup", "to none"])
async def test_what_was_taken_back_needs_no_proof(remembering: Remembering, undo: str) -> None:
    world = await stuck(remembering, "v1")
    if undo == "cleanup":
        assert await world.run("cleanup", yes=True) == 0
    else:
        assert await world.run("canary", to="none") == 0
    world.world.objects["reviews"] = ("v1", "canary")  # by hand
    assert await unproved(world, "canary") == []


class TakenBack(Measured):
    """A promotion that rolls back."""

    async def apply(self, run: Run) -> None:
        await super().apply(run)
        await self.undo(run)
        run.undone = True


async def test_what_the_step_itself_took_back_is_as_it_was(remembering: Remembering) -> None:
    world = remembering(lab("a", TakenBack("a1")))
    world.world.verdicts["a1"] = Verdict("fail", "rolled back")
    assert await world.run("a") == 1
    world.world.objects["a1"] = (1, "a")
    assert await unproved(world, "a") == []


async def test_a_record_of_another_ground_says_nothing_about_this_one(remembering: Remembering) -> None:
    """The sandbox was started again, or the context leads to another cluster now."""
    world = await stuck(remembering, "v1")
    other = again(world, remembering, place="two")
    assert await unproved(other, "canary") == []
    assert await other.run("canary", to="v1") == 0
    assert other.world.verified == []
    assert await unproved(again(world, remembering), "canary") == [("canary", 1)]


async def test_where_there_is_no_ground_nothing_is_remembered(remembering: Remembering) -> None:
    """A cluster that is yet to be made."""
    world = await stuck(remembering, "v1")
    assert await unproved(again(world, remembering, place=""), "canary") == []


async def test_steps_without_a_proof_are_never_written_down(remembering: Remembering, tmp_path: Path) -> None:
    world = remembering(lab("a", Put("a1"), Put("a2")))
    world.world.before_change = failing()
    assert await world.run("a") == 1
    assert Journal(tmp_path / "journal.sqlite").unproved() == frozenset()


async def test_a_plan_writes_nothing(remembering: Remembering, tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    world = remembering(*canary())
    await world.plan("canary")
    assert not journal.exists()
    world = await stuck(remembering, "v1")
    before = journal.read_bytes(), (tmp_path / "journal.sqlite-wal").read_bytes()
    assert await unproved(world, "canary", "identity") == [("canary", 1)]
    assert (journal.read_bytes(), (tmp_path / "journal.sqlite-wal").read_bytes()) == before


async def test_a_target_that_remembers_nothing_still_runs() -> None:
    world = bench(lab("a", Measured("a1")))
    world.world.verdicts["a1"] = Verdict("fail", "no")
    assert await world.run("a") == 1
    assert await world.run("a") == 0
