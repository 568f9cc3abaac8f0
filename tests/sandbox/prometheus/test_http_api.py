"""The HTTP API as clients of Prometheus use it: over HTTP, with its JSON, its errors and their statuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sandbox.prometheus.http_api import Api
from sandbox.prometheus.scraping import Scraper, Target
from sandbox.prometheus.series import Store
from tests.kit.cases import cases

NOW = 1_000_000.5

PAGE = """\
# HELP requests_total Requests, by code.
# TYPE requests_total counter
requests_total{code="200"} 7
requests_total{code="500"} 0.25
# TYPE odd gauge
odd NaN
"""


class Asking:
    def __init__(self, client: TestClient[web.Request, web.Application]) -> None:
        self.client = client

    async def __call__(self, path: str, method: str = "GET", **given: Any) -> tuple[int, Any]:
        where = {"data": given} if method == "POST" else {"params": given}
        async with self.client.request(method, f"/api/v1/{path}", **where) as response:
            assert response.content_type == "application/json"
            return response.status, await response.json()

    async def data(self, path: str, method: str = "GET", **given: Any) -> Any:
        status, body = await self(path, method, **given)
        assert (status, body["status"]) == (200, "success"), body
        return body["data"]


@pytest_asyncio.fixture
async def ask() -> AsyncIterator[Asking]:
    """Two targets, of which one is down, asked at 999,985.5 and at 1,000,000.5."""
    clock = [NOW - 15]

    async def fetch(url: str) -> str:
        if "down" in url:
            raise OSError(111, "Connection refused")
        return PAGE

    targets = [
        Target(f"http://{name}:80/metrics", {"job": "web", "instance": name}, {"__address__": name})
        for name in ("a", "down")
    ]
    scraper = Scraper(Store(), lambda: targets, fetch, now=lambda: clock[0])
    scraper.update()
    for _ in range(2):
        for one in scraper.followed.values():
            await scraper.scrape(one)
        clock[0] = NOW
    api = Api(scraper, "3.7.3", now=lambda: clock[0])
    async with TestClient(TestServer(_application(api))) as client:
        yield Asking(client)


def _application(api: Api) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    return app


async def test_an_instant_query(ask: Asking) -> None:
    for method in ("GET", "POST"):
        assert await ask.data("query", method, query='requests_total{code="200"}') == {
            "resultType": "vector",
            "result": [
                {
                    "metric": {"__name__": "requests_total", "code": "200", "instance": "a", "job": "web"},
                    "value": [1000000.5, "7"],
                }
            ],
        }
    scalar = await ask.data("query", query="1/0", time="1970-01-01T00:00:10Z")
    assert scalar == {"resultType": "scalar", "result": [10, "+Inf"]}
    for query, said in (("1e21", "1000000000000000000000"), ("1e-7", "0.0000001"), ("-0", "-0"), ("1/0", "+Inf")):
        assert (await ask.data("query", query=query))["result"][1] == said
    (large,) = (await ask.data("query", query="vector(1e21)"))["result"]
    assert large["value"][1] == "1e+21"
    assert await ask.data("query", query="'x'", time="5") == {"resultType": "string", "result": [5, "x"]}
    (odd,) = (await ask.data("query", query="odd"))["result"]
    assert odd["value"][1] == "NaN"
    matrix = await ask.data("query", query='requests_total{code="500"}[1m]')
    assert matrix["resultType"] == "matrix"
    assert matrix["result"][0]["values"] == [[999985.5, "0.25"], [1000000.5, "0.25"]]
    assert await ask.data("query", query="nothing") == {"resultType": "vector", "result": []}


async def test_a_query_over_a_range(ask: Asking) -> None:
    given = {"query": "sum(up)", "start": "999985", "end": "1000001", "step": "8s"}
    assert await ask.data("query_range", **given) == {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[999993, "1"], [1000001, "1"]]}],
    }
    assert (await ask.data("query_range", "POST", **{**given, "step": "8"}))["result"]


async def test_results_are_cut_where_a_limit_says_so(ask: Asking) -> None:
    status, body = await ask("query", query="up", limit="1")
    assert (status, len(body["data"]["result"])) == (200, 1)
    assert body["warnings"] == ["results truncated due to limit"]
    status, body = await ask("labels", limit="2")
    assert body == {
        "status": "success",
        "data": ["__name__", "code"],
        "warnings": ["results truncated due to limit"],
    }


@cases(__file__, "api_errors")
async def test_errors_are_prometheus_own(ask: Asking, of: str, case: dict[str, Any]) -> None:
    status, body = await ask(case["path"], **case["given"])
    assert (status, body["status"], body["errorType"]) == (case["status"], "error", case["type"])
    assert case["says"] in body["error"]
    assert "data" not in body


async def test_what_series_and_labels_there_are(ask: Asking) -> None:
    assert await ask.data("series", **{"match[]": 'requests_total{code=~"5.."}'}) == [
        {"__name__": "requests_total", "code": "500", "instance": "a", "job": "web"}
    ]
    assert len(await ask.data("series", "POST", **{"match[]": "up"})) == 2
    assert await ask.data("series", **{"match[]": "up", "end": "999985"}) == []
    assert await ask.data("labels") == ["__name__", "code", "instance", "job"]
    assert await ask.data("labels", **{"match[]": "up"}) == ["__name__", "instance", "job"]
    assert await ask.data("label/code/values") == ["200", "500"]
    assert await ask.data("label/instance/values", **{"match[]": "odd"}) == ["a"]
    assert "up" in await ask.data("label/__name__/values")
    assert await ask.data("metadata", metric="requests_total") == {
        "requests_total": [{"type": "counter", "help": "Requests, by code.", "unit": ""}]
    }
    assert list(await ask.data("metadata")) == ["odd", "requests_total"]


async def test_what_targets_there_are(ask: Asking) -> None:
    found = await ask.data("targets")
    up, down = found["activeTargets"]
    assert up | {"lastScrapeDuration": 0} == {
        "discoveredLabels": {"__address__": "a"},
        "labels": {"instance": "a", "job": "web"},
        "scrapePool": "web",
        "scrapeUrl": "http://a:80/metrics",
        "globalUrl": "http://a:80/metrics",
        "lastError": "",
        "lastScrape": "1970-01-12T13:46:40.500Z",
        "lastScrapeDuration": 0,
        "health": "up",
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
    }
    assert (down["health"], down["lastError"]) == ("down", "[Errno 111] Connection refused")
    nothing = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {"web": 0}}
    assert await ask.data("targets", state="dropped") == nothing
    assert (await ask.data("targets", state="active"))["droppedTargetCounts"] is None
    assert (await ask.data("targets", scrapePool="other"))["activeTargets"] == []


async def test_health_build_and_its_own_metrics(ask: Asking) -> None:
    for path, said in (("/-/healthy", "Healthy"), ("/-/ready", "Ready")):
        async with ask.client.get(path) as response:
            assert (response.status, said in await response.text()) == (200, True)
    assert (await ask.data("status/buildinfo"))["version"] == "3.7.3"
    async with ask.client.get("/metrics") as response:
        told = await response.text()
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'prometheus_build_info{version="3.7.3"} 1\n' in told
    assert 'prometheus_http_requests_total{code="200",handler="/api/v1/status/buildinfo"} 1\n' in told
    for method, path in (("POST", "/"), ("DELETE", "/api/v1/query"), ("POST", "/api/v1/targets")):
        async with ask.client.request(method, path) as response:
            assert response.status == 405
    async with ask.client.get("/nothing") as response:
        assert response.status == 404


async def test_the_page_asks_answers_and_says_what_it_is(ask: Asking) -> None:
    async def page(query: str) -> str:
        async with ask.client.get("/query", params={"query": query}) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            return await response.text()

    async with ask.client.get("/") as response:
        assert "the sandbox's stand-in for Prometheus" in await response.text()
    found = await page('requests_total{code="200"}')
    assert 'value="requests_total{code=&quot;200&quot;}"' in found
    assert re.search(r"requests_total\{code=&quot;200&quot;, instance=.*</td><td class=\"number\">7</td>", found)
    assert "not supported by the sandbox&#x27;s Prometheus: the function sin" in await page("sin(up)")
    assert "many-to-many" in await page("up * on (job) up")
    assert "<code>3</code>" in await page("1 + 2")
    assert "No series." in await page("nothing")
    assert "<script" not in await page("'<script>alert(1)</script>'")
    assert '<td class="down">down [Errno 111] Connection refused</td>' in found


async def test_a_long_query_gives_the_loop_its_turns(ask: Asking) -> None:
    """Other work goes on while it is computed."""
    asking = asyncio.create_task(ask("query", query="count_over_time(vector(1)[10m:100ms])"))
    turns = 0
    while not asking.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await asking)[0] == 200
    assert turns > 5
