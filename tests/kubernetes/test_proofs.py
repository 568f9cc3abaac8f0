"""Proofs that hold only before a lab's first change."""

from __future__ import annotations

import pytest

from tests.kit.engine import Moves, Object, World
from workshop.kubernetes.proofs import proofs_at, prove_all
from workshop.runbook.results import Verdict
from workshop.runbook.run import Facts, Run


class Always:
    async def prove(self, run: Run) -> Verdict:
        return Verdict("pass", "proved")

    def commands(self, run: Run) -> tuple[str, ...]:
        return ()


@pytest.mark.parametrize(
    ("objects", "at_start", "at_v1"),
    [
        ({}, True, False),
        ({"reviews": ("v1", "a")}, False, True),
        ({"reviews": ("v3", "a")}, False, False),
        ({"reviews": ("80/20", "a")}, False, False),
    ],
)
async def test_they_are_run_at_their_stage_alone(objects: dict[str, Object], at_start: bool, at_v1: bool) -> None:
    timeline = Moves("reviews", ("v1", "v3"))
    run = Run("a", {World: World(objects)}, Facts(), {}, lambda event: None)
    for stage, proved in ((timeline.start, at_start), ("v1", at_v1)):
        proofs = proofs_at(timeline, stage, lambda run: (Always(),))(run)
        assert bool(await prove_all(run, proofs)) is proved
