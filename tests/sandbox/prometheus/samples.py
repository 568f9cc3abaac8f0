"""Samples as `cases/promql.yaml` writes them, in a store, and what its answers say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from sandbox.prometheus.expressions import parse_selector
from sandbox.prometheus.labels import Labels
from sandbox.prometheus.series import Store

INTERVAL = 15_000

_NUMBER = r"[-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf|NaN)"
_RUN = re.compile(rf"(_|stale|{_NUMBER})({_NUMBER})?(?:x([0-9]+))?")
_AT = re.compile(rf"([0-9.]+)s=({_NUMBER})")


def loaded(series: Mapping[str, str]) -> Store:
    store = Store()
    for name, notation in series.items():
        one = store.series(labels(name))
        for time, value in samples(notation):
            if value is None:
                store.end(one, time)
            else:
                assert store.append(one, time, value)
    return store


def labels(text: str) -> Labels:
    """Of `name{label="value"}`."""
    if text == "{}":
        return Labels({})
    return Labels({matcher.name: matcher.value for matcher in parse_selector(text)})


def samples(notation: str) -> Iterator[tuple[int, float | None]]:
    """Time and value; None is the end of a series. One value each 15 s: `5` once, `1+2x3` is 1 3 5 7, `_x3` three
    times none; or `14.9s=4` at its time."""
    place = 0
    for word in notation.split():
        if found := _AT.fullmatch(word):
            yield round(float(found[1]) * 1000), float(found[2])
            continue
        run = _RUN.fullmatch(word)
        assert run, word
        begin, step, count = run[1], float(run[2] or 0), int(run[3] or 0) + (run[3] is None or run[1] != "_")
        for number in range(count):
            if begin != "_":
                yield place * INTERVAL, None if begin == "stale" else float(begin) + step * number
            place += 1


def same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=0) or (one != one and other != other)
