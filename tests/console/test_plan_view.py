"""What would change, and the doctor's table."""

from __future__ import annotations

import io
from typing import Any

from tests.kit.engine import Put, lab
from tests.kit.screens import bare, live_screen, rendered, written
from workshop.console.lines import Lines
from workshop.console.plan_view import doctor_lines, plan_lines
from workshop.console.screen import PlainScreen
from workshop.console.words import ASCII, UNICODE
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Runbook
from workshop.runbook.plan import LabPlan, Plan, StepPlan, explain
from workshop.runbook.request import Request
from workshop.runbook.results import ABSENT, Check, Difference, Explanation, Finding

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


WELL = Finding("kubectl", "ok", "1.37.1", "never diagnosed")
TIGHT = Finding("region's versions", "warn", "1.36 is a preview in westeurope", "invoke lab.azure --plan")
SHORT = Finding("vCPU quota", "fail", "12 of 10 wanted, 4 free (DSv2 family, westeurope)", "az vm list-usage")


def diagnosed(*findings: Finding, lines: Lines | None = None) -> list[str]:
    text = bare(rendered(doctor_lines("mesh-workshop", findings, lines or Lines(100, UNICODE)), 100))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_each_finding_has_a_line_and_each_problem_a_command() -> None:
    assert diagnosed(WELL, TIGHT, SHORT) == [
        "What a run would find mesh-workshop · nothing is changed",
        "✓ ok kubectl 1.37.1",
        "? warn region's versions 1.36 is a preview in westeurope",
        "invoke lab.azure --plan",
        "✗ fail vCPU quota 12 of 10 wanted, 4 free (DSv2 family, westeurope)",
        "az vm list-usage",
        "✗ 1 problem would make a run fail 1 thing to look at",
    ]


def test_when_all_is_well_it_says_so() -> None:
    assert diagnosed(WELL)[-1] == "✓ Nothing would make a run fail"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = "\n".join(diagnosed(WELL, SHORT, lines=Lines(100, ASCII)))
    assert text.isascii()
    assert "+ ok" in text
    assert "x fail" in text


def test_a_long_finding_is_folded_not_cut() -> None:
    long = Finding("quota", "fail", "word " * 60, "")
    text = " ".join(diagnosed(long, lines=Lines(80, UNICODE)))
    assert text.count("word") == 60


def test_a_log_does_not_break_a_command_so_that_it_can_be_copied() -> None:
    command = "mv " + "/a/long/path" * 12
    file = io.StringIO()
    with PlainScreen(file, debug=False, echo=False, glyphs=UNICODE) as screen:
        screen.show_findings("sandbox", [Finding("journal", "fail", "broken", command)])
    assert command in file.getvalue()
