from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.kit.screens import bare, coloured, live_screen, rendered, written
from workshop.console.graph_view import NOTHING, Call, GraphTable, Mark, bytes_text, graph_lines, rate_text, redrawn
from workshop.console.lines import Lines
from workshop.console.screen import PlainScreen
from workshop.console.words import ASCII, UNICODE, Glyphs
from workshop.runbook.results import Bar, Measurement

TABLE = GraphTable(
    "the sandbox, over the last 60 s",
    (
        Call("productpage-v1", "reviews-v1", "bookinfo", 8.0, 0.0, 0.0375, 0.05),
        Call("productpage-v1", "reviews-v3", "bookinfo", 2.0, 0.031, 0.0375, 0.05),
        Call("reviews-v3", "ratings-v1", "bookinfo", 2.0, 0.0, 0.01, 9.9, notes=("50 % delayed by a fault (DI)",)),
        Call("reviews-v2", "ratings-v1", "bookinfo", 0.0),
        Call("ratings-v2", "mongodb-v1", "bookinfo", 0.0, bytes=3000.0),
        Call("fortio", "httpbin", "primary", 40.0, 0.25, 0.0175, 0.025),
    ),
    (
        Measurement(
            "bookinfo/reviews", (Bar("v1", 0.8, 0.8, (0.7, 0.9)), Bar("v3", 0.2, 0.2, (0.1, 0.3))), 600, 60.0
        ),
    ),
    (
        Mark("httpbin.primary", "breaker open: 25 % refused", True),
        Mark("ratings.bookinfo", "fault: delay 7s", False),
    ),
)


def shown(width: int, table: GraphTable = TABLE) -> list[str]:
    return bare(rendered(graph_lines(table, Lines(width, UNICODE)), width)).splitlines()


@pytest.mark.parametrize("width", [80, 119, 120, 160])
def test_calls_stand_below_each_other_with_their_figures(width: int) -> None:
    lines = shown(width)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    assert lines[0].rstrip() == "Mesh  the sandbox, over the last 60 s"
    assert lines[1].split() == ["bookinfo", "requests", "errors", "P50", "P99"]
    figures = [line.split()[1:] for line in lines if "→" in line]
    assert figures[0] == ["→", "reviews-v1", "8.0/s", "0.0", "%", "38", "ms", "50", "ms"]
    assert figures[1][2:5] == ["2.0/s", "3.1", "%"]
    assert figures[3][2:] == ["idle"]
    assert figures[4][2:] == ["3.0", "kB/s", "TCP"]
    ends = {line.index("ms") for line in lines if line.rstrip().endswith("ms") and "→" in line}
    assert len(ends) == 1, "columns stand below each other"
    assert [line.strip() for line in lines if line.strip() == "primary"] == ["primary"]


def test_what_is_noted_is_whole_and_beside_the_figures_where_there_is_room() -> None:
    note = "50 % delayed by a fault (DI)"
    (narrow,) = [line for line in shown(80) if note in line]
    assert narrow.strip() == note
    (wide,) = [line for line in shown(160) if note in line]
    assert "9.90 s" in wide


LONG = "recommendations-for-returning-customers-in-all-of-europe"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_long_name_takes_what_the_other_leaves_and_keeps_its_end(width: int, glyphs: Glyphs) -> None:
    calls = (
        Call("istio-ingressgateway.mesh", "web", "shop", 8.0, 0.0, 0.03, 0.05),
        *(Call("web", f"{LONG}-v{number}", "shop", 8.0, 0.5, 0.03, 0.05) for number in (12, 13)),
    )

    def drawn(*calls: Call) -> list[str]:
        found = bare(rendered(graph_lines(GraphTable("x", calls), Lines(width, glyphs)), width)).splitlines()
        assert all(cell_len(line.rstrip()) <= width for line in found)
        return [line.strip() for line in found if glyphs.arrow in line]

    assert drawn(calls[0])[0].startswith("istio-ingressgateway.mesh "), "whole, as there is room"
    ends = [line.split(f"{glyphs.arrow} ")[1].split()[0] for line in drawn(*calls)]
    assert [end[-4:] for end in ends] == ["web", "-v12", "-v13"]
    assert all(end.startswith("recomm") and glyphs.more in end for end in ends[1:]) or ends[1] == f"{LONG}-v12"


def test_what_is_said_of_a_service_is_below_itself_where_it_takes_two_lines() -> None:
    mark = Mark("httpbin.primary", "breaker open: 41 % refused (connections 1, waiting requests 1)", True)
    lines = shown(60, GraphTable("x", TABLE.calls, marks=(mark,)))[-2:]
    assert lines[0].startswith("✗ httpbin.primary  breaker open")
    assert re.match(r"  \S", lines[1])


def test_splits_and_marks_follow() -> None:
    lines = shown(80)
    assert any(line.startswith("bookinfo/reviews  600 answers") for line in lines)
    assert lines[-2:] == [
        "✗ httpbin.primary  breaker open: 25 % refused",
        "- ratings.bookinfo  fault: delay 7s",
    ]


def test_why_nothing_newer_is_known_comes_first() -> None:
    lost = GraphTable("x", TABLE.calls, lost="since 12:00:00: no answer within 20 s")
    assert shown(80, lost)[1] == "✗ since 12:00:00: no answer within 20 s"


def test_a_mesh_without_requests_says_so() -> None:
    assert shown(160, GraphTable("x"))[1].strip() == NOTHING


def test_where_figures_are_missing_nobody_is_told_that_there_are_none() -> None:
    said = "Prometheus gets nothing from 2 pods"
    assert [line.strip() for line in shown(80, GraphTable("x", missing=said))[1:]] == [f"? {said}"]
    assert [line.strip() for line in shown(80, replace(TABLE, missing=said))[1:3]] == [
        f"? {said}",
        shown(80)[1].strip(),
    ]


def test_ascii_alone_and_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(graph_lines(TABLE, Lines(80, ASCII)))
    assert rendered(lines).isascii() or bare(rendered(lines)).isascii()
    assert coloured(rendered(lines))
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    for line in lines:
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    assert not coloured(console.file.getvalue())


@pytest.mark.parametrize(
    ("rate", "text"), [(0.02, "0.02/s"), (0.999, "1.0/s"), (9.96, "10.0/s"), (99.9, "99.9/s"), (1234.5, "1,234/s")]
)
def test_rates(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(2, "2.0 B/s"), (999, "999 B/s"), (3000, "3.0 kB/s"), (5e6, "5.0 MB/s"), (7e9, "7.0 GB/s")]
)
def test_bytes(rate: float, text: str) -> None:
    assert bytes_text(rate) == text


def test_on_a_terminal_it_is_drawn_in_its_place_and_in_a_log_not_at_all() -> None:
    screen = live_screen()
    with redrawn(screen) as draw:
        draw(graph_lines(GraphTable("first"), screen.lines))
        draw(graph_lines(GraphTable("second"), screen.lines))
    assert "second" in bare(written(screen))
    assert "\x1b[1A" in written(screen), "over the lines before"
    log = PlainScreen(io.StringIO(), debug=False, echo=False, glyphs=UNICODE)
    with redrawn(log) as draw:
        draw(graph_lines(TABLE, log.lines))
    assert log.console.file.getvalue() == ""  # type: ignore[attr-defined]
