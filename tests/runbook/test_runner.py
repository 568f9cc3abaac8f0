"""Labs and steps converge in order, from shared facts; what fails ends its lab and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.kit.engine import Everything, Measured, Put, World, bench, failing, lab
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.events import Detail, LabStarted, RunStarted, StepPhase, StepStarted, Told, Waiting
from workshop.runbook.model import Together
from workshop.runbook.results import Check, Hint, Verdict
from workshop.runbook.run import Run
from workshop.runbook.stop import Stopped


async def test_needs_converge_first_and_a_second_run_changes_nothing_from_one_observation() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")), lab("b", Put("b1"), needs=["a"]), lab("c", Put("c1")))
    assert await world.run("b") == 0
    assert world.world.changes == ["a1", "a2", "b1"]
    assert world.outcomes() == ["changed"] * 3
    assert world.guard.held == world.guard.released == 1

    world.world.observations = 0
    world.guard.asked.clear()
    assert await world.run("b") == 0
    assert world.outcomes() == ["unchanged"] * 3
    assert world.world.observations == 1
    assert world.guard.asked == []


async def test_a_need_says_whose_need_it_is() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), needs=["a"]))
    await world.run("b")
    assert world.events[0] == RunStarted("", ("a", "b"), "memory", 2, 1, asked=("b",))
    assert world.of(LabStarted) == [
        LabStarted("a", "Lab a", 1, ("b",)),
        LabStarted("b", "Lab b", 1),
    ]


async def test_a_part_may_wait_for_a_lab_that_its_own_lab_does_not_wait_for() -> None:
    registry_done, cluster_begun = asyncio.Event(), asyncio.Event()

    async def before(name: str) -> None:
        if name == "registry":
            await cluster_begun.wait()
            registry_done.set()
        elif name == "cluster":
            cluster_begun.set()
        elif name == "role":
            assert registry_done.is_set()

    world = bench(lab("acr", Put("registry")), lab("aks", Put("cluster"), Together((Put("role"),), after=("acr",))))
    world.world.before_change = before
    assert await asyncio.wait_for(world.run("aks"), 60) == 0
    assert world.world.changes[-1] == "role"
    needed_by = [event.needed_by for event in world.of(LabStarted)]
    assert needed_by == [("aks",), ()]


async def test_a_part_is_skipped_when_what_it_waits_for_has_failed() -> None:
    async def before(name: str) -> None:
        if name == "registry":
            raise WorkshopError("put registry", "no")

    world = bench(lab("acr", Put("registry")), lab("aks", Put("cluster"), Together((Put("role"),), after=("acr",))))
    world.world.before_change = before
    assert await world.run("aks") == 1
    assert world.world.changes == ["cluster"]
    assert sorted(world.outcomes()) == ["changed", "failed", "skipped"]


async def test_facts_are_observed_again_only_after_a_change() -> None:
    world = bench(lab("a", Put("a1"), Put("a2"), Put("a3")), objects={"a1": (1, "a"), "a3": (1, "a")})
    await world.run("a")
    assert world.outcomes() == ["unchanged", "changed", "unchanged"]
    # Before; again once the lock is ours, since another run may have changed things until then; after the change.
    assert world.world.observations == 3


async def test_a_change_by_another_run_before_the_lock_was_ours_is_seen() -> None:
    world = bench(lab("a", Put("a1")))
    world.guard.on_held = lambda: world.world.objects.update(a1=(1, "a"))
    assert await world.run("a") == 0
    assert world.outcomes() == ["unchanged"]
    assert world.world.changes == []


async def test_verification_follows_a_change_and_only_then() -> None:
    world = bench(lab("a", Measured("a1")))
    await world.run("a")
    await world.run("a")
    assert world.world.verified == ["a1=1"]
    assert await world.run("a", verify=True) == 0
    assert world.world.verified == ["a1=1", "a1=1"]
    assert world.outcomes() == ["unchanged"]


@pytest.mark.parametrize(
    ("kind", "outcome", "status"), [("fail", "failed", 1), ("inconclusive", "inconclusive", 3)]
)
async def test_a_verdict_that_is_no_pass_ends_the_chain_and_labs_that_need_it(
    kind: str, outcome: str, status: int
) -> None:
    world = bench(
        lab("a", Measured("a1"), Put("a2")),
        lab("b", Put("b1"), needs=["a"]),
        lab("c", Put("c1")),
    )
    world.world.verdicts["a1"] = Verdict(kind, "not as expected")  # type: ignore[arg-type]
    assert await world.run("a", "b", "c") == status
    assert world.outcomes("a") == [outcome, "skipped"]
    assert world.outcomes("b") == ["skipped"]
    assert world.outcomes("c") == ["changed"]
    assert world.labs_finished() == {"a": False, "b": False, "c": True}
    assert world.finished().counts == {outcome: 1, "skipped": 2, "changed": 1}
    assert world.finished().resume == "invoke lab.a lab.b lab.c"


class TakesBack(Measured):
    """Puts its object, and ends as the world says once it has taken it away again."""

    async def apply(self, run: Run) -> None:
        await super().apply(run)
        await self.undo(run)
        run.undone = True
        await run.use(World).before_verify(self.name)


async def test_a_change_that_was_taken_back_is_to_be_made_again_not_verified() -> None:
    world = bench(lab("a", TakesBack("a1")))
    world.world.verdicts["a1"] = Verdict("fail", "rolled back")
    assert await world.run("a") == 1
    assert world.steps()[0].undone
    assert world.finished().resume == "invoke lab.a"


class ShowsWhatIsBack(TakesBack):
    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        return (Hint("open", "http://page", "as before"),)

    def others(self) -> tuple[tuple[str, str], ...]:
        return (("--promote v3", "another version"),)


@pytest.mark.parametrize(("kind", "resume"), [("fail", ""), ("inconclusive", "invoke lab.a")])
async def test_after_a_verdict_that_took_a_change_back_something_else_is_to_be_tried(
    kind: str, resume: str
) -> None:
    """The same command would end the same. What could not be measured may be, the next time."""
    world = bench(lab("a", ShowsWhatIsBack("a1")))
    world.world.verdicts["a1"] = Verdict(kind, "rolled back")  # type: ignore[arg-type]
    await world.run("a")
    assert world.finished().resume == resume
    hints = [f"{hint.kind} {hint.what}" for hint in world.finished().hints]
    wanted = ["open http://page", "try invoke lab.a --promote v3", "undo invoke lab.a --undo"]
    assert hints == ([] if resume else wanted)


async def test_a_change_that_was_taken_back_when_it_was_interrupted_is_none() -> None:
    async def interrupted(name: str) -> None:
        raise Stopped

    world = bench(lab("a", TakesBack("a1")))
    world.world.before_verify = interrupted
    assert await world.run("a") == 3
    (step,) = world.steps()
    assert (step.outcome, step.note, step.undone) == ("inconclusive", "interrupted, and taken back", True)
    assert world.finished().resume == "invoke lab.a"


async def test_what_fails_to_apply_is_told_with_its_error_and_nothing_after_it_runs() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")), lab("b", Put("b1"), needs=["a"]))
    world.world.before_change = failing("forbidden")
    assert await world.run("b") == 1
    first, second, third = world.steps()
    assert isinstance(first.error, WorkshopError)
    assert first.error.came_back == "forbidden"
    assert (second.outcome, second.note) == ("skipped", "a step before has not converged")
    assert (third.outcome, third.note) == ("skipped", "a has not converged")
    assert world.guard.released == 1
    assert world.finished().resume == "invoke lab.b"


async def test_any_exception_is_a_failure_not_a_crash() -> None:
    async def bug(name: str) -> None:
        raise KeyError(name)

    world = bench(lab("a", Put("a1")))
    world.world.before_look = bug
    assert await world.run("a") == 1
    assert isinstance(world.steps()[0].error, KeyError)


async def test_wrong_usage_found_by_a_step_is_exit_status_2() -> None:
    async def refuse(name: str) -> None:
        raise UsageError("read the options", "no")

    world = bench(lab("a", Put("a1")))
    world.world.before_look = refuse
    assert await world.run("a") == 2


class Unreachable(WorkshopError):
    """Of a cluster that is not there: a matter of configuration, as long as nothing of it was seen."""

    exit_status = 2


@pytest.mark.parametrize(("ends_at", "status"), [("a1", 2), ("a2", 1)])
async def test_what_is_not_there_is_wrong_usage_and_what_goes_away_later_a_failure(
    ends_at: str, status: int
) -> None:
    async def end(name: str) -> None:
        if name == ends_at:
            raise Unreachable("get pods", "refused")

    world = bench(lab("a", Put("a1"), Put("a2")))
    assert await world.run("a", step=1) == 0
    world.world.before_look = end
    assert await world.run("a") == status


async def test_what_goes_away_before_the_lock_is_taken_is_a_failure() -> None:
    world = bench(lab("a", Put("a1")))
    world.guard.refusal["hold"] = Unreachable("create lease", "refused")
    assert await world.run("a") == 1


async def test_independent_labs_overlap_and_dependent_ones_do_not() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1")), lab("c", Put("c1"), needs=["a", "b"]))
    both = asyncio.Barrier(2)

    async def meet(name: str) -> None:
        if name in ("a1", "b1"):
            async with asyncio.timeout(60):
                await both.wait()

    world.world.before_change = meet
    assert await world.run("c") == 0
    assert world.world.changes[-1] == "c1"


async def test_a_lab_waits_for_those_it_is_apart_from_however_they_end_and_needs_none_of_them() -> None:
    alone = replace(lab("c", Put("c1")), apart_from=("a", "b"))
    world = bench(lab("a", Put("a1")), lab("b", Put("b1")), alone)
    assert await world.run("c") == 0
    assert world.world.changes == ["c1"]

    world = bench(lab("a", Put("a1")), lab("b", Put("b1")), alone)
    before_a_ended: list[str] = []

    async def fail_late(name: str) -> None:
        if name == "a1":
            for _ in range(20):
                await asyncio.sleep(0)
            before_a_ended.extend(world.world.changes)
            raise WorkshopError("put a1", "no")

    world.world.before_change = fail_late
    assert await world.run("a", "b", "c") == 1
    assert before_a_ended == ["b1"]
    assert world.world.changes == ["b1", "c1"]


async def test_steps_together_overlap_and_the_next_waits_for_all() -> None:
    world = bench(lab("a", Together((Put("a1"), Put("a2"))), Put("a3")))
    both = asyncio.Barrier(2)

    async def meet(name: str) -> None:
        if name != "a3":
            async with asyncio.timeout(60):
                await both.wait()

    world.world.before_change = meet
    assert await world.run("a") == 0
    assert world.world.changes[-1] == "a3"
    assert sorted(event.step for event in world.steps()) == [1, 2, 3]


async def test_a_failure_among_steps_together_lets_the_others_finish() -> None:
    world = bench(lab("a", Together((Put("a1"), Put("a2"))), Put("a3")))

    async def fail_first(name: str) -> None:
        if name == "a1":
            raise WorkshopError("put a1", "no")
        for _ in range(5):
            await asyncio.sleep(0)

    world.world.before_change = fail_first
    assert await world.run("a") == 1
    assert sorted(world.outcomes()) == ["changed", "failed", "skipped"]


async def test_checks_at_the_same_time_share_one_observation() -> None:
    world = bench(*(lab(name, Put(name)) for name in "abc"), objects={name: (1, name) for name in "abc"})
    await world.run("a", "b", "c")
    assert world.world.observations == 1


async def test_only_refuses_and_names_the_command_to_run() -> None:
    world = bench(
        lab("a", Put("a1")),
        lab("b", Put("b1"), needs=["a"]),
        lab("c", Put("c1")),
        lab("d", Put("d1"), needs=["b", "c"]),
        objects={"c1": (1, "c")},
    )
    assert await world.run("d", only=True) == 2
    error = world.finished().error
    assert isinstance(error, UsageError)
    assert error.came_back == "a, b must have converged before, and have not"
    assert error.next_command == "invoke lab.b"
    assert world.world.changes == []
    assert world.outcomes() == ["skipped"]
    await world.run("b")
    assert await world.run("d", only=True) == 0
    assert world.outcomes() == ["changed"]


async def test_step_runs_only_that_step_when_what_comes_before_has_converged() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), Put("b2"), Put("b3"), needs=["a"]))
    assert await world.run("b", step=2) == 2
    assert str(world.finished().error.next_command) == "invoke lab.a"  # type: ignore[union-attr]
    await world.run("a")
    assert await world.run("b", step=2) == 2
    assert str(world.finished().error.next_command) == "invoke lab.b --step 1"  # type: ignore[union-attr]
    assert await world.run("b", step=1) == 0
    assert await world.run("b", step=2) == 0
    assert [(event.step, event.outcome) for event in world.steps()] == [(2, "changed")]
    assert "b3" not in world.world.objects


async def test_a_refusal_by_the_guard_ends_the_run_with_what_it_says() -> None:
    for what in ("may_change", "hold"):
        world = bench(lab("a", Put("a1")), lab("b", Put("b1")))
        world.guard.refusal[what] = WorkshopError("take the lock", "held by ada for 12 s")
        assert await world.run("a", "b") == 1
        assert world.finished().error is world.guard.refusal[what]
        assert world.outcomes() == ["skipped", "skipped"]
        assert world.world.changes == []


async def test_a_lock_that_is_lost_stops_the_run_after_the_step_at_hand() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")))

    async def lose(name: str) -> None:
        world.guard.lost.set()
        for _ in range(10):
            await asyncio.sleep(0)

    world.world.before_change = lose
    assert await world.run("a") == 1
    assert world.world.changes == ["a1"]
    assert world.outcomes() == ["changed", "skipped"]
    assert str(world.finished().error) == "renew the lock: another run took it"


async def test_pause_asks_before_each_change_in_order_and_can_stop() -> None:
    world = bench(
        lab("a", Put("a1"), Together((Put("a2"), Put("a3")))), lab("b", Put("b1")), objects={"a2": (1, "a")}
    )
    world.gate.stops_at = "Put b1"
    assert await world.run("a", "b", pause=True) == 130
    assert world.gate.asked == ["Put a1", "Put a3", "Put b1"]
    assert world.outcomes() == ["changed", "unchanged", "changed", "skipped"]
    assert world.finished().resume == "invoke lab.a lab.b"


async def test_pause_without_a_terminal_is_wrong_usage() -> None:
    world = bench(lab("a", Put("a1")))
    world.gate.interactive = False
    assert await world.run("a", pause=True) == 2
    assert world.world.changes == []


async def test_what_a_step_tells_is_told_under_its_lab_and_number() -> None:
    class Tells(Put):
        async def apply(self, run: Run) -> None:
            await super().apply(run)
            run.emit(Told(run.lab, "an address"))

            async def missing() -> str:
                run.facts.forget()
                return "" if (await run.observe(Everything())).get("ready") else "ready"

            asyncio.get_running_loop().call_later(
                0.01, lambda: run.use(type(world.world)).objects.update(ready=(1, ""))
            )
            await run.wait("it to be ready", missing, seconds=60, every=0.001)

    world = bench(lab("a", Put("a1"), Tells("a2")))
    assert await world.run("a") == 0
    details = world.of(Detail)
    assert details[0] == Told("a", "an address", step=2)
    assert all(event.step == 2 and event.lab == "a" for event in details)
    assert any(isinstance(event, Waiting) and event.missing == "ready" for event in details)


async def test_phases_are_told_in_order() -> None:
    world = bench(lab("a", Measured("a1")))
    await world.run("a")
    phases = [event.phase for event in world.of(StepPhase)]
    assert phases == ["check", "check", "apply", "verify"]
    assert any(isinstance(event, StepStarted) for event in world.events)


async def test_a_wait_that_takes_too_long_fails_with_what_is_missing() -> None:
    class Waits(Put):
        async def check(self, run: Run) -> Check:
            async def missing() -> str:
                return "two pods"

            await run.wait("pods", missing, seconds=0.01, every=0.001, next_command="kubectl get pods")
            return Check()

    world = bench(lab("a", Waits("a1")))
    assert await world.run("a") == 1
    error = world.steps()[0].error
    assert isinstance(error, WorkshopError)
    assert error.came_back == "still missing: two pods"
    assert error.next_command == "kubectl get pods"


async def test_a_run_that_finds_nothing_to_do_is_refused_while_another_one_holds_the_lock() -> None:
    """What it found is being changed meanwhile. Seen: `lab.istio.cleanup` said `Converged` beside a running lab."""
    world = bench(lab("a", Put("a1")), lab("cleanup", undoes=["a"]), objects={"a1": (1, "a")})
    world.guard.refusal["refuse_if_held"] = UsageError("take the lock", "another run has it")
    assert await world.run("a") == 2
    assert world.finished().error is world.guard.refusal["refuse_if_held"]
    assert await world.run("cleanup", yes=True) == 2
    assert world.world.changes == []
    del world.world.objects["a1"]
    assert await world.run("cleanup") == 2
    assert world.outcomes() == ["skipped"]
    assert world.guard.asked == []


async def test_a_run_that_finds_nothing_to_do_is_refused_when_another_one_took_the_lock_meanwhile() -> None:
    world = bench(lab("a", Put("a1")), objects={"a1": (1, "a")})
    looked: list[str] = []
    refusal = UsageError("take the lock", "another run has it")

    async def look() -> None:
        looked.append("")
        if len(looked) > 1:
            raise refusal

    world.guard.refuse_if_held = look  # type: ignore[method-assign]
    assert await world.run("a") == 2
    assert world.finished().error is refusal


async def test_the_lock_that_was_held_as_a_run_began_and_is_ours_now_is_no_obstacle() -> None:
    world = bench(lab("a", Put("a1")))
    world.guard.refusal["refuse_if_held"] = UsageError("take the lock", "another run has it")
    assert await world.run("a") == 0
    assert world.guard.held == 1


async def test_what_was_changed_while_a_person_was_asked_is_seen() -> None:
    world = bench(lab("a", Put("a1"), Put("a2")))

    async def somebody_puts_it(lab_name: str, title: str, check: Check) -> bool:
        if title == "Put a2":
            world.world.objects["a2"] = (1, "a")
        return True

    world.gate.go_on = somebody_puts_it  # type: ignore[method-assign]
    assert await world.run("a", pause=True) == 0
    assert world.outcomes() == ["changed", "unchanged"]
    assert world.world.changes == ["a1"]
