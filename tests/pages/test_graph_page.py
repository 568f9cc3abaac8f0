"""The page of `invoke observe` in a browser: a graph at any width, in the light and in the dark."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.console.records import HOSTILE
from tests.pages.chromium import NAMES, Browser, Page, contrast, installed
from tests.test_graph_shown import graph
from workshop.console.graph_page import GRAPH
from workshop.console.graph_view import NOTHING
from workshop.graph_feed import GraphFeed
from workshop.graph_shown import as_data, missing
from workshop.live_page import PageServer, serving
from workshop.mesh.mesh_graph import Edge, Graph, MarkedService, Node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        installed() is None, reason=f"no browser is installed: there is none of {', '.join(NAMES)} in PATH"
    ),
]


@dataclass
class Shown:
    page: Page
    feed: GraphFeed

    async def put(self, data: dict[str, Any]) -> None:
        self.feed.put(data)
        await self.shows()

    async def shows(self) -> None:
        await self.page.until(
            f"document.documentElement.dataset.version === '{self.feed.epoch}.{self.feed.version}'"
        )


@contextlib.asynccontextmanager
async def shown(
    browser: Browser, data: dict[str, Any] | None = None, width: int = 1280, height: int = 800, **media: str
) -> AsyncIterator[Shown]:
    feed = GraphFeed()
    feed.put(data or as_data(graph(), "the sandbox"))
    async with (
        serving(PageServer(feed, GRAPH, "t"), "127.0.0.1", 0, task="observe") as port,
        browser.page(width, height) as page,
    ):
        features = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in media.items()]
        await page.ask("Emulation.setEmulatedMedia", media="screen", features=features)
        await page.open(f"http://127.0.0.1:{port}/?token=t")
        it = Shown(page, feed)
        await it.shows()
        yield it
        assert page.complaints == []
        assert page.hosts == {f"127.0.0.1:{port}"}


TEXTS = "[...document.querySelectorAll('#drawing {}')].map(it => it.textContent)"
BOXES = """[...document.querySelectorAll('#drawing .box')].map(it => {
    const {left, top, right, bottom} = it.getBoundingClientRect(); return [left, top, right, bottom]; })"""


async def test_workloads_stand_in_their_namespaces_from_left_to_right(browser: Browser) -> None:
    async with shown(browser) as it:
        lanes = ["outside the mesh", "istio-system", "bookinfo"]
        assert await it.page.value(TEXTS.format(".lane-name")) == lanes
        titles = await it.page.value(TEXTS.format(".title"))
        boxes = dict(zip(titles, await it.page.value(BOXES), strict=True))
        assert boxes["callers"][2] < boxes["ingress"][0] < boxes["productpage-v1"][0] < boxes["reviews-v1"][0]
        for one in boxes.values():
            for other in boxes.values():
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert one is other or apart, "no two lie over each other"
        labels = await it.page.value(TEXTS.format(".label"))
        assert {"10/s · 10 %", "100 ms", "8.0/s"} <= set(labels)
        assert await it.page.value("document.querySelectorAll('#drawing .edge').length") == 5
        assert await it.page.value("document.querySelectorAll('#drawing .edge.many').length") == 1


INSIDE = """[...document.querySelectorAll('#drawing g:has(> .box)')].map(it => {
    const box = it.querySelector('.box').getBoundingClientRect();
    return [...it.querySelectorAll('text')].filter(it => it.textContent).map(it => it.getBoundingClientRect())
        .every(text => text.left >= box.left && text.right <= box.right && text.bottom <= box.bottom); })"""
LABELS = """[...document.querySelectorAll('#drawing .label')].map(it => {
    const {left, top, right, bottom} = it.getBoundingClientRect(); return [left, top + 2, right, bottom - 2]; })"""
"""Without what fonts leave free above and below."""


def apart(one: list[float], other: list[float]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def busy() -> Graph:
    """Five columns of a fan out, a fan in, errors, TCP and a breaker; many calls, so that all figures are long."""
    service = "orders.shop.svc.cluster.local"
    shop = {name: Node("shop", name) for name in ("productpage-v1", "orders-v1", "orders-v2", "stock", "ledger")}
    page, one, other, stock, ledger = shop.values()
    gateway, database = Node("istio-system", "istio-ingressgateway"), Node("data", "stock-database")
    called: dict[str, Any] = {"version": "v1", "services": frozenset({service}), "p50": 0.1, "p99": 1.234}
    return Graph(
        (
            Edge(gateway, page, 1660.0, 330.0, p50=0.1, p99=2.5),
            Edge(gateway, ledger, 1234.0, 1.0, p50=0.1, p99=2.5),
            Edge(page, one, 1660.0, 330.0, {"UO": 330.0}, **called),
            Edge(page, other, 12.0, 1.5, {"DI": 6.0}, p50=0.1, p99=9.99),
            Edge(page, ledger, 3.0, 0.0, p50=0.1, p99=0.2),
            *(Edge(caller, stock, 1660.0, 330.0, p50=0.1, p99=2.5) for caller in (one, other, ledger)),
            Edge(stock, database, bytes=3.1e6),
            Edge(ledger, database),
        ),
        marks=(MarkedService(service, "breaker open: 20 % refused (connections 1)", "breaker", True),),
        window=60.0,
    )


@pytest.mark.parametrize("width", [1280, 1920])
async def test_what_stands_at_a_line_lies_over_no_box_and_no_other(browser: Browser, width: int) -> None:
    async with shown(browser, as_data(busy(), "the sandbox"), width=width, height=800) as it:
        assert await it.page.value("document.querySelector('#graph').scrollWidth") <= width
        boxes, labels = await it.page.value(BOXES), await it.page.value(LABELS)
        texts = await it.page.value(TEXTS.format(".label"))
        assert {"1,660/s · 20 %", "2.50 s", "9.99 s ⚡", "1.23 s ⊘", "3.1 MB/s"} <= set(texts)
        for place, label in enumerate(labels):
            for box in boxes:
                assert apart(label, box), f"{texts[place]} lies over a box"
            for after, other in enumerate(labels[place + 1 :], place + 1):
                assert apart(label, other), f"{texts[place]} and {texts[after]} lie over each other"
        assert all(await it.page.value(INSIDE)), "what is in a box ends in it"


async def test_long_names_are_cut_so_that_versions_stay_apart(browser: Browser) -> None:
    name = "recommendations-for-returning-customers-in-all-of-europe"
    page = Node("bookinfo", "productpage")
    versions = [Node("bookinfo", f"{name}-v{number}") for number in (12, 13)]
    graph = Graph(tuple(Edge(page, version, 1234567.0, 1.0, p99=1.0) for version in versions), window=60.0)
    async with shown(browser, as_data(graph, "the sandbox")) as it:
        titles = await it.page.value(TEXTS.format("g:has(> .box) .title"))
        assert [title[-4:] for title in titles[1:]] == ["-v12", "-v13"]
        assert all(title.startswith("recommendations") and "…" in title for title in titles[1:])
        assert all(await it.page.value(INSIDE))
        assert not await it.page.wider_than_its_window()
        assert name + "-v12" in await it.page.text("#calls"), "the table has all of it"


async def test_a_version_has_its_measured_share_beside_its_weight(browser: Browser) -> None:
    async with shown(browser) as it:
        assert (await it.page.text("#splits li")).split("\n")[0] == "bookinfo/reviews 600 calls"
        assert "not as the weights say" in await it.page.text("#splits")
        share, tick = await it.page.value(
            "(() => { const bar = document.querySelectorAll('#splits td.bar div')[0];"
            " return [...bar.children].map(it => parseFloat(it.style.width || it.style.left.slice(5))); })()"
        )
        assert (share, tick) == (81.2, 80)
        data = as_data(graph(), "the sandbox")
        for part in data["splits"][0]["parts"]:
            part[-1] = False
        await it.put(data)
        assert "not as the weights say" not in await it.page.text("#splits")


async def test_faults_and_breakers_are_marked(browser: Browser) -> None:
    async with shown(browser) as it:
        told = (await it.page.text("#marks li")).split("\n")
        assert told == ["reviews.bookinfo", "fault: delay 7s for 50 %, now"]
        assert await it.page.value(TEXTS.format(".mark")) == ["fault: delay 7s for 50 %⚡ delay 7s, 50 %"] * 2


async def test_the_table_says_it_in_words(browser: Browser) -> None:
    async with shown(browser) as it:
        rows = await it.page.value(
            "[...document.querySelectorAll('#calls tbody tr')]"
            ".map(it => [...it.children].map(it => it.textContent))"
        )
        assert rows[0] == [
            *("ingress.istio-system", "productpage-v1 bookinfo", "10.0/s", "10 %", "12 ms", "100 ms", "")
        ]
        assert rows[3][2:] == [
            "2.0/s",
            "0 %",
            "",
            "",
            "50 % delayed by a fault (DI), 25 % refused by the breaker (UO)",
        ]
        assert rows[1][1:3] == ["service details bookinfo", "idle"]


@pytest.mark.parametrize("width", [390, 820, 1280, 1920])
async def test_it_fits_into_its_window(browser: Browser, width: int) -> None:
    """The graph scrolls within its frame where it is wider, and from a laptop on it is not."""
    async with shown(browser, width=width, height=900) as it:
        assert not await it.page.wider_than_its_window()
        frame = "document.querySelector('#graph')"
        fits = await it.page.value(f"{frame}.scrollWidth <= {frame}.clientWidth")
        assert fits == (width >= 1280)
        sizes = await it.page.value(
            "[...document.querySelectorAll('#drawing text, td, th, p, li')].filter(it => it.textContent)"
            ".map(it => parseFloat(getComputedStyle(it).fontSize))"
        )
        assert min(sizes) >= 13
        beside = await it.page.value(
            "document.querySelector('aside').getBoundingClientRect().left"
            " >= document.querySelector('#graph').getBoundingClientRect().right"
        )
        assert beside == (width == 1920)
        narrow = await it.page.value(
            "[...document.querySelectorAll('#calls tbody tr')]"
            ".every(row => row.firstChild.offsetWidth === row.offsetWidth)"
        )
        assert narrow == (width < 700), "below each other, where they do not stand side by side"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_the_light_and_in_the_dark(browser: Browser, scheme: str) -> None:
    async with shown(browser, color_scheme=scheme) as it:
        colour = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        assert (sum(await it.page.value(colour)) > 600) == (scheme == "light")
        assert await it.page.faint_text() == []
        drawn = await it.page.value(
            "[...document.querySelectorAll('#drawing text, #drawing .edge')].map(it => [it.textContent,"
            " getComputedStyle(it)[it.tagName === 'text' ? 'fill' : 'stroke'], it.tagName,"
            " getComputedStyle(it.closest('g')?.querySelector('.box') ?? document.querySelector('.lane')).fill])"
        )
        for text, ink, kind, behind in drawn:  # of WCAG 2's level AA, for text and for what is drawn
            assert contrast(ink, behind) >= (4.5 if kind == "text" else 3.0), text
        await it.page.click("#theme")
        assert (sum(await it.page.value(colour)) > 600) == (scheme == "dark")
        it.page.complaints.clear()  # the developer tools have looked for the style in a cache


async def test_nothing_jumps_while_figures_change(browser: Browser) -> None:
    async with shown(browser) as it:
        before = await it.page.value(BOXES)
        data = copy.deepcopy(as_data(graph(), "the sandbox"))
        for edge in data["edges"]:
            edge["rate"] *= 7
        await it.put(data)
        assert "56/s" in await it.page.value(TEXTS.format(".label"))
        assert await it.page.value(BOXES) == before


async def test_what_is_lost_is_said_and_what_was_seen_stays(browser: Browser) -> None:
    async with shown(browser) as it:
        it.feed.lose("ask Prometheus for x: no answer within 20 s")
        await it.shows()
        assert "no answer within 20 s" in await it.page.text("#lost")
        assert await it.page.value("document.querySelectorAll('#drawing .box').length") == 6
        await it.put(as_data(graph(), "the sandbox"))
        assert await it.page.value("document.querySelector('#lost').hidden")


async def test_a_mesh_without_requests(browser: Browser) -> None:
    async with shown(browser, as_data(Graph(), "the sandbox")) as it:
        assert await it.page.text("#graph") == NOTHING
        assert await it.page.value("document.querySelector('#calls').hidden"), "no heads of nothing"
        await it.put(as_data(graph(), "the sandbox"))
        assert await it.page.value("document.querySelector('#empty').hidden")
        assert await it.page.value("document.querySelector('#missing').hidden")
        assert await it.page.text("#calls td") == "productpage-v1 bookinfo"


async def test_pods_that_say_nothing_are_told_of(browser: Browser) -> None:
    silent = Graph(silent=("ratings-v1-x",))
    async with shown(browser, as_data(silent, "the sandbox")) as it:
        assert await it.page.text("#graph") == missing(silent)
        await it.put(as_data(replace(graph(), silent=silent.silent), "the sandbox"))
        assert await it.page.text("#missing") == missing(silent)
        assert await it.page.faint_text() == []
        it.page.complaints.clear()  # the developer tools have looked for the style in a cache


async def test_what_others_wrote_is_only_text(browser: Browser) -> None:
    data = as_data(graph(), HOSTILE)
    data["nodes"][0]["name"] = data["lanes"][0][0] = data["edges"][0]["names"][0] = HOSTILE
    data["edges"][1]["notes"] = data["marks"][0][1:2] = [HOSTILE]
    data["splits"][0]["name"] = data["splits"][0]["parts"][0][0] = HOSTILE
    async with shown(browser, data) as it:
        assert "<script>alert('x')</script>" in await it.page.text("#calls")
        assert await it.page.value("document.querySelectorAll('script').length") == 1
        assert not await it.page.wider_than_its_window()
