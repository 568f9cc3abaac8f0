"""What a step stands on, looked at when its proof does not pass: who has taken a piece of it away."""

from __future__ import annotations

import pytest

from tests.kit.engine import Bench, Measured, Moves, Object, Put, bench, failing, lab
from workshop.runbook.model import Step, Together
from workshop.runbook.results import Verdict
from workshop.runbook.run import Run


class Asking(Measured):
    """It fails for what is not as it should be."""

    async def verify(self, run: Run) -> Verdict | None:
        await super().verify(run)
        run.facts.forget()
        run.undone = self.name == "taken back"
        found = ", ".join(f"{name} {difference.subject}" for name, difference in await run.deviations())
        return Verdict("fail", found) if found else Verdict("pass", "")


class AskingTimeline(Moves):
    def step(self, stage: str, run: Run) -> Step:
        return Asking(self.name, stage)


def standing_on_much() -> Bench:
    """`own` has two steps that ask, and a timeline that does."""
    beside = Together((Put("beside1"), Put("beside2")))
    own = (Put("before"), Asking("asking"), AskingTimeline("blue", ("v1",)), Asking("taken back"), Put("after"))
    return bench(
        lab("far", Put("far")),
        lab("near", Put("near"), beside, Moves("red", ("v1", "v2")), needs=["far"]),
        lab("foreign", Put("foreign")),
        lab("own", *own, needs=["near"]),
    )


@pytest.mark.parametrize(
    ("proof", "gone", "there", "said"),
    [
        ("asking", "far", None, "far far"),
        ("asking", "near", None, "near near"),
        ("asking", "near", (2, "near"), "near near"),
        ("asking", "beside2", None, "near beside2"),
        ("asking", "before", None, "own before"),
        ("asking", "asking", None, "own asking"),
        ("asking", "foreign", None, ""),
        ("blue", "asking", None, "own asking"),
        ("taken back", "taken back", None, ""),
        # An object that a timeline moves has to be at its end, unless a later lab has moved it on.
        ("asking", "red", None, "near red"),
        ("asking", "red", ("v1", "near"), "near red"),
        ("asking", "red", ("further", "own"), ""),
        # How far the lab's own ones are is the lab's to say: it may have been asked for a stage.
        ("blue", "blue", None, ""),
        ("taken back", "blue", None, ""),
    ],
)
async def test_what_is_not_as_it_should_be_while_a_proof_runs(
    proof: str, gone: str, there: Object | None, said: str
) -> None:
    world = standing_on_much()
    assert await world.run("foreign") == 0

    async def take_away(name: str) -> None:
        if name == proof:
            del world.world.objects[gone]
            world.world.objects |= {gone: there} if there else {}

    world.world.before_verify = take_away
    assert await world.run("own") == (1 if said else 0)
    verdicts = [event.verdict.reason for event in world.steps() if event.lab == "own" and event.verdict]
    assert "".join(verdicts) == said


async def test_what_cannot_be_looked_at_is_left_out() -> None:
    world = standing_on_much()

    async def unreachable(name: str) -> None:
        if name == "asking":
            world.world.before_look = failing()

    world.world.before_verify = unreachable
    await world.run("own")
    (verdict,) = [event.verdict for event in world.steps() if event.title == "Put asking"]
    assert verdict == Verdict("pass", "")
