"""What a runbook is made of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.engine import Put, World, lab
from workshop.runbook.model import Runbook, Step, WrappedStep
from workshop.runbook.results import Check, Difference
from workshop.runbook.run import Facts, Run


def test_a_wrapped_step_passes_on_all_that_a_step_does() -> None:
    """Else what is forgotten is the default's: no proof, nothing to undo."""
    does = {name for name, thing in vars(Step).items() if callable(thing) and not name.startswith("_")}
    assert does <= set(vars(WrappedStep))


class LeftOut(WrappedStep):
    def inner_run(self, run: Run) -> Run | None:
        return None


async def test_a_wrapped_step_is_the_inner_one_or_nothing() -> None:
    world = World()
    run = Run("a", {World: world}, Facts(), {}, lambda event: None)
    inner = Put("a1")
    assert await WrappedStep(inner).check(run) == await inner.check(run)
    assert WrappedStep(inner).explain(run) == inner.explain(run)
    out = LeftOut(inner)
    await out.apply(run)
    await out.undo(run)
    assert world.changes == []
    assert await out.check(run) == Check(note="left out", left_out=True)
    assert (await out.check_undo(run)).converged
    assert not out.has_proof(run)
    await WrappedStep(inner).apply(run)
    assert world.changes == ["a1"]


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


@pytest.mark.parametrize("more", [{"needs": ["later"]}, {"undoes": ["later"]}])
def test_a_lab_needs_what_comes_before_it(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a needs later, which does not come before it"):
        Runbook((lab("a", **more), lab("later")))
