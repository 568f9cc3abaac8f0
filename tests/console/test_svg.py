"""Where in a chart things stand: what was measured as long as it is, what is expected where it is, times on their
axis."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.laws import LAW
from workshop.console.scales import LABELS, TICKS
from workshop.console.svg import histogram, share_bar, span_bar
from workshop.console.web_page import Markup
from workshop.console.words import accepted
from workshop.runbook.results import Bar, Latencies

SHARE = st.floats(0, 1)
SLIM = 0.8
"""Of a hundred: what is not nothing shows."""


def drawn(chart: Markup, kind: str = "rect") -> list[dict[str, float]]:
    """The places of its parts, and how they are filled."""
    parts = ElementTree.fromstring(chart).iter(kind)  # noqa: S314 - our own
    return [{name: float(at) for name, at in part.items() if at.replace(".", "").isdigit()} for part in parts]


def filled(chart: Markup, colour: str) -> list[dict[str, float]]:
    root = ElementTree.fromstring(chart)  # noqa: S314
    fills = [part.get("fill") for part in root.iter("rect")]
    return [part for part, fill in zip(drawn(chart), fills, strict=True) if fill == f"var(--{colour})"]


@LAW
@given(SHARE, SHARE, SHARE, SHARE)
def test_a_share_is_as_long_as_it_is_and_stands_before_what_is_accepted(
    measured: float, expected: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    chart = share_bar(Bar("v1", measured, expected, (low, high), "red"))
    (band,), (mark,), bars = filled(chart, "band"), filled(chart, "mark"), filled(chart, "red")
    assert band["x"] == pytest.approx(min(low * 100, 100 - SLIM), abs=0.81)
    assert band["width"] == pytest.approx(max((high - low) * 100, SLIM), abs=0.02)
    assert mark["x"] + 0.3 == pytest.approx(expected * 100, abs=0.31)
    assert 0 <= mark["x"] <= 99.4
    assert len(bars) == (measured * 100 >= 0.005)
    for bar in bars:
        assert bar["x"] == 0
        assert bar["width"] == pytest.approx(max(measured * 100, SLIM), abs=0.01)
    assert all(part["x"] + part["width"] <= 100.001 for part in drawn(chart))


def test_what_is_not_expected_has_no_mark_and_what_is_no_number_no_bar() -> None:
    chart = share_bar(Bar("v1", math.nan, None, None, "nobody's"))
    assert (filled(chart, "band"), filled(chart, "mark"), filled(chart, "bar")) == ([], [], [])


@LAW
@given(SHARE, SHARE, st.floats(0, 1000))
def test_a_time_span_stands_where_it_was(one: float, other: float, whole: float) -> None:
    begin, end = sorted((one * whole, other * whole))
    (bar,) = filled(span_bar(begin, end, whole, "good"), "good")
    of = whole or 1.0
    assert bar["x"] == pytest.approx(min(begin / of * 100, 100 - bar["width"]), abs=0.01)
    assert bar["width"] == pytest.approx(max((end - begin) / of * 100, SLIM), abs=0.01)


BOUNDS = [(TICKS[start], TICKS[end]) for start in range(0, 12, 3) for end in range(start + 1, 13, 4)]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_a_bucket_stands_between_the_labels_of_its_bounds(low: float, high: float) -> None:
    chart = histogram(Latencies((low, high), (5,), low, high))
    texts = ElementTree.fromstring(chart).iter("text")  # noqa: S314
    at = {place: float(text.get("x", "")) for place, text in enumerate(texts)}
    (column,) = drawn(chart)
    assert column["x"] == at[TICKS.index(low)]
    assert column["x"] + column["width"] == pytest.approx(at[TICKS.index(high)], abs=0.61)


@LAW
@given(st.lists(st.integers(0, 50), min_size=len(TICKS) - 1, max_size=len(TICKS) - 1).filter(any))
def test_columns_are_as_high_as_their_share_and_stand_on_the_axis(counts: list[int]) -> None:
    columns = drawn(histogram(Latencies(TICKS, tuple(counts), 0.01, 0.1)))
    floor = {column["y"] + column["height"] for column in columns}
    assert all(at == pytest.approx(76, abs=0.06) for at in floor)
    assert [column["height"] for column in columns] == [
        pytest.approx(max(1.5, count / sum(counts) * 60), abs=0.06) for count in counts if count
    ]


@pytest.mark.parametrize(
    ("p50", "p99", "named"),
    [
        (0.008, 3.1, {"P50": "end", "P99": "start"}),
        (0.05, 0.05, {"P50": "end", "P99": "start"}),
        (0.0001, 3.1, {"P50": "start", "P99": "start"}),
        (0.008, 30.0, {"P50": "end", "P99": "end"}),
        (0.0001, 0.0002, {"P50/P99": "start"}),
        (20.0, 30.0, {"P50/P99": "end"}),
    ],
)
def test_p50_and_p99_are_marked_where_they_are_and_their_names_stay_inside(
    p50: float, p99: float, named: dict[str, str]
) -> None:
    root = ElementTree.fromstring(histogram(Latencies((0.0, 0.001, 50.0), (1, 1), p50, p99)))  # noqa: S314
    texts = list(root.iter("text"))
    assert [text.text for text in texts][: len(LABELS)] == list(LABELS)
    names = texts[len(LABELS) :]
    assert {text.text: text.get("text-anchor") for text in names} == named
    lines = [float(line.get("x1", "")) for line in root.iter("line") if line.get("stroke-dasharray")]
    for line, seconds in zip(lines, (p50, p99), strict=True):
        slot = sum(tick <= seconds for tick in TICKS)
        assert slot * 40 <= line <= (slot + 1) * 40
    for name, line in zip(names, lines, strict=False):
        beside, ends = float(name.get("x", "")), name.get("text-anchor") == "end"
        assert beside - line == (-3 if ends else 3)
        assert 0 <= beside + 7 * len(name.text or "") * (-1 if ends else 1) <= 14 * 40


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Bar("a", 0.5), ""),
        (Bar("a", 0.5, 0.5, (0.45, 0.555)), "45.0\u201355.5 %"),
        (Bar("a", 0.0, 0.0, (0.0, 0.0)), "0.0 %"),
    ],
)
def test_a_range_in_words(item: Bar, said: str) -> None:
    assert accepted(item) == said
