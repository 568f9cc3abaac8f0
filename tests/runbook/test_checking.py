"""A check says where the target is, proves it there, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.kit.engine import Bench, Measured, Moves, Object, Put, bench, failing, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.events import NeedsConverged
from workshop.runbook.journal import Journal, JournalProofRecord, ProofRecord
from workshop.runbook.model import Step, Together
from workshop.runbook.request import Request, refuse_with_check
from workshop.runbook.results import Check, Difference, Verdict
from workshop.runbook.run import Run

STAGES = ("v1", "half", "v3")


def rows(world: Bench) -> list[tuple[str, int, str, str]]:
    return [(it.lab, it.step, it.outcome, it.note) for it in world.steps()]


def moving(**objects: Object) -> Bench:
    """A lab with a timeline, and one that takes its object over."""
    first = lab("a", Measured("subsets"), Moves("r", STAGES))
    return bench(first, lab("b", Moves("r", ("user",), "v3", "v3"), needs=["a"]), objects=objects)


async def test_a_step_is_missing_or_proved_and_nothing_is_changed() -> None:
    world = bench(lab("a", Measured("a1"), Put("a2"), Measured("a3")), objects={"a1": (1, "a"), "a2": (2, "a")})
    assert await world.check("a") == 1
    assert rows(world) == [
        ("a", 1, "proved", ""),
        ("a", 2, "missing", ""),
        ("a", 3, "missing", ""),
    ]
    (missing,) = (await world.plan("a")).steps[1].check.differences
    assert world.steps()[1].check == Check((missing,))
    assert world.world.verified == ["a1=1"]
    assert world.world.changes == world.guard.asked == []
    assert world.world.observations == 2  # the check's and the plan's


async def test_what_depends_on_something_missing_is_not_measured() -> None:
    beside = Together((Measured("b1"), Measured("b2")))
    world = bench(
        lab("a", Put("a1"), Measured("a2")), lab("b", beside, needs=["a"]), lab("c", Measured("c1")),
        objects={"a2": (1, "a"), "b1": (1, "b"), "b2": (1, "b"), "c1": (1, "c")},
    )  # fmt: skip
    assert await world.check("a", "b", "c") == 1
    assert rows(world)[1:] == [
        ("a", 2, "skipped", "not measured: step 1 is missing"),
        ("b", 1, "skipped", "not measured: a is missing"),
        ("b", 2, "skipped", "not measured: a is missing"),
        ("c", 1, "proved", ""),
    ]
    assert await world.check("b") == 1
    assert rows(world)[1:] == [("b", n, "skipped", "not measured: a is missing") for n in (1, 2)]


async def test_steps_beside_each_other_do_not_depend_on_each_other() -> None:
    world = bench(lab("a", Together((Put("a1"), Measured("a2")))), objects={"a2": (1, "a")})
    assert await world.check("a") == 1
    assert [step.outcome for step in world.steps()] == ["missing", "proved"]


@pytest.mark.parametrize(("kind", "status"), [("fail", 1), ("inconclusive", 3)])
async def test_the_verdict_is_the_exit_status_and_nothing_is_written_down(
    kind: Literal["fail", "inconclusive"], status: int, tmp_path: Path
) -> None:
    async def here(run: Run) -> str:
        return "one"

    world = bench(lab("a", Measured("a1"), Measured("a2")), objects={"a1": (1, "a"), "a2": (1, "a")})
    world.tools[ProofRecord] = JournalProofRecord(Journal(tmp_path / "journal.sqlite"), here)
    world.world.verdicts["a1"] = Verdict(kind, "too few")
    assert await world.check("a", command="invoke lab.a --check") == status
    assert world.steps()[1].outcome == "skipped"
    assert world.finished().resume == ("invoke lab.a --check" if status == 3 else "")
    assert not (tmp_path / "journal.sqlite").exists()


class Waits(Measured):
    """Its verdict is how it would wait."""

    async def verify(self, run: Run) -> Verdict | None:
        return Verdict("inconclusive", f"{run.patience:g} s, {run.only_looks}")


async def test_a_proof_waits_less_where_nothing_has_just_been_changed_and_does_nothing_that_is_noticed() -> None:
    world, said = bench(lab("a", Waits("a1"))), list[str]()
    for look in (world.run, world.check):
        assert await look("a") == 3
        said += [event.verdict.reason for event in world.steps() if event.verdict]
    assert said == ["inf s, False", "10 s, True"]


async def test_a_proof_that_raises_has_failed() -> None:
    world = bench(lab("a", Measured("a1")), objects={"a1": (1, "a")})
    world.world.before_verify = failing("503")
    assert await world.check("a") == 1
    assert str(world.steps()[0].error) == "put a1: 503"


async def test_a_check_that_cannot_decide_has_failed() -> None:
    world = bench(lab("a", Put("a1"), Measured("a2")), objects={"a2": (1, "a")})

    async def unreachable(name: str) -> None:
        if name == "a1":
            raise UsageError("look", "nobody answers")

    world.world.before_look = unreachable
    assert await world.check("a") == 1
    assert rows(world) == [("a", 1, "failed", ""), ("a", 2, "skipped", "not measured: step 1 has failed")]


async def test_what_keeps_every_step_from_being_looked_at_is_told_once() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), Put("b2"), needs=["a"]))

    async def unreachable(name: str) -> None:
        raise UsageError("look", "nobody answers")

    world.world.before_look = unreachable
    assert await world.check("b") == 1
    assert [(step.outcome, bool(step.error), step.note) for step in world.steps()] == [
        ("failed", True, ""),
        ("failed", False, "for the same reason"),
        ("failed", False, "for the same reason"),
    ]


@pytest.mark.parametrize(
    ("objects", "row", "proved"),
    [
        ({}, ("a", 2, "missing", "before its first stage"), []),
        ({"r": ("half", "a")}, ("a", 3, "proved", "at stage half, 2 of 3"), ["r=half"]),
        ({"r": ("v3", "a")}, ("a", 4, "proved", "at stage v3, 3 of 3"), ["r=v3"]),
        ({"r": ("70/30", "a")}, ("a", 2, "missing", "off the path: 70/30"), []),
        ({"r": ("user", "b")}, ("a", 2, "unchanged", "superseded by b"), []),
    ],
)
async def test_a_timeline_is_proved_at_its_stage_and_later_ones_are_no_failure(
    objects: dict[str, Object], row: tuple[str, int, str, str], proved: list[str]
) -> None:
    world = moving(subsets=(1, "a"), **objects)
    assert await world.check("a") == (1 if row[2] == "missing" else 0)
    assert rows(world) == [("a", 1, "proved", ""), row]
    assert world.world.verified == ["subsets=1", *proved]
    assert world.world.changes == []


async def test_what_puts_a_step_right_is_the_lab() -> None:
    """The step by itself is refused where one before it is missing as well."""
    world = bench(lab("a", Put("a1"), Put("a2")))
    assert await world.check("a", step=2, command="invoke lab.a --check --step 2") == 1
    assert world.finished().resume == "invoke lab.a"


@pytest.mark.parametrize(
    ("asked", "status", "row"),
    [
        ({"to": "half"}, 0, (2, "proved", "")),
        ({"to": "v3"}, 1, (2, "missing", "")),
        ({"to": "none"}, 1, (2, "missing", "")),
        ({"options": {"a": {"weights": "half"}}}, 0, (2, "proved", "")),
        ({"options": {"a": {"weights": "80/20"}}}, 1, (2, "missing", "")),
        ({"step": 2}, 0, (2, "unchanged", "at stage half, 2 of 3")),
        ({"step": 3}, 0, (3, "proved", "at stage half, 2 of 3")),
        ({"step": 4}, 1, (4, "missing", "at stage half, 2 of 3")),
    ],
)
async def test_a_stage_or_a_step_that_is_asked_for(
    asked: dict[str, Any], status: int, row: tuple[int, str, str]
) -> None:
    world = moving(subsets=(1, "a"), r=("half", "a"))
    assert await world.check("a", **asked) == status
    assert rows(world)[-1] == ("a", *row)
    assert world.world.changes == []


async def test_weights_of_one_s_own_are_proved_where_they_are_there() -> None:
    world = moving(subsets=(1, "a"), r=("80/20", "a"))
    assert await world.check("a") == 1
    assert await world.check("a", options={"a": {"weights": "80/20"}}) == 0
    assert world.world.verified[-1] == "r=80/20"


async def test_at_a_stage_that_was_reached_by_hand_nobody_has_to_hold_the_object() -> None:
    world = moving(subsets=(1, "a"), r=("half", ""))
    assert await world.check("a", to="half") == 0
    assert await world.check("a") == 0


async def test_needs_are_looked_at_in_one_line_and_not_measured() -> None:
    world = bench(
        lab("a", Measured("a1")), lab("b", Put("b1"), needs=["a"]), lab("c", Measured("c1"), needs=["b"]),
        objects={"a1": (1, "a"), "b1": (1, "b"), "c1": (1, "c")},
    )  # fmt: skip
    assert await world.check("c") == 0
    assert [event.labs for event in world.of(NeedsConverged)] == [("a", "b")]
    assert rows(world) == [("c", 1, "proved", "")]
    assert world.world.verified == ["c1=1"]
    world.world.objects["b1"] = (2, "b")
    assert await world.check("c", command="invoke lab.c --check") == 1
    assert [event.labs for event in world.of(NeedsConverged)] == [("a",)]
    assert rows(world) == [("b", 1, "missing", ""), ("c", 1, "skipped", "not measured: b is missing")]
    assert world.finished().resume == "invoke lab.c"


async def test_a_need_that_was_applied_and_not_proved_cannot_be_told(tmp_path: Path) -> None:
    async def here(run: Run) -> str:
        return "one"

    world = bench(lab("a", Measured("a1")), lab("b", Measured("b1"), needs=["a"]))
    world.tools[ProofRecord] = JournalProofRecord(Journal(tmp_path / "journal.sqlite"), here)
    world.world.verdicts["a1"] = Verdict("inconclusive", "too few")
    assert await world.run("a") == 3
    world.world.objects["b1"] = (1, "b")
    assert await world.check("b") == 3
    assert rows(world)[0] == ("a", 1, "inconclusive", "applied, not proved: invoke lab.a --check measures it")
    del world.world.verdicts["a1"]
    assert await world.check("a") == 0
    assert (await world.plan("a")).steps[0].unproved  # a check has proved it, and written nothing down


async def test_of_a_clean_up_it_says_what_is_left() -> None:
    world = bench(lab("a", Put("a1"), Measured("a2")), lab("z", undoes=["a"]), objects={"a1": (1, "a")})
    assert await world.check("z", command="invoke lab.z --check") == 1
    assert rows(world) == [("z", 1, "unchanged", ""), ("z", 2, "left", "a")]
    assert world.finished().resume == "invoke lab.z"
    world.world.objects.clear()
    assert await world.check("z") == 0
    assert world.guard.asked == []


async def test_a_run_that_is_on_is_told_and_hinders_nothing() -> None:
    world = bench(lab("a", Measured("a1")), objects={"a1": (1, "a")})
    world.guard.refusal["refuse_if_held"] = UsageError("lock it", "another run has it: somebody, for 3 s")
    assert await world.check("a") == 0
    told = world.told
    assert told == ["another run has it: somebody, for 3 s: what is looked at may be changing"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it(number: int) -> None:
    world = bench(lab("a", Measured("a1"), Measured("a2")), objects={"a1": (1, "a"), "a2": (1, "a")})

    async def cut(name: str) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(60)

    world.world.before_verify = cut
    assert await world.check("a") == 130
    assert world.finished().exit_status == 130
    assert world.world.verified == []


@pytest.mark.parametrize("flag", ["plan", "explain", "undo", "verify", "only", "pause", "restart", "timings"])
def test_what_contradicts_it_is_refused_with_what_to_type(flag: str) -> None:
    modes = {mode: mode == flag for mode in ("plan", "explain", "undo")}
    asked = {} if flag in modes else {flag: True}
    request = Request(("a",), command=f"invoke lab.a --check --{flag}", **asked)
    with pytest.raises(UsageError) as refused:
        refuse_with_check(request, **modes)
    assert refused.value.tried == f"use --{flag} and --check together"
    assert refused.value.next_command == "invoke lab.a --check"
    refuse_with_check(Request(("a",), command="invoke lab.a --check"), plan=False, explain=False, undo=False)


class Grown(Put):
    """Somebody has added to it."""

    async def check(self, run: Run) -> Check:
        found = await super().check(run)
        return Check(found.differences, added=(Difference("object", "env[X]", found={"name": "X"}),))


async def test_what_was_added_by_hand_is_named_once_and_fails_nothing() -> None:
    steps: tuple[Step, ...] = (Grown("a1"), Grown("a2"))
    world = bench(lab("a", *steps), lab("b", Measured("b1"), needs=["a"]))
    assert await world.run("a", "b") == 0
    plan = await world.plan("b")
    assert [len(step.check.added) for step in plan.steps] == [1, 0, 0]
    assert not any(step.changes for step in plan.steps)
    assert await world.check("b") == 0
    assert [(it.lab, it.outcome, len(it.check.added)) for it in world.steps() if it.check] == [
        ("a", "unchanged", 1),
        ("b", "proved", 0),
    ]
    assert await world.check("a") == 0
