"""Back to a known state, whatever the world is like; and what that state is."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.engine import Bench, Measured, Moves, Object, Put, World, bench, lab
from tests.kit.laws import LAW
from tests.runbook.strategies import Case, objects, runbooks
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.protection import RunLock
from workshop.runbook.reset import State, state_of
from workshop.runbook.run import unheard

STAGES = ("v1", "half", "v3")


def three(**there: Object) -> Bench:
    return bench(
        lab("a", Put("a-1")),
        lab("b", Measured("b-1"), Moves("r", STAGES), needs=["a"]),
        lab("c", Measured("c-1"), Moves("r", ("user",), "v3", "v3", "b"), needs=["b"]),
        objects={name.replace("_", "-"): one for name, one in there.items()},
    )


AFTER_B: dict[str, Object] = {"a-1": (1, "a"), "b-1": (1, "b"), "r": ("v3", "b")}
ALL: dict[str, Object] = {**AFTER_B, "c-1": (1, "c"), "r": ("user", "c")}


@pytest.mark.parametrize(
    ("to", "before", "state"),
    [
        ("a", "", State(("a",), ("b", "c"), "", "just after a")),
        ("c", "", State(("a", "b", "c"), (), "", "just after c")),
        ("", "c", State(("a", "b"), ("c",), "", "just before c")),
        ("b:half", "", State(("a", "b"), ("c",), "half", "just after b:half")),
        ("b:v3", "", State(("a", "b"), ("c",), "", "just after b:v3")),
        ("clean", "", State((), ("a", "b", "c"))),
        ("", "a", State((), ("a", "b", "c"))),
    ],
)
def test_what_is_asked_for(to: str, before: str, state: State) -> None:
    assert state_of(three().runbook, ("a", "b", "c"), to=to, before=before) == state


@pytest.mark.parametrize(
    ("to", "before", "next_command"),
    [
        ("", "", "invoke reset --to a"),
        ("a", "b", "invoke reset --to a"),
        ("d", "", "invoke reset --to a"),
        ("claen", "", "invoke reset --to clean"),
        ("", "clean", "invoke reset --before a"),
        ("b:hafl", "", "invoke reset --to b:half"),
        ("b:zzz", "", "invoke reset --to b"),
        ("a:half", "", "invoke reset --to a"),
        ("", "b:half", "invoke reset --before b"),
    ],
)
def test_what_is_no_state_is_refused_with_the_nearest_one(to: str, before: str, next_command: str) -> None:
    with pytest.raises(UsageError) as refused:
        state_of(three().runbook, ("a", "b", "c"), to=to, before=before)
    assert refused.value.next_command == next_command


@pytest.mark.parametrize(
    ("to", "cause"),
    [("claen", "did you mean clean?"), ("elsewhere", "the states are those of a, b, c, and clean")],
)
def test_what_is_likely_meant_is_said_and_all_states_only_where_nothing_is(to: str, cause: str) -> None:
    with pytest.raises(UsageError) as refused:
        state_of(three().runbook, ("a", "b", "c"), to=to, before="")
    assert refused.value.cause == cause


@pytest.mark.parametrize("there", [{}, {**ALL}, {"r": ("v9", "c")}, {"b-1": (7, "b"), "old-1": (1, "gone")}])
async def test_back_to_a_lab_from_anywhere(there: dict[str, Object]) -> None:
    world = three()
    world.world.objects = dict(there)
    statuses, found = await world.reset(to="b")
    assert statuses == [0, 0]
    assert world.world.objects == AFTER_B
    assert (found.equal, found.objects) == (True, 3)
    assert "half" not in "".join(world.world.verified)  # straight to the last stage
    assert "r=v3" in world.world.verified


async def test_to_a_stage_and_to_clean() -> None:
    world = three(**{name.replace("-", "_"): one for name, one in ALL.items()})
    assert (await world.reset(to="b:half"))[0] == [0, 0, 0]
    assert world.world.objects == {**AFTER_B, "r": ("half", "b")}
    assert (await world.reset(to="b:half"))[1].equal
    assert (await world.reset(to="clean"))[0] == [0]
    assert world.world.objects == {}


async def test_without_proofs_nothing_is_measured() -> None:
    world = three()
    statuses, found = await world.reset(to="b", proofs=False)
    assert (statuses, found.equal, world.world.verified) == ([0, 0], True, [])


async def test_what_others_have_made_stays_and_is_told() -> None:
    world = three(a_mine=(1, ""))
    _, found = await world.reset(to="b")
    assert world.world.objects == {**AFTER_B, "a-mine": (1, "")}
    assert (found.equal, found.foreign) == (True, ("a-mine",))
    await world.reset(to="b", foreign=True)
    assert world.world.objects == AFTER_B


async def test_what_others_have_made_is_not_taken_along() -> None:
    world = three(**{name.replace("-", "_"): one for name, one in ALL.items()}, c_mine=(1, ""))
    before = dict(world.world.objects)
    with pytest.raises(WorkshopError, match="c-mine") as refused:
        await world.reset(to="b")
    assert refused.value.next_command == "invoke reset --to b --foreign"
    assert world.world.objects == before
    await world.reset(to="b", foreign=True)
    assert world.world.objects == AFTER_B


async def test_one_lock_is_held_from_the_clean_up_to_the_end_of_the_run() -> None:
    """Another run that came in between would change what the comparison then calls wrong."""
    world = three(c_1=(1, "c"))
    assert (await world.reset(to="b"))[0] == [0, 0]
    assert (world.guard.asked.count("hold"), world.guard.released) == (1, 1)
    await world.reset(to="b", proofs=False)
    assert world.guard.asked.count("hold") == 1, "what finds nothing to change takes no lock"


async def test_a_lock_lost_in_one_run_is_not_there_for_the_next() -> None:
    world = three()
    lock = RunLock(world.guard)
    await lock.take(unheard, destroys=True)
    world.guard.lost.set()
    while lock.held:  # noqa: ASYNC110 - it is ours to say when
        await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup):
        await lock.take(unheard, destroys=True)
    await lock.release()


async def test_what_cannot_be_put_right_is_named() -> None:
    world = three(**{name.replace("-", "_"): one for name, one in ALL.items()})

    async def stuck(name: str) -> None:
        if name == "b-1":
            raise WorkshopError("put b-1", "a finalizer holds it")

    world.world.objects["b-1"] = (2, "b")
    world.world.before_change = stuck
    statuses, found = await world.reset(to="b")
    assert statuses == [0, 1]
    assert [one.name for one in found.wrong] == ["b"]
    assert not found.equal


@st.composite
def anywhere(draw: st.DrawFn) -> tuple[Case, str]:
    runbook = draw(runbooks())
    case = Case(runbook, draw(objects(runbook)), [])
    return case, draw(st.sampled_from(["clean", *case.all_labs]))


@settings(LAW, max_examples=150)
@given(anywhere())
async def test_a_reset_ends_where_the_labs_end_on_an_empty_world(drawn: tuple[Case, str]) -> None:
    case, to = drawn
    world = case.bench()
    others = {name: one for name, one in case.objects.items() if not one[1]}
    statuses, found = await world.reset(to=to)
    assert set(statuses) == {0}
    assert found.equal, (found.wrong, found.left)
    fresh = Bench(case.runbook, World(dict(others)))
    names = case.all_labs
    if to != "clean":
        assert await fresh.run(*names[: names.index(to) + 1]) == 0
    assert world.world.objects == fresh.world.objects
    assert (await world.reset(to=to))[0] == statuses
    assert world.world.objects == fresh.world.objects
