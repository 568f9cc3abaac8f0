"""The page of `invoke watch` in a browser, as a class sees it: sizes, changes as they come, keyboard and ear."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest

from labs import RUNBOOK
from tests.classroom.walls import LABS, wall
from tests.console.records import HOSTILE
from tests.pages.chromium import NAMES, Browser, Page, installed
from workshop.classroom.wall import Cell, CellState, Measured, Wall
from workshop.classroom.wall_server import Board
from workshop.console.wall_page import WALL
from workshop.live_page import PageServer, serving
from workshop.runbook.record import Trouble
from workshop.runbook.results import Bar
from workshop.runbook.status import State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        installed() is None, reason=f"no browser is installed: there is none of {', '.join(NAMES)} in PATH"
    ),
]

STATES: tuple[CellState, ...] = (*get_args(State), "failed", "stuck")
ALL_LABS = tuple((lab.name, lab.title) for lab in RUNBOOK.labs if not lab.undoes)


@dataclass
class Shown:
    page: Page
    board: Board
    wall: Wall
    url: str

    async def change(self, *places: int, **told: Any) -> None:
        """Of these members; ends when the page shows it."""
        rows = list(self.wall.rows)
        for place in places:
            rows[place] = replace(rows[place], **told)
        self.wall = replace(self.wall, rows=tuple(rows))
        self.board.put(self.wall)
        await self.shows()

    async def shows(self) -> None:
        await self.page.until(
            f"document.documentElement.dataset.version === '{self.board.epoch}.{self.board.version}'"
        )

    async def focused(self) -> str:
        return str(await self.page.value("document.activeElement.textContent"))


@contextlib.asynccontextmanager
async def shown(
    browser: Browser, what: int | Wall, width: int = 1920, height: int = 1080, **media: str
) -> AsyncIterator[Shown]:
    board, told = Board(), wall(what, time.time()) if isinstance(what, int) else what
    board.put(told)
    async with (
        serving(PageServer(board, WALL, "t"), "127.0.0.1", 0, task="watch") as port,
        browser.page(width, height) as page,
    ):
        features = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in media.items()]
        await page.ask("Emulation.setEmulatedMedia", media="screen", features=features)
        await page.ask("Accessibility.disable")  # which follows each of thousands of cells
        url = f"http://127.0.0.1:{port}/?token=t"
        await page.open(url)
        found = Shown(page, board, told, url)
        await found.shows()
        yield found
        assert page.complaints == []
        assert page.hosts == {f"127.0.0.1:{port}"}


PLACES = """JSON.stringify([...document.querySelectorAll('tbody tr')].map(row => {
    const line = row.getBoundingClientRect(), name = row.querySelector('.name'), cell = row.querySelector('.cell');
    return [line.left, line.top, line.right, line.bottom, parseFloat(getComputedStyle(name).fontSize),
        name.scrollWidth > name.clientWidth, cell.getBoundingClientRect().width];
}))"""


@pytest.mark.parametrize("labs", [LABS, ALL_LABS], ids=lambda labs: f"{len(labs)} labs")
async def test_two_hundred_members_are_seen_at_once_and_can_be_read(
    browser: Browser, labs: tuple[tuple[str, str], ...]
) -> None:
    async with shown(browser, wall(200, time.time(), labs=labs)) as it:
        places = json.loads(await it.page.value(PLACES))
        assert len(places) == 200
        root = "document.documentElement"
        assert await it.page.value(f"[{root}.scrollHeight, {root}.scrollWidth]") == [1080, 1920]
        top = await it.page.value("document.querySelector('#heads').getBoundingClientRect().bottom")
        end = await it.page.value("document.querySelector('footer').getBoundingClientRect().top")
        for left, above, right, below, font, _, cell in places:
            assert left >= 0
            assert right <= 1920
            assert top <= above < below <= end
            assert font >= 14
            assert cell >= 11
        for one, other in itertools.pairwise(places):
            assert other[1] >= one[3] - 0.5 or other[0] >= one[2], "no two are over each other"
        if labs is LABS:
            assert sum(cut for *_, cut, _ in places) <= 10, "hardly any name is cut"
        assert await it.page.value("document.querySelectorAll('#stuck .card').length") >= 3


async def test_fewer_members_are_larger(browser: Browser) -> None:
    fonts = []
    for members in (1, 20, 60, 200):
        async with shown(browser, members) as it:
            places = json.loads(await it.page.value(PLACES))
            assert len(places) == members
            assert max(below for _, _, _, below, *_ in places) <= 1080
            fonts.append(places[0][4])
    assert fonts == sorted(fonts, reverse=True)
    assert fonts[1] >= 30
    assert fonts[2] >= 20


async def test_a_class_too_large_for_a_window_is_scrolled(browser: Browser) -> None:
    async with shown(browser, 300, 1280, 800) as it:
        places = json.loads(await it.page.value(PLACES))
        assert places[0][4] >= 14
        assert not await it.page.wider_than_its_window()
        assert await it.page.value("document.documentElement.scrollHeight") > 800


@pytest.mark.parametrize("members", [1, 20, 60])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
async def test_it_fits_into_its_window(browser: Browser, members: int, width: int, height: int) -> None:
    async with shown(browser, members, width, height) as it:
        assert await it.page.value("innerWidth") == width
        assert not await it.page.wider_than_its_window()
        places = json.loads(await it.page.value(PLACES))
        assert all(0 <= left < right <= width and font >= 14 for left, _, right, _, font, *_ in places)
        fits = await it.page.value("document.documentElement.scrollHeight <= innerHeight")
        assert fits == (width == 1280 or members == 1)


def of_all_states() -> Wall:
    """With a member in each condition, and each state somewhere."""
    told = wall(20, time.time())
    cells = tuple(Cell(state, time.time() - 70, "note") for state in STATES)
    rows = (replace(told.rows[0], cells=cells + told.rows[0].cells[len(cells) :]), *told.rows[1:])
    return replace(told, rows=rows)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_the_light_and_in_the_dark(browser: Browser, scheme: str) -> None:
    told = of_all_states()
    told = replace(told, rows=told.rows[:3])
    async with shown(browser, told, color_scheme=scheme) as it:
        colour = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        assert (sum(await it.page.value(colour)) > 600) == (scheme == "light")
        assert await it.page.faint_text() == []
        await it.page.click("tbody .stuck .name")
        assert await it.page.value("document.querySelector('dialog').open")
        assert await it.page.faint_text() == []
        # The developer tools have looked for the page's style in a cache, where it must not be.
        assert set(it.page.complaints) == {"not fetched: net::ERR_CACHE_MISS"}
        it.page.complaints.clear()


async def test_one_can_have_it_dark_where_the_machine_is_light(browser: Browser) -> None:
    async with shown(browser, 1, color_scheme="light") as it:
        await it.page.click("#theme")
        assert (
            sum(await it.page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"))
            < 100
        )
        assert await it.page.value("document.querySelector('#theme').ariaPressed") == "true"


async def test_each_state_has_a_sign_of_its_own_beside_its_colour(browser: Browser) -> None:
    async with shown(browser, of_all_states()) as it:
        cells = "[...document.querySelectorAll('tbody tr')][0].querySelectorAll('.cell')"
        signs = await it.page.value(
            f"[...{cells}].slice(0, {len(STATES)}).map(it => it.querySelector('.sign').firstChild.data)"
        )
        heard = await it.page.value(
            f"[...{cells}].slice(0, {len(STATES)}).map(it => it.querySelector('.heard').textContent)"
        )
        assert len(set(signs)) == len(STATES)
        assert heard == list(STATES)
        legend = await it.page.text("#legend")
        assert all(state in legend for state in STATES)


async def test_what_changes_comes_by_itself_and_nothing_else_moves(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        await it.page.value("for (const row of document.querySelectorAll('tbody tr')) row.before_ = row.offsetTop")
        cells = (*it.wall.rows[3].cells[:-1], Cell("failed", time.time(), "no"))
        await it.change(3, condition="stuck", why="failed", lab="istio.mirror", since=time.time(), cells=cells)
        row = "document.querySelectorAll('tbody tr')[3]"
        assert await it.page.value(f"{row}.className") == "stuck"
        assert await it.page.value(f"[...{row}.querySelectorAll('.cell')].at(-1).dataset.state") == "failed"
        assert await it.page.text("#counts .stuck") == "4 stuck"
        assert "barbara" in await it.page.text("#stuck")
        assert (await it.page.value("document.title")).startswith("4 stuck")
        still = "[...document.querySelectorAll('tbody tr')].every(row => row.before_ !== undefined)"
        assert await it.page.value(still), "no row was made anew"
        names = await it.page.value("[...document.querySelectorAll('.name')].map(it => it.textContent)")
        assert names == [row.name for row in it.wall.rows]
        await it.change(3, condition="under way", why="", lab="", doing="applying")
        assert await it.page.text("#counts .stuck") == "3 stuck"
        assert "barbara" not in await it.page.text("#stuck")


async def test_who_is_stuck_longest_is_first(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        cards = "[...document.querySelectorAll('#stuck .card b')].map(it => it.textContent)"
        assert await it.page.value(cards) == [row.name for row in it.wall.stuck]
        assert len(it.wall.stuck) == 3
        assert (
            await it.page.value(
                "document.querySelector('#stuck').compareDocumentPosition(document.querySelector('#wall'))"
            )
            == 4
        )


async def test_who_is_not_reached_is_marked_with_the_age_of_what_was_seen(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        mark = "[...document.querySelectorAll('#wall .lost:not([hidden])')].map(it => it.textContent)"
        assert await it.page.value(mark) == ["⊘not reached, seen 5 min ago"]
        assert await it.page.text("#counts .not-reached") == "1 not reached"
        await it.change(16, error="")
        assert await it.page.value(mark) == []
        assert await it.page.value("document.querySelector('#counts .not-reached').hidden")
        await it.change(18, error="refused", tried=time.time())
        assert await it.page.value(mark) == ["⊘not reached, never seen"]


async def test_what_is_measured_is_shown_with_its_shares(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        bars = (Bar("v1", 0.8125, 0.8), Bar("v2", 0.1875, 0.2))
        await it.change(2, measured=Measured("istio.shift", "HelloWorld", time.time(), "fail", bars))
        first = (await it.page.text("#measured li")).split("\n")
        assert first[0] == "edsger · shift"
        assert first[1] == "failed: 81.3 %, 18.8 %"


async def test_one_walks_through_it_with_the_keyboard(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        await it.page.press("Tab")
        assert await it.focused() == "To the wall"
        for _ in range(1 + len(it.wall.stuck)):
            await it.page.press("Tab")
        await it.page.press("Tab")
        assert await it.focused() == "ada", "the wall is one stop"
        assert await it.page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        for key, name in (
            ("ArrowDown", "grace"),
            ("ArrowRight", "shafi"),
            ("ArrowLeft", "grace"),
            ("End", "katherine-johnson"),
            ("ArrowDown", "katherine-johnson"),
            ("Home", "ada"),
            ("ArrowUp", "ada"),
            ("ArrowDown", "grace"),
        ):
            await it.page.press(key)
            assert await it.focused() == name, key
        await it.page.press("Enter", "\r")
        assert await it.page.value("document.querySelector('dialog').open")
        told = await it.page.text("dialog")
        assert told.startswith("✕\ngrace\nstuck for 4 min: failed\n")
        assert "Likely: another VirtualService for the same host is in force as well" in told
        assert "Next: invoke lab.istio.canary --check" in told
        lines = await it.page.value(
            "[...document.querySelectorAll('dialog tr')].map(it => it.getBoundingClientRect().top)"
        )
        assert len(lines) == len(set(lines)) >= len(LABS), "each is on a line of its own"
        assert lines == sorted(lines)
        await it.page.press("Escape")
        assert not await it.page.value("document.querySelector('dialog').open")
        assert await it.focused() == "grace", "one is where one was"


async def test_focus_stays_while_things_change(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        await it.page.value("document.querySelector('#stuck .card').focus()")
        name = it.wall.stuck[0].name
        await it.change(3, condition="stuck", why="failed", since=1.0)
        assert (await it.focused()).startswith(name)
        await it.page.value("document.querySelectorAll('.name')[5].focus()")
        await it.change(5, doing="else")
        assert await it.focused() == it.wall.rows[5].name


async def test_details_follow_what_happens(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        await it.page.click("tbody tr:nth-child(2) .cell")
        await it.change(1, trouble=Trouble("something else"))
        assert "something else" in await it.page.text("dialog")


async def test_whoever_does_not_see_it_hears_a_table(browser: Browser) -> None:
    async with shown(browser, of_all_states()) as it:
        heard = [row.name + " not reached, seen 5 min ago" * bool(row.error) for row in it.wall.rows]
        assert await it.page.names("rowheader") == heard
        heads = await it.page.names("columnheader")
        assert heads[0] == "Member"
        assert heads[2:-1] == [f"{name.partition('.')[2]}: {title}" for name, title in LABS]
        assert "Members by labs" in await it.page.names("table")
        cells = await it.page.names("cell")
        assert len(cells) == len(it.wall.rows) * (len(LABS) + 2)
        assert cells[1 : 1 + len(STATES)] == list(STATES)
        assert await it.page.names("heading") == [it.wall.title, "Stuck", "Measured last"]


async def test_only_who_becomes_stuck_is_said_aloud(browser: Browser) -> None:
    async with shown(browser, 20) as it:
        said = "document.querySelector('[aria-live]').textContent"
        assert await it.page.value(said) == "", "not who was when one came"
        await it.change(2, doing="applying")
        assert await it.page.value(said) == ""
        await it.change(2, 3, condition="stuck", why="failed", lab="istio.canary")
        told = await it.page.value(said)
        assert told.startswith("Stuck: ")
        assert {"edsger, failed at canary", "barbara, failed at canary"} == set(
            told.removeprefix("Stuck: ").split("; ")
        )


@pytest.mark.parametrize(("motion", "animated"), [("reduce", False), ("no-preference", True)])
async def test_nothing_moves_for_who_does_not_want_it(browser: Browser, motion: str, animated: bool) -> None:
    async with shown(browser, 3, reduced_motion=motion) as it:
        await it.change(0, cells=(Cell("failed", time.time()), *it.wall.rows[0].cells[1:]))
        running = "document.getAnimations().length + document.querySelectorAll('.fresh').length"
        assert await it.page.value("document.querySelectorAll('.fresh').length") == 1
        assert (await it.page.value(running) == 2) == animated


async def test_what_others_wrote_is_only_text(browser: Browser) -> None:
    told = wall(20, time.time())
    row = replace(
        told.rows[1],
        name=HOSTILE,
        trouble=Trouble(HOSTILE, HOSTILE, HOSTILE),
        why=HOSTILE,
        typed=HOSTILE,
        error=HOSTILE,
        doing=HOSTILE,
        step=HOSTILE,
        measured=Measured(HOSTILE, HOSTILE, time.time(), HOSTILE, (Bar(HOSTILE, float("nan"), 0.5),)),
        cells=(Cell("failed", 1.0, HOSTILE), *told.rows[1].cells[1:]),
    )
    told = replace(told, title=HOSTILE, rows=(told.rows[0], row, *told.rows[2:]))
    async with shown(browser, told) as it:
        await it.page.click("tbody tr:nth-child(2) .name")
        assert "<script>alert('x')</script>" in await it.page.text("dialog")
        assert await it.page.value("document.querySelectorAll('script').length") == 1
        assert not await it.page.wider_than_its_window()
        await it.change(1, doing="more")


async def test_a_server_that_is_gone_is_said_and_found_again(browser: Browser) -> None:
    board, told = Board(), wall(3, time.time())
    board.put(told)
    async with browser.page() as page:
        async with serving(PageServer(board, WALL, "t", back_after=0.05), "127.0.0.1", 0, task="watch") as port:
            await page.open(f"http://127.0.0.1:{port}/?token=t")
            it = Shown(page, board, told, "")
            await it.shows()
            assert await page.text("#connection") == "live"
        await it.page.until("document.querySelector('#connection').textContent.startsWith('not connected since ')")
        assert await page.value("document.body.classList.contains('stale')")
        async with serving(PageServer(board, WALL, "t", back_after=0.05), "127.0.0.1", port, task="watch"):
            await it.change(0, doing="again")
            await it.page.until("document.querySelector('#connection').textContent === 'live'")
        await it.page.until("document.querySelector('#connection').className === 'lost'")
        async with serving(PageServer(board, WALL, "another", back_after=0.05), "127.0.0.1", port, task="watch"):
            await it.page.until("document.querySelector('#connection').textContent.startsWith('ended: ')")
