"""Targets are asked, and what they told, and that they went, is in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.prometheus.evaluation import instant
from sandbox.prometheus.exposition import BadExposition, labels, samples
from sandbox.prometheus.expressions import parse
from sandbox.prometheus.labels import NAME, Labels
from sandbox.prometheus.scraping import ScrapeError, Scraper, Target
from sandbox.prometheus.series import Store


class World:
    """Targets with pages, and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.pages: dict[str, str | Exception] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.now = 1000.0
        self.scraper = Scraper(Store(), self.targets, self.fetch, now=lambda: self.now, **settings)

    def targets(self) -> list[Target]:
        return [
            Target(url, {"job": "test", "instance": url, **self.labels.get(url, {})}, honor_labels="honor" in url)
            for url in self.pages
        ]

    async def fetch(self, url: str) -> str:
        page = self.pages[url]
        if isinstance(page, Exception):
            raise page
        return page

    async def scrape(self, after: float = 15.0) -> None:
        self.now += after
        self.scraper.update()
        for one in list(self.scraper.followed.values()):
            await self.scraper.scrape(one)

    async def ask(self, query: str) -> dict[str, float]:
        found = (await instant(parse(query), self.scraper.store, round(self.now * 1000))).value
        assert isinstance(found, list)
        return {str(of): value for of, value in found}  # type: ignore[misc]


async def test_what_a_target_tells_and_how_it_went() -> None:
    world = World()
    world.pages["a"] = '# TYPE c counter\nc{code="200"} 3\nc{code="500"} 1\n'
    await world.scrape()
    assert await world.ask("c") == {
        '{__name__="c", code="200", instance="a", job="test"}': 3.0,
        '{__name__="c", code="500", instance="a", job="test"}': 1.0,
    }
    assert await world.ask("up") == {'{__name__="up", instance="a", job="test"}': 1.0}
    assert list((await world.ask("scrape_samples_scraped")).values()) == [2.0]
    assert list((await world.ask("scrape_series_added")).values()) == [2.0]
    await world.scrape()
    assert list((await world.ask("scrape_series_added")).values()) == [0.0]
    assert list((await world.ask("scrape_duration_seconds < 1")).values())


async def test_a_series_that_is_no_longer_told_ends_at_once() -> None:
    world = World()
    world.pages["a"] = "c 1\nd 1\n"
    await world.scrape()
    world.pages["a"] = "d 1\n"
    await world.scrape()
    assert not await world.ask("c")
    assert await world.ask("d")
    world.pages["a"] = "c 5\nd 1\n"
    await world.scrape()
    assert list((await world.ask("c")).values()) == [5.0]
    assert list((await world.ask("count_over_time(c[1m])")).values()) == [2.0]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (ScrapeError("server returned HTTP status 503"), "503"),
        (OSError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "context deadline exceeded"),
        ("c 1\nnonsense\n", "no sample: nonsense"),
        ("c 1", "the last line does not end"),
    ],
)
async def test_a_target_that_fails_is_down_and_its_series_end(page: str | Exception, said: str) -> None:
    world = World()
    world.pages["a"] = "c 1\n"
    await world.scrape()
    world.pages["a"] = page
    await world.scrape()
    assert not await world.ask("c")
    assert list((await world.ask("up")).values()) == [0.0]
    (one,) = world.scraper.followed.values()
    assert (one.health, said in one.error) == ("down", True)
    world.pages["a"] = "c 2\n"
    await world.scrape()
    assert (one.health, one.error, list((await world.ask("c")).values())) == ("up", "", [2.0])


async def test_all_that_a_target_told_ends_when_it_goes() -> None:
    world = World()
    world.pages |= {"a": "c 1\n", "b": "c 2\n"}
    await world.scrape()
    del world.pages["a"]
    # Within the same millisecond, as a pod may go.
    world.scraper.update()
    world.now += 0.001
    assert list((await world.ask("c")).values()) == [2.0]
    assert list((await world.ask("up")).values()) == [1.0]


async def test_a_sample_with_a_time_of_its_own_keeps_it_and_does_not_end() -> None:
    world = World()
    world.pages["a"] = "c 1 1010000\n"
    await world.scrape()
    world.pages["a"] = "d 1\n"
    await world.scrape()
    assert list((await world.ask("timestamp(c)")).values()) == [1010.0]


async def test_who_is_right_about_a_label() -> None:
    world = World()
    world.pages |= {"plain": 'c{job="mine"} 1\n', "honor": 'd{job="mine"} 1\n'}
    await world.scrape()
    assert list(await world.ask("c")) == ['{__name__="c", exported_job="mine", instance="plain", job="test"}']
    assert list(await world.ask("d")) == ['{__name__="d", instance="honor", job="mine"}']


async def test_what_is_old_or_too_much_is_forgotten() -> None:
    store = Store(largest=100)
    for name in ("a", "b"):
        for second in range(100):
            store.append(store.series(Labels({NAME: name})), second * 1000, 1.0)
    store.append(store.series(Labels({NAME: "old"})), 0, 1.0)
    await store.forget(10_000)
    assert (len(store), store.too_many) == (2, False)
    assert 50 <= store.samples <= 100
    await store.forget(1_000_000)
    assert (len(store), store.samples) == (0, 0)


async def test_what_was_forgotten_is_told_anew() -> None:
    world = World()
    world.pages["a"] = "c 1\n"
    await world.scrape()
    await world.scraper.store.forget(2_000_000_000)
    await world.scrape()
    assert await world.ask("c")


async def test_it_follows_its_targets_until_it_is_ended() -> None:
    """By the real clock: at once, then at each interval; who comes new is found, who went is not asked."""
    world = World(interval=0.01)
    world.pages["a"] = "c 1\n"
    running = asyncio.create_task(world.scraper.run(refresh=0.005))
    asked: list[str] = []
    real = world.fetch

    async def fetch(url: str) -> str:
        asked.append(url)
        return await real(url)

    world.scraper._fetch = fetch

    async def until(seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not seen():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    await until(lambda: asked.count("a") > 2)
    world.pages = {"b": "c 1\n"}
    await until(lambda: asked.count("b") > 2)
    assert asked[-1] == "b"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.mark.parametrize(
    "page",
    [
        *("c\n", "c one\n", "c 1 2 3\n", "c 1 now\n", "c 1_0\n", "{} 1\n", '{a="b"} 1\n', "1c 1\n", "c{a=b} 1\n"),
        *(
            'c{a="b" 1\n',
            'c{a="b"}} 1\n',
            'c{a="b",a="c"} 1\n',
            'c{1a="b"} 1\n',
            "c} 1\n",
            "# TYPE c number\n",
            "c 1",
        ),
        'c{a="b" b="c"} 1\n',
    ],
)
def test_what_is_not_the_text_format(page: str) -> None:
    with pytest.raises(BadExposition):
        assert not [labels(named) for named, _, _ in samples(page, {})]


def test_spaces_and_commas_where_the_format_has_them() -> None:
    page = ' c { a = "b" , d="e", }\t+Inf  \n\nc{}   0x1p3 5\n'
    assert [(labels(named), value, at) for named, value, at in samples(page, {})] == [
        (Labels({NAME: "c", "a": "b", "d": "e"}), float("inf"), None),
        (Labels({NAME: "c"}), 8.0, 5),
    ]
