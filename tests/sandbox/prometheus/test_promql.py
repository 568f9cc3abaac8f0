"""PromQL against the real Prometheus: the same samples, the same queries, its answers."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox.prometheus.evaluation import Result, instant, over_range
from sandbox.prometheus.expressions import BadData, parse
from sandbox.prometheus.labels import Labels
from sandbox.prometheus.numbers import text
from sandbox.prometheus.series import Store
from sandbox.prometheus.vectors import ExecutionError
from tests.kit.cases import content_of
from tests.sandbox.prometheus.samples import labels, loaded, same


@cache
def _table() -> Any:
    file = Path(__file__).parent / "cases" / "promql.yaml"
    return content_of(file)


@cache
def _store() -> Store:
    return loaded(_table()["series"])


def _ask(case: dict[str, Any]) -> Result:
    node = parse(case["query"])
    if "at" in case:
        return asyncio.run(instant(node, _store(), round(case["at"] * 1000)))
    start, end, step = (round(seconds * 1000) for seconds in case["range"])
    return asyncio.run(over_range(node, _store(), start, end, step))


def _rows(case: dict[str, Any], result: Result) -> list[tuple[Labels, list[str]]]:
    """The result as the table writes it."""
    if isinstance(result.value, float | str):
        return [(Labels({}), [text(result.value) if isinstance(result.value, float) else result.value])]
    if result.kind == "vector":
        return [(of, [text(value)]) for of, value in result.value]  # type: ignore[misc, arg-type]
    rows = []
    for row in result.value:
        found = dict(zip(row.times, map(text, row.values), strict=True))  # type: ignore[union-attr]
        if "at" in case:
            values = [f"{time / 1000:.10g}:{value}" for time, value in found.items()]
        else:
            start, end, step = (round(seconds * 1000) for seconds in case["range"])
            values = [found.get(time, "_") for time in range(start, end + 1, step)]
        rows.append((row.labels, values))  # type: ignore[union-attr]
    return rows


def _expected(case: dict[str, Any]) -> list[tuple[Labels, list[str]]]:
    if case["kind"] in ("scalar", "string"):
        return [(Labels({}), case["answer"])]
    rows = []
    for row in case["answer"]:
        name, brace, rest = row.partition("} ")
        if not brace:
            name, _, rest = row.partition(" ")
        rows.append((labels(name + brace.strip()), rest.split(" ")))
    return rows


def _equal(one: str, other: str) -> bool:
    if one == other:
        return True
    (time, _, value), (other_time, _, other_value) = one.rpartition(":"), other.rpartition(":")
    return time == other_time and "_" not in (value, other_value) and same(float(value), float(other_value))


@pytest.mark.parametrize(
    "case", [case for cases in _table()["queries"].values() for case in cases], ids=lambda case: case["query"]
)
def test_a_query_is_answered_as_prometheus_answers_it(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises({"bad_data": BadData, "execution": ExecutionError}[case["error"]]):
            _ask(case)
        return
    result = _ask(case)
    assert result.kind == case["kind"]
    found, expected = _rows(case, result), _expected(case)
    if not case["query"].startswith(("sort", "topk", "bottomk")):
        found.sort(key=lambda row: row[0].ordered())
        expected.sort(key=lambda row: row[0].ordered())
    assert [row[0] for row in found] == [row[0] for row in expected]
    for (name, values), (_, wanted) in zip(found, expected, strict=True):
        assert all(map(_equal, values, wanted)), f"{name}: {values}, and Prometheus says {wanted}"
        assert len(values) == len(wanted)
