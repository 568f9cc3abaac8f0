"""fortio's histogram, and its flags and durations as Go has them."""

from __future__ import annotations

import pytest

from sandbox.images import gofmt
from sandbox.images.fortio import FlagError, parse
from sandbox.images.fortio_load import BOUNDS, Histogram, Options


def test_values_fall_into_fortios_buckets() -> None:
    assert (len(BOUNDS), BOUNDS[-1]) == (56, 100000)
    histogram = Histogram(0.001)
    for value in (0.0005, 0.001, 0.0011, 0.0119, 0.012, 0.0121, 0.5, 101.0):
        histogram.record(value)
    found = [(one.start, one.end, one.count) for one in histogram.buckets()]
    assert found == [
        (0.0005, 0.001, 2),
        (0.001, 0.002, 1),
        (0.011, 0.012, 2),
        (0.012, 0.014, 1),
        (0.45, 0.5, 1),
        (100.0, 101.0, 1),
    ]
    assert [one.percent for one in histogram.buckets()][-1] == 100


def test_percentiles_are_linear_within_a_bucket() -> None:
    histogram = Histogram(1)
    for value in (10, 20, 30):
        histogram.record(value)
    assert histogram.percentile(33) == 10
    assert histogram.percentile(50) == pytest.approx(18 + 2 * (50 - 100 / 3) / (100 / 3))
    assert histogram.percentile(100) == 30
    assert histogram.deviation == pytest.approx((200 / 3) ** 0.5)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (104_470_781, "104.470781ms"),
        (5 * 10**9, "5s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (-1_500_000_000, "-1.5s"),
    ],
)
def test_durations_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert gofmt.written(nanoseconds) == text
    assert gofmt.duration(text) == nanoseconds


def test_flags_as_go_reads_them() -> None:
    options, rest = parse(["-c", "2", "--qps=0", "-quiet", "-keepalive=f", "-n=20", "-H", "a:b", "-H", "c: d", "u"])
    assert (options.connections, options.qps, options.quiet, options.keepalive, options.calls) == (
        2,
        0,
        True,
        False,
        20,
    )
    assert (options.headers, rest) == ((("a", "b"), ("c", " d")), ["u"])
    assert parse([])[0] == Options()
    assert parse(["--", "-c"])[1] == ["-c"]
    with pytest.raises(FlagError, match="not supported by the sandbox's fortio: --c"):
        parse(["---c"])
