"""The pages of the stand-ins for Kiali, Grafana and Jaeger in a browser, at the width of a laptop and of a desk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.images import addon_page, grafana, kiali
from sandbox.images.mesh_figures import Calls, Line, Workload
from sandbox.jaeger import trace_pages as jaeger
from sandbox.jaeger.spans import Span, SpanStore
from tests.console.records import HOSTILE
from tests.pages.chromium import NAMES, Browser, Page, contrast, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        installed() is None, reason=f"no browser is installed: there is none of {', '.join(NAMES)} in PATH"
    ),
]

LONG = "recommendations-for-returning-customers-in-all-of-europe"


def called() -> dict[tuple[Workload, Workload], Calls]:
    """BookInfo in the middle of a fault, a breaker that is open, TCP, a call back, one to oneself, long names."""
    shop = {name: ("bookinfo", name) for name in ("productpage-v1", "reviews-v1", "reviews-v3", "ratings-v1")}
    page, one, other, ratings = shop.values()
    gateway, long = ("istio-system", "istio-ingressgateway"), {n: ("shop", f"{LONG}-v{n}") for n in (12, 13)}
    return {
        (("", "unknown"), gateway): Calls(1234.5, 250.0, p99=2490.0),
        (gateway, page): Calls(1234.5, 250.0, p99=2490.0),
        (gateway, ratings): Calls(3.0, 0.0, p99=20.0),
        (page, one): Calls(1000.0, 0.0, p99=24.0),
        (page, other): Calls(234.5, 200.0, p99=2980.0),
        (other, ratings): Calls(200.0, 100.0, p99=9830.0),
        (one, ratings): Calls(200.0, 100.0, p99=9830.0),
        (ratings, page): Calls(0.5, 0.0, p99=1.0),
        (ratings, ratings): Calls(0.5, 0.0, p99=1.0),
        (other, ("bookinfo", "service ratings")): Calls(40.0, 40.0, p99=2500.0),
        (ratings, ("data", "mongodb-v1")): Calls(bytes=3100.0),
        (gateway, long[12]): Calls(12.0, 0.01, p99=0.5),
        (gateway, long[13]): Calls(12.0, 0.0, p99=0.5),
        (("shop", HOSTILE), long[13]): Calls(12.0, 0.0, p99=0.5),
    }


def lines() -> Mapping[str, tuple[Line, ...]]:
    names = [f"{LONG}-v{number}.shop" for number in range(30)] + [HOSTILE]
    found = tuple(Line(name, ((0.0, 10.0 * n), (300.0, 4000.0 * n))) for n, name in enumerate(names))
    return dict.fromkeys(("rate", "p50", "p99"), found) | {"failed": tuple(Line(n, ((0.0, 0.1),)) for n in names)}


TRACE = "b" * 32


def spans() -> SpanStore:
    store = SpanStore()
    operation = "productpage.bookinfo.svc.cluster.local:9080/productpage"
    late = {"response_flags": "DC,DI", "error": "true", HOSTILE: HOSTILE}
    store.add(
        [
            Span(TRACE, "1", "", "istio-ingressgateway.istio-system", operation, 1, 5_000_000),
            Span(TRACE, "2", "1", f"{LONG}.shop", operation, 10, 2_500_000, tags=late),
            Span(TRACE, "3", "1", HOSTILE, HOSTILE, 2_500_000, 2_500_000, tags=late),
            Span(TRACE, "4", "2", "details", "/details", 2_400_000, 200, tags=late),
        ]
    )
    return store


def addon(title: str, what: str, content: str) -> str:
    choice = addon_page.choices("Over the last", {"30 s": "?a", "1 min": "?b"}, "30 s")
    return addon_page.page(title, what, choice + addon_page.following(5.0, {}, live=False) + content)


PAGES = {
    "kiali": lambda: addon("Mesh graph", kiali.WHAT, kiali._graph(called(), 60.0)),
    "kiali, empty": lambda: addon("Mesh graph", kiali.WHAT, kiali._graph({}, 60.0)),
    "grafana": lambda: addon("Workloads", grafana.WHAT, grafana._dashboard(lines(), 0.0, 300.0)),
    "jaeger": lambda: jaeger.search("", ["a", LONG, HOSTILE], spans().traces(), {"tag": HOSTILE}),
    "jaeger, refused": lambda: jaeger.search("", ["a"], (), {"service": "a"}, HOSTILE),
    "jaeger, empty": lambda: jaeger.search("", [], (), {}),
    "trace": lambda: jaeger.waterfall("", next(spans().traces())),
}


async def opened(page: Page, folder: Path, name: str, scheme: str = "light") -> None:
    (folder / "page.html").write_text(PAGES[name](), encoding="utf-8")
    feature = {"name": "prefers-color-scheme", "value": scheme}
    await page.ask("Emulation.setEmulatedMedia", media="screen", features=[feature])
    await page.open((folder / "page.html").as_uri())


SVG_TEXTS = """[...document.querySelectorAll('svg text')].filter(it => it.textContent).map(it => {
    const box = it.closest('g')?.querySelector('.box'), behind = box ?? it.closest('.card') ?? document.body;
    return [it.textContent, getComputedStyle(it).fill, getComputedStyle(behind)[box ? 'fill' : 'backgroundColor'],
        it.getBoundingClientRect().height]; })"""


@pytest.mark.parametrize("name", PAGES)
async def test_it_fits_and_can_be_read_and_says_whose_it_is(browser: Browser, tmp_path: Path, name: str) -> None:
    for width, scheme in ((1280, "light"), (1920, "dark")):
        async with browser.page(width, 800) as page:
            await opened(page, tmp_path, name, scheme)
            assert "the sandbox's stand-in for " in await page.text()
            assert not await page.wider_than_its_window()
            assert await page.faint_text() == []
            for text, ink, behind, height in await page.value(SVG_TEXTS):
                if not re.match(r"rgba\(.*, 0\)", behind):
                    assert contrast(ink, behind) >= 4.5, text  # WCAG 2, level AA
                assert height >= 11, text
            assert page.complaints == []
            assert page.hosts == set()
            assert await page.value("document.scripts.length") == 0, "what others wrote is only text"


RECTS = """[...document.querySelectorAll('.graph WHICH')].map(it => {
    const {left, top, right, bottom} = it.getBoundingClientRect();
    return [it.textContent, [left, top + 2, right, bottom - 2]]; })"""
"""Without what fonts leave free above and below."""
OUTSIDE = """[...document.querySelectorAll('.graph g')].filter(it => {
    const [box, ...texts] = [...it.children].slice(1).map(it => it.getBoundingClientRect());
    return texts.some(text => text.width && (text.left < box.left || text.right > box.right)); }).length"""
THROUGH = """(() => {
    const boxes = [...document.querySelectorAll('.graph .box')].map(it => it.getBBox());
    const within = ({x, y}) => boxes.some(box => x > box.x + 1 && x < box.x + box.width - 1
        && y > box.y && y < box.y + box.height);
    const some = (line, at) => at < line.getTotalLength() - 2
        && (within(line.getPointAtLength(at)) || some(line, at + 3));
    return [...document.querySelectorAll('.graph .edge')].filter(line => some(line, 2)).length; })()"""


def over(one: list[float], other: list[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("width", [1280, 1920])
async def test_in_kialis_graph_nothing_lies_over_anything_else(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    async with browser.page(width, 800) as page:
        await opened(page, tmp_path, "kiali")
        boxes = await page.value(RECTS.replace("WHICH", ".box"))
        labels = await page.value(RECTS.replace("WHICH", "text.halo"))
        assert len(boxes) == 11
        assert {"1,000/s", "P99 24 ms", "200/s, 50 %", "P99 9.83 s"} <= {text for text, _ in labels}
        for place, (text, label) in enumerate(labels):
            assert not any(over(label, box) for _, box in boxes), f"{text} lies over a box"
            for after, other in labels[place + 1 :]:
                assert not over(label, other), f"{text} and {after} lie over each other"
        assert await page.value(OUTSIDE) == 0, "what is in a box ends in it"
        assert await page.value(THROUGH) == 0, "lines pass boxes by"
        names = await page.value("[...document.querySelectorAll('.graph .name')].map(it => it.textContent)")
        assert {name[-4:] for name in names if name.startswith("recommend")} == {"-v12", "-v13"}


async def test_a_text_at_a_bar_of_a_trace_lies_over_no_name_and_is_read_where_it_is(
    browser: Browser, tmp_path: Path
) -> None:
    async with browser.page(1280, 800) as page:
        await opened(page, tmp_path, "trace")
        bars = await page.value(
            "[...document.querySelectorAll('summary')].map(it => ['.name', 'rect', 'rect ~ text']"
            ".map(which => it.querySelector(which).getBoundingClientRect()).map(({left, right}) => [left, right]))"
        )
        for name, bar, text in bars:
            beside = text[0] >= bar[1] or text[1] <= bar[0]
            assert beside or (bar[0] <= text[0] and text[1] <= bar[1]), json.dumps([name, bar, text])
            assert text[0] >= name[1]
            assert text[1] <= 1280
        await page.press("Tab")
        await page.press("Tab")
        await page.press("Enter", "\r")
        assert await page.value("document.querySelectorAll('details[open]').length") == 1, "by the keyboard"
