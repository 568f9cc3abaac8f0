"""Several labs in one call: flags about the call hold for all of them, or it is refused before it begins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from invoke.parser.parser import Parser

import tasks
from tests.cli.conftest import Type
from tests.kit.workshop import Workshop
from workshop.cli.executor import TypedTask, calls_of
from workshop.runbook.request import Request

LABS = [lab.name for lab in tasks.RUNBOOK.labs]


def runs(line: str) -> list[Request]:
    """What is going to be run, in order."""
    contexts = Parser(tasks.ns.to_contexts()).parse_argv(line.split())
    typed = [TypedTask(context, tasks.ns[context.name]) for context in contexts]
    calls = [call for call in calls_of(typed, dry=False) if isinstance(call, tuple)]
    return [request for _, arguments in calls for request in arguments["requests"]]


@pytest.mark.parametrize(
    ("line", "labs"),
    [
        ("lab.azure.group lab.azure.vnet", ["azure.group azure.vnet"]),
        ("lab.azure.vnet lab.azure.group", ["azure.vnet", "azure.group"]),
        ("lab.azure.group lab.istio.install", ["azure.group istio.install"]),
        ("lab.istio.canary --to v1 lab.istio.fault", ["istio.canary", "istio.fault"]),
        ("lab.istio.canary lab.istio.fault --delay 5s", ["istio.canary", "istio.fault"]),
        ("lab.istio.cleanup lab.istio.install", ["istio.cleanup", "istio.install"]),
        ("lab.istio.install lab.istio.cleanup", ["istio.install", "istio.cleanup"]),
        ("lab.istio.cleanup lab.azure.cleanup", ["istio.cleanup", "azure.cleanup"]),
        ("lab.istio.inject doctor lab.istio.bookinfo", ["istio.inject", "istio.bookinfo"]),
        ("lab.istio.inject lab.istio.inject", ["istio.inject"]),
        ("lab.azure lab.istio", [" ".join(name for name in LABS if not name.endswith(".cleanup"))]),
    ],
)
def test_labs_in_the_runbook_s_order_are_one_run(line: str, labs: list[str]) -> None:
    """And others one after the other, as typed. Seen: of `lab.azure lab.istio` the second was dropped."""
    assert [" ".join(request.labs) for request in runs(line)] == labs


@pytest.mark.parametrize("mode", ["only", "verify", "pause", "timings", "yes"])
@pytest.mark.parametrize(
    "line",
    [
        "lab.istio.canary --{} lab.istio.cleanup",
        "lab.istio.canary --to v1 lab.istio.cleanup --{}",
        "lab.istio.inject --{} doctor lab.istio.canary",
    ],
)
def test_a_mode_holds_for_all_labs_wherever_it_stands(line: str, mode: str) -> None:
    found = runs(line.format(mode))
    assert [getattr(request, mode) for request in found] == [True, True]
    assert not any(
        getattr(request, other)
        for request in found
        for other in {"only", "verify", "pause", "timings", "yes"} - {mode}
    )


def test_other_flags_stay_with_their_lab() -> None:
    first, second = runs("lab.istio.canary --to v1 lab.istio.fault --delay 5s --percent 30")
    assert (first.to, first.options) == ("v1", {})
    assert (second.to, second.options) == (None, {"istio.fault": {"delay": "5s", "percent": "30"}})


@pytest.mark.parametrize(
    ("line", "came_back", "likely", "following"),
    [
        (
            "lab.azure.vnet lab.azure.group --plan",
            "they are runs one after the other",
            "in the runbook's order",
            "lab.azure.group lab.azure.vnet --plan",
        ),
        (
            "lab.azure.group --plan doctor lab.azure.vnet",
            "they are runs one after the other",
            "beside each other",
            "lab.azure.group lab.azure.vnet --plan",
        ),
        (
            "lab.istio.canary --to v1 lab.istio.fault --plan",
            "they are runs one after the other",
            "with flags of its own",
            "lab.istio.canary --to v1 --plan",
        ),
        (
            "-R lab.istio.cleanup lab.istio.install",
            "they are runs one after the other",
            "a clean-up",
            "lab.istio.cleanup --plan",
        ),
        (
            "lab.istio lab.istio.canary --plan",
            "they are runs one after the other",
            "one that a group before it has",
            "lab.istio --plan",
        ),
        (
            "sandbox.down lab.istio --plan",
            "sandbox.down is no lab, and would be done all the same",
            "",
            "lab.istio --plan",
        ),
        (
            "lab.istio --explain adopt doctor",
            "adopt is no lab, and would be done all the same",
            "",
            "lab.istio --explain doctor",
        ),
        ("-R adopt --yes", "adopt is no lab, and would be done all the same", "", ""),
        (
            "-R reset --to istio.gateway --foreign --no-proof",
            "reset is no lab, and would be done all the same",
            "",
            "reset --to istio.gateway --foreign --no-proof --plan",
        ),
        (
            "lab.istio.canary --undo lab.istio.cleanup lab.istio",
            "lab.istio.cleanup, lab.istio have no --undo",
            "holds for all labs",
            "lab.istio.canary --undo",
        ),
        (
            "lab.istio.canary --undo doctor lab.istio.shift",
            "they go together, last first",
            "",
            "lab.istio.canary lab.istio.shift --undo",
        ),
        (
            "lab.istio.canary --restart lab.istio.shift --undo",
            "takes back the whole lab",
            "",
            "lab.istio.canary lab.istio.shift --undo",
        ),
        (
            "lab.istio.shift --plan lab.istio.fault --explain",
            "shows something else",
            "",
            "lab.istio.shift --plan lab.istio.fault",
        ),
        # What is wrong with the last one is told before the first one begins.
        (
            "lab.istio.shift lab.istio.fault --delay 99h",
            "it is a time",
            "",
            "lab.istio.shift lab.istio.fault --delay 7s",
        ),
        ("lab.istio.shift lab.istio.canary --step x", "a step's number", "", "lab.istio.canary --plan"),
    ],
)
def test_what_cannot_hold_for_all_is_refused(
    typed: Type, tmp_path: Path, line: str, came_back: str, likely: str, following: str
) -> None:
    ran = typed(line)
    assert (ran.status, ran.out) == (2, "")
    assert came_back in ran.told["came back"]
    assert likely in ran.told.get("likely", "")
    assert ran.told.get("next", "") == (f"invoke {following}" if following else "")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("mode", ["--plan", "--explain"])
@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("lab.istio.canary --to cannary", "lab.istio.canary --to v1"),
        ("lab.istio.canary --to v1 --restart", "lab.istio.canary --to v1"),
        ("lab.istio.fault --delay 99h", "lab.istio.fault --delay 7s"),
        ("lab.istio.shift --only --undo", "lab.istio.shift --undo"),
        # All else that was typed stays, else the line put right is refused, or does something else.
        (
            "lab.istio.canary --promote v3 --max-errors x",
            "lab.istio.canary --promote v3 --max-errors 5",
        ),
        (
            "lab.istio.canary --promote-stages=50,5 --promote erring --max-errors 9",
            "lab.istio.canary --promote-stages 5,25,50,100 --promote erring --max-errors 9",
        ),
        ("lab.istio.fault --delay 99h --percent 30 --yes", "lab.istio.fault --delay 7s --percent 30 --yes"),
        ("lab.istio.canary --weights 80,20 --yes", "lab.istio.canary --weights 100,0,0 --yes"),
        ("lab.istio.canary --promote v9 --max-latency 3", "lab.istio.canary --promote v3 --max-latency 3"),
        (
            "lab.istio.canary --weights 80,20,0 --promote v3 --max-errors 9",
            "lab.istio.canary --promote v3 --max-errors 9",
        ),
        ("lab.istio.canary --to v1 --promote v3 --max-errors 9", "lab.istio.canary --promote v3 --max-errors 9"),
        ("lab.istio.canary --to v1 --restart --step 2 --yes", "lab.istio.canary --step 2 --yes"),
        ("lab.istio.shift --yes --only --undo", "lab.istio.shift --undo --yes"),
    ],
)
def test_who_only_looks_is_not_told_to_run(typed: Type, line: str, following: str, mode: str) -> None:
    ran = typed(f"{line} {mode}")
    assert ran.status == 2
    assert ran.told["next"] == f"invoke {following} {mode}"


@pytest.fixture(scope="module")
def recorded(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    return workshop


@pytest.mark.parametrize(
    "words",
    [
        ("lab.azure.group", "lab.azure.vnet", "--plan"),
        ("lab.azure.group", "--plan", "lab.azure.vnet"),
        ("-R", "lab.azure.group", "lab.azure.vnet"),
        ("lab.azure.group", "--explain", "lab.azure.vnet"),
    ],
)
def test_a_call_that_looks_sends_nothing_but_get(recorded: Workshop, words: tuple[str, ...]) -> None:
    recorded.azure.clear()
    said = recorded.converge(*words).said
    assert "Make the primary's group" in said
    assert "Make the primary's network" in said
    assert {request["method"] for request in recorded.azure.requests()} <= {"GET"}


def test_who_only_looks_is_not_told_to_run_by_a_step_either(recorded: Workshop) -> None:
    ran = recorded.run("lab.istio.canary", "--promote", "v9", "--plan")
    assert ran.status == 2
    assert ran.said.endswith("next       invoke lab.istio.canary --promote v3 --plan\n")


def test_labs_are_taken_back_together_last_first(recorded: Workshop) -> None:
    """Those on the cluster before those on the account, in whatever order they are typed."""
    recorded.converge("lab.azure.group", "lab.azure.vnet")
    recorded.azure.clear()
    plan = recorded.converge("lab.azure.group", "lab.azure.vnet", "lab.istio.inject", "--undo", "--plan").said
    assert re.findall(r"(?m)^(.+ --undo)  ", plan) == ["istio.inject --undo", "azure.group azure.vnet --undo"]
    assert {request["method"] for request in recorded.azure.requests()} == {"GET"}
    undone = recorded.converge("lab.azure.group", "--undo", "lab.azure.vnet", "--yes").titled("changed")
    assert len(undone) == 8
    assert set(undone[-2:]) == {"Delete the primary's group", "Delete the secondary's group"}
    assert all(title in plan for title in undone)
