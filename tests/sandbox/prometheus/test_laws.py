"""What holds of all samples, whatever they are."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.prometheus.evaluation import instant
from sandbox.prometheus.exposition import Metadata, labels, sample, samples
from sandbox.prometheus.expressions import parse
from sandbox.prometheus.labels import NAME, Labels
from sandbox.prometheus.numbers import number, text
from sandbox.prometheus.series import Store
from sandbox.prometheus.vectors import Vector
from tests.kit.laws import LAW
from tests.sandbox.prometheus.samples import same

_LAW = settings(LAW, max_examples=40)

_COUNTERS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.lists(st.integers(0, 50), min_size=1, max_size=20)),
    max_size=6,
    unique_by=lambda one: one[:2],
)


def _store(counters: list[tuple[str, str, list[int]]]) -> Store:
    """Each counter grows by these, every 15 s; a growth of 13 is a reset."""
    store = Store()
    for job, code, grown in counters:
        series = store.series(Labels({NAME: "c", "job": job, "code": code}))
        value = 0.0
        for place, growth in enumerate(grown):
            value = 0.0 if growth == 13 else value + growth
            store.append(series, place * 15_000, value)
    return store


def _ask(store: Store, query: str) -> Vector:
    found = asyncio.run(instant(parse(query), store, 300_000)).value
    assert isinstance(found, list)
    return found  # type: ignore[return-value]


@_LAW
@given(_COUNTERS)
def test_the_rates_of_all_parts_are_the_rate_of_the_whole(counters: list[tuple[str, str, list[int]]]) -> None:
    store = _store(counters)
    whole = dict(_ask(store, "sum(rate(c[5m]))"))
    for parts in ("sum by (job) (rate(c[5m]))", "sum without (job) (rate(c[5m]))", "rate(c[5m])"):
        added = dict(_ask(store, f"sum({parts})"))
        assert added.keys() == whole.keys()
        assert all(same(added[key], whole[key]) for key in whole)


@_LAW
@given(_COUNTERS)
def test_a_rate_is_never_negative_and_an_increase_is_the_rate_times_the_range(
    counters: list[tuple[str, str, list[int]]],
) -> None:
    store = _store(counters)
    rates, increases = dict(_ask(store, "rate(c[2m])")), dict(_ask(store, "increase(c[2m])"))
    assert rates.keys() == increases.keys()
    for key, rate in rates.items():
        assert rate >= 0
        assert same(rate * 120, increases[key])


@_LAW
@given(_COUNTERS)
def test_and_unless_and_or_divide_a_vector(counters: list[tuple[str, str, list[int]]]) -> None:
    store = _store(counters)
    everything = _ask(store, "c")
    inside, outside = _ask(store, "c and (c > 20)"), _ask(store, "c unless (c > 20)")
    assert {*inside, *outside} == set(everything)
    assert not {*inside} & {*outside}
    assert set(_ask(store, "(c > 20) or c")) == set(everything)


_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12) | st.text(
    '\\"\n{},= #', max_size=8
)
_LABELS = st.dictionaries(_NAMES, _VALUES, max_size=4)


@_LAW
@given(_NAMES, _LABELS, st.floats(), st.none() | st.integers(-(2**40), 2**40))
def test_what_is_written_in_the_text_format_is_read_again(
    name: str, mapping: dict[str, str], value: float, time: int | None
) -> None:
    written = Labels({**mapping, NAME: name})
    ((named, read, at),) = samples(sample(written, value, time), {})
    assert labels(named) == written
    assert same(read, value)
    assert at == time


@_LAW
@given(st.floats())
def test_a_number_is_written_as_it_is(value: float) -> None:
    assert same(number(text(value)), value)
    assert "e" not in text(value) or not 1e-6 <= abs(value) < 1e21


def test_what_is_told_of_a_metric() -> None:
    page = "# HELP a It is\\n two \\\\ lines.\n# TYPE a counter\n# TYPE b untyped\n# a remark\n#\n\na 1\n"
    metadata: dict[str, Metadata] = {}
    assert [told[0] for told in samples(page, metadata)] == ["a"]
    assert metadata == {"a": Metadata("counter", "It is\n two \\ lines."), "b": Metadata("unknown", "")}
