"""Latencies are columns over an axis of time that is the same for all histograms."""

from __future__ import annotations

import math
import unicodedata

import pytest
from rich.cells import cell_len

from tests.console.rendering import bare, coloured, rendered
from workshop.console.bars import measurement_lines, verdict_lines
from workshop.console.histogram import histogram_lines
from workshop.console.words import ASCII, UNICODE, Glyphs, latency
from workshop.runbook.results import Bar, Latencies, Measurement, Verdict

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
