"""Vectors: one value for each of some labels. How they are aggregated, and how two of them are put together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from functools import partial

from sandbox.prometheus import numbers
from sandbox.prometheus.expressions import ARITHMETIC, SETS, Aggregation, Binary, Matching
from sandbox.prometheus.labels import NAME, Labels

Sample = tuple[Labels, float]
Vector = list[Sample]


class ExecutionError(Exception):
    """A query that was read well and comes to nothing: Prometheus' `execution`."""


def distinct(vector: Vector) -> Vector:
    """Raises ExecutionError when two have the same labels: what told them apart was dropped on the way."""
    if len({labels for labels, _ in vector}) < len(vector):
        raise ExecutionError("vector cannot contain metrics with the same labelset")
    return vector


# Aggregation.

_OF_ALL: Mapping[str, Callable[[list[float]], float]] = {
    "avg": numbers.mean,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
    "max": numbers.largest,
    "min": numbers.smallest,
    "stddev": lambda values: numbers.FUNCTIONS["sqrt"](numbers.variance(values)),
    "stdvar": numbers.variance,
    "sum": numbers.total,
}


class Grouping:
    """Of one aggregation: what group each series is in. Kept, since the same ones come at every step."""

    def __init__(self, of: Aggregation) -> None:
        self._without = of.without
        self._labels = (*of.labels, NAME, "__type__", "__unit__") if of.without else of.labels
        self._known: dict[Labels, Labels] = {}

    def of(self, labels: Labels) -> Labels:
        found = self._known.get(labels)
        if found is None:
            found = labels.without(self._labels) if self._without else labels.only(self._labels)
            self._known[labels] = found
        return found


def aggregate(node: Aggregation, groups: dict[Labels, Vector], parameter: float | str | None) -> Vector:
    if node.operator in ("topk", "bottomk"):
        assert isinstance(parameter, float)
        return _best(list(groups.values()), parameter, node.operator == "topk")
    if node.operator == "count_values":
        return _values_counted(groups, str(parameter))
    of_all = (
        partial(numbers.quantile, float(parameter or 0)) if node.operator == "quantile" else _OF_ALL[node.operator]
    )
    return [(labels, of_all([value for _, value in samples])) for labels, samples in groups.items()]


def _best(groups: list[Vector], count: float, highest: bool) -> Vector:
    if count != count:
        raise ExecutionError("Parameter value is NaN")
    if not abs(count) < 2**63:
        raise ExecutionError(f"Scalar value {numbers.text(count)} overflows int64")
    if count < 1:
        return []
    sign = 1 if highest else -1
    return [
        sample
        for samples in groups
        # NaN comes after everything, whichever way.
        for sample in heapq.nlargest(int(count), samples, key=lambda one: (one[1] == one[1], sign * one[1]))
    ]


def _values_counted(groups: dict[Labels, Vector], label: str) -> Vector:
    counted: dict[Labels, float] = {}
    for labels, samples in groups.items():
        for _, value in samples:
            named = labels.with_({label: numbers.without_exponent(value)})
            counted[named] = counted.get(named, 0.0) + 1
    return list(counted.items())


# Two vectors.


class Pairing:
    """Of one operator between vectors: which samples belong together, and what the result is called."""

    def __init__(self, node: Binary) -> None:
        self._node, self._matching = node, node.matching
        self._drops_name = node.operator in ARITHMETIC or node.bool
        self._keys: dict[Labels, Labels] = {}
        self._named: dict[tuple[Labels, Labels], Labels] = {}

    def combine(self, left: Vector, right: Vector) -> Vector:
        """Raises ExecutionError when it is not clear what belongs together."""
        if self._node.operator in SETS:
            return self._set(left, right)
        swapped = self._matching.many == "right"
        many, one = (right, left) if swapped else (left, right)
        if not many or not one:
            return []
        partners = self._partners(one, "left" if swapped else "right")
        found: Vector = []
        used: set[object] = set()
        compute = element(self._node)
        for labels, value in many:
            key = self._key(labels)
            partner = partners.get(key)
            if partner is None:
                continue
            named = self._name(labels, partner[0])
            use = (key, named) if self._matching.many else key
            if use in used:
                why = (
                    "grouping labels must ensure unique matches"
                    if self._matching.many
                    else "many-to-one matching must be explicit (group_left/group_right)"
                )
                raise ExecutionError(f"multiple matches for labels: {why}")
            used.add(use)
            result = compute(partner[1], value) if swapped else compute(value, partner[1])
            if result is not None:
                found.append((named, result))
        return distinct(found)

    def _key(self, labels: Labels) -> Labels:
        found = self._keys.get(labels)
        if found is None:
            found = self._keys[labels] = matched(labels, self._matching)
        return found

    def _partners(self, one: Vector, side: str) -> dict[Labels, Sample]:
        partners: dict[Labels, Sample] = {}
        for sample in one:
            key = self._key(sample[0])
            if key in partners:
                first, second = sorted((str(sample[0]), str(partners[key][0])))
                raise ExecutionError(
                    f"found duplicate series for the match group {key} on the {side} hand-side of the "
                    f"operation: [{first}, {second}];many-to-many matching not allowed: matching labels must be "
                    "unique on one side"
                )
            partners[key] = sample
        return partners

    def _name(self, many: Labels, one: Labels) -> Labels:
        found = self._named.get((many, one))
        if found is None:
            matching = self._matching
            found = many.without_name if self._drops_name else many
            if not matching.many:
                found = found.only(matching.labels) if matching.on else found.without(matching.labels)
            if matching.include:
                found = found.with_({name: one[name] for name in matching.include})
            self._named[many, one] = found
        return found

    def _set(self, left: Vector, right: Vector) -> Vector:
        if self._node.operator == "or":
            known = {self._key(labels) for labels, _ in left}
            return distinct(left + [sample for sample in right if self._key(sample[0]) not in known])
        known = {self._key(labels) for labels, _ in right}
        wanted = self._node.operator == "and"
        return [sample for sample in left if (self._key(sample[0]) in known) is wanted]


def matched(labels: Labels, matching: Matching) -> Labels:
    """Of these labels what must be equal on both sides."""
    return labels.only(matching.labels) if matching.on else labels.without_name.without(matching.labels)


def element(node: Binary) -> Callable[[float, float], float | None]:
    """What an operator makes of two values; None where a comparison drops them."""
    compute = numbers.OPERATORS.get(node.operator)
    if compute is not None:
        return compute
    compare = numbers.COMPARISONS[node.operator]
    if node.bool:
        return lambda a, b: float(compare(a, b))
    return lambda a, b: a if compare(a, b) else None


def with_scalar(node: Binary, vector: Vector, scalar: float, scalar_first: bool) -> Vector:
    """Each of the vector's values with the scalar; a comparison leaves the vector's value."""
    drops_name = node.operator in ARITHMETIC or node.bool
    compute = element(node)
    found: Vector = []
    for labels, value in vector:
        result = compute(scalar, value) if scalar_first else compute(value, scalar)
        if result is not None:
            kept = value if scalar_first and not drops_name else result
            found.append((labels.without_name if drops_name else labels, kept))
    return distinct(found) if drops_name else found


def ordered(vector: Vector, falling: bool) -> Vector:
    """By value, NaN last whichever way."""
    sign = -1 if falling else 1
    return sorted(vector, key=lambda one: (one[1] != one[1], sign * one[1]))
