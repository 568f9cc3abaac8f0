"""PromQL, read: what the parser found, as far as there is somebody here who can evaluate it.

The parser is a kept library (promql-parser), in Prometheus' own grammar. What it reads and this Prometheus does
not have is refused by its name, here and nowhere later, so that nothing is answered that is not so:

- selectors with `=`, `!=`, `=~`, `!~` (of RE2), ranges, `offset`, `@`; subqueries
- `+ - * / % ^`, `== != > < >= <=` with and without `bool`, `and or unless`; `on`, `ignoring`,
  `group_left`, `group_right`
- the aggregations of `AGGREGATIONS` with `by` and `without`; the functions of `FUNCTIONS`
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import promql_parser as parser

from sandbox.prometheus.labels import NAME, BadRegex, Matcher, quoted


class BadData(Exception):
    """A query, or a parameter of it, that means nothing here: Prometheus' `bad_data`."""


class Kind(Enum):
    """What an expression comes to."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    RANGE = "range vector"
    STRING = "string"


class Edge(Enum):
    """`@ start()`, `@ end()`: of the query's own range."""

    START = auto()
    END = auto()


At = int | Edge | None
"""A time in milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    value: float
    kind = Kind.SCALAR


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    value: str
    kind = Kind.STRING


@dataclass(frozen=True, slots=True, eq=False)
class Selector:
    """Samples of the store's: the latest ones, or, with a range, those of it. All times are milliseconds."""

    matchers: Sequence[Matcher]
    offset: int
    at: At
    range: int | None = None

    @property
    def kind(self) -> Kind:
        return Kind.VECTOR if self.range is None else Kind.RANGE


@dataclass(frozen=True, slots=True, eq=False)
class Subquery:
    of: Expression
    range: int
    step: int | None
    offset: int
    at: At
    kind = Kind.RANGE


@dataclass(frozen=True, slots=True, eq=False)
class Negative:
    of: Expression

    @property
    def kind(self) -> Kind:
        return self.of.kind


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    name: str
    arguments: Sequence[Expression]
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Aggregation:
    operator: str
    of: Expression
    parameter: Expression | None
    labels: Sequence[str]
    without: bool
    kind = Kind.VECTOR


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which samples of both sides belong together: of equal labels `on` these, or all `ignoring` these."""

    on: bool
    labels: Sequence[str]
    many: str = ""
    """The side that may have several for one of the other: `left`, `right`, or neither."""
    include: Sequence[str] = ()
    """What the many take over of the one."""


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    operator: str
    left: Expression
    right: Expression
    bool: bool
    matching: Matching
    kind: Kind


Expression = Number | Text | Selector | Subquery | Negative | Call | Aggregation | Binary

ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")

AGGREGATIONS: Mapping[str, Kind | None] = {
    **dict.fromkeys(("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")),
    **dict.fromkeys(("topk", "bottomk", "quantile"), Kind.SCALAR),
    "count_values": Kind.STRING,
}
"""By name: what stands before the vector."""

_V, _S, _R, _T = Kind.VECTOR, Kind.SCALAR, Kind.RANGE, Kind.STRING
FUNCTIONS: Mapping[str, tuple[Sequence[Kind], int, Kind]] = {
    **dict.fromkeys(("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn"), ((_V,), 1, _V)),
    **dict.fromkeys(("absent", "sort", "sort_desc", "timestamp"), ((_V,), 1, _V)),
    **dict.fromkeys(("clamp_min", "clamp_max"), ((_V, _S), 2, _V)),
    **dict.fromkeys(("rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets"), ((_R,), 1, _V)),
    **{
        f"{name}_over_time": ((_R,), 1, _V)
        for name in ("avg", "min", "max", "sum", "count", "last", "stddev", "stdvar", "present", "absent")
    },
    "clamp": ((_V, _S, _S), 3, _V),
    "histogram_quantile": ((_S, _V), 2, _V),
    "label_join": ((_V, _T, _T, _T), 3, _V),
    "label_replace": ((_V, _T, _T, _T, _T), 5, _V),
    "pi": ((), 0, _S),
    "predict_linear": ((_R, _S), 2, _V),
    "quantile_over_time": ((_S, _R), 2, _V),
    "round": ((_V, _S), 1, _V),
    "scalar": ((_V,), 1, _S),
    "time": ((), 0, _S),
    "vector": ((_S,), 1, _V),
}
"""By name: what each argument is (of `label_join` any number of the last), how many are a must, what it gives."""

DEEPEST = 100
"""Levels of an expression."""

MOST = 300
"""Operators, brackets and commas of an expression."""

LONGEST = 20_000
"""Characters of a query."""


def parse(query: str) -> Expression:
    """Raises BadData."""
    try:
        found = parser.parse(_prepared(query))
    except ValueError as error:
        raise BadData(f"parse error: {error}") from None
    return _translate(found, 0)


def parse_selector(text: str) -> Sequence[Matcher]:
    """What `match[]` says. Raises BadData."""
    found = parse(text)
    if not isinstance(found, Selector) or found.range is not None or found.offset or found.at is not None:
        raise BadData(f'parse error: a metric selector, as up{{job="api"}}, and not {text}')
    return found.matchers


def milliseconds(duration: str) -> int:
    """Of `1m30s`. Raises ValueError."""
    return _milliseconds(parser.parse_duration(duration))


_WHOLE = {"y": 365 * 86_400_000, "w": 7 * 86_400_000}
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def duration(milliseconds: int) -> str:
    """As Prometheus writes it (`model.Duration`): in years or weeks if nothing is left, else without what is 0."""
    for unit, size in _WHOLE.items():
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    found = ""
    for unit, size in _UNITS.items():
        count, milliseconds = divmod(milliseconds, size)
        found += f"{count}{unit}" if count else ""
    return found


_TOKEN = re.compile(
    r"""\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|[(\[{+\-*/%^<>=!,]|\b(?:and|or|unless|atan2)\b""",
    re.DOTALL | re.IGNORECASE,
)


def _prepared(query: str) -> str:
    """As the library can take it: it ends the whole process where there is too much in it (10,000 brackets), and
    reads no strings in backquotes as it should, so that they are made strings in quotes."""
    if len(query) > LONGEST:
        raise _refuse(f"a query of more than {LONGEST} characters")
    count = 0

    def prepared(found: re.Match[str]) -> str:
        nonlocal count
        token = found[0]
        if token.startswith("`"):
            return quoted(token[1:-1])
        if token[0] not in "\"'#":
            count += 1
        return token

    query = _TOKEN.sub(prepared, query)
    if count > MOST:
        raise _refuse(f"an expression of more than {MOST} operators and brackets")
    return query


def _refuse(what: str) -> BadData:
    return BadData(f"not supported by the sandbox's Prometheus: {what}")


def _milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(milliseconds=1)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _at(modifier: Any) -> At:
    if modifier is None:
        return None
    if modifier.type == parser.AtModifierType.Start:
        return Edge.START
    if modifier.type == parser.AtModifierType.End:
        return Edge.END
    return _milliseconds(modifier.at - _EPOCH)


def _translate(node: Any, depth: int) -> Expression:
    if depth > DEEPEST:
        raise _refuse(f"an expression of more than {DEEPEST} levels")
    translate = _NODES.get(type(node))
    if translate is None:
        raise _refuse(type(node).__name__)
    found: Expression = translate(node, depth + 1)
    return found


_OPERATORS = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)


def _selector(node: Any, depth: int, length: int | None = None) -> Selector:
    if node.matchers.or_matchers:
        raise _refuse("`or` between matchers")
    try:
        matchers = [
            Matcher(one.name, next(text for kind, text in _OPERATORS if kind == one.op), one.value)
            for one in node.matchers.matchers
        ]
    except BadRegex as error:
        raise BadData(f"parse error: {error}") from None
    if node.name:
        matchers.insert(0, Matcher(NAME, "=", node.name))
    if all(matcher.matches("") for matcher in matchers):
        raise BadData("parse error: vector selector must contain at least one non-empty matcher")
    return Selector(matchers, _milliseconds(node.offset), _at(node.at), length)


def _subquery(node: Any, depth: int) -> Subquery:
    of = _translate(node.expr, depth)
    _want(of, "subquery", Kind.SCALAR, Kind.VECTOR)
    step = _milliseconds(node.step) if node.step is not None else None
    return Subquery(of, _milliseconds(node.range), step, _milliseconds(node.offset), _at(node.at))


def _want(found: Expression, where: str, *kinds: Kind) -> None:
    if found.kind not in kinds:
        wanted = " or ".join(kind.value for kind in kinds)
        raise BadData(f"parse error: expected type {wanted} in {where}, got {found.kind.value}")


def _negative(node: Any, depth: int) -> Expression:
    of = _translate(node.expr, depth)
    _want(of, "unary expression", Kind.SCALAR, Kind.VECTOR)
    return Negative(of)


def _call(node: Any, depth: int) -> Call:
    name = node.func.name
    if name not in FUNCTIONS:
        raise _refuse(f"the function {name}")
    kinds, least, gives = FUNCTIONS[name]
    arguments = [_translate(argument, depth) for argument in node.args]
    if name == "label_join":
        kinds = (*kinds[:3], *(Kind.STRING for _ in arguments[3:]))
    if not least <= len(arguments) <= len(kinds):
        raise BadData(f'parse error: expected {len(kinds)} argument(s) in call to "{name}", got {len(arguments)}')
    for argument, kind in zip(arguments, kinds, strict=False):
        _want(argument, f'call to function "{name}"', kind)
    if name == "timestamp" and isinstance(of := arguments[0], Selector) and of.at is not None and of.offset:
        # Prometheus itself forgets the offset there.
        raise _refuse("timestamp() of a selector with @ and offset")
    return Call(name, arguments, gives)


def _aggregation(node: Any, depth: int) -> Aggregation:
    operator = str(node.op)
    if operator not in AGGREGATIONS:
        raise _refuse(f"the aggregation {operator}")
    wanted = AGGREGATIONS[operator]
    of = _translate(node.expr, depth)
    parameter = None if node.param is None else _translate(node.param, depth)
    _want(of, "aggregation expression", Kind.VECTOR)
    if (wanted is None) != (parameter is None):
        raise BadData(f"parse error: wrong number of arguments for aggregate expression {operator}")
    if wanted is not None and parameter is not None:
        _want(parameter, "aggregation parameter", wanted)
    if node.modifier is None:
        return Aggregation(operator, of, parameter, (), False)
    without = node.modifier.type == parser.AggModifierType.Without
    return Aggregation(operator, of, parameter, tuple(node.modifier.labels), without)


_MANY = ((parser.VectorMatchCardinality.ManyToOne, "left"), (parser.VectorMatchCardinality.OneToMany, "right"))


def _binary(node: Any, depth: int) -> Binary:
    operator = str(node.op)
    if operator not in (*ARITHMETIC, *COMPARISONS, *SETS):
        raise _refuse(f"the operator {operator}")
    left, right = _translate(node.lhs, depth), _translate(node.rhs, depth)
    sides = (left, right)
    for side in sides:
        _want(side, "binary expression", Kind.SCALAR, Kind.VECTOR)
    vectors = all(side.kind is Kind.VECTOR for side in sides)
    kind = Kind.SCALAR if all(side.kind is Kind.SCALAR for side in sides) else Kind.VECTOR
    modifier = node.modifier
    matching = Matching(False, ())
    if modifier is not None:
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise _refuse("fill, fill_left and fill_right")
        on = modifier.matching is not None and modifier.matching.type == parser.LabelModifierType.Include
        names = tuple(modifier.matching.labels) if modifier.matching is not None else ()
        many = next((side for card, side in _MANY if card == modifier.card), "")
        matching = Matching(on, names, many, tuple(modifier.group_labels or ()))
        if not vectors and (modifier.matching is not None or many):
            raise BadData("parse error: vector matching only allowed between instant vectors")
        if operator in SETS and many:
            raise BadData(f'parse error: no grouping allowed for "{operator}" operation')
        if on and (both := sorted(set(names) & set(matching.include))):
            raise BadData(f'parse error: label "{both[0]}" must not occur in ON and GROUP clause at once')
    returns_bool = modifier is not None and modifier.return_bool
    if operator in SETS and not vectors:
        raise BadData(f'parse error: set operator "{operator}" not allowed in binary scalar expression')
    if returns_bool and operator not in COMPARISONS:
        raise BadData("parse error: bool modifier can only be used on comparison operators")
    if operator in COMPARISONS and kind is Kind.SCALAR and not returns_bool:
        raise BadData("parse error: comparisons between scalars must use BOOL modifier")
    return Binary(operator, left, right, returns_bool, matching, kind)


_NODES: Mapping[type, Any] = {
    parser.NumberLiteral: lambda node, depth: Number(node.val),
    parser.StringLiteral: lambda node, depth: Text(node.val),
    parser.ParenExpr: lambda node, depth: _translate(node.expr, depth),
    parser.VectorSelector: _selector,
    parser.MatrixSelector: lambda node, depth: _selector(node.vector_selector, depth, _milliseconds(node.range)),
    parser.SubqueryExpr: _subquery,
    parser.UnaryExpr: _negative,
    parser.Call: _call,
    parser.AggregateExpr: _aggregation,
    parser.BinaryExpr: _binary,
}
