"""What a runbook is made of."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from tests.kit.engine import Put, World, lab
from workshop.runbook.model import Lab, Runbook, Step, WrappedStep
from workshop.runbook.results import Check, Difference, Explanation, HeldUp
from workshop.runbook.run import Facts, Run

METHODS = sorted(name for name, thing in vars(Step).items() if callable(thing) and not name.startswith("_"))


class LeftOut(WrappedStep):
    def inner_run(self, run: Run) -> Run | None:
        return None


class Elsewhere(WrappedStep):
    def inner_run(self, run: Run) -> Run | None:
        return run.elsewhere("secondary", {})


async def called(step: Step, name: str, run: Run) -> Any:
    given = (run,) if "run" in inspect.signature(getattr(Step, name)).parameters else ()
    result = getattr(step, name)(*given)
    return await result if inspect.isawaitable(result) else result


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrapped_step_is_the_inner_one_in_its_run_or_nothing(name: str) -> None:
    """All that a step does: what is forgotten would be the default's, no proof and nothing to undo."""
    run = Run("a", {}, Facts(), {}, lambda event: None)
    inner, found, places = Put("a1"), object(), list[str]()

    async def later(run: Run) -> object:
        places.append(run.place)
        return found

    def at_once(run: Run | None = None) -> object:
        places.append(run.place if run else "secondary")
        return found

    waits = inspect.iscoroutinefunction(getattr(Step, name))
    setattr(inner, name, later if waits else at_once)
    returned = await called(Elsewhere(inner), name, run)
    assert returned is (None if name in ("apply", "settle", "undo") else found)
    assert places == ["secondary"]
    if name != "others":  # which is asked only where a step has done something
        assert await called(LeftOut(inner), name, run) == NOTHING.get(name)
        assert len(places) == 1


NOTHING = {
    "check": Check(note="left out", left_out=True),
    "check_readiness": Check(),
    "check_undo": Check(),
    "explain": Explanation(),
    "explain_undo": Explanation(),
    "has_proof": False,
    "held_up": HeldUp(),
    "look_at": (),
    "made": frozenset(),
}


def test_what_a_step_s_apply_leaves_for_its_verify_is_the_run_s() -> None:
    step = Put("a1")
    run, other = (Run("a", {}, Facts(), {}, lambda event: None) for _ in "ab")
    run.keep(step, "found")
    assert (run.kept(step), other.kept(step), run.kept(Put("a1"))) == ("found", None, None)
    assert run.elsewhere("secondary", {}).kept(step) == "found"
    assert run.of_lab("b").kept(step) is None


async def test_elsewhere_a_run_has_other_tools_and_asks_for_its_prerequisites_at_home() -> None:
    asked: list[Run] = []

    class Made:
        async def deviations(self, run: Run) -> tuple[tuple[str, Difference], ...]:
            asked.append(run)
            return (("a", Difference("Namespace a")),)

    run = Run("b", {World: World()}, Facts(), {}, lambda event: None, prerequisites=Made())
    there = run.elsewhere("secondary", {World: (other := World())})
    assert (there.place, there.use(World)) == ("secondary", other)
    assert await there.deviations() == (("a", Difference("Namespace a")),)
    assert asked == [run]
    assert await run.of_lab("a").deviations() == ()


@pytest.mark.parametrize("field", ["needs", "undoes", "apart_from"])
def test_a_lab_names_what_comes_before_it(field: str) -> None:
    with pytest.raises(ValueError, match="a names later, which does not come before it"):
        Runbook((replace(lab("a"), **{field: ("later",)}), lab("later")))


def test_where_a_lab_is_declared_is_no_part_of_what_it_is() -> None:
    assert Lab("a.b", "", "") == Lab("a.b", "", "", file="elsewhere.py", line=3)
