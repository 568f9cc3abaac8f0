"""Durations as people write them."""

from __future__ import annotations

import pytest

from sandbox.core.durations import duration, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("7s", "7s"), ("1m1.5s", "61.5s"), ("90ms", "0.09s"), ("2h", "7200s")]
)
def test_durations_in_envoys_words(text: str, expected: str) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "-1s", "1s2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)
