"""What a person sees in a browser: BookInfo, Fruit Smoothies and podinfo, through the sandbox's mesh."""

from __future__ import annotations

import re

import aiohttp
import pytest
import pytest_asyncio

from labs import RUNBOOK
from tests.kit.in_process import bring_to_its_end, run_of
from tests.kit.workshop import Workshop
from tests.pages.chromium import NAMES, Browser, Page, installed
from workshop.kubernetes.ingress import Ingress

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        installed() is None, reason=f"no browser is installed: there is none of {', '.join(NAMES)} in PATH"
    ),
]

LABS = ("install", "adopt", "inject", "bookinfo", "gateway", "canary", "identity", "blue-green")
PAGES = ("/productpage", "/smoothies/", "/podinfo/")
ENOUGH = 6
"""Answers in a row that are as they should be: without the labs' rules, one of three would be by chance."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(workshop: Workshop) -> str:
    """The address of the sandbox's ingress gateway, with every page behind it as its lab leaves it."""
    workshop.converge("sandbox.up")
    for name in LABS:
        lab = RUNBOOK.lab(f"istio.{name}")
        run = run_of(workshop, lab)
        await bring_to_its_end(lab, run)
    url: str = await run.observe(Ingress())
    browser_like = {"User-Agent": "Mozilla/5.0"}
    async with aiohttp.ClientSession(headers=browser_like, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for path, shown in zip(PAGES, ('color="red"', "No rating yet", "green"), strict=True):
            await _settled(session, url + path, shown)
        async with session.post(f"{url}/login", data={"username": "jason"}):
            await _settled(session, f"{url}/productpage", 'color="black"')
    return url


async def _settled(session: aiohttp.ClientSession, url: str, shown: str) -> None:
    """Wait until a page shows that, time and again: what the labs applied is with the proxies."""
    seen = 0
    for _ in range(2000):
        async with session.get(url) as answer:
            seen = seen + 1 if shown in await answer.text() else 0
        if seen == ENOUGH:
            return
    raise AssertionError(f"{url} does not show {shown}")


def nothing_to_complain_of(page: Page, site: str) -> None:
    assert page.complaints == []
    assert page.hosts == {site.removeprefix("http://")}


async def test_one_user_logs_in_and_sees_other_stars(site: str, browser: Browser) -> None:
    async with browser.page() as page:
        await page.open(f"{site}/productpage")
        assert await page.value("document.querySelectorAll('font[color=red]').length") == 2
        assert await page.text(".user") == ""
        await page.click("summary")
        await page.click("input[name=username]")
        await page.type("jason")
        async with page.loading():
            await page.press("Enter", "\r")
        assert await page.text(".user") == "jason"
        assert await page.value("document.querySelectorAll('font[color=black]').length") == 2
        assert await page.value("getComputedStyle(document.querySelector('font')).color") != "rgb(216, 31, 42)"
        await page.reload()
        assert await page.text(".user") == "jason"
        async with page.loading():
            await page.click(".account a")
        assert await page.text(".user") == ""
        assert await page.value("document.querySelectorAll('font[color=red]').length") == 2
        nothing_to_complain_of(page, site)


async def test_a_rating_is_given_and_is_there_after_a_reload_and_a_restart(
    site: str, browser: Browser, workshop: Workshop
) -> None:
    async with browser.page() as page:
        await page.open(f"{site}/smoothies/")
        assert re.findall(r"^(\w+)\nNo rating yet$", await page.text(), re.M) == [
            *("Banana", "Coconut", "Oranges", "Pineapple")
        ]
        async with page.loading():
            await page.click("button[aria-label='3 stars for Coconut']")
        assert "Coconut\n3.0 from 1 rating\nThank you for 3 stars!" in await page.text()
        # Without a mouse: past the link at the top, to the fourth star of the first fruit.
        await page.open(f"{site}/smoothies/")
        for _ in range(5):
            await page.press("Tab")
        assert await page.value("document.activeElement.ariaLabel") == "4 stars for Banana"
        assert await page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        async with page.loading():
            await page.press("Enter", "\r")
        assert "Banana\n4.0 from 1 rating\nThank you for 4 stars!" in await page.text()
        # A reload rates nothing again.
        await page.reload()
        assert "4.0 from 1 rating\n" in await page.text("li.banana")
        maker = await page.text("footer code")
        workshop.by_hand(
            "kubectl -n ratingsapp rollout restart deployment/ratings-web deployment/ratings-api && "
            "kubectl -n ratingsapp rollout status deployment/ratings-web && "
            "kubectl -n ratingsapp rollout status deployment/ratings-api"
        )
        await page.open(f"{site}/smoothies")
        assert await page.value("location.pathname") == "/smoothies/"
        assert await page.text("footer code") not in ("", maker)
        assert "Banana\n4.0 from 1 rating" in await page.text("li.banana")
        assert "Coconut\n3.0 from 1 rating" in await page.text("li.coconut")
        nothing_to_complain_of(page, site)


async def test_podinfo_says_its_colour_and_version(site: str, browser: Browser) -> None:
    async with browser.page() as page:
        await page.open(f"{site}/podinfo/")
        assert re.search(r"^green\n+version 6\.9\.2\n+served by podinfo-green-\S+$", await page.text(), re.M)
        colour = await page.value("getComputedStyle(document.body).backgroundColor")
        red, green, blue = map(int, re.findall(r"\d+", colour))
        assert green > max(red, blue)
        nothing_to_complain_of(page, site)


@pytest.mark.parametrize("width", [390, 1280, 2560])
async def test_every_page_fits_into_its_window_and_can_be_read(site: str, browser: Browser, width: int) -> None:
    for path in PAGES:
        async with browser.page(width) as page:
            await page.open(site + path)
            assert await page.value("innerWidth") == width, f"{path} is laid out for another width"
            assert not await page.wider_than_its_window(), path
            assert await page.faint_text() == [], path
            nothing_to_complain_of(page, site)


async def test_whoever_does_not_see_the_page_hears_what_its_buttons_do(site: str, browser: Browser) -> None:
    async with browser.page() as page:
        await page.open(f"{site}/smoothies/")
        buttons = await page.names("button")
        fruits = ("Banana", "Coconut", "Oranges", "Pineapple")
        assert buttons == [
            f"{stars} star{'s' * (stars > 1)} for {fruit}" for fruit in fruits for stars in range(1, 6)
        ]
        assert await page.names("image") == []
        await page.open(f"{site}/productpage")
        assert "Sign in" in await page.names("DisclosureTriangle")


async def test_the_page_says_that_the_database_is_gone(site: str, browser: Browser, workshop: Workshop) -> None:
    """The last one: it leaves the application broken."""
    workshop.by_hand("kubectl -n ratingsapp delete service ratings-mongodb")
    async with browser.page(390) as page:
        await page.open(f"{site}/smoothies/")
        assert "MongoDB is not reached: ratings-mongodb.ratingsapp.svc.cluster.local:27017" in await page.text()
        assert not await page.wider_than_its_window()
        assert await page.faint_text() == []
        assert page.hosts == {site.removeprefix("http://")}
