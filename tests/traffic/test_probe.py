from __future__ import annotations

import asyncio
import math
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.traffic.servers import Handler, serving
from workshop.runbook import events
from workshop.runbook.run import Facts, Run
from workshop.traffic.probe import Category, Probe
from workshop.traffic.side_requests import Control, Login
from workshop.traffic.verdict import sample_size

STARS = (
    Category("no stars", lambda body: "Reviews served by" in body and "glyphicon-star" not in body, "white"),
    Category("black stars", r'glyphicon-star.*color="black"', "black"),
    Category("red stars", r'glyphicon-star.*color="red"', "red"),
)
PAGES = {
    "v1": "<p>Reviews served by: v1</p>",
    "v2": '<p>Reviews served by: v2</p><i class="glyphicon-star" color="black">',
    "v3": '<p>Reviews served by: v3</p><i class="glyphicon-star" color="red">',
}


def probe(*expected: float, **more: object) -> Probe:
    return Probe("reviews", "/productpage", STARS, expected, **{"visible_within": 0.3, **more})  # type: ignore[arg-type]


def listening() -> tuple[Run, list[events.Event]]:
    heard: list[events.Event] = []
    return Run("istio.canary", {}, Facts(), {}, heard.append), heard


def splitting(weights: Callable[[int], tuple[float, float, float] | int]) -> Handler:
    """A server that splits at random (seeded) by the weights it has at its n-th request; a number is a status."""
    rng, served = random.Random(4), 0  # noqa: S311

    async def page(request: web.Request) -> web.Response:
        nonlocal served
        served += 1
        now = weights(served)
        if isinstance(now, int):
            return web.Response(status=now, text="no healthy upstream")
        return web.Response(text=PAGES[rng.choices(("v1", "v2", "v3"), now)[0]], content_type="text/html")

    return page


def alternating(of: int, every: int) -> Handler:
    """Of each `every` answers so many are v1's, the rest v3's, spread evenly."""
    served = 0

    async def page(request: web.Request) -> web.Response:
        nonlocal served
        served += 1
        v1 = served * of // every > (served - 1) * of // every
        return web.Response(text=PAGES["v1" if v1 else "v3"], content_type="text/html")

    return page


async def test_a_right_split_passes_with_no_more_requests_than_prove_it() -> None:
    run, heard = listening()
    wanted = probe(0.5, 0, 0.5)
    async with serving(alternating(1, 2)) as server:
        verdict = await wanted.measure(run, server.url + "/")
    assert verdict.kind == "pass"
    test = wanted.test()
    most, sample = test.last.n, sample_size(test.last)
    assert (most, sample, test.least) == (1450, 145, 407)
    assert {request.path for request in server.requests} == {"/productpage"}
    (measured,) = verdict.measurements
    sent = len(server.requests) - sample
    assert (measured.title, measured.samples, measured.errors) == ("reviews", sent, 0)
    assert test.least <= sent <= most
    assert verdict.reason.startswith(f"every share is as expected ({sent:,} answers")
    assert ("enough, of 1,450 at most" in verdict.reason) == (sent < most)
    assert measured.seconds > 0
    none, black, red = measured.bars
    assert (none.label, none.expected, none.colour) == ("no stars", 0.5, "white")
    assert none.accepted == test.accepted("no stars", sent, passed=True)
    low, high = none.accepted
    assert 0.44 < low <= none.measured <= high < 0.56, "what is accepted is that of the number sent"
    assert none.measured == pytest.approx(0.5, abs=0.05)
    assert (black.measured, black.expected, black.accepted) == (0, 0, (0, 0))
    assert none.measured + red.measured == pytest.approx(1)
    assert heard[-1] == events.Progress("istio.canary", "reviews", sent, sent)
    assert all(isinstance(event, events.Progress) for event in heard)
    shown = [event for event in heard if isinstance(event, events.Progress)]
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert {event.total for event in shown[:-1]} == {most}


async def test_what_is_just_between_right_and_wrong_takes_all_of_the_plan() -> None:
    """Every other answer, and now and then another: 55 % are neither 50 nor 60."""
    run, _ = listening()
    wanted = probe(0.5, 0, 0.5, visible_within=20)
    async with serving(alternating(11, 20)) as server:
        verdict = await wanted.measure(run, server.url)
    sent = len(server.requests) - sample_size(wanted.test().last)
    assert (verdict.measurements[0].samples, sent) == (1450, 1450)
    assert verdict.measurements[0].bars[0].accepted == (640 / 1450, 810 / 1450)
    assert verdict.reason.endswith("(1,450 answers)")


async def test_waits_until_the_change_is_visible_and_leaves_the_samples_out() -> None:
    run, heard = listening()
    wanted = probe(0, 0, 1, visible_within=20)
    async with serving(splitting(lambda served: (1, 0, 0) if served <= 70 else (0, 0, 1))) as server:
        verdict = await wanted.measure(run, server.url)
    assert verdict.kind == "pass"
    assert verdict.measurements[0].samples == 66
    waiting = [event for event in heard if isinstance(event, events.Waiting)]
    # Samples of 20: three are of the old split, one is mixed, the fifth is of the new one.
    assert len(waiting) == 4
    assert len(server.requests) == 5 * 20 + 66
    assert waiting[0].what == "reviews: the change to be visible"
    assert waiting[0].missing == "no stars 20 of 20, expected 0%, red stars 0 of 20, expected 100%"
    assert waiting[0].limit == 20
    assert [event.waited for event in waiting] == sorted(event.waited for event in waiting)
    assert isinstance(heard[-1], events.Progress)


async def test_waits_through_errors_too() -> None:
    run, heard = listening()
    async with serving(splitting(lambda served: 503 if served <= 30 else (0, 1, 0))) as server:
        verdict = await probe(0, 1, 0, visible_within=20).measure(run, server.url)
    assert verdict.kind == "pass"
    assert isinstance(heard[0], events.Waiting)
    assert heard[0].missing == "HTTP 503: 20 (no healthy upstream)"


@pytest.mark.parametrize(("within", "patience"), [(1, math.inf), (20, 1)])
async def test_a_change_that_does_not_arrive_is_measured_at_the_time_limit_and_fails(
    within: float, patience: float
) -> None:
    run, _ = listening()
    run.patience = patience
    async with serving(splitting(lambda served: (1, 0, 0))) as server:
        verdict = await probe(0.5, 0, 0.5, visible_within=within).measure(run, server.url)
    assert verdict.kind == "fail"
    assert re.search(r"no stars: 100.0%, accepted \d\d.\d% to \d\d.\d%; red", verdict.reason), verdict.reason
    assert verdict.reason.endswith("the change was not visible within 1 s")
    assert 75 <= verdict.measurements[0].samples <= 600, "all of one kind are soon enough"


async def test_without_traffic_no_answer_came_and_where_nothing_was_changed_no_change_is_missed() -> None:
    run, _ = listening()
    run.only_looks = True
    async with serving(splitting(lambda served: (1, 0, 0))) as server:
        elsewhere = await probe(0, 1, 0).measure(run, server.url)
    assert elsewhere.reason.endswith("; what is expected was not to be seen within 0.3 s")
    nobody = await probe(0, 1, 0).measure(run, server.url)  # it has ended
    assert nobody.kind == "inconclusive"
    assert nobody.reason.endswith("; no answer came within 0.3 s")


async def test_a_split_off_by_the_deviation_that_looks_right_at_a_glance_fails() -> None:
    run, _ = listening()
    async with serving(splitting(lambda served: (0.6, 0, 0.4))) as server:
        verdict = await probe(0.5, 0, 0.5, visible_within=20).measure(run, server.url)
    assert verdict.kind == "fail"
    told = r"no stars: (5[6-9]|6\d)\.\d%, accepted 4\d.\d% to 5\d.\d%; red stars: .* \([\d,]+ answers.*\)"
    assert re.fullmatch(told, verdict.reason)


async def test_errors_alone_are_inconclusive() -> None:
    run, _ = listening()
    async with serving(splitting(lambda served: 503)) as server:
        verdict = await probe(0.8, 0.2, 0).measure(run, server.url)
    assert verdict.kind == "inconclusive"
    sent = verdict.measurements[0].errors
    assert 323 <= sent < 600, "no more than may say something"
    assert verdict.reason == (
        f"0 of 1,043 answers, {sent} errors: too few to tell; HTTP 503: {sent} (no healthy upstream); "
        "no other answer came within 0.3 s"
    )
    assert [bar.measured for bar in verdict.measurements[0].bars] == [0, 0, 0]


async def test_one_error_leaves_a_stage_of_100_percent_open() -> None:
    run, _ = listening()
    async with serving(splitting(lambda served: 500 if served == 40 else (0, 0, 1))) as server:
        verdict = await probe(0, 0, 1).measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert "65 of 66 answers, 1 errors" in verdict.reason


async def test_the_time_limit_of_the_measurement() -> None:
    async def slow(request: web.Request) -> web.Response:
        if len(server.requests) > 20:
            await asyncio.Event().wait()
        return web.Response(text=PAGES["v3"])

    run, _ = listening()
    async with serving(slow) as server:
        verdict = await probe(0, 0, 1, within=0.1).measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert verdict.reason == "0 of 66 answers: too few to tell"


async def test_sends_headers_and_logs_in_once_for_each_batch() -> None:
    async def application(request: web.Request) -> web.Response:
        if request.path == "/login":
            response = web.Response(status=302)
            response.set_cookie("session", str((await request.post())["username"]))
            return response
        return web.Response(text=PAGES["v2" if request.cookies.get("session") == "jason" else "v3"])

    run, _ = listening()
    jason = Login("/login", (("username", "jason"), ("passwd", "x")))
    async with serving(application) as server:
        verdict = await probe(0, 1, 0, login=jason, headers=(("Host", "books"),)).measure(run, server.url)
        assert (await probe(0, 0, 1).measure(run, server.url)).kind == "pass"
    assert verdict.kind == "pass"
    assert Counter(request.path for request in server.requests) == {"/login": 2, "/productpage": 2 * 86}
    assert server.requests[0].host == "books"


async def test_a_login_that_fails_is_inconclusive() -> None:
    run, heard = listening()
    async with serving(splitting(lambda served: 503)) as server:
        verdict = await probe(0, 1, 0, login=Login("/login", ())).measure(run, server.url)
    assert verdict.kind == "inconclusive"
    assert verdict.reason == f"log in at {server.url}/login: HTTP 503"
    assert verdict.measurements[0].samples == 0
    assert isinstance(heard[0], events.Waiting)


def test_an_answer_belongs_to_one_category_or_to_none() -> None:
    wanted = Probe("p", "/", (*STARS, Category("gone", "", status=503)), (0, 0, 1, 0))
    assert wanted.classify(200, {}, PAGES["v1"].encode(), 0.1) == "no stars"
    assert wanted.classify(200, {}, PAGES["v3"].encode(), 0.1) == "red stars"
    assert wanted.classify(404, {}, PAGES["v3"].encode(), 0.1) is None
    assert wanted.classify(503, {}, b"\xff anything", 0.1) == "gone"
    assert wanted.classify(200, {}, (PAGES["v2"] + PAGES["v3"].replace("\n", "")).encode(), 0.1) is None
    assert wanted.classify(200, {}, b"Sorry, product reviews are currently unavailable", 0.1) is None


@pytest.mark.parametrize(("categories", "expected"), [(STARS, (0.5, 0.5)), ((STARS[0], STARS[0]), (0.5, 0.5))])
def test_a_probe_needs_a_share_for_each_category(
    categories: tuple[Category, ...], expected: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="a label of its own and a share"):
        Probe("p", "/", categories, expected)


PAGE = "served by"
AT_ONCE = Category("at once", PAGE, within=(0, 2))
LATER = Category("after 3 s", PAGE, within=(2, 5))
NEVER = Category("no reviews, after 6 s", "unavailable", within=(5, math.inf))


CONTROL = Control("/control", 0.25)


def test_answers_are_told_apart_by_time() -> None:
    wanted = Probe("p", "/", (AT_ONCE, LATER, NEVER), (0.5, 0.25, 0.25), control=CONTROL)
    page, none = PAGES["v2"].encode(), b"currently unavailable"
    said = [wanted.classify(200, {}, page, seconds) for seconds in (0, 1.9, 2, 3.2, 5, 6)]
    assert said == ["at once", "at once", "after 3 s", "after 3 s", None, None]
    assert [wanted.classify(200, {}, none, seconds) for seconds in (1, 3, 5, 60)] == [
        None,
        None,
        NEVER.label,
        NEVER.label,
    ]


def test_an_answer_that_took_a_time_of_two_categories_is_an_error() -> None:
    overlapping = Probe("p", "/", (AT_ONCE, Category("later", PAGE, within=(1, 5))), (0.5, 0.5), control=CONTROL)
    page = PAGES["v2"].encode()
    assert [overlapping.classify(200, {}, page, seconds) for seconds in (0.5, 1.5, 3)] == ["at once", None, "later"]


@pytest.mark.parametrize("within", [(2, 2), (3, 2), (-1, 2), (math.nan, 2)])
def test_a_time_that_nothing_takes_is_refused(within: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="category 'stars': no time is between"):
        Category("stars", "", within=within)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"expected": (0.5, 0.4)}, "add up to 1, not \\(0.5, 0.4\\)"),
        ({"expected": (1.5, -0.5)}, "from 0 to 1"),
        ({"expected": (math.nan, 1)}, "from 0 to 1"),
        ({"deviation": 0}, "between 0 and 1, not 0"),
        ({"deviation": 10}, "between 0 and 1, not 10"),
        ({"concurrency": 0}, "1 or more, not 0"),
        ({"within": 0}, "more than 0 s"),
        ({"control": None}, "told apart by time, and no control"),
        ({"control": Control("/control", 0)}, "cannot come within 0 s"),
        ({"request_timeout": 2}, "'after 3 s' can have no answer within 2 s"),
    ],
)
def test_figures_from_options_are_checked_when_a_probe_is_made(more: dict[str, object], said: str) -> None:
    figures: dict[str, object] = {"expected": (0.5, 0.5), "control": CONTROL, **more}
    with pytest.raises(ValueError, match=f"probe 'slow pages': .*{said}"):
        Probe("slow pages", "/", (AT_ONCE, LATER), **figures)  # type: ignore[arg-type]


@pytest.mark.parametrize("figures", [{"concurrency": 1}, {"request_timeout": 2.1}, {"expected": (1, 0)}])
def test_figures_at_their_bounds_are_taken(figures: dict[str, Any]) -> None:
    Probe("slow pages", "/", (AT_ONCE, LATER), **{"expected": (0.5, 0.5), "control": CONTROL, **figures})


async def test_without_an_answer_there_are_no_latencies() -> None:
    run, _ = listening()
    async with serving(splitting(lambda served: 503)) as server:
        assert (await probe(1, 0, 0).measure(run, server.url)).measurements[0].latencies is None
        login = Login("/login", ())
        unseen = await probe(1, 0, 0, login=login, latencies=True).measure(run, server.url)
    assert unseen.measurements[0].latencies is None


def test_declarations_are_values() -> None:
    assert hash(probe(0, 0, 1)) == hash(probe(0, 0, 1))


def test_declaring_a_probe_imports_nothing_heavy() -> None:
    program = "import sys, workshop.traffic.probe, workshop.traffic.side_requests; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"asyncio", "aiohttp", "json", "ssl", "subprocess", "yaml", "rich"} & set(output.stdout.split())


def test_what_a_person_types_for_one_answer() -> None:
    page = "http://$GATEWAY_URL/productpage"
    assert probe(1, 0, 0).commands("http://$GATEWAY_URL") == (f"curl -s {page}",)
    shown = probe(1, 0, 0, headers=(("Host", "a.example.com"),)).commands("http://$GATEWAY_URL")
    assert shown == (f"curl -s -H 'Host: a.example.com' {page}",)


def test_a_share_is_shown_by_counting_a_hundred_answers() -> None:
    """One answer says nothing about 90 and 10, and one that comes too early shows what was there before."""
    wait, first, second, loop = probe(0.9, 0.1, 0, telling="v[12]").commands("http://$GATEWAY_URL")
    assert wait.startswith("sleep 2 ")
    assert (first, second) == ("# expected: 90% no stars", "# expected: 10% black stars")
    script = loop.replace(
        "curl -s -w 'HTTP %{http_code}' http://$GATEWAY_URL/productpage", "echo $i | sed 's/.0/v2/; s/^[0-9]*$/v1/'"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert [line.split() for line in done.stdout.splitlines()] == [["90", "v1"], ["10", "v2"]]


def test_where_time_tells_a_person_sees_ten_times() -> None:
    timed = Probe("p", "/page", (AT_ONCE, LATER), (0.5, 0.5), control=CONTROL, telling="v[12]")
    *_, loop = timed.commands("http://$GATEWAY_URL")
    script = loop.replace("curl -s -o /dev/null -w '%{time_total} s\\n' http://$GATEWAY_URL/page", "echo $i s")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [f"{time} s" for time in range(1, 11)]


def test_who_logs_in_types_the_form_first_and_sends_the_cookies() -> None:
    login = Login("/login", (("username", "jason"), ("passwd", "a&b")))
    assert probe(1, 0, 0, login=login).commands("http://$GATEWAY_URL") == (
        "COOKIES=$(mktemp)",
        "curl -s -o /dev/null -c $COOKIES -d 'username=jason&passwd=a%26b' http://$GATEWAY_URL/login",
        "curl -s -b $COOKIES http://$GATEWAY_URL/productpage",
    )


@pytest.mark.parametrize(
    ("declared", "kind", "what", "about"),
    [
        ({}, "open", "/productpage", "reviews: 90 % no stars; 10 % black stars"),
        ({"page": "/podinfo/"}, "open", "/podinfo/", "reviews: 90 % no stars; 10 % black stars"),
        (
            {"login": Login("/login", (("username", "jason"), ("passwd", "")))},
            "open",
            "/productpage",
            "Log in as jason: ",
        ),
        ({"headers": (("Host", "a.example.com"),)}, "call", "/productpage", "reviews: "),
    ],
)
def test_where_a_person_sees_it(declared: dict[str, Any], kind: str, what: str, about: str) -> None:
    hint = probe(0.9, 0.1, 0, **declared).look_at("http://127.0.0.1:8080")
    url = f"http://127.0.0.1:8080{what}"
    assert (hint.kind, hint.what) == (kind, f"curl -s -H 'Host: a.example.com' {url}" if kind == "call" else url)
    assert hint.about.startswith(about)
