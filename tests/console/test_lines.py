"""A run on a terminal and in a log: the same information, lab by lab, in lines that fit. So is a check."""

from __future__ import annotations

import io
import unicodedata

import pytest
from rich.cells import cell_len

from tests.console.test_plan_view import planned, squeezed, step
from tests.kit.screens import (
    FORBIDDEN,
    PODS,
    Clock,
    bare,
    coloured,
    finished,
    live,
    live_screen,
    plain,
    region,
    whole_run,
    words,
    written,
)
from workshop.console.screen import PlainScreen
from workshop.console.words import ASCII, UNICODE
from workshop.runbook import events
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import (
    Event,
    Interrupted,
    LabFinished,
    LabStarted,
    Progress,
    RunFinished,
    RunStarted,
    StepStarted,
    Told,
    Waiting,
)
from workshop.runbook.results import ABSENT, Bar, Check, Difference, Measurement, Verdict
from workshop.runbook.timings import LabTimings, Timings


@pytest.mark.parametrize("width", [80, 120])
def test_a_log_says_the_same_as_a_terminal(width: int) -> None:
    said = [set(words(view)) for view in (live(whole_run(), width), plain(whole_run()))]
    # Bars have other lengths in other widths, and long words may be broken to fit.
    without_bars = [{word for word in view if not set(word) & set("█▏▎▍▌▋▊▉·")} for view in said]
    assert without_bars[1] == without_bars[0]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """But those that are copied into a shell: a break in one would be copied too."""
    lines = bare(live(whole_run(), width, echo=True)).splitlines()
    lines = [line for line in lines if not line.lstrip().startswith(("next  ", "go on with  "))]
    assert max(cell_len(line) for line in lines) <= width
    assert all(line.rstrip() for line in lines if "changed" in line)


def test_a_step_s_time_is_not_an_eye_s_journey_away() -> None:
    (line,) = [line for line in bare(live(whole_run(), 160)).splitlines() if "Name the versions" in line]
    assert line.rstrip().endswith(" 0.0 s")
    assert cell_len(line.rstrip()) == 110


def test_a_log_has_no_control_characters_and_no_blanks_at_the_end_of_lines() -> None:
    log = plain(whole_run(), echo=True)
    assert not [sign for sign in log if unicodedata.category(sign) == "Cc" and sign != "\n"]
    assert not [line for line in log.splitlines() if line != line.rstrip()]


def test_a_log_in_ascii_is_ascii() -> None:
    log = plain(whole_run(), glyphs=ASCII)
    assert "#######" in log
    assert not [sign for sign in log.replace("\u2026", "") if ord(sign) > 126]


def test_every_step_has_a_line_with_outcome_number_title_and_time() -> None:
    log = plain(whole_run())
    assert "  = unchanged     1 Check that the cluster is fit for Istio" in log
    (line,) = [line for line in log.splitlines() if "Install the control plane" in line]
    assert line.split()[:3] == ["✓", "changed", "2"]
    assert line.endswith("2 created" + line.partition("2 created")[2])
    assert line.endswith("14.2 s")
    assert "  - skipped       2 Find the address  a step before has not converged" in log


def test_labs_at_the_same_time_are_kept_apart() -> None:
    log = plain(whole_run())
    install, inject = log.index("istio.install  Install"), log.index("istio.inject  Let")
    assert install < log.index("14.2 s") < inject < log.index("Create the namespaces")
    assert log.count("istio.install  Install") == 1


def test_a_lab_of_which_nothing_ran_has_one_line() -> None:
    log = plain(whole_run())
    assert "2 steps: istio.gateway has not converged" in log
    assert "Jason gets v2" not in log


def test_what_changed_is_named_field_by_field() -> None:
    log = plain(whole_run())
    assert "All requests to v1  off the path: 80/20/0" in log
    assert "~ VirtualService bookinfo/reviews\n          spec.http[0].route[0].weight  100 → 33" in log


def test_many_fields_are_counted_not_listed() -> None:
    check = Check(tuple(Difference("ConfigMap a/b", f"data.key{number}", 1, 0) for number in range(9)))
    log = plain(
        [LabStarted("a", "A", 1), finished("a", 1, "Put", "changed", check=check), LabFinished("a", 1, True)]
    )
    assert "data.key3" in log
    assert "data.key4" not in log
    assert "and 5 fields more" in log


def test_what_would_have_changed_is_not_said_to_have_changed() -> None:
    check = Check((Difference("ConfigMap a/b", "data.key", 1, 0),))
    log = plain(
        [
            LabStarted("a", "A", 2),
            finished("a", 1, "Put", "changed"),
            finished("a", 2, "Put", "skipped", check=check),
        ]
    )
    assert "data.key" not in log


@pytest.mark.parametrize("verdict", [Verdict("fail", "back"), None])
def test_what_was_taken_back_is_not_shown_as_a_change(verdict: Verdict | None) -> None:
    check = Check((Difference("ConfigMap a/b", "data.key", 1, 0),))
    ended = finished("a", 1, "Put", "inconclusive", check=check, verdict=verdict, note="taken back", undone=True)
    log = plain([LabStarted("a", "A", 1), ended])
    assert "taken back" in log
    assert "data.key" not in log


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_value_is_cut_so_that_the_other_fits(width: int) -> None:
    check = Check((Difference("VirtualService a/b", "spec.http[0].route[v2]", ABSENT, {"weights": "x" * 200}),))
    log = bare(live([LabStarted("a", "A", 1), finished("a", 1, "Put", "changed", check=check)], width))
    (line,) = [line for line in log.splitlines() if "route[v2]" in line]
    assert line.rstrip().endswith("… → absent")
    assert width - 4 <= cell_len(line.rstrip()) <= width


def test_what_a_step_told_is_below_it_as_it_was_told() -> None:
    log = plain(whole_run())
    assert "".join(f"      {line}\n" for line in PODS.splitlines()) in log


def test_a_table_is_fitted_to_a_terminal_and_not_to_a_log() -> None:
    lines = [
        ("NAME", "STATUS", "AGE", "IP", "NODE"),
        ("istiod-6899bf798-jx7q7", "Running", "5s", "10.1.2.3", "node1"),
    ]
    table = "\n".join("".join(f"{cell:<25}" for cell in line).rstrip() for line in lines)
    run = [LabStarted("a", "A", 1), Told("a", table, step=1), finished("a", 1, "Put", "changed")]
    assert all(f"      {line}\n" in plain(run) for line in table.splitlines())
    shown = bare(live(run, 80)).splitlines()
    assert "      istiod-6899bf798-jx7q7  Running                  5s                       10.1.2.3" not in shown
    assert max(cell_len(line) for line in shown) <= 80


def test_between_two_tables_is_a_line() -> None:
    tables = "NAME   AGE\na      1s", "NAME   TYPE\nb      c"
    told = [Told("a", text, step=1) for text in (*tables, "GATEWAY_URL is http://127.0.0.1")]
    log = plain([LabStarted("a", "A", 1), *told, finished("a", 1, "Put", "changed")])
    assert log.endswith(
        "\n      NAME   AGE\n      a      1s\n\n      NAME   TYPE\n      b      c\n"
        "      GATEWAY_URL is http://127.0.0.1\n"
    )


def test_what_each_step_of_a_lab_tells_is_told_once() -> None:
    def step(number: int) -> list[Event]:
        return [Told("a", "GATEWAY_URL is http://127.0.0.1", step=number), finished("a", number, "Put", "changed")]

    log = plain([LabStarted("a", "A", 2), *step(1), *step(2), LabFinished("a", 1, True)])
    assert log.count("GATEWAY_URL") == 1


def test_an_error_says_what_was_tried_what_came_back_why_and_what_next() -> None:
    for view in (plain(whole_run()), bare(live(whole_run(), 120))):
        places = [view.index(part) for part in (FORBIDDEN.tried, "Error from server", "this account", "auth can-i")]
        assert places == sorted(places)
        labels = [view.index(f"\n      {label} ") for label in ("tried", "came back", "likely", "next")]
        assert labels == sorted(labels)


def test_a_traceback_only_in_debug() -> None:
    def run() -> list[Event]:
        try:
            raise KeyError("gateway")
        except KeyError as error:
            failed = finished("a", 1, "Put", "failed", error=error)
        return [LabStarted("a", "A", 1), failed, LabFinished("a", 1, False)]

    assert "Traceback" not in plain(run())
    assert "a defect in the workshop" in plain(run())
    assert "KeyError: 'gateway'" in plain(run())
    assert "Traceback" in plain(run(), debug=True)


def test_the_summary_counts_and_says_how_to_go_on() -> None:
    last = plain(whole_run()).splitlines()[-2:]
    assert last[0] == "✗ Failed  1 failed · 1 inconclusive · 4 changed · 2 unchanged · 3 skipped  1:14 min"
    assert last[1].split("  ") == ["", "go on with", "invoke lab.istio"]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (RunFinished("", 0, 0.91, {"unchanged": 14}), "✓ Converged  14 unchanged  nothing was applied  0.9 s"),
        (RunFinished("", 0, 30.0, {"changed": 2}), "✓ Converged  2 changed  30.0 s"),
        (RunFinished("", 3, 1.0, {"inconclusive": 1}), "? Inconclusive  1 inconclusive  1.0 s"),
        (RunFinished("", 130, 1.0, {"skipped": 1}), "- Interrupted  1 skipped  1.0 s"),
        (RunFinished("", 2, 0.0, {}, error=FORBIDDEN), "✗ Refused  0.0 s"),
    ],
)
def test_the_last_line_says_how_it_ended(event: RunFinished, said: str) -> None:
    log = plain([event])
    assert log.splitlines()[-1] == said
    assert bool(event.error) == ("auth can-i" in log)


def test_commands_are_shown_when_asked_for() -> None:
    assert "$ kubectl" not in plain(whole_run())
    for view in (plain(whole_run(), echo=True), bare(live(whole_run(), echo=True))):
        assert "$ istioctl x precheck --context=primary" in view
        assert "$ kubectl --context primary apply -f -  # 2 lines on stdin" in view


def test_without_colour_the_same_is_said() -> None:
    assert coloured(live(whole_run()))
    screen = live_screen()
    screen.console.no_color = True  # what rich takes from NO_COLOR
    for event in whole_run():
        screen.listen(event)
    assert not coloured(written(screen))
    assert bare(written(screen)) == bare(live(whole_run()))


def test_a_log_says_every_ten_seconds_what_is_waited_for() -> None:
    file, clock = io.StringIO(), Clock()
    screen = PlainScreen(file, debug=False, echo=False, glyphs=UNICODE, clock=clock)
    screen.listen(LabStarted("istio.install", "Install", 1))
    screen.listen(StepStarted("istio.install", 1, "Install Istio"))
    for tick in range(0, 26):
        clock.now = float(tick)
        screen.listen(Waiting("istio.install", "istiod to be ready", "1 of 2 pods", clock.now, 120, step=1))
    said = [line.strip() for line in file.getvalue().splitlines() if "waiting" in line]
    assert said == [
        "istio.install, step 1: still waiting, 10 of 120 s, for istiod to be ready: 1 of 2 pods",
        "istio.install, step 1: still waiting, 20 of 120 s, for istiod to be ready: 1 of 2 pods",
    ]
    clock.now = 31
    screen.listen(Progress("istio.install", "Requests", 1024, 2048, step=1))
    assert "istio.install, step 1: Requests: 1,024 of 2,048" in file.getvalue()


def running(*events: Event) -> str:
    screen = live_screen(80)
    screen.listen(RunStarted("", ("a", "b"), "sandbox", 5))
    for event in events:
        screen.listen(event)
    return region(screen)


def test_the_moving_region_shows_what_is_waited_for_and_for_how_long() -> None:
    shown = running(
        LabStarted("a", "Lab A", 2),
        StepStarted("a", 1, "Put"),
        Waiting("a", "istiod to be ready", "1 of 2 pods", 12.4, 120.0, step=1),
    )
    assert "waiting 12 of 120 s for istiod to be ready: 1 of 2 pods" in shown
    assert "a  Lab A  step 1 of 2" in shown
    assert "checking      1 Put" in shown
    assert "0 of 5 steps" in shown


def test_the_moving_region_shows_a_probe_s_progress() -> None:
    shown = running(
        LabStarted("a", "Lab A", 2), StepStarted("a", 1, "Put"), Progress("a", "Requests", 1024, 2048, step=1)
    )
    assert "███████······· 1,024 of 2,048  Requests" in shown


def test_the_moving_region_shows_all_labs_that_run_and_those_whose_lines_wait() -> None:
    shown = running(
        LabStarted("a", "Lab A", 1),
        StepStarted("a", 1, "Put a1"),
        LabStarted("b", "Lab B", 1),
        StepStarted("b", 1, "Put b1"),
        LabStarted("c", "Lab C", 1),
        finished("c", 1, "Put c1", "changed"),
        LabFinished("c", 1.0, True),
    )
    assert "Put a1" in shown
    assert "Put b1" in shown
    assert "✓ finished        c  Lab C" in shown


def test_after_ctrl_c_the_region_says_that_it_stops() -> None:
    begun = (LabStarted("a", "Lab A", 1), StepStarted("a", 1, "Put"))
    assert "Ctrl-C stops" in running(*begun)
    assert "stopping" in running(*begun, Interrupted("a"))
    # On a line of its own, behind a question's "q stop: ^C".
    assert plain([Interrupted("")]) == "\nStopping at the next safe point; Ctrl-C again stops at once.\n"
    assert bare(live([Interrupted("", at_once=True)])).startswith("\nStopping at once.")


def test_nothing_moves_when_the_run_is_over() -> None:
    assert running(LabStarted("a", "A", 1), RunFinished("", 0, 1.0, {})).strip() == ""


def test_a_screen_that_is_entered_and_left_gives_the_cursor_back() -> None:
    screen = live_screen()
    with screen:
        for event in whole_run():
            screen.listen(event)
    assert written(screen).count("\x1b[?25l") == written(screen).count("\x1b[?25h") == 1
    assert "go on with" in bare(written(screen))


def test_absent_is_a_word_not_a_representation() -> None:
    check = Check((Difference("Namespace a", "metadata.labels.x", "on", ABSENT),))
    log = plain([LabStarted("a", "A", 1), finished("a", 1, "Label", "changed", check=check)])
    assert "metadata.labels.x  absent → on" in log


LAB, GATEWAY = "istio.canary", "istio.gateway"
REVIEWS = "Deployment bookinfo/reviews-v1"
ENV = "spec.template.spec.containers[reviews].env[X]"
ADDED = (Difference(REVIEWS, ENV, ABSENT, {"name": "X", "value": "Y"}), Difference("VirtualService bookinfo/mine"))
WEIGHT = Difference("VirtualService bookinfo/reviews", "spec.http[0].route[v1].weight", 50, 80)
SPLIT = Measurement("Stars on the product page", (Bar("v1", 0.5, 0.5, (0.4, 0.6)),), 1394, 1.0)


def checked_step(number: int, title: str, outcome: str, **more: object) -> events.StepFinished:
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
        checked_step(1, "Name the versions", "unchanged", check=Check(added=ADDED)),
        events.StepStarted(LAB, 2, "Half to each"),
        events.StepPhase(LAB, 2, "verify"),
        events.Progress(LAB, "Stars on the product page", 400, 1394, step=2),
        checked_step(
            2, "Half to each", "proved", verdict=Verdict("pass", "as expected", (SPLIT,)), note="at stage half"
        ),
        checked_step(3, "Split it", "missing", check=Check((WEIGHT,)), note="off the path: v1 80 %"),
        checked_step(4, "Measure it", "skipped", note="not measured: step 3 is missing"),
        checked_step(5, "Ask it", "failed", error=WorkshopError("look", "nobody answers")),
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
def test_no_line_of_a_check_is_wider_than_the_terminal(width: int) -> None:
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


SPENT = Timings(
    {"looking": 2.04, "applying": 3.1, "waiting": 14.2, "proving": 12.0, "delays": 108.5, "answers": 0.04},
    (
        LabTimings("istio.install", {"looking": 1.0, "applying": 3.1}, 4.1),
        LabTimings("istio.inject", {"looking": 0.01}, 0.01),
        LabTimings("istio.circuit-breaker", {"waiting": 11.0, "proving": 4.2}),
        LabTimings("istio.fault", {"waiting": 14.2, "proving": 12.0, "delays": 108.5}, 134.7),
    ),
)


@pytest.mark.parametrize("status", [0, 1, 3, 130])
def test_every_run_ends_with_where_its_time_went_in_one_line_of_80_columns(status: int) -> None:
    said = "  looking 2.0, applying 3.1, waiting 14.2, proving 12.0, delays on purpose 108.5"
    log = plain([RunFinished("", status, 139.9, {"changed": 2}, timings=SPENT)])
    assert log.splitlines()[-1] == said
    assert len(said) <= 80
    seen = live([RunFinished("", status, 139.9, {"changed": 2}, timings=SPENT)])
    assert bare(seen).splitlines()[-1].rstrip() == said


def test_a_run_too_short_for_figures_ends_without() -> None:
    log = plain([RunFinished("", 0, 0.04, {"unchanged": 2}, timings=Timings({"looking": 0.03}, ()))])
    assert log.splitlines()[-1].startswith("✓ Converged")


def test_with_timings_there_is_a_line_a_lab_and_what_it_adds_to_the_run() -> None:
    screen = live_screen(80)
    screen.with_timings()
    screen.listen(RunFinished("", 0, 139.9, {"changed": 2}, timings=SPENT))
    lines = bare(written(screen)).splitlines()
    assert max(map(len, map(str.rstrip, lines))) <= 80
    table = [line.split() for line in lines]
    assert [line for line in table if line][:6] == [
        ["seconds", "looking", "applying", "waiting", "proving", "delays", "all", "of", "run"],
        ["istio.install", "1.0", "3.1", "-", "-", "-", "4.1", "4.1"],
        ["istio.circuit-breaker", "-", "-", "11.0", "4.2", "-", "15.2", "-"],
        ["istio.fault", "-", "-", "14.2", "12.0", "108.5", "134.7", "134.7"],
        ["1", "lab", "more", "-", "-", "-", "-", "-", "-", "-"],
        ["the", "run", "2.0", "3.1", "14.2", "12.0", "108.5", "139.9", "139.9"],
    ]
