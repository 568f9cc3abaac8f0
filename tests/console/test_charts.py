"""A measured share is a bar whose length is the share, beside the expected one; latencies are columns over an axis
of time that is the same for all histograms.
"""

from __future__ import annotations

import math
import unicodedata

import pytest
from rich.cells import cell_len

from tests.kit.screens import PASS, bare, coloured, measured, rendered
from workshop.console.charts import bar, histogram_lines, measurement_lines, verdict_lines
from workshop.console.words import ASCII, UNICODE, Glyphs, latency
from workshop.runbook.results import Bar, Latencies, Measurement, Verdict


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


SLOW = Latencies((0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0), (50, 0, 0, 0, 0, 0, 0, 50), 0.02, 3.1)
FAST = Latencies((0.01, 0.02, 0.05), (75, 25), 0.012, 0.045)


def drawn(latencies: Latencies, width: int = 74, glyphs: Glyphs = UNICODE) -> list[str]:
    """The lines: columns, the axis with its marks, and what it says."""
    return [
        line.rstrip() for line in bare(rendered([histogram_lines(latencies, width, glyphs)], width)).splitlines()
    ]


def at(line: str, label: str) -> int:
    """Where the middle of a label is."""
    return line.index(label) + len(label) // 2


@pytest.mark.parametrize("width", [72, 92, 112])
def test_a_bucket_stands_between_its_bounds(width: int) -> None:
    columns, axis, labels = drawn(SLOW, width)
    ten, twenty = at(labels, "10"), at(labels, "20")
    two, five = labels.rindex(" 2 ") + 1, labels.rindex(" 5 ") + 1
    assert [place for place, sign in enumerate(columns) if sign != " "] == [*range(ten, twenty), *range(two, five)]
    assert {axis[place] for place in (at(labels, "50"), at(labels, "1s"), five)} == {"┴"}
    assert two < at(axis, "P99") < five
    assert abs(at(axis, "P50") - twenty) <= 1


def test_a_column_is_as_high_as_its_share() -> None:
    above, columns, *_ = drawn(FAST)
    assert set(above) == {" ", "▄"}  # 12 of 16 steps
    assert set(columns) == {" ", "█", "▄"}
    rare = Latencies((0.01, 0.02, 0.05), (999, 1), 0.012, 0.019)
    assert drawn(rare)[1].endswith("█▁▁▁▁▁")


def test_histograms_below_each_other_have_the_same_axes() -> None:
    assert drawn(FAST)[-1] == drawn(SLOW)[-1]
    # Half of the answers are as high in both, whatever else there is.
    half = Latencies((0.01, 0.02, 0.05), (50, 50), 0.02, 0.05)
    assert drawn(half)[0].strip()[0] == drawn(SLOW)[0].strip()[0] == "█"


def test_what_is_off_the_axis_is_at_its_ends() -> None:
    columns, axis, _ = drawn(Latencies((0.0, 0.0002, 0.0005, 10.0, 20.0, math.inf), (1, 1, 0, 1, 1), 0.0003, 20.0))
    assert columns == "█████" + " " * 60 + "█████"
    assert "P50" in axis[:5]
    assert "P99" in axis[-5:]


def test_marks_that_fall_together_are_one() -> None:
    assert "P50/P99" in drawn(Latencies((0.01, 0.02), (10,), 0.015, 0.016))[-2]


@pytest.mark.parametrize("width", [74, 94, 114])
def test_it_fits_below_the_bars_of_a_measurement(width: int) -> None:
    measurement = Measurement("Answers", (Bar("200", 1.0, 1.0, (0.9, 1.0)),), 100, 9.3, latencies=SLOW)
    lines = bare(rendered([measurement_lines(measurement, width, UNICODE)], width)).splitlines()
    assert "100 answers · 9.3 s · P50 20 ms · P99 3.10 s · none failed" in lines[0]
    assert len(lines) == 6
    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("width", [154, 194])
@pytest.mark.parametrize("expected", [None, 1.0])
def test_where_there_is_room_it_stands_beside_the_bars(width: int, expected: float | None) -> None:
    bar = Bar("200", 1.0, expected, None if expected is None else (0.9, 1.0))
    measurement = Measurement("Answers", (bar,), 100, 9.3, latencies=SLOW)
    lines = bare(rendered([measurement_lines(measurement, width, UNICODE)], width)).splitlines()
    assert len(lines) == 4
    assert max(cell_len(line) for line in lines) <= width
    columns, axis = (next(line for line in lines if sign in line) for sign in ("100.0 %", "─"))
    assert axis.index("─") > columns.index("100.0 %")
    assert lines[-1].split() == ["1ms", *["2", "5", "10", "20", "50", "100", "200", "500", "1s", "2", "5", "10s"]]


@pytest.mark.parametrize(("width", "beside"), [(74, False), (114, False), (154, True), (194, True)])
def test_histograms_of_two_versions_are_compared_beside_each_other(width: int, beside: bool) -> None:
    measured = [Measurement(name, (), 100, 9.3, latencies=times) for name, times in (("v1", FAST), ("v3", SLOW))]
    verdict = Verdict("pass", "as fast as v1", (*measured, Measurement("v4", (), 100, 9.3, latencies=FAST)))
    lines = bare(rendered([verdict_lines(verdict, width, UNICODE)], width)).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert [line for line in lines if "v1  100" in line and "v3  100" in line] == lines[:1] * beside
    assert sum("1ms" in line for line in lines) == (2 if beside else 3)
    assert [line.count("P99") for line in lines if "─" in line] == ([2, 1] if beside else [1, 1, 1])
    assert "v4" in lines[5 if beside else 9]


def test_in_ascii_it_is_ascii() -> None:
    lines = drawn(FAST, glyphs=ASCII)
    assert not [sign for line in lines for sign in line if ord(sign) > 126]
    assert "#####:" in lines[1]
    assert "P50" in lines[2]


def test_without_colour_all_is_said_by_signs() -> None:
    assert coloured(rendered([histogram_lines(SLOW, 74, UNICODE)]))
    assert not [sign for line in drawn(SLOW) for sign in line if unicodedata.category(sign) == "Cc"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00012, "0.1 ms"),
        (0.0032, "3.2 ms"),
        (0.00949, "9.5 ms"),
        (0.0096, "10 ms"),
        (0.4704, "470 ms"),
        (6, "6.00 s"),
    ],
)
def test_a_latency_in_words(seconds: float, text: str) -> None:
    assert latency(seconds) == text
