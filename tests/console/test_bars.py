"""A measured share is a bar whose length is the share, beside the expected one, with numbers."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.console.performance import PASS, measured
from tests.console.rendering import bare, rendered
from workshop.console.bars import bar, measurement_lines, verdict_lines
from workshop.console.words import ASCII, UNICODE
from workshop.runbook.results import Bar, Measurement, Verdict


@pytest.mark.parametrize(
    ("share", "text"), [(0, ""), (1, "████████"), (0.5, "████"), (0.28125, "██▎"), (0.0001, "▏"), (1.7, "████████")]
)
def test_a_bar_is_as_long_as_its_share(share: float, text: str) -> None:
    assert bar(share, 8, UNICODE) == text


def test_in_ascii_a_bar_has_whole_cells() -> None:
    assert bar(0.5, 8, ASCII) == "####"
    assert bar(0.01, 8, ASCII) == "#"


@pytest.mark.parametrize("width", [74, 94, 114, 154, 194])
def test_measured_expected_and_accepted_stand_beside_each_other(width: int) -> None:
    lines = bare(rendered([measurement_lines(measured(0.5, 0.2, 0.3), width, UNICODE)], width)).splitlines()
    assert lines[0].split("  ")[0] == "Stars on the product page"
    assert lines[1].split() == ["measured", "expected", "accepted"]
    assert [number for number in lines[2].split() if number[0].isdigit()] == ["50.0", "33.0", "29.8\u201336.2"]
    assert all(cell_len(line) <= width for line in lines)
    measured_bar, expected_bar = (part.count("█") for part in lines[2].split("%")[:2])
    assert measured_bar > expected_bar > 0


def test_bars_are_longer_where_there_is_room() -> None:
    def cells(width: int) -> int:
        lines = bare(rendered([measurement_lines(measured(1.0, 0, 0), width, UNICODE)], width)).splitlines()
        return lines[2].partition("%")[0].count("█")

    assert [cells(width) for width in (74, 114, 154, 300)] == [13, 33, 48, 48]


def test_what_is_outside_the_accepted_range_is_marked() -> None:
    lines = bare(rendered([measurement_lines(measured(0.5, 0.34, 0.3), 74, UNICODE)])).splitlines()
    assert [line.rstrip()[-1] for line in lines[2:5]] == ["✗", "✓", "✗"]


def test_without_an_answer_nothing_is_marked() -> None:
    """Seen: a tick beside the 0 % of a version that none is expected of, where there was no traffic at all."""
    bars = (Bar("v1", 0.0, 1.0, (0.99, 1.0)), Bar("v2", 0.0, 0.0, (0.0, 0.0)))
    refused = (Bar("503", 1.0, 1.0, (1.0, 1.0)),)  # of calls, of which none was good
    for shares, samples, marks in ((bars, 0, ""), (bars, 66, "✗✓"), (refused, 0, "✓")):
        shown = bare(rendered([measurement_lines(Measurement("Titles", shares, samples, 0.2, 9), 74, UNICODE)]))
        assert "".join(sign for sign in shown if sign in "✗✓") == marks


def test_a_range_of_one_value_is_one_number() -> None:
    only = Measurement("Titles", (Bar("title", 1.0, 1.0, (1.0, 1.0)),), 66, 0.2)
    (line,) = [line for line in bare(rendered([measurement_lines(only, 74, UNICODE)])).splitlines() if "█" in line]
    assert line.split()[-3:] == ["100.0", "%", "✓"]


def test_bars_have_the_colour_the_lab_says() -> None:
    text = rendered([measurement_lines(measured(0.3, 0.3, 0.4), 74, UNICODE)])
    none, black, red = (line for line in text.splitlines() if " stars" in line)
    assert "\x1b[37m" in none
    assert "\x1b[90m" in black
    assert "\x1b[31m" in red


def test_without_an_expectation_there_is_only_what_was_measured() -> None:
    lines = bare(rendered([measurement_lines(Measurement("Status", (Bar("200", 1.0),), 12, 0.2), 74, UNICODE)]))
    assert "expected" not in lines
    assert "100.0 %" in lines
    assert "12 answers" in lines


def test_a_verdict_says_its_reason_and_errors_are_counted() -> None:
    assert "✓ every share is as expected" in bare(rendered([verdict_lines(PASS, 74, UNICODE)]))
    few = Verdict("inconclusive", "too few to tell", (measured(0, 0, 0, errors=1),))
    assert "1 failed (0.0 %)\n" in bare(rendered([verdict_lines(few, 74, UNICODE)])).replace(" \n", "\n")
    assert "? too few to tell" in bare(rendered([verdict_lines(few, 74, UNICODE)]))


def test_a_long_reason_goes_on_beside_its_sign() -> None:
    lines = bare(rendered([verdict_lines(Verdict("pass", "word " * 30), 74, UNICODE)])).splitlines()
    assert len(lines) > 1
    assert [line[:7] for line in lines] == ["✓ word ", *["  word "] * (len(lines) - 1)]


def test_the_failed_share_is_always_told() -> None:
    none = Measurement("Status", (Bar("200", 1.0),), 12, 0.2)
    some = Measurement("Status", (Bar("200", 1.0),), 12, 0.2, errors=4)
    only = Measurement("Status", (Bar("200", 0.0),), 0, 0.2, errors=4)
    told = [bare(rendered([measurement_lines(item, 74, UNICODE)])).splitlines()[0] for item in (none, some, only)]
    assert [line.rstrip() for line in told] == [
        "Status  12 answers · 0.2 s · none failed",
        "Status  16 calls · 0.2 s · 4 failed (25.0 %)",
        "Status  4 calls · 0.2 s · 4 failed (100.0 %)",
    ]


def test_facts_that_do_not_fit_beside_a_title_stand_below_it() -> None:
    long = Measurement("While half of the calls to ratings are delayed by 7 s", (Bar("200", 1.0),), 12, 0.2)
    lines = bare(rendered([measurement_lines(long, 74, UNICODE)])).splitlines()
    assert lines[0].rstrip() == long.title
    assert lines[1].startswith("  12 answers")
