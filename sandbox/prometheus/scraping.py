"""Asking targets for their metrics, each at its interval, into the store.

Who the targets are says a callable, and another one fetches a page, so this knows neither a cluster nor a network.
What Prometheus adds, it adds: `up`, how long it took and how much it was; markers where a series, or its target,
went (`series`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.core.turns import Turns
from sandbox.prometheus.exposition import BadExposition, Metadata, labels, samples
from sandbox.prometheus.labels import NAME, Labels
from sandbox.prometheus.series import Series, Store

LARGEST_PAGE = 16 * 1024 * 1024
"""Characters."""

_AT_ONCE = 256
"""Lines between two turns."""


class ScrapeError(Exception):
    """A target that did not tell its metrics."""


@dataclass(frozen=True)
class Target:
    """Where one is, and what its series are labelled with. `discovered` is what was known of it, for who asks.
    `interval` and `timeout` are seconds, where they are not those of all."""

    url: str
    labels: Mapping[str, str]
    discovered: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False
    """Whether what it says itself is right where it says otherwise; else that is put into `exported_...`."""
    interval: float | None = None
    timeout: float | None = None

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What makes it another one."""
        return self.url, frozenset(self.labels.items()), self.interval, self.timeout


Fetch = Callable[[str], Awaitable[str]]
"""The page at a URL. Raises ScrapeError, or OSError."""


@dataclass(eq=False, slots=True)
class Followed:
    """A target, and how it was last asked."""

    target: Target
    health: str = "unknown"
    error: str = ""
    scraped: float = 0.0
    """Seconds since the epoch; 0 before the first time."""
    took: float = 0.0
    metadata: dict[str, Metadata] = field(default_factory=dict)
    told: dict[str, Series] = field(default_factory=dict)
    """By how it was written."""
    current: set[Series] = field(default_factory=set)
    """What ends when it is not told again: not what came with a time of its own."""


class Scraper:
    """Times of scrapes are seconds since the epoch, those of samples milliseconds."""

    def __init__(
        self,
        store: Store,
        targets: Callable[[], Iterable[Target]],
        fetch: Fetch,
        *,
        interval: float = 15.0,
        timeout: float = 10.0,
        retention: float = 3600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.retention, self.targets = store, retention, targets
        self.followed: dict[object, Followed] = {}
        self._interval, self._timeout, self._fetch, self._now = interval, timeout, fetch, now
        self._tasks: dict[Followed, asyncio.Task[None]] = {}

    def timing(self, target: Target) -> tuple[float, float]:
        """Seconds between two scrapes, and how long one may take."""
        return target.interval or self._interval, target.timeout or self._timeout

    async def run(self, refresh: float = 1.0) -> None:
        """Until cancelled. Who comes new is asked at once."""
        forgotten = self._now()
        try:
            while True:
                self.update()
                for one in self.followed.values():
                    if one not in self._tasks:
                        self._tasks[one] = asyncio.create_task(self._follow(one))
                if self._now() - forgotten >= min(60.0, self.retention / 4) or self.store.too_many:
                    forgotten = self._now()
                    await self.store.forget(round((forgotten - self.retention) * 1000))
                await asyncio.sleep(refresh)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def update(self) -> None:
        """Ask who the targets are. All that one told that went has ended."""
        wanted = {target.key: target for target in self.targets()}
        for key in self.followed.keys() - wanted.keys():
            gone = self.followed.pop(key)
            if task := self._tasks.pop(gone, None):
                task.cancel()
            moment = round(self._now() * 1000)
            for series in gone.current | set(self._reports(gone.target).values()):
                self.store.end(series, moment)
        for key, target in wanted.items():
            if key not in self.followed:
                self.followed[key] = Followed(target)

    async def _follow(self, one: Followed) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        interval, _ = self.timing(one.target)
        while True:
            await self.scrape(one)
            late = clock() - due
            due += interval * (late // interval + 1)
            await asyncio.sleep(due - clock())

    async def scrape(self, one: Followed) -> None:
        """Ask it once, and note what it told under the time when it was asked."""
        began, started = self._now(), time.perf_counter()
        moment = round(began * 1000)
        read: list[tuple[str, Series, float, int | None]] = []
        metadata: dict[str, Metadata] = {}
        one.error = ""
        try:
            async with asyncio.timeout(self.timing(one.target)[1]):
                page = await self._fetch(one.target.url)
            if len(page) > LARGEST_PAGE:
                raise ScrapeError("body size limit exceeded")
            read = await self._read(one, page, metadata)
            one.metadata = metadata
        except TimeoutError:
            one.error = f"Get {one.target.url}: context deadline exceeded"
        except (ScrapeError, BadExposition, OSError) as error:
            one.error = str(error)
        # From here on nothing comes in between: a query sees all of a scrape or nothing of it.
        one.scraped, one.took = began, time.perf_counter() - started
        one.health = "down" if one.error else "up"
        before, told = one.current, {}
        one.current = set()
        for named, series, value, at in read:
            series = told[named] = self.store.living(series)
            self.store.append(series, moment if at is None else at, value)
            if at is None:
                one.current.add(series)
        added = len(told.keys() - one.told.keys())
        one.told = told
        for series in before - one.current:
            self.store.end(series, moment)
        reports = self._reports(one.target)
        for name, value in (
            ("up", float(not one.error)),
            ("scrape_duration_seconds", one.took),
            ("scrape_samples_scraped", float(len(read))),
            ("scrape_samples_post_metric_relabeling", float(len(read))),
            ("scrape_series_added", float(added)),
        ):
            self.store.append(reports[name], moment, value)

    async def _read(
        self, one: Followed, page: str, metadata: dict[str, Metadata]
    ) -> list[tuple[str, Series, float, int | None]]:
        turns = Turns()
        read: list[tuple[str, Series, float, int | None]] = []
        known: dict[str, Series] = {}
        for named, value, at in samples(page, metadata):
            series = one.told.get(named) or known.get(named)
            if series is None:
                series = known[named] = self.store.series(_labelled(labels(named), one.target))
            read.append((named, series, value, at))
            if not len(read) % _AT_ONCE:
                await turns.give()
        return read

    def _reports(self, target: Target) -> dict[str, Series]:
        return {name: self.store.series(Labels({**target.labels, NAME: name})) for name in _REPORTS}


_REPORTS = (
    *("up", "scrape_duration_seconds", "scrape_samples_scraped"),
    *("scrape_samples_post_metric_relabeling", "scrape_series_added"),
)


def _labelled(told: Labels, target: Target) -> Labels:
    """A series' own labels and its target's."""
    found = dict(told.mapping)
    for name, value in target.labels.items():
        if name not in found:
            found[name] = value
        elif not target.honor_labels:
            exported = f"exported_{name}"
            while exported in found:
                exported = f"exported_{exported}"
            found[exported] = found[name]
            found[name] = value
    return Labels(found)
