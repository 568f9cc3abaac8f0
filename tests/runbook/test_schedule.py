"""A timeline goes on from where its object is; it can be moved, begun again, left to a later lab, undone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.kit.engine import Bench, Moves, Object, Put, bench, lab
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Position
from workshop.runbook.results import Check, Difference
from workshop.runbook.run import Run


def canary(at: str = "", holder: str = "canary") -> Bench:
    """Base, then reviews through three stages; then identity, which moves reviews on; then after."""
    objects: dict[str, Object] = {"base": (1, "canary"), "end": (1, "canary")}
    if at:
        objects["reviews"] = (at, holder)
    return bench(
        lab("canary", Put("base"), Moves("reviews", ("v1", "half", "v3")), Put("end")),
        lab("identity", Moves("reviews", ("jason",), start="v3", start_value="v3"), needs=["canary"]),
        lab("after", Put("after"), needs=["identity"]),
        objects=objects,
    )


async def test_a_run_goes_through_all_stages_and_verifies_each() -> None:
    world = canary()
    assert await world.run("canary") == 0
    assert world.world.verified == ["reviews=v1", "reviews=half", "reviews=v3"]
    assert world.outcomes() == ["unchanged", "changed", "changed", "changed", "unchanged"]
    assert [event.title for event in world.steps()][1:4] == [
        f"Move reviews to {name}" for name in ("v1", "half", "v3")
    ]
    assert await world.run("canary") == 0
    assert set(world.outcomes()) == {"unchanged"}


async def test_a_run_goes_on_from_where_the_object_is() -> None:
    world = canary("half")
    await world.run("canary")
    assert world.changed() == {("canary", 4)}
    assert world.steps()[2].note == "the cluster is here"


class Damaged(Moves):
    """Where somebody has taken a part away, and what it is at is still known."""

    async def position(self, run: Run) -> Position:
        there = await super().position(run)
        part = (Difference(self.name, "part", "there", "taken away"),) if there.moved_by == "somebody" else ()
        return replace(there, differences=part)


async def test_what_is_damaged_at_its_stage_is_repaired_there() -> None:
    world = bench(lab("canary", Damaged("reviews", ("v1", "half"))), objects={"reviews": ("half", "somebody")})
    assert await world.run("canary") == 0
    assert world.outcomes() == ["unchanged", "changed"]
    await world.run("canary")
    assert world.outcomes() == ["unchanged", "unchanged"]


async def test_verify_measures_where_the_object_is_and_nothing_behind_it() -> None:
    world = canary("half")
    await world.run("canary", verify=True)
    assert world.world.verified == ["reviews=half", "reviews=v3"]


async def test_to_moves_straight_to_a_stage_and_leaves_what_is_later() -> None:
    world = canary()
    del world.world.objects["end"]
    assert await world.run("canary", to="half") == 0
    assert world.world.changes == ["reviews"]
    assert world.world.verified == ["reviews=half"]
    assert len(world.outcomes()) == 2


async def test_to_goes_back_too_and_the_next_run_goes_on_from_there() -> None:
    world = canary("v3")
    assert await world.run("canary", to="v1") == 0
    assert world.world.objects["reviews"] == ("v1", "canary")
    assert await world.run("canary", to="v1") == 0
    assert set(world.outcomes()) == {"unchanged"}
    await world.run("canary")
    assert world.world.verified == ["reviews=v1", "reviews=half", "reviews=v3"]


async def test_to_the_start_undoes_the_timeline() -> None:
    world = canary("half")
    assert await world.run("canary", to="none") == 0
    assert "reviews" not in world.world.objects


async def test_restart_begins_again_at_the_first_stage() -> None:
    world = canary("v3")
    assert await world.run("canary", restart=True) == 0
    assert world.world.verified == ["reviews=v1", "reviews=half", "reviews=v3"]


async def test_off_the_path_is_named_and_begins_at_the_first_stage() -> None:
    world = canary("80/20")
    assert await world.run("canary") == 0
    first = world.steps()[1]
    assert first.check == Check((Difference("reviews", "", "v1", "80/20"),), "off the path: 80/20")
    assert first.note == "off the path: 80/20"
    assert world.changed() == {("canary", 2), ("canary", 3), ("canary", 4)}


async def test_a_stage_of_ones_own_runs_alone_and_only_once() -> None:
    world = canary("v3")
    options = {"canary": {"weights": "80/20"}}
    assert await world.run("canary", options=options) == 0
    assert world.world.changes == ["reviews"]
    assert world.world.verified == ["reviews=80/20"]
    assert await world.run("canary", options=options) == 0
    assert set(world.outcomes()) == {"unchanged"}


@pytest.mark.parametrize("asked", [{"to": "v1"}, {"restart": True}, {"step": 2}])
async def test_a_stage_of_ones_own_contradicts_what_says_where_to_begin(
    asked: dict[str, object],
) -> None:
    world = canary("v3")
    assert await world.run("canary", options={"canary": {"weights": "80/20"}}, **asked) == 2
    assert world.finished().error.next_command == "invoke lab.canary --weights 80/20"  # type: ignore[union-attr]
    assert world.world.changes == []


async def test_options_that_make_no_stage_are_wrong_usage() -> None:
    world = canary()
    assert await world.run("canary", options={"canary": {"weights": "wrong"}}) == 2
    assert isinstance(world.finished().error, UsageError)
    assert world.world.changes == []


async def test_as_a_need_a_superseded_timeline_counts_as_converged() -> None:
    world = canary("jason", "identity")
    assert await world.run("after") == 0
    assert world.changed() == {("after", 1)}
    assert [event.note for event in world.steps()[1:4]] == ["superseded by identity"] * 3


async def test_in_a_longer_run_a_superseded_timeline_counts_as_converged() -> None:
    world = canary("jason", "identity")
    assert await world.run("canary", "identity", "after", verify=True) == 0
    assert world.changed() == {("after", 1)}
    assert world.world.verified == ["reviews=jason"]


async def test_what_else_a_superseded_lab_puts_is_still_repaired() -> None:
    world = canary("jason", "identity")
    del world.world.objects["base"]
    await world.run("after")
    assert world.changed() == {("canary", 1), ("after", 1)}


async def test_asked_for_by_its_own_name_a_superseded_lab_begins_again() -> None:
    world = canary("jason", "identity")
    assert await world.run("canary") == 0
    assert world.world.verified == ["reviews=v1", "reviews=half", "reviews=v3"]
    await world.run("identity")
    assert world.world.objects["reviews"] == ("jason", "identity")


async def test_it_begins_again_even_where_a_later_lab_left_it_at_a_stage() -> None:
    world = canary("v3", "identity")
    await world.run("canary")
    assert world.world.verified[0] == "reviews=v1"


async def test_a_position_held_by_this_lab_or_by_nobody_known_is_gone_on_from() -> None:
    for holder in ("canary", ""):
        world = canary("half", holder)
        await world.run("canary")
        assert world.changed() == {("canary", 4)}


async def test_one_stage_can_be_run_alone_when_those_before_are_behind() -> None:
    world = canary("v1")
    assert await world.run("canary", step=4) == 2
    assert world.finished().error.next_command == "invoke lab.canary --step 3"  # type: ignore[union-attr]
    assert await world.run("canary", step=3) == 0
    assert world.world.objects["reviews"][0] == "half"


async def test_a_run_that_failed_midway_resumes_without_beginning_again() -> None:
    world = canary("v3")

    async def fail_at_half(name: str) -> None:
        if world.world.objects["reviews"][0] == "v1":
            raise RuntimeError("no")

    world.world.before_change = fail_at_half
    request = {"restart": True}
    assert await world.run("canary", **request) == 1
    assert "--restart" not in world.finished().resume
    assert world.outcomes() == ["unchanged", "changed", "failed", "skipped", "skipped"]
