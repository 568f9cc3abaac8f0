"""What a query has taken is of one moment, however often the loop had its turns meanwhile, and not without end."""

from __future__ import annotations

import pytest

from sandbox.core.turns import Turns
from sandbox.prometheus import evaluation as evaluated
from sandbox.prometheus.evaluation import Evaluation, instant, over_range
from sandbox.prometheus.expressions import parse
from sandbox.prometheus.labels import NAME, Labels
from sandbox.prometheus.series import Series, Store
from sandbox.prometheus.vectors import ExecutionError


class Scraped(Turns):
    """In whose first turns all series are told anew, of a time that the query asks for."""

    def __init__(self, store: Store, series: list[Series], times: int) -> None:
        super().__init__()
        self._store, self._series, self._times = store, series, times

    async def give(self) -> None:
        if self._times:
            self._times -= 1
            for one in self._series:
                self._store.append(one, one.times[-1] + 1, one.values[-1] + 1)


@pytest.mark.parametrize("times", [0, 1, 2, 1000])
async def test_a_query_sees_all_of_a_scrape_or_nothing_of_it(times: int) -> None:
    store = Store()
    series = [store.series(Labels({NAME: "c", "n": str(number)})) for number in range(500)]
    for one in series:
        store.append(one, 0, 1.0)
    evaluation = Evaluation(parse("c - ignoring (x) (c * 2)"), 10_000, 10_000)
    evaluation.turns = Scraped(store, series, times)
    await evaluation.take(store)
    value = await evaluation.at(10_000)
    assert isinstance(value, list)
    assert len(value) == 500
    assert len({number for _, number in value}) == 1


async def test_a_query_holds_no_more_than_so_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    for number in range(100):
        store.append(store.series(Labels({NAME: "c", "n": str(number)})), 0, 1.0)
    monkeypatch.setattr(evaluated, "MOST_SAMPLES", 1000)
    assert (await instant(parse("sum(c)"), store, 0)).value
    assert (await over_range(parse("c"), store, 0, 80_000, 10_000)).value
    for query in ("c", "sum(sum_over_time(c[2m:10s]))"):
        with pytest.raises(ExecutionError, match="too many samples"):
            await over_range(parse(query), store, 0, 100_000, 10_000)
