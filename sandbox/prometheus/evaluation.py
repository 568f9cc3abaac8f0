"""Expressions, evaluated over the store: at one time, or at each of many.

A query first takes copies of all samples it may need, at one moment; so it may give the loop its turns while it
computes, and what is scraped meanwhile is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.core.turns import Turns
from sandbox.prometheus import buckets, numbers, windows
from sandbox.prometheus.expressions import (
    Aggregation,
    At,
    BadData,
    Binary,
    Call,
    Edge,
    Expression,
    Kind,
    Negative,
    Number,
    Selector,
    Subquery,
    Text,
)
from sandbox.prometheus.labels import NO_LABELS, BadRegex, Labels, Regex, expanded
from sandbox.prometheus.series import Points, Store, copied
from sandbox.prometheus.vectors import (
    ExecutionError,
    Grouping,
    Pairing,
    Vector,
    aggregate,
    distinct,
    ordered,
    with_scalar,
)

LOOK_BACK = 300_000
"""Milliseconds for which a value holds when no other comes and the series has not ended."""

_SUBQUERY_STEP = 60_000
"""Milliseconds: of a subquery that says none, Prometheus' interval of evaluation."""

_MOST_STEPS = 50_000
"""Of one subquery at one time."""

_PIECE = 64
"""Series between two turns."""

_TRIES = 3

MOST_SAMPLES = 2_000_000
"""That one query may hold at once."""

T = TypeVar("T")
Value = float | str | Vector


@dataclass(slots=True)
class Row:
    """One series of a result. Times are milliseconds."""

    labels: Labels
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


class Evaluation:
    """One query over one range; an instant query's range is one time."""

    def __init__(self, node: Expression, start: int, end: int) -> None:
        self.node = node
        self._start, self._end = start, end
        self._held = 0
        self.turns = Turns()
        self._points: dict[Selector, list[Points]] = {}
        self._steps: dict[tuple[Subquery, int], Vector] = {}
        self._groupings: dict[Aggregation, Grouping] = {}
        self._pairings: dict[Binary, Pairing] = {}
        self._replaced: dict[Call, dict[Labels, Labels]] = {}
        self._wanted: list[tuple[Selector, int, int]] = []
        self._want(node, start, end)

    def _want(self, node: Expression, start: int, end: int) -> None:
        """Note what the selectors below may be asked for, when `node` is evaluated in [start, end]."""
        match node:
            case Selector():
                before = LOOK_BACK if node.range is None else node.range
                self._wanted.append((node, self._when(node, start) - before, self._when(node, end)))
            case Subquery():
                self._want(node.of, self._when(node, start) - node.range, self._when(node, end))
            case Negative():
                self._want(node.of, start, end)
            case Call():
                for argument in node.arguments:
                    self._want(argument, start, end)
            case Aggregation():
                self._want(node.of, start, end)
                if node.parameter is not None:
                    self._want(node.parameter, start, end)
            case Binary():
                self._want(node.left, start, end)
                self._want(node.right, start, end)

    async def take(self, store: Store) -> None:
        """Copy all samples that may be needed, as they are at one moment: anew where that has passed meanwhile."""
        for _ in range(_TRIES):
            before = store.version
            for node, after, until in self._wanted:
                taken: list[Points] = []
                for piece in _pieces(store.matching(node.matchers)):
                    taken += copied(piece, after, until)
                    await self.turns.give()
                self._points[node] = taken
            if store.version == before:
                break
        else:
            # Without turns nothing comes in between.
            for node, after, until in self._wanted:
                self._points[node] = copied(store.matching(node.matchers), after, until)
        self.hold(sum(len(one.times) for points in self._points.values() for one in points))
        for node, _, _ in self._wanted:
            if node.range is not None:
                self._points[node] = [points.without_ends() for points in self._points[node]]

    def hold(self, samples: int) -> None:
        """Raises ExecutionError when there are too many with these."""
        self._held += samples
        if self._held > MOST_SAMPLES:
            raise ExecutionError("query processing would load too many samples into memory in query execution")

    def _when(self, node: Selector | Subquery, now: int) -> int:
        """The time a selector asks for, of the time it is asked at."""
        return self._moment(node.at, now) - node.offset

    def _moment(self, at: At, now: int) -> int:
        if isinstance(at, Edge):
            return self._start if at is Edge.START else self._end
        return now if at is None else at

    async def at(self, now: int) -> Value:
        """What the expression is at a time, if it is no range of samples. Raises ExecutionError."""
        return await self._value(self.node, now)

    async def rows(self, now: int) -> list[Row]:
        """The same of a range of samples."""
        assert isinstance(self.node, Selector | Subquery)
        return [
            Row(labels, list(window.times), list(window.values))
            for labels, window in await self._windows(self.node, now)
        ]

    async def _value(self, node: Expression, now: int) -> Value:
        match node:
            case Number() | Text():
                return node.value
            case Selector():
                return [(labels, value) for labels, _, value in await self._latest(node, now)]
            case Negative():
                value = await self._value(node.of, now)
                if isinstance(value, list):
                    return distinct([(labels.without_name, -number) for labels, number in value])
                assert isinstance(value, float)
                return -value
            case Call():
                return await self._call(node, now)
            case Aggregation():
                return await self._aggregation(node, now)
            case Binary():
                return await self._binary(node, now)
        raise AssertionError(f"a range is no value: {node}")

    async def _vector(self, node: Expression, now: int) -> Vector:
        value = await self._value(node, now)
        assert isinstance(value, list)
        return value

    async def _scalar(self, node: Expression, now: int) -> float:
        value = await self._value(node, now)
        assert isinstance(value, float)
        return value

    # Samples.

    async def _latest(self, node: Selector, now: int) -> list[tuple[Labels, int, float]]:
        when = self._when(node, now)
        found: list[tuple[Labels, int, float]] = []
        for piece in _pieces(self._points[node]):
            found += [
                (points.labels, *latest) for points in piece if (latest := points.latest(when - LOOK_BACK, when))
            ]
            await self.turns.give()
        return found

    async def _windows(self, node: Expression, now: int) -> list[tuple[Labels, windows.Window]]:
        assert isinstance(node, Selector | Subquery)
        assert node.range is not None
        end = self._when(node, now)
        start = end - node.range
        if isinstance(node, Subquery):
            rows = [(row.labels, row.times, row.values) for row in await self._subquery(node, start, end)]
            return [(labels, windows.Window(times, values, start, end, now)) for labels, times, values in rows]
        found: list[tuple[Labels, windows.Window]] = []
        for piece in _pieces(self._points[node]):
            taken = [(points.labels, *points.between(start, end)) for points in piece]
            found += [
                (labels, windows.Window(times, values, start, end, now)) for labels, times, values in taken if times
            ]
            await self.turns.give()
        return found

    async def _subquery(self, node: Subquery, start: int, end: int) -> list[Row]:
        """At the multiples of its step in (start, end], wherever the query itself begins."""
        step = node.step or _SUBQUERY_STEP
        if (end - start) // step > _MOST_STEPS:
            raise ExecutionError(
                f"a subquery of more than {_MOST_STEPS} steps: not supported by the sandbox's Prometheus"
            )
        rows: dict[Labels, Row] = {}
        for time in range(start // step * step + step, end + 1, step):
            vector = self._steps.get((node, time))
            if vector is None:
                value = await self._value(node.of, time)
                vector = value if isinstance(value, list) else [(NO_LABELS, float(value))]
                self._steps[node, time] = vector
                self.hold(len(vector))
            for labels, number in vector:
                row = rows.setdefault(labels, Row(labels))
                row.times.append(time)
                row.values.append(number)
            await self.turns.give()
        return list(rows.values())

    # Operators.

    async def _aggregation(self, node: Aggregation, now: int) -> Vector:
        vector = await self._vector(node.of, now)
        parameter = None if node.parameter is None else await self._value(node.parameter, now)
        assert not isinstance(parameter, list)
        grouping = self._groupings.get(node)
        if grouping is None:
            grouping = self._groupings[node] = Grouping(node)
        groups: dict[Labels, Vector] = {}
        for piece in _pieces(vector):
            for sample in piece:
                groups.setdefault(grouping.of(sample[0]), []).append(sample)
            await self.turns.give()
        return aggregate(node, groups, parameter)

    async def _binary(self, node: Binary, now: int) -> Value:
        left, right = await self._value(node.left, now), await self._value(node.right, now)
        await self.turns.give()
        if isinstance(left, list) and isinstance(right, list):
            pairing = self._pairings.get(node)
            if pairing is None:
                pairing = self._pairings[node] = Pairing(node)
            return pairing.combine(left, right)
        if isinstance(left, list):
            assert isinstance(right, float)
            return with_scalar(node, left, right, False)
        assert isinstance(left, float)
        if isinstance(right, list):
            return with_scalar(node, right, left, True)
        assert isinstance(right, float)
        compute = numbers.OPERATORS.get(node.operator)
        return float(numbers.COMPARISONS[node.operator](left, right) if compute is None else compute(left, right))

    # Functions.

    async def _call(self, node: Call, now: int) -> Value:
        name, arguments = node.name, node.arguments
        if name in windows.FUNCTIONS:
            return await self._over_windows(arguments[0], now, windows.FUNCTIONS[name], name == "last_over_time")
        if name in numbers.FUNCTIONS:
            return _mapped(await self._vector(arguments[0], now), numbers.FUNCTIONS[name])
        special: Callable[[Evaluation, Call, int], Any] = _SPECIAL[name]
        found: Value = await special(self, node, now)
        return found

    async def _over_windows(
        self,
        node: Expression,
        now: int,
        compute: Callable[[windows.Window], float | None],
        keeps_name: bool = False,
    ) -> Vector:
        found: Vector = []
        for piece in _pieces(await self._windows(node, now)):
            found += [
                (labels if keeps_name else labels.without_name, value)
                for labels, window in piece
                if (value := compute(window)) is not None
            ]
            await self.turns.give()
        return distinct(found)

    async def _quantile_over_time(self, node: Call, now: int) -> Vector:
        share = await self._scalar(node.arguments[0], now)
        return await self._over_windows(
            node.arguments[1], now, lambda window: numbers.quantile(share, window.values)
        )

    async def _predict_linear(self, node: Call, now: int) -> Vector:
        seconds = await self._scalar(node.arguments[1], now)
        return await self._over_windows(
            node.arguments[0], now, lambda window: windows.predict_linear(window, seconds)
        )

    async def _absent_over_time(self, node: Call, now: int) -> Vector:
        return [] if await self._windows(node.arguments[0], now) else [(_labels_of(node.arguments[0]), 1.0)]

    async def _absent(self, node: Call, now: int) -> Vector:
        return [] if await self._vector(node.arguments[0], now) else [(_labels_of(node.arguments[0]), 1.0)]

    async def _timestamp(self, node: Call, now: int) -> Vector:
        """Of a selector's samples their own times; of anything else when it was computed."""
        of = node.arguments[0]
        if isinstance(of, Selector):
            times = [(labels, time / 1000) for labels, time, _ in await self._latest(of, now)]
        else:
            times = [(labels, now / 1000) for labels, _ in await self._vector(of, now)]
        return distinct([(labels.without_name, time) for labels, time in times])

    async def _scalar_of(self, node: Call, now: int) -> float:
        vector = await self._vector(node.arguments[0], now)
        return vector[0][1] if len(vector) == 1 else math.nan

    async def _clamped(self, node: Call, now: int) -> Vector:
        vector = await self._vector(node.arguments[0], now)
        limits = [await self._scalar(argument, now) for argument in node.arguments[1:]]
        lowest = limits[0] if node.name != "clamp_max" else -math.inf
        highest = limits[-1] if node.name != "clamp_min" else math.inf
        if highest < lowest:
            return []
        return _mapped(
            vector, lambda value: numbers.largest_of_two(lowest, numbers.smallest_of_two(highest, value))
        )

    async def _rounded(self, node: Call, now: int) -> Vector:
        vector = await self._vector(node.arguments[0], now)
        nearest = await self._scalar(node.arguments[1], now) if len(node.arguments) > 1 else 1.0
        # The way round that Prometheus takes: 1/0.1 is exact where 0.1 is not.
        factor = numbers.divide(1.0, nearest)
        floor = numbers.FUNCTIONS["floor"]
        return _mapped(vector, lambda value: numbers.divide(floor(value * factor + 0.5), factor))

    async def _histogram_quantile(self, node: Call, now: int) -> Vector:
        share = await self._scalar(node.arguments[0], now)
        histograms: dict[Labels, list[tuple[float, float]]] = {}
        known = self._replaced.setdefault(node, {})
        for piece in _pieces(await self._vector(node.arguments[1], now)):
            for labels, count in piece:
                try:
                    bound = numbers.number(labels["le"])
                except ValueError:
                    continue
                # Of metrics with different names each has a histogram, which cannot be told apart in the end.
                named = known.get(labels)
                if named is None:
                    named = known[labels] = labels.without(("le",))
                histograms.setdefault(named, []).append((bound, count))
            await self.turns.give()
        found: Vector = []
        for part in _pieces(list(histograms.items())):
            found += [(named.without_name, buckets.quantile(share, of)) for named, of in part]
            await self.turns.give()
        return distinct(found)

    async def _relabelled(self, node: Call, now: int) -> Vector:
        vector = await self._vector(node.arguments[0], now)
        texts = [argument.value for argument in node.arguments[1:] if isinstance(argument, Text)]
        change = _replacing(*texts) if node.name == "label_replace" else _joining(*texts)
        known = self._replaced.setdefault(node, {})
        found: Vector = []
        for labels, value in vector:
            changed = known.get(labels)
            if changed is None:
                changed = known[labels] = change(labels)
            found.append((changed, value))
        return distinct(found)

    async def _sorted(self, node: Call, now: int) -> Vector:
        return ordered(await self._vector(node.arguments[0], now), node.name == "sort_desc")

    async def _as_vector(self, node: Call, now: int) -> Vector:
        return [(NO_LABELS, await self._scalar(node.arguments[0], now))]

    async def _time(self, node: Call, now: int) -> float:
        return now / 1000

    async def _pi(self, node: Call, now: int) -> float:
        return math.pi


_SPECIAL: Mapping[str, Callable[[Evaluation, Call, int], Any]] = {
    "absent": Evaluation._absent,
    "absent_over_time": Evaluation._absent_over_time,
    "clamp": Evaluation._clamped,
    "clamp_max": Evaluation._clamped,
    "clamp_min": Evaluation._clamped,
    "histogram_quantile": Evaluation._histogram_quantile,
    "label_join": Evaluation._relabelled,
    "label_replace": Evaluation._relabelled,
    "pi": Evaluation._pi,
    "predict_linear": Evaluation._predict_linear,
    "quantile_over_time": Evaluation._quantile_over_time,
    "round": Evaluation._rounded,
    "scalar": Evaluation._scalar_of,
    "sort": Evaluation._sorted,
    "sort_desc": Evaluation._sorted,
    "time": Evaluation._time,
    "timestamp": Evaluation._timestamp,
    "vector": Evaluation._as_vector,
}


def _pieces(of: Sequence[T]) -> Iterator[Sequence[T]]:
    """What may be computed between two turns."""
    return (of[place : place + _PIECE] for place in range(0, len(of), _PIECE))


def _mapped(vector: Vector, function: Callable[[float], float]) -> Vector:
    return distinct([(labels.without_name, function(value)) for labels, value in vector])


def _labels_of(node: Expression) -> Labels:
    """What a selector that found nothing says about what it sought."""
    if not isinstance(node, Selector):
        return NO_LABELS
    said: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in node.matchers:
        if matcher.operator == "=" and matcher.name not in seen:
            said[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            said.pop(matcher.name, None)
    return Labels(said).without_name


def _replacing(target: str, replacement: str, source: str, expression: str) -> Callable[[Labels], Labels]:
    try:
        regex = Regex(expression)
    except BadRegex:
        raise ExecutionError(f"invalid regular expression in label_replace(): {expression}") from None
    if not target:
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")

    def change(labels: Labels) -> Labels:
        groups = regex.groups(labels[source])
        return labels if groups is None else labels.with_({target: expanded(replacement, groups)})

    return change


def _joining(target: str, separator: str, *sources: str) -> Callable[[Labels], Labels]:
    if not target:
        raise ExecutionError(f"invalid destination label name in label_join(): {target}")
    return lambda labels: labels.with_({target: separator.join(labels[source] for source in sources)})


@dataclass(frozen=True, slots=True)
class Result:
    """What a query comes to: `kind` is Prometheus' resultType."""

    kind: str
    time: int
    value: float | str | Vector | list[Row]


async def instant(node: Expression, store: Store, time: int) -> Result:
    """Raises ExecutionError."""
    evaluation = Evaluation(node, time, time)
    await evaluation.take(store)
    if node.kind is Kind.RANGE:
        return Result("matrix", time, await evaluation.rows(time))
    return Result(
        {Kind.SCALAR: "scalar", Kind.STRING: "string", Kind.VECTOR: "vector"}[node.kind],
        time,
        await evaluation.at(time),
    )


async def over_range(node: Expression, store: Store, start: int, end: int, step: int) -> Result:
    """Raises BadData, ExecutionError."""
    if node.kind not in (Kind.SCALAR, Kind.VECTOR):
        raise BadData(
            f'invalid parameter "query": invalid expression type "{node.kind.value}" for range query, '
            "must be Scalar or instant Vector"
        )
    evaluation = Evaluation(node, start, end)
    await evaluation.take(store)
    rows: dict[Labels, Row] = {}
    for time in range(start, end + 1, step):
        value = await evaluation.at(time)
        vector: Vector = value if isinstance(value, list) else [(NO_LABELS, float(value))]
        evaluation.hold(len(vector))
        for labels, number in vector:
            row = rows.get(labels)
            if row is None:
                row = rows[labels] = Row(labels)
            row.times.append(time)
            row.values.append(number)
        await evaluation.turns.give()
    return Result("matrix", end, sorted(rows.values(), key=lambda row: row.labels.ordered()))
