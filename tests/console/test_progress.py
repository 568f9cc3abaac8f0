"""A run that a person follows: labs and steps in their order, needs folded, each measurement as it comes."""

from __future__ import annotations

import asyncio
import io
import random
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.kit.engine import Put, bench, lab
from tests.kit.screens import (
    PASS,
    Clock,
    bare,
    breaker,
    finished,
    live,
    live_screen,
    plain,
    region,
    rendered,
    words,
    written,
)
from workshop.console.lines import Lines
from workshop.console.plan_view import plan_lines
from workshop.console.screen import PlainScreen
from workshop.console.words import UNICODE
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import (
    Command,
    Event,
    LabFinished,
    LabStarted,
    Measured,
    Progress,
    Removing,
    RunFinished,
    RunStarted,
    StepFinished,
    StepPhase,
    StepStarted,
    Told,
    Waiting,
)
from workshop.runbook.model import Together
from workshop.runbook.results import Hint, Outcome, Verdict

NEEDS = ("istio.install", "istio.inject", "istio.bookinfo", "istio.gateway")
CANARY = "istio.canary"
FOLDED = "  = {} it needs {} converged  {} unchanged"


def converged(name: str, *, needed: bool = True, outcomes: Iterable[Outcome] = ("unchanged",)) -> list[Event]:
    steps = [finished(name, number, f"Step {number}", outcome) for number, outcome in enumerate(outcomes, 1)]
    by = (CANARY,) if needed else ()
    return [LabStarted(name, f"Title of {name}", len(steps), by), *steps, LabFinished(name, 0.1, True)]


def run(*labs: list[Event]) -> list[Event]:
    started = [event for events in labs for event in events if isinstance(event, LabStarted)]
    names, needs = tuple(event.lab for event in started), sum(bool(event.needed_by) for event in started)
    return [RunStarted("", names, "sandbox", 9, needs), *(event for events in labs for event in events)]


def asked() -> list[Event]:
    return converged(CANARY, needed=False, outcomes=("unchanged", "changed"))


def headings(text: str) -> list[str]:
    return [line.split()[0] for line in bare(text).splitlines() if line[:1].isalpha() and "  " in line][1:]


@pytest.mark.parametrize("seed", range(20))
def test_labs_come_in_the_runbook_s_order_and_whole_whichever_is_faster(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    names = [f"lab.{letter}" for letter in "abcdef"]
    left = {name: converged(name, needed=False, outcomes=["changed"] * dice.randint(1, 3)) for name in names}
    events: list[Event] = [RunStarted("", tuple(names), "sandbox", 9)]
    while left:
        name = dice.choice(sorted(left))
        events.append(left[name].pop(0))
        if not left[name]:
            del left[name]
    for view in (plain(events), bare(live(events))):
        assert headings(view) == names
        assert view.count("changed  ") == sum(isinstance(event, StepFinished) for event in events)


def test_a_lab_that_has_not_begun_holds_back_those_after_it() -> None:
    first, second = (converged(name, needed=False, outcomes=["changed"]) for name in "ab")
    started = RunStarted("", ("a", "b"), "sandbox", 2)
    assert headings(plain([started, *second])) == []
    assert headings(plain([started, *second, *first])) == ["a", "b"]


@pytest.mark.parametrize(
    ("needs", "folded"),
    [
        (NEEDS, FOLDED.format("4 labs", "have", "8 steps")),
        (NEEDS[:1], FOLDED.format("1 lab", "has", "2 steps")),
    ],
)
def test_needs_that_have_converged_are_one_line(needs: tuple[str, ...], folded: str) -> None:
    events = run(*(converged(name, outcomes=("unchanged", "unchanged")) for name in needs), asked())
    for view in (plain(events), bare(live(events))):
        assert view.count(folded) == 1
        assert headings(view) == [CANARY]
        assert view.index(folded) < view.index("istio.canary")
        assert "2 changed" not in view


@pytest.mark.parametrize("outcome", ["changed", "failed", "inconclusive", "skipped"])
def test_a_need_that_differs_is_shown_whole_and_the_others_are_still_one_line(outcome: Outcome) -> None:
    differs = converged(NEEDS[1], outcomes=("unchanged", outcome))
    log = plain(run(converged(NEEDS[0]), differs, converged(NEEDS[2]), asked()))
    assert headings(log) == [NEEDS[1], CANARY]
    assert "= unchanged     1 Step 1" in log
    assert FOLDED.format("2 labs", "have", "2 steps") in log


def test_a_need_that_is_measured_again_or_has_something_to_tell_is_shown() -> None:
    verified = converged(NEEDS[0])
    verified[1] = finished(NEEDS[0], 1, "Step 1", "unchanged", verdict=PASS)
    telling = converged(NEEDS[1])
    telling.insert(1, Told(NEEDS[1], "the address is new", step=1))
    assert headings(plain(run(verified, telling, asked()))) == [NEEDS[0], NEEDS[1], CANARY]


def test_several_labs_asked_for_have_needs_together() -> None:
    log = plain(run(converged(NEEDS[0]), asked(), converged("istio.shift", needed=False)))
    assert "= 1 lab they need has converged" in log


def test_needs_that_were_all_there_is_are_told_at_the_end() -> None:
    log = plain([*run(converged(NEEDS[0]), asked())[:4], RunFinished("", 130, 1.0, {"unchanged": 1})])
    assert FOLDED.format("1 lab", "has", "1 step") in log


def test_a_brief_run_shows_what_differs_and_counts_the_rest() -> None:
    same = [converged(name, needed=False, outcomes=["unchanged"] * 2) for name in NEEDS[:2]]
    differs = converged(NEEDS[2], needed=False, outcomes=["unchanged", "changed", "unchanged"])
    started, *rest = run(*same, differs, converged(NEEDS[3], needed=False))
    assert isinstance(started, RunStarted)
    events = [replace(started, brief=True), *rest, RunFinished("", 0, 1.0, {"changed": 1, "unchanged": 7})]
    for view in (plain(events), bare(live(events))):
        assert headings(view) == [NEEDS[2]]
        assert "= 2 labs have converged  4 steps unchanged" in view
        assert view.index("2 labs have") < view.index(NEEDS[2]) < view.index("changed       2 Step 2")
        assert view.index("changed       2 Step 2") < view.index("= 2 steps unchanged")
        assert "= 1 lab has converged  1 step unchanged" in view
        assert "Step 1" not in view
        assert "Step 3" not in view


async def test_a_brief_plan_shows_what_would_change_and_counts_the_rest() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), Put("b2")))
    assert await world.run("a", "b") == 0
    del world.world.objects["b2"]
    plan = await world.plan("a", "b")
    shown = bare(rendered(plan_lines(plan, Lines(80, UNICODE), commands=False, brief=True)))
    assert headings(shown) == ["b"]
    assert "= 1 lab has converged  1 step unchanged" in shown
    assert shown.index("change        2") < shown.index("= 1 step unchanged\n")
    assert "1 of 3 steps would change something" in shown


async def test_a_plan_folds_its_needs_as_the_run_does() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), needs=["a"]), lab("c", Put("c1"), needs=["b"]))
    assert await world.run("b") == 0

    async def planned(*labs: str) -> str:
        return bare(rendered(plan_lines(await world.plan(*labs), Lines(80, UNICODE), commands=False)))

    shown = await planned("c")
    assert FOLDED.format("2 labs", "have", "2 steps") in shown
    assert headings(shown) == ["c"]
    assert "1 of 3 steps would change something" in shown
    del world.world.objects["b1"]
    shown = await planned("c")
    assert FOLDED.format("1 lab", "has", "1 step") in shown
    assert headings(shown) == ["b", "c"]
    assert "folded" not in await planned("a", "b", "c")
    assert headings(await planned("a", "b", "c")) == ["a", "b", "c"]


def test_labs_whose_turn_has_not_come_are_a_line_for_each_step() -> None:
    screen = live_screen(80)
    screen.listen(RunStarted("", ("a", "b", "c", "d"), "sandbox", 9))
    for name in "ab":
        screen.listen(LabStarted(name, f"Lab {name} with quite a long title, as some labs have", 2))
        screen.listen(StepStarted(name, 1, "Check that all of it is there, and make what is missing"))
        screen.listen(Waiting(name, "pods", "1 of 2", 3.0, 120.0, step=1))
    for name, well in (("c", True), ("d", False)):
        screen.listen(LabStarted(name, f"Lab {name}", 1))
        screen.listen(finished(name, 1, "Put", "changed" if well else "failed"))
        screen.listen(LabFinished(name, 1.0, well))
    shown = region(screen).splitlines()
    assert max(map(cell_len, shown)) <= 80
    at = shown.index("meanwhile, to be shown below in turn")
    rows = [line.split() for line in shown[at + 1 :] if line.strip()][:-1]
    assert [row[1:4] for row in rows] == [["checking", "1", "b"], ["finished", "c", "Lab"], ["stopped", "d", "Lab"]]
    assert "waiting 3 of 120 s" in " ".join(shown[:at])
    assert not written(screen).count("Lab c")


def test_a_command_shown_as_it_is_begun_names_the_lab_it_is_of() -> None:
    begun = [
        *run(asked())[:-1],
        Command(CANARY, ("kubectl", "get", "pods")),
        Command("istio.shift", ("kubectl", "apply")),
    ]
    for view in (plain(begun, echo=True), bare(live(begun, echo=True))):
        commands = [line.strip() for line in view.splitlines() if "$ " in line]
        assert commands == ["$ kubectl get pods", "istio.shift  $ kubectl apply"]


def test_a_log_speaks_of_waiting_only_after_silence_and_first_of_the_lab_whose_turn_it_is() -> None:
    file, clock = io.StringIO(), Clock()
    screen = PlainScreen(file, debug=False, echo=False, glyphs=UNICODE, clock=clock)
    screen.listen(RunStarted("", ("a", "b"), "sandbox", 3))
    for name in "ab":
        screen.listen(LabStarted(name, f"Lab {name}", 2))
        screen.listen(StepStarted(name, 1, "Put"))

    def at(now: float, *events: Event) -> list[str]:
        clock.now = now
        file.truncate(file.seek(0))
        for event in events:
            screen.listen(event)
        return [line.strip() for line in file.getvalue().splitlines()]

    assert at(9, Progress("b", "Requests", 1, 9, step=1)) == []
    assert at(11, Progress("b", "Requests", 2, 9, step=1)) == ["b, step 1: Requests: 2 of 9"]
    assert at(12, Waiting("a", "pods", "1 of 2", 2, 60, step=1)) == []
    waited = "a, step 1: still waiting, 2 of 60 s, for pods: 1 of 2"
    assert at(22, Progress("b", "Requests", 3, 9, step=1)) == [waited]
    (printed,) = [line for line in at(30, finished("a", 1, "Put", "changed")) if "changed" in line]
    assert printed
    assert at(39, StepStarted("a", 2, "Put"), Progress("b", "Requests", 5, 9, step=1)) == []


async def test_who_pauses_reads_the_lab_s_text_before_its_first_step_and_what_to_look_at_after_it() -> None:
    class Page(Put):
        async def look_at(self, run: object) -> tuple[Hint, ...]:
            return (Hint("open", f"http://127.0.0.1:8080/{self.name}", "No stars"),)

    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), Page("b2"), Page("b3"), needs=["a"]))
    assert await world.run("a") == 0
    world.world.objects["b1"] = (1, "b")
    screen = live_screen()
    world.on_event = screen.listen
    places: list[int] = []

    class Gate:
        interactive = True

        async def go_on(self, lab: str, title: str, check: object) -> bool:
            places.append(len(bare(written(screen))))
            return True

        async def confirm(self, target: str, doomed: object) -> bool:
            return True

    world.gate = Gate()  # type: ignore[assignment]
    assert await world.run("b", pause=True) == 0
    said = bare(written(screen))
    before, between = said[: places[0]], said[places[0] : places[1]]
    assert [before.count(one) for one in ("= 1 lab it needs", "b  Lab b", "What b teaches.", "1 Put b1")] == [1] * 4
    assert before.index("What b teaches.") < before.index("1 Put b1")
    assert "What a teaches." not in said
    assert words("open  http://127.0.0.1:8080/b2  No stars") == words(between)[-4:]
    assert said.count("What b teaches.") == 1


def test_what_a_clean_up_removes_is_named_as_far_as_it_can_be_taken_in() -> None:
    doomed = (*(f"Pod a/{number}" for number in range(28)), "Namespace a", "secondary: Namespace b")
    removing = Removing("", "sandbox", doomed)
    for said in (plain([removing]), bare(live([removing]))):
        first, *lines = said.splitlines()
        assert first == "removing from sandbox:"
        assert [line.strip() for line in lines] == [*doomed[:20], "and 10 more: 8 Pod, 1 Namespace, 1 in secondary"]


async def test_a_question_comes_below_its_lab_s_heading_and_text() -> None:
    world = bench(lab("a", Put("a1")), lab("b", Put("b1"), needs=["a"]))
    said: list[str] = []
    screen = live_screen()

    def listen(event: Event) -> None:
        screen.listen(event)
        if isinstance(event, StepPhase) and event.phase == "ask":
            said.append(bare(written(screen)))

    world.on_event = listen
    assert await world.run("b", pause=True) == 0
    assert "a  Lab a  for b" in said[0]
    assert "What a teaches." in said[0]
    assert "Lab b" not in said[0]
    assert "What b teaches." in said[1]


HINTS = (
    Hint("open", "http://127.109.1.1:8080/productpage", "Log in as jason: 100 % v2\nLog in as ada: 100 % v3, red"),
    Hint("call", "curl -s -H 'Host: hello.example.com' http://127.109.1.1:8080/hello", "only v1 answers"),
    Hint("next", "invoke lab.istio.shift", "Shift traffic from HelloWorld v1 to v2"),
    Hint("undo", "invoke lab.istio.canary --undo", "take it back"),
)


@pytest.mark.parametrize("width", [80, 160])
def test_the_end_says_what_is_worth_doing(width: int) -> None:
    end = RunFinished("", 0, 3.0, {"changed": 1}, hints=HINTS)
    shown = [line.rstrip() for line in bare(live([end], width)).splitlines()]
    at = shown.index("✓ Converged  1 changed  3.0 s")
    beside = width > 80
    assert shown[at + 1 :] == [
        "",
        "  open  http://127.109.1.1:8080/productpage",
        "        Log in as jason: 100 % v2",
        "        Log in as ada: 100 % v3, red",
        "  call  curl -s -H 'Host: hello.example.com' http://127.109.1.1:8080/hello"
        + ("  only v1 answers" if beside else ""),
        *([] if beside else ["        only v1 answers"]),
        "  next  invoke lab.istio.shift  Shift traffic from HelloWorld v1 to v2",
        "  undo  invoke lab.istio.canary --undo  take it back",
    ]
    assert max(map(cell_len, shown)) <= width
    assert words(plain([end])) == words(live([end], width))


def test_of_two_runs_by_one_command_each_says_which_it_is() -> None:
    runs = [[RunStarted("", ("a",), "sandbox", 1, 0, (part, 2)), RunFinished("", 0, 1.0, {})] for part in (1, 2)]
    first, second = (plain(events).splitlines() for events in runs)
    assert first[0] == "Mesh Workshop  part 1 of 2 · sandbox · 1 lab · 1 step"
    assert first[-1] == "✓ Converged  part 1 of 2  nothing was applied  1.0 s"
    assert second[:2] == ["", "Mesh Workshop  part 2 of 2 · sandbox · 1 lab · 1 step"]


def test_a_run_that_failed_ends_with_how_to_go_on() -> None:
    error = WorkshopError("kubectl apply", "no", next_command="kubectl auth can-i create")
    end = RunFinished("", 1, 1.0, {"failed": 1}, "invoke lab.a", error)
    assert plain([end]).splitlines()[-1] == "  go on with  invoke lab.a"


_NUMBER = re.compile(r"^ *\S? *(?:changed|unchanged|failed|inconclusive|skipped|measured) +(\d+) ", re.M)


def numbers(said: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(bare(said))]


def test_cleanup_prints_26_before_27() -> None:
    run: list[Event] = [
        LabStarted("istio.cleanup", "Undo all", 2),
        StepStarted("istio.cleanup", 26, "Undo: Deploy"),
        StepStarted("istio.cleanup", 27, "Undo: Label"),
        finished("istio.cleanup", 27, "Undo: Label", "changed"),
        finished("istio.cleanup", 26, "Undo: Deploy", "changed"),
        LabFinished("istio.cleanup", 1.0, True),
    ]
    assert numbers(plain(run)) == numbers(live(run)) == [26, 27]


@pytest.mark.parametrize("seed", range(50))
def test_numbers_ascend_whatever_ends_first(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    run: list[Event] = [RunStarted("", ("a",), "sandbox", 12), LabStarted("a", "Lab A", 12)]
    number, outcomes = 0, list[Outcome](("changed", "unchanged", "failed", "skipped", "skipped"))
    expected: list[int] = []
    while number < 12:
        group = list(range(number + 1, min(number + dice.randint(1, 4), 12) + 1))
        number = group[-1]
        run += [StepStarted("a", each, f"Step {each}") for each in group]
        measured = [each for each in group if dice.random() < 0.3]
        endings = [*group, *measured]
        dice.shuffle(endings)
        for each in endings:
            if each in measured:
                measured.remove(each)
                expected.append(each)
                run.append(Measured("a", "at 5 %", Verdict("pass", "fine"), step=each))
            else:
                expected.append(each)
                run.append(finished("a", each, f"Step {each}", dice.choice(outcomes)))
    run.append(LabFinished("a", 1.0, False))
    assert numbers(plain(run)) == numbers(live(run)) == sorted(expected)


def test_what_has_ended_early_is_seen_in_the_moving_region_and_printed_in_its_turn() -> None:
    screen = live_screen()
    begun = [RunStarted("", ("a",), "sandbox", 3), LabStarted("a", "Lab A", 3)]
    for event in (*begun, *(StepStarted("a", number, f"Put a{number}") for number in (1, 2, 3))):
        screen.listen(event)
    screen.listen(finished("a", 3, "Put a3", "changed"))
    screen.listen(finished("a", 2, "Put a2", "failed"))
    shown = region(screen)
    assert [shown.index(f"Put a{number}") for number in (1, 2, 3)] == sorted(
        shown.index(f"Put a{number}") for number in (1, 2, 3)
    )
    assert "2 of 3 steps" in shown
    assert numbers(written(screen)) == []
    screen.listen(finished("a", 1, "Put a1", "changed"))
    assert numbers(written(screen)) == [1, 2, 3]


def test_a_step_alone_is_shown_at_once_whatever_its_number() -> None:
    run = [LabStarted("a", "Lab A", 1), StepStarted("a", 7, "Put"), finished("a", 7, "Put", "changed")]
    assert numbers(plain(run)) == [7]


async def test_a_run_of_the_engine_whose_steps_end_backwards() -> None:
    steps = tuple(Put(f"a{number}") for number in range(5))
    world = bench(lab("a", Together(steps), Put("z")), lab("cleanup", undoes=["a"]))

    async def later(name: str) -> None:
        await asyncio.sleep(0.05 - int(name[1:] or 0) / 100 if name != "z" else 0)

    world.world.before_change = later
    for name, count in (("a", 6), ("cleanup", 6)):
        assert await world.run(name, yes=True) == 0
        ended = [event.step for event in world.steps()]
        assert ended != sorted(ended)
        assert numbers(plain(world.events)) == numbers(live(world.events)) == list(range(1, count + 1))


async def test_of_labs_that_were_not_begun_when_a_person_stops_one_line_is_shown() -> None:
    """Seen: what each of them teaches, pages of it, below the answer q."""
    taught = [replace(lab(name, Put(f"{name}1"), Put(f"{name}2")), text=f"What {name} teaches") for name in "abcd"]
    world = bench(*taught)
    world.gate.stops_at = "Put b1"
    assert await world.run("a", "b", "c", "d", pause=True) == 130
    for said in (plain(world.events), bare(live(world.events))):
        assert "What b teaches" in said
        _, after = said.split("What b teaches")
        assert "2 labs were not begun  4 steps skipped" in after
        assert not re.search(r"What [cd] teaches|Lab [cd]", after)


def test_each_measurement_is_shown_once_and_before_the_steps_line() -> None:
    log = plain(breaker())
    said = [
        "istio.circuit-breaker  Break",
        "- skipped       1 Deploy httpbin",
        "    measured      2 One connection\n      Answers over one connection",
        "✓ one connection: as expected",
        "    measured      2 Two connections\n",
        "✓ two connections: as expected",
        "✓ changed       2 Limit the connections to one",
        "      ✓ more connections, more 503",
    ]
    places = [log.index(text) for text in said]
    assert places == sorted(places)
    assert [log.count(text) for text in said] == [1] * len(said)


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_it_at_once_above_the_running_step(width: int) -> None:
    screen = live_screen(width)
    for event in breaker():
        screen.listen(event)
        if isinstance(event, Measured):
            assert bare(written(screen)).splitlines()[-1].strip().endswith(": as expected")
            assert "Limit the connections to one" in region(screen)
            assert "40 of 40" not in region(screen)
        elif isinstance(event, Progress):
            assert "40 of 40" in region(screen)
    assert max(cell_len(line) for line in bare(live(breaker(), width)).splitlines()) <= width


def test_a_lab_whose_turn_has_not_come_keeps_its_measurements_back() -> None:
    screen = live_screen()
    screen.listen(LabStarted("istio.shift", "Shift", 1))
    screen.listen(StepStarted("istio.shift", 1, "Deploy HelloWorld"))
    screen.listen(LabStarted("istio.install", "Install", 1))
    for event in breaker():
        screen.listen(event)
    assert "One connection" not in written(screen)
    assert "istio.circuit-breaker" in region(screen)
