"""What the real Prometheus has and the sandbox's has not, or reads otherwise: refused by its name."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.prometheus.evaluation import instant
from sandbox.prometheus.expressions import AGGREGATIONS, FUNCTIONS, BadData, Text, parse
from sandbox.prometheus.series import Store

_RANGES = {name for name, (kinds, _, _) in FUNCTIONS.items() if any(kind.name == "RANGE" for kind in kinds)}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("holt_winters(up[5m], 0.5, 0.5)", "holt_winters"),
        ("double_exponential_smoothing(up[5m], 0.5, 0.5)", "double_exponential_smoothing"),
        ("mad_over_time(up[5m])", "mad_over_time"),
        ("histogram_count(up)", "histogram_count"),
        ("histogram_fraction(0, 1, up)", "histogram_fraction"),
        ("day_of_week()", "day_of_week"),
        ("hour(up)", "hour"),
        ("sort_by_label(up, 'job')", "sort_by_label"),
        ("sin(up)", "sin"),
        ("info(up)", "info"),
        ("limitk(1, up)", "limitk"),
        ("limit_ratio(0.5, up)", "limit_ratio"),
        ('up{job="a" or job="b"}', "`or` between matchers"),
        ("timestamp(up @ 5 offset 1m)", "timestamp() of a selector with @ and offset"),
        ("up + fill (0) up", "fill"),
        ("up[5m] + up", "scalar and instant vector types"),
        ("sum(" * 120 + "up" + ")" * 120, "100 levels"),
        ("(" * 301, "operators and brackets"),
        ("1 + " * 301 + "1", "operators and brackets"),
        ("up" + "[5m:1m]" * 301, "operators and brackets"),
        ("up or " * 301 + "up", "operators and brackets"),
        ("{" + 'a="b",' * 301 + "}", "operators and brackets"),
        ("up or " * 4000, "20000 characters"),
        ("rate(up[5m]", "parse error"),
        ("", "no expression"),
        ("up and on (job) group_left () up", "no grouping allowed"),
        ("up * on (job) group_left (job) up", "'job' must not occur in ON and GROUP"),
        ("up + bool up", "bool"),
        ('quantile("a", up)', "expected type scalar"),
        ("sum(1, up)", "expected 1, got 2"),
        ("-up[5m]", "unary"),
    ],
)
def test_it_is_refused_by_its_name(query: str, named: str) -> None:
    with pytest.raises(BadData) as refused:
        parse(query)
    assert named in str(refused.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_that_is_read_is_there(name: str) -> None:
    """Nothing is found out to be missing when it is evaluated."""
    words = {"SCALAR": "1", "VECTOR": "up", "RANGE": "up[5m]", "STRING": '"x"'}
    kinds, _, _ = FUNCTIONS[name]
    arguments = [words[kind.name] for kind in kinds]
    asyncio.run(instant(parse(f"{name}({', '.join(arguments)})"), Store(), 0))


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_every_aggregation_that_is_read_is_there(name: str) -> None:
    wanted = AGGREGATIONS[name]
    first = "" if wanted is None else {"SCALAR": "1, ", "STRING": '"x", '}[wanted.name]
    asyncio.run(instant(parse(f"{name} by (job) ({first}vector(1))"), Store(), 0))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"`a\.b`", r"a\.b"),
        (r"`say \"hi\"`", r"say \"hi\""),
        (r'"a\\.b"', r"a\.b"),
        ("`two\nlines`", "two\nlines"),
        (r"""'it`s'""", "it`s"),
        ("`a` # `b", "a"),
        (r'"\u00e9\x41\n"', "\u00e9A\n"),
    ],
)
def test_strings_are_read_as_go_reads_them(written: str, read: str) -> None:
    found = parse(written)
    assert isinstance(found, Text)
    assert found.value == read
