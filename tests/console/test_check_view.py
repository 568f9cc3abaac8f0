"""A check on a terminal and in a log: where each step is, what is missing, and what was added by hand."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from tests.console.rendering import bare, live_screen, written
from tests.console.test_plan_and_explain_views import planned, squeezed, step
from workshop.console.plain import PlainScreen
from workshop.console.words import ASCII
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.results import ABSENT, Bar, Check, Difference, Measurement, Verdict

LAB, GATEWAY = "istio.canary", "istio.gateway"
REVIEWS = "Deployment bookinfo/reviews-v1"
ENV = "spec.template.spec.containers[reviews].env[X]"
ADDED = (Difference(REVIEWS, ENV, ABSENT, {"name": "X", "value": "Y"}), Difference("VirtualService bookinfo/mine"))
WEIGHT = Difference("VirtualService bookinfo/reviews", "spec.http[0].route[v1].weight", 50, 80)
SPLIT = Measurement("Stars on the product page", (Bar("v1", 0.5, 0.5, (0.4, 0.6)),), 1394, 1.0)


def finished(number: int, title: str, outcome: str, **more: object) -> events.StepFinished:
    return events.StepFinished(LAB, number, title, outcome, 0.7, **more)  # type: ignore[arg-type]


def told(status: int = 1, resume: str = "invoke lab.istio.canary") -> list[events.Event]:
    return [
        events.RunStarted("", (GATEWAY, LAB), "sandbox", 5, needs=1),
        events.NeedsConverged("", ("istio.install", "istio.inject"), 3),
        events.LabStarted(GATEWAY, "Open the gateway", 1, (LAB,)),
        events.StepFinished(
            GATEWAY, 1, "Open a port", "missing", 0.0, Check((Difference("Gateway bookinfo/g", "", "", ABSENT),))
        ),
        events.LabFinished(GATEWAY, 0.0, False),
        events.LabStarted(LAB, "Release reviews v3", 5),
        events.StepStarted(LAB, 1, "Name the versions"),
        finished(1, "Name the versions", "unchanged", check=Check(added=ADDED)),
        events.StepStarted(LAB, 2, "Half to each"),
        events.StepPhase(LAB, 2, "verify"),
        events.Progress(LAB, "Stars on the product page", 400, 1394, step=2),
        finished(
            2, "Half to each", "proved", verdict=Verdict("pass", "as expected", (SPLIT,)), note="at stage half"
        ),
        finished(3, "Split it", "missing", check=Check((WEIGHT,)), note="off the path: v1 80 %"),
        finished(4, "Measure it", "skipped", note="not measured: step 3 is missing"),
        finished(5, "Ask it", "failed", error=WorkshopError("look", "nobody answers")),
        events.LabFinished(LAB, 1.0, False),
        events.RunFinished("", status, 2.0, {"missing": 2, "proved": 1, "unchanged": 1, "skipped": 1}, resume),
    ]


def on_a_terminal(width: int) -> str:
    screen = live_screen(width)
    screen.for_a_check()
    for event in told():
        screen.listen(event)
    return bare(written(screen))


def in_a_log() -> str:
    file = io.StringIO()
    with PlainScreen(file, debug=False, echo=False, glyphs=ASCII) as screen:
        screen.for_a_check()
        for event in told():
            screen.listen(event)
    return file.getvalue()


def test_it_says_where_each_step_is_and_shows_what_is_missing_as_a_plan_does() -> None:
    said = squeezed(in_a_log())
    assert said[:5] == [
        "What is there, checked and measured sandbox | 1 lab | nothing is changed",
        "= 2 labs it needs have converged 3 steps unchanged",
        "istio.gateway Open the gateway for istio.canary",
        "x missing 1 Open a port",
        "+ Gateway bookinfo/g",
    ]
    for line in (
        "= unchanged 1 Name the versions",
        "+ proved 2 Half to each at stage half 0.7 s",
        "x missing 3 Split it off the path: v1 80 %",
        "spec.http[0].route[v1].weight 80 -> 50",
        "- skipped 4 Measure it not measured: step 3 is missing",
        "x failed 5 Ask it 0.7 s",
        "x Not converged 2 missing | 1 proved | 1 unchanged | 1 skipped nothing was changed 2.0 s",
        "a run puts it right invoke lab.istio.canary",
    ):
        assert line in said
    assert "came back nobody answers" in said


@pytest.mark.parametrize("width", [80, 110])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line) for line in on_a_terminal(width).splitlines()) <= width


def test_what_was_added_by_hand_is_named_in_a_check_and_in_a_plan() -> None:
    named = [
        f"· {REVIEWS} by hand, left alone",
        f"{ENV} {{name: X, value: Y}}",
        "· VirtualService bookinfo/mine by hand, left alone",
    ]
    for said in (on_a_terminal(110), planned(step(1, "Deploy reviews", added=ADDED))):
        lines = squeezed(said)
        at = lines.index(named[0])
        assert lines[at : at + 3] == named
        assert "unchanged" in lines[at - 1]
    assert "✓ Converged a run would change nothing" in squeezed(planned(step(1, "Deploy reviews", added=ADDED)))
