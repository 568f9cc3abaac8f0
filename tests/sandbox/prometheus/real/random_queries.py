"""Put random queries to the real Prometheus and to the sandbox's, over the samples of `cases/promql.yaml`.

    python -m tests.sandbox.prometheus.real.random_queries PATH/TO/answers SEED COUNT

`take.py` says where the program comes from. Prints where they differ. Known to differ are which of equal values
`topk` and `bottomk` take, the last digits of logarithms where `count_values` makes labels of them, and what is
refused by its name.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import Callable
from typing import Any

from sandbox.prometheus.evaluation import Result, instant, over_range
from sandbox.prometheus.expressions import BadData, parse
from sandbox.prometheus.labels import Labels
from sandbox.prometheus.series import Store
from sandbox.prometheus.vectors import ExecutionError
from tests.sandbox.prometheus.real.take import answers, table
from tests.sandbox.prometheus.samples import loaded

_VALUES = {
    "job": ("web", "api", "db", "slow"),
    "instance": ("a:80", "b:80", "c:80"),
    "code": ("200", "404", "500", "503"),
    "method": ("get", "post"),
    "le": ("0.1", "1"),
    "room": ("attic", "hall", "oven"),
    "floor": ("0", "1", "2"),
    "team": ("red", "blue"),
    "version": ("1.2.0", "1.3.0"),
}
_RANGES = (
    *("rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets"),
    *(
        f"{of}_over_time"
        for of in ("avg", "min", "max", "sum", "count", "last", "stddev", "stdvar", "present", "absent")
    ),
)
_VECTORS = (
    *("abs", "ceil", "floor", "round", "sgn", "sqrt", "ln", "exp", "log2", "log10", "absent", "timestamp", "sort"),
    *("-", "clamp", "clamp_min", "clamp_max", "label_replace", "label_join", "vector"),
)


class Queries:
    """Random ones. A depth says how many levels may be below."""

    def __init__(self, seed: int, names: list[str]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._names = names

    def one(self) -> dict[str, Any]:
        query = self.vector(self.of(1, 1, 2, 2, 3))
        if self._random.random() < 0.6:
            return {"query": query, "at": self.of(self.number(1_300_000) / 1000, self.number(86) * 15)}
        start = self.number(80) * 15
        return {"query": query, "range": [start, start + self.number(400), self.of(7, 15, 60, 33.5)]}

    def of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def number(self, most: int) -> int:
        return self._random.randint(0, most)

    def labels(self, most: int = 2) -> str:
        return ", ".join(self._random.sample(list(_VALUES), self.number(most)))

    def duration(self) -> str:
        found: str = self.of("7s", "15s", "30s", "45s", "1m", "1m1s", "90s", "2m", "5m", "10m", "20m")
        return found

    def moved(self) -> str:
        at = f" @ {self.number(1200)}"
        offset = f" offset {self.of('', '-')}{self.duration()}"
        found: str = self.of("", "", "", "", "", offset, offset, at, " @ start()", " @ end()", at + offset)
        return found

    def selector(self) -> str:
        matchers = [self.matcher() for _ in range(self.of(0, 0, 0, 0, 0, 1, 2))]
        if not self.number(9):
            name = f'__name__=~"{self.of(*self._names)}|{self.of(*self._names)}"'
            return f"{{{', '.join((name, *matchers))}}}"
        return self.of(*self._names) + (f"{{{', '.join(matchers)}}}" if matchers else "")

    def matcher(self) -> str:
        label = self.of(*_VALUES)
        value, operator = self.of(*_VALUES[label]), self.of("=", "!=", "=~", "!~")
        if "~" in operator:
            value = self.of(value, ".*", f"{value[0]}.*", "", f"(?i:{value.upper()})|x")
        return f'{label}{operator}"{value}"'

    def window(self, depth: int) -> str:
        if depth > 0 and not self.number(4):
            step = self.of("", "10s", "15s", "30s", "1m")
            return f"({self.vector(depth - 1)})[{self.duration()}:{step}]{self.moved()}"
        return f"{self.selector()}[{self.duration()}]{self.moved()}"

    def scalar(self, depth: int) -> str:
        words = ("0", "1", "0.5", "2", "-1", "10", "0.9", "1e3", "NaN", "Inf", "15s", "time()", "pi()")
        return self.of(*words) if self.number(9) else f"scalar({self.vector(depth - 1)})"

    def vector(self, depth: int) -> str:
        if depth <= 0 or not self.number(9):
            return self.selector() + self.moved()
        kinds: tuple[Callable[[int], str], ...] = (
            self.ranged,
            self.ranged,
            self.aggregation,
            self.call,
            self.binary,
        )
        return self.of(*kinds)(depth)  # type: ignore[no-any-return]

    def ranged(self, depth: int) -> str:
        match self.number(19):
            case 0:
                return f"quantile_over_time({self.scalar(0)}, {self.window(depth)})"
            case 1:
                return f"predict_linear({self.window(depth)}, {self.scalar(0)})"
        return f"{self.of(*_RANGES)}({self.window(depth)})"

    def aggregation(self, depth: int) -> str:
        names = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile")
        name = self.of(*names, "count_values")
        grouping = self.of("", f" by ({self.labels()})", f" without ({self.labels()})")
        first = {"topk": "3, ", "bottomk": "2, ", "quantile": f"{self.scalar(0)}, ", "count_values": '"v", '}
        return f"{name}{grouping} ({first.get(name, '')}{self.vector(depth - 1)})"

    def call(self, depth: int) -> str:
        if not self.number(4):
            return f"histogram_quantile({self.scalar(0)}, {self.vector(depth - 1)})"
        name, of = self.of(*_VECTORS), self.vector(depth - 1)
        target, source = self.of(*_VALUES, "x"), self.of(*_VALUES)
        match name:
            case "vector":
                of = self.scalar(depth - 1)
            case "clamp":
                of += f", {self.scalar(0)}, {self.scalar(0)}"
            case "clamp_min" | "clamp_max":
                of += f", {self.scalar(0)}"
            case "round":
                of += self.of("", ", 0.1", ", 5", ", 0.3")
            case "label_replace":
                put, pattern = self.of("$1", "a$2", "", "${1}z"), self.of("(.*)", "(.).*", "(.*):(.*)")
                of += f', "{target}", "{put}", "{source}", "{pattern}"'
            case "label_join":
                of += f', "{target}", "-", "{source}", "{self.of(*_VALUES)}"'
        return f"{name}({of})"

    def binary(self, depth: int) -> str:
        operator = self.of(*"+-*/%^><", "==", "!=", ">=", "<=", "and", "or", "unless", "atan2")
        is_set = operator in ("and", "or", "unless")
        returns = " bool" if operator[0] in "=!<>" and not self.number(2) else ""
        left, right = self.vector(depth - 1), self.vector(depth - 1)
        if not is_set and not self.number(2):
            scalar = self.scalar(depth - 1)
            left, right = self.of((left, scalar), (scalar, right))
            return f"({left}) {operator}{returns} ({right})"
        matching = self.of("", "", f" on ({self.labels()})", f" ignoring ({self.labels()})")
        if matching and not is_set:
            matching += self.of("", f" group_left ({self.labels(1)})", f" group_right ({self.labels(1)})")
        return f"({left}) {operator}{returns}{matching} ({right})"


def main(program: str, seed: str, count: str) -> None:
    series = table()["series"]
    queries = Queries(int(seed), sorted({name.partition("{")[0] for name in series}))
    asked = [queries.one() for _ in range(int(count))]
    store = loaded(series)
    differ = 0
    for case, answer in zip(asked, answers(program, series, asked), strict=True):
        mine, real = asyncio.run(_mine(store, case)), _real(answer)
        if not _same(mine, real):
            differ += 1
            print(case, f"  here {mine}", f"  real {real}", sep="\n")
    print(f"{differ} of {len(asked)} differ")


Found = tuple[str, dict[Labels, dict[int, float]]]
"""A kind of result or of error, and the values by labels and time."""


async def _mine(store: Store, case: dict[str, Any]) -> Found:
    try:
        node = parse(case["query"])
        if "at" in case:
            return _rows(await instant(node, store, round(case["at"] * 1000)))
        return _rows(await over_range(node, store, *(round(seconds * 1000) for seconds in case["range"])))
    except BadData:
        return "bad_data", {}
    except ExecutionError:
        return "execution", {}


def _rows(result: Result) -> Found:
    rows: dict[Labels, dict[int, float]] = {}
    assert isinstance(result.value, list)
    for row in result.value:
        if isinstance(row, tuple):
            rows[row[0]] = {result.time: row[1]}
        else:
            rows[row.labels] = dict(zip(row.times, row.values, strict=True))
    return result.kind, rows


def _real(answer: dict[str, Any]) -> Found:
    if "error" in answer:
        return answer["errorType"], {}
    rows = {}
    for row in answer["result"]:
        values = [row["value"]] if "value" in row else row["values"]
        rows[Labels(row["metric"])] = {round(time * 1000): float(value) for time, value in values}
    return answer["resultType"], rows


def _same(one: Found, other: Found) -> bool:
    if one[0] != other[0] or one[1].keys() != other[1].keys():
        return False
    return all(
        values.keys() == other[1][key].keys()
        and all(
            math.isclose(value, there, rel_tol=1e-9) or (value != value and there != there)
            for value, there in ((value, other[1][key][time]) for time, value in values.items())
        )
        for key, values in one[1].items()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
