"""Durations as Go, Istio's rules, Envoy and kubectl write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.durations import duration, lasting, nanoseconds, seconds, to_age, to_go
from tests.kit.laws import LAW


@pytest.mark.parametrize(
    ("text", "expected"), [("7s", "7s"), ("1m1.5s", "61.5s"), ("90ms", "0.09s"), ("2h", "7200s")]
)
def test_rules_in_envoys_words(text: str, expected: str) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "-1s", "1s2"])
def test_what_is_no_duration_in_a_rule(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5s", 1_500_000_000),
        ("1m30s", 90 * 10**9),
        ("0", 0),
        ("-2h", -7200 * 10**9),
        (".5us", 500),
        ("3µs", 3000),
    ],
)
def test_go(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected
    assert nanoseconds(to_go(expected)) == expected


@pytest.mark.parametrize("text", ["", "5", "1d", "s", "1s 2s"])
def test_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        nanoseconds(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (104_470_781, "104.470781ms"), (5 * 10**9, "5s")),
        *((90 * 10**9, "1m30s"), (3600 * 10**9, "1h0m0s"), (-1_500_000_000, "-1.5s")),
    ],
)
def test_as_go_prints_them(value: int, text: str) -> None:
    assert to_go(value) == text
    assert nanoseconds(text) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (119, "119s"), (120, "2m"), (599, "9m59s"), (600, "10m"), (10799, "179m"), (10800, "3h")),
        *((28800 - 60, "7h59m"), (28800, "8h"), (48 * 3600, "2d"), (49 * 3600, "2d1h"), (9 * 86400, "9d")),
        *((800 * 86400, "2y70d"), (3000 * 86400, "8y"), (-1, "0s"), (-10, "<invalid>")),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert to_age(seconds) == text


@settings(LAW, max_examples=150)
@given(st.integers(-(10**18), 10**18))
def test_what_go_prints_it_reads_again(value: int) -> None:
    assert nanoseconds(to_go(value)) == value


@pytest.mark.parametrize(("text", "expected"), [("30m", 1800), ("12h", 43_200), ("2d", 172_800)])
def test_a_time_as_a_person_says_it(text: str, expected: int) -> None:
    assert lasting(text) == expected


@pytest.mark.parametrize("text", ["", "0h", "12", "1h30m", "-1h", "1 h", "1s", "1.5h", "123456h", "²h"])
def test_what_is_no_such_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time as 30m, 12h or 2d"):
        lasting(text)
