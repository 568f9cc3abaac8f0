"""What would change, and what a person would type instead."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.cells import cell_len

from tests.console.rendering import bare, coloured, live_screen, rendered, written
from tests.runbook.world import Put, lab
from workshop.console.explain_view import explanation_lines
from workshop.console.lines import Lines
from workshop.console.plain import PlainScreen
from workshop.console.plan_view import plan_lines
from workshop.console.words import UNICODE
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.options import Option
from workshop.runbook.plan import LabExplanation, LabPlan, Plan, StepExplanation, StepPlan, explain
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation

LINES = Lines(80, UNICODE)


def step(
    number: int,
    title: str,
    *differences: Difference,
    note: str = "",
    added: tuple[Difference, ...] = (),
    **more: Any,
) -> StepPlan:
    check = Check(differences, note, added=added)
    return StepPlan(number, title, check, Explanation("", ("kubectl apply -f a.yaml",)), **more)


def planned(*steps: StepPlan, commands: bool = False) -> str:
    plan = Plan("sandbox", (LabPlan("istio.canary", "Release reviews v3", steps),))
    return bare(rendered(plan_lines(plan, LINES, commands=commands)))


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_a_plan_names_objects_and_fields() -> None:
    shown = squeezed(
        planned(
            step(1, "Name the versions", note="fine"),
            step(
                2,
                "All requests to v1",
                Difference("VirtualService bookinfo/reviews", "spec.http[0].route[0].weight", 100, 80),
                Difference("VirtualService bookinfo/reviews", "spec.http[0].timeout", ABSENT, "3s"),
                Difference("DestinationRule bookinfo/reviews"),
                Difference("Service bookinfo/old", found={"kind": "Service"}),
                note="off the path: 80/20",
            ),
        )
    )
    assert shown == [
        "What a run would change sandbox · nothing is changed now",
        "istio.canary Release reviews v3",
        "= unchanged 1 Name the versions fine",
        "~ change 2 All requests to v1 off the path: 80/20",
        "~ VirtualService bookinfo/reviews",
        "spec.http[0].route[0].weight 80 → 100",
        "spec.http[0].timeout 3s → absent",
        "+ DestinationRule bookinfo/reviews",
        "- Service bookinfo/old",
        "1 of 2 steps would change something 1 to create, 1 to change, 1 to remove",
    ]


def test_a_converged_plan_says_so() -> None:
    assert squeezed(planned(step(1, "Put")))[-1] == "✓ Converged a run would change nothing"


def test_a_clean_up_s_plan_removes() -> None:
    shown = squeezed(planned(step(1, "Undo: Put", Difference("Namespace bookinfo", found={}), destroys=True)))
    assert shown[2:4] == ["- remove 1 Undo: Put", "- Namespace bookinfo"]


def test_a_check_that_failed_is_worded() -> None:
    error = WorkshopError("kubectl get pods", "connection refused", next_command="invoke sandbox.up")
    shown = squeezed(planned(StepPlan(1, "Put", Check(), Explanation(), False, error)))
    assert "✗ fails 1 Put" in shown
    assert "came back connection refused" in shown
    assert "✗ 1 step would fail" in shown


def test_dry_shows_the_commands_of_what_would_change_and_only_those() -> None:
    difference = Difference("DestinationRule bookinfo/reviews")
    shown = squeezed(planned(step(1, "Put"), step(2, "Put more", difference), commands=True))
    assert shown.count("kubectl apply -f a.yaml") == 1
    assert not [line for line in shown if "DestinationRule" in line]


def test_values_are_written_as_yaml_is() -> None:
    route = {"to": {"host": "a"}, "names": ["a", ""], "on": True}
    shown = planned(step(1, "Put", Difference("VirtualService a/b", "spec.http", ABSENT, route)))
    assert '{to: {host: a}, names: [a, ""], on: true} → absent' in shown


TEXT = """
A canary release gives a new version a share of the real traffic and grows it step by
step, independent of how many pods each version has.

The way back is as short.
"""


def explanation() -> LabExplanation:
    item = lab("istio.canary", needs=())
    yaml = "kind: VirtualService\nspec:\n  hosts: [reviews]\n"
    steps = (
        StepExplanation(1, "All requests to v1", Explanation(yaml, ("az thing update",))),
        StepExplanation(2, "All requests to v3", Explanation()),
    )
    option = Option("weights", "Any other split of v1, v2 and v3, in percent: 80,20,0. " * 2)
    return LabExplanation(replace(item, text=TEXT, needs=("istio.gateway",), options=(option,)), steps)


def test_an_explanation_has_text_steps_commands_and_yaml() -> None:
    shown = [line.rstrip() for line in bare(rendered(explanation_lines([explanation()], LINES), 120)).splitlines()]
    assert shown[0] == "istio.canary  Lab istio.canary"
    assert "A canary release gives a new version a share of the real traffic and grows it" in shown
    assert "needs  istio.gateway" in shown
    start = shown.index(" 1  All requests to v1")
    assert shown[start + 1 : start + 5] == [
        "az thing update",
        "    kind: VirtualService",
        "    spec:",
        "      hosts: [reviews]",
    ]
    assert " 2  All requests to v3" in shown


def test_text_wraps_at_80_columns_on_a_wider_terminal_and_yaml_is_highlighted() -> None:
    text = rendered(explanation_lines([explanation()], LINES), 140)
    assert max(cell_len(line.rstrip()) for line in bare(text).splitlines()) <= 80
    (kind,) = [line for line in text.splitlines() if "VirtualService" in line]
    assert coloured(kind)


LONG = "statsInclusionPrefixes: " + ",".join(["cluster.outbound"] * 8)
HERE = f"kubectl apply -f - <<'EOF'\n---\nkind: VirtualService\nspec:\n  {LONG}\nEOF"
READ = "HOST=$(kubectl get service istio-ingressgateway -n istio-system -o jsonpath='{.a b}' -o wide)"
ROUTE = StepExplanation(1, "Route", Explanation(commands=(HERE, READ, "curl $HOST")))


def test_what_is_shown_can_be_pasted_into_a_shell() -> None:
    for screen in (live_screen(), PlainScreen(io.StringIO(), debug=False, echo=False, glyphs=UNICODE)):
        screen.show_explanation([LabExplanation(lab("a", needs=()), (ROUTE,))])
        assert isinstance(screen.console.file, io.StringIO)
        shown = bare(screen.console.file.getvalue()).replace("\r", "")
        assert (
            "\nkubectl apply -f - <<'EOF'\n"
            + HERE.partition("\n")[2]
            + "\nHOST=$(kubectl get service istio-ingressgateway -n istio-system -o \\\n"
            + "    jsonpath='{.a b}' -o wide)\n"
            + "curl $HOST\n"
        ) in shown


def test_commands_stand_out_on_a_terminal() -> None:
    shown = rendered(explanation_lines([LabExplanation(lab("a", needs=()), (ROUTE,))], LINES)).splitlines()
    commands = ("kubectl apply", "HOST=$(", "    jsonpath=", "curl $HOST", "EOF")
    found = {word: [line for line in shown if bare(line).startswith(word)] for word in commands}
    assert all(len(lines) == 1 and coloured(lines[0]) for lines in found.values())


def test_a_variable_is_set_once_in_each_lab() -> None:
    steps = (ROUTE, replace(ROUTE, number=2))
    labs = [LabExplanation(lab(name, needs=()), steps) for name in "ab"]
    shown = bare(rendered(explanation_lines(labs, LINES)))
    assert (shown.count("\nHOST="), shown.count("\ncurl")) == (2, 4)
    other = replace(ROUTE, explanation=Explanation(commands=("HOST=other", READ)))
    shown = bare(rendered(explanation_lines([LabExplanation(lab("a", needs=()), (ROUTE, other))], LINES)))
    assert shown.count("\nHOST=$(") == 2
    both = (step(1, "Route", Difference("VirtualService a/b")), step(2, "Route", Difference("VirtualService a/b")))
    shown = planned(*(replace(one, explanation=ROUTE.explanation) for one in both), commands=True)
    assert (shown.count("\nHOST="), shown.count("\ncurl")) == (1, 2)
    assert "\nkubectl apply -f - <<'EOF'\n---\n" in shown


def test_a_screen_shows_plans_explanations_and_errors() -> None:
    screen = live_screen()
    screen.show_plan(Plan("sandbox", ()))
    screen.show_explanation(explain(Runbook((lab("a", Put("a1")),)), Request(("a",))))
    screen.show_error(WorkshopError("put", "no", next_command="invoke lab.a"))
    shown = bare(written(screen))
    assert "What a run would change" in shown
    assert "\nput a1 1\n" in shown
    assert "invoke lab.a" in shown


def test_what_was_applied_and_not_proved_is_not_converged() -> None:
    shown = squeezed(planned(step(1, "Put"), step(2, "All requests to v1", note="here", unproved=True)))
    assert shown[-3:] == [
        "? unproved 2 All requests to v1",
        "applied, not proved: a run proves it",
        "? 1 step was applied before and not proved a run proves it",
    ]
    shown = squeezed(planned(step(1, "Put", Difference("ConfigMap a/b")), step(2, "Measure", unproved=True)))
    assert shown[-2].startswith("1 of 2 steps would change something")
