"""The pages that the workshop writes, opened from a disk as who gets them does."""

from __future__ import annotations

import base64
import itertools
from dataclasses import replace

import pytest

from tests.console.records import FAILED, HOSTILE_RUN
from tests.console.test_handout import explained, handout
from tests.pages.chromium import NAMES, Browser, Page, installed
from workshop.console.handout import handout_page
from workshop.console.report_page import report_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        installed() is None, reason=f"no browser is installed: there is none of {', '.join(NAMES)} in PATH"
    ),
]

DOCUMENTS = {
    "report": lambda: report_page((FAILED, HOSTILE_RUN), "Mesh Workshop: a day"),
    "handout": lambda: handout_page(replace(handout(), labs=explained()[5:7])),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Their addresses."""
    folder = tmp_path_factory.mktemp("documents")
    for name, document in DOCUMENTS.items():
        (folder / f"{name}.html").write_text(document(), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in DOCUMENTS}


async def seen_as(page: Page, scheme: str, media: str = "screen") -> None:
    await page.ask(
        "Emulation.setEmulatedMedia",
        media=media,
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_it_fits_into_its_window_and_fetches_nothing(
    written: dict[str, str], browser: Browser, name: str, width: int
) -> None:
    async with browser.page(width) as page:
        await page.open(written[name])
        assert await page.value("innerWidth") == width
        assert not await page.wider_than_its_window()
        assert page.complaints == []
        assert page.fetched == [written[name]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_it_can_be_read_in_the_light_and_in_the_dark(
    written: dict[str, str], browser: Browser, name: str, scheme: str
) -> None:
    async with browser.page() as page:
        await seen_as(page, scheme)
        await page.open(written[name])
        red, green, blue = await page.value(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        )
        assert (red + green + blue > 600) == (scheme == "light")
        assert await page.faint_text() == []


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_it_is_printed_on_a4_with_dark_ink_whatever_the_screen_is(
    written: dict[str, str], browser: Browser, name: str
) -> None:
    async with browser.page(680) as page:  # what is between the margins
        await seen_as(page, "dark", "print")
        await page.open(written[name])
        assert not await page.wider_than_its_window()
        assert await page.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        printed = await page.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        document = base64.b64decode(printed["data"])
        assert document.count(b"/MediaBox [0 0 594.95996 841.91998]") >= 1, "A4"


async def test_it_is_read_with_the_keyboard_and_by_ear(written: dict[str, str], browser: Browser) -> None:
    async with browser.page() as page:
        await page.open(written["report"])
        await page.press("Tab")
        assert await page.value("document.activeElement.textContent") == "To the content"
        assert await page.value("document.activeElement.getBoundingClientRect().x >= 0"), "it shows"
        await page.press("Enter", "\r")
        assert await page.value("document.activeElement.id") == "content"
        levels = await page.value("[...document.querySelectorAll('main :is(h1,h2,h3,h4)')].map(h => +h.tagName[1])")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert await page.names("navigation") == ["Contents"]
        assert any(name.startswith("Times of 900 answers") for name in await page.names("image"))
        captions = [name for name in await page.names("table") if name]
        assert captions[0].startswith("Stars on the product page: 1,400 answers")
