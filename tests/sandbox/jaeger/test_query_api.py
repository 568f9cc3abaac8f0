"""Jaeger's query API: what is asked, and the JSON that comes, as its http_handler.go, query_parser.go and
model/json have it (jaegertracing/jaeger). There is a trace of BookInfo, and one of something else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from sandbox.jaeger.query_api import Api
from sandbox.jaeger.spans import Span, SpanStore

NOW = 1000.0
BOOK, OTHER = "b" * 32, "0" * 30 + "aa"


def span(trace: str, number: int, parent: int, service: str, start: int, duration: int, **more: Any) -> Span:
    above = f"{parent:016x}" if parent else ""
    return Span(trace, f"{number:016x}", above, service, f"GET {service}", start, duration, **more)


SPANS = (
    span(BOOK, 3, 2, "ratings", 990_000_300, 7_000_000, kind="server", tags={"http.status_code": "200"}),
    span(BOOK, 1, 0, "productpage", 990_000_000, 8_000_000, kind="server", process={"ip": "10.0.0.1"}),
    span(BOOK, 2, 1, "reviews", 990_000_100, 7_900_000, tags={"error": True, "http.status_code": "503"}),
    span(OTHER, 1, 0, "reviews", 995_000_000, 300, logs=((995_000_100, {"event": "x"}),)),
)


@pytest.fixture(scope="module")
def api() -> Api:
    store = SpanStore()
    store.add(SPANS)
    return Api(store, "/jaeger/", lambda: NOW)


async def ask(api: Api, path: str, method: str = "GET") -> tuple[int, Any]:
    response: Any = await api.answer(make_mocked_request(method, path))
    return response.status, json.loads(response.body) if response.content_type == "application/json" else response


async def test_services_and_operations(api: Api) -> None:
    status, found = await ask(api, "/jaeger/api/services")
    names = ["productpage", "ratings", "reviews"]
    assert (status, found) == (200, {"data": names, "total": 3, "limit": 0, "offset": 0, "errors": None})
    assert (await ask(api, "/jaeger/api/services/reviews/operations"))[1]["data"] == ["GET reviews"]
    found = (await ask(api, "/jaeger/api/operations?service=ratings&spanKind=server"))[1]
    assert found["data"] == [{"name": "GET ratings", "spanKind": "server"}]


async def test_a_trace_by_its_id(api: Api) -> None:
    status, found = await ask(api, f"/jaeger/api/traces/{BOOK.upper()}")
    (trace,) = found["data"]
    assert (status, trace["traceID"], len(trace["processes"])) == (200, BOOK, 3)
    first, second, third = trace["spans"]
    assert first["references"] == []
    assert second["references"] == [{"refType": "CHILD_OF", "traceID": BOOK, "spanID": first["spanID"]}]
    assert (third["startTime"], third["duration"], third["operationName"]) == (
        990_000_300,
        7_000_000,
        "GET ratings",
    )
    assert second["tags"] == [
        {"key": "error", "type": "bool", "value": True},
        {"key": "http.status_code", "type": "string", "value": "503"},
    ]
    process = trace["processes"][first["processID"]]
    assert process == {
        "serviceName": "productpage",
        "tags": [{"key": "ip", "type": "string", "value": "10.0.0.1"}],
    }
    (other,) = (await ask(api, "/jaeger/api/traces/aa"))[1]["data"]
    logged = [{"key": "event", "type": "string", "value": "x"}]
    assert other["spans"][0]["logs"] == [{"timestamp": 995_000_100, "fields": logged}]


FOUND: list[tuple[str, list[str]]] = [
    ("service=reviews", [OTHER, BOOK]),
    ("service=reviews&limit=1", [OTHER]),
    ("service=nobody", []),
    ("service=ratings&operation=GET+ratings", [BOOK]),
    ("service=ratings&operation=GET+reviews", []),
    ("service=reviews&end=994000000", [BOOK]),
    ("service=reviews&start=994000000&lookback=1h", [OTHER]),
    ("service=reviews&minDuration=1s", [BOOK]),
    ("service=reviews&minDuration=100us&maxDuration=1.5ms", [OTHER]),
    ("service=reviews&tag=error:true", [BOOK]),
    ("service=reviews&tag=error:true&tag=http.status_code:200", []),
    ("service=reviews&tags=%7B%22http.status_code%22%3A%22503%22%7D", [BOOK]),
    ("service=reviews&tag=event:x", [OTHER]),
    ("service=productpage&tag=ip:10.0.0.1", [BOOK]),
    (f"traceID={BOOK}&traceID=aa", [BOOK, OTHER]),
]


@pytest.mark.parametrize(("query", "expected"), FOUND)
async def test_traces_are_found_by_one_span_that_is_as_asked(api: Api, query: str, expected: list[str]) -> None:
    status, found = await ask(api, f"/jaeger/api/traces?{query}")
    assert (status, [trace["traceID"] for trace in found["data"]]) == (200, expected)


async def test_who_calls_whom(api: Api) -> None:
    calls = [
        {"parent": "productpage", "child": "reviews", "callCount": 1},
        {"parent": "reviews", "child": "ratings", "callCount": 1},
    ]
    assert (await ask(api, "/jaeger/api/dependencies?endTs=1000000"))[1]["data"] == calls
    assert (await ask(api, "/jaeger/api/dependencies"))[1]["data"] == calls
    assert (await ask(api, "/jaeger/api/dependencies?endTs=1000000&lookback=5000"))[1]["data"] == []


REFUSED: list[tuple[str, int, str]] = [
    ("/api/traces", 400, "parameter 'service' is required"),
    ("/api/traces?service=a&limit=x", 400, "unable to parse param 'limit': x is not a whole number"),
    ("/api/traces?service=a&start=-1", 400, "unable to parse param 'start'"),
    ("/api/traces?service=a&minDuration=soon", 400, "unable to parse param 'minDuration'"),
    ("/api/traces?service=a&minDuration=2s&maxDuration=1s", 400, "'maxDuration' should be greater"),
    ("/api/traces?service=a&tag=b", 400, "malformed 'tag' parameter, expecting key:value, received: b"),
    ("/api/traces?service=a&tags=b", 400, "malformed 'tags' parameter, cannot unmarshal JSON"),
    ("/api/traces?service=a&raw=true", 400, "parameter 'raw': not supported by the sandbox"),
    ("/api/traces/xyz", 400, "xyz is not a trace id"),
    (f"/api/traces/{'c' * 32}", 404, "trace not found"),
    ("/api/metrics/calls", 404, "/api/metrics/calls: not supported by the sandbox"),
]


@pytest.mark.parametrize(("path", "status", "said"), REFUSED)
async def test_what_is_refused(api: Api, path: str, status: int, said: str) -> None:
    got, found = await ask(api, f"/jaeger{path}")
    assert (got, found["data"], found["errors"][0]["code"]) == (status, None, status)
    assert said in found["errors"][0]["msg"]


async def test_all_is_below_the_base_path(api: Api) -> None:
    assert (await ask(api, "/api/services"))[0] == 404
    assert (await ask(api, "/jaegers"))[0] == 404
    status, response = await ask(api, "/")
    assert (status, response.headers["Location"]) == (302, "/jaeger/search")
    assert (await ask(api, "/jaeger/api/services", "POST"))[0] == 405
    assert (await ask(Api(SpanStore()), "/api/services"))[1]["data"] == []


# Pages


async def test_the_pages_show_what_there_is(api: Api) -> None:
    _, listed = await ask(api, "/jaeger")
    assert re.findall(r'href="/jaeger/trace/(\w+)"', listed.text) == [OTHER, BOOK]
    _, one = await ask(api, "/jaeger/search?service=ratings&operation=&tag=&minDuration=&limit=20")
    assert re.findall(r'href="/jaeger/trace/(\w+)"', one.text) == [BOOK]
    _, drawn = await ask(api, f"/jaeger/trace/{BOOK}")
    bars = re.findall(r'<rect x="([\d.]+)%" y="6" width="([\d.]+)%"', drawn.text)
    assert [(float(left), float(wide)) for left, wide in bars] == [(0, 100), (0.001, 98.75), (0.004, 87.5)]
    assert re.findall(r"padding-left:(\d+)px", drawn.text) == ["0", "14", "28"]
    assert drawn.text.count(" failed<") == 1
    assert not re.search(r"(?:src|href)=\"(?!/jaeger/|data:)", drawn.text + listed.text)


async def test_the_page_searches_where_no_service_is_chosen_and_shows_the_latest_first(api: Api) -> None:
    for query, found in (
        ("minDuration=1s", [BOOK]),
        ("tag=error:true", [BOOK]),
        ("operation=GET+reviews", [OTHER, BOOK]),
        ("limit=1", [OTHER]),
        ("minDuration=1h", []),
    ):
        status, page = await ask(api, f"/jaeger/search?service=&{query}")
        assert (status, re.findall(r'href="/jaeger/trace/(\w+)"', page.text)) == (200, found), query
    assert "No traces." in page.text
    store = SpanStore()
    store.add([span(OTHER, 1, 0, "late", 995_000_000, 1), span(BOOK, 1, 0, "early", 990_000_000, 1)])
    _, page = await ask(Api(store, "", lambda: NOW), "/search")
    assert re.findall(r'href="/trace/(\w+)"', page.text) == [OTHER, BOOK]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/search?tag=b&service=reviews", 400, "malformed &#x27;tag&#x27; parameter, expecting key:value"),
        (
            "/search?minDuration=%3Cb%3E",
            400,
            "unable to parse param &#x27;minDuration&#x27;: &lt;b&gt; is not a duration such as 1.2s",
        ),
        ("/monitor", 404, "/monitor: not supported by the sandbox, which has /search and /trace/ID"),
        ("/trace/dd", 404, "trace not found"),
    ],
)
async def test_a_page_says_what_it_refuses_above_the_search(api: Api, path: str, status: int, said: str) -> None:
    got, page = await ask(api, f"/jaeger{path}")
    assert (got, page.content_type) == (status, "text/html")
    assert f'role="alert">{said}' in page.text
    assert ("<option selected>reviews" in page.text) == ("service=reviews" in path)


async def test_what_proxies_noted_of_a_call_stands_at_its_bar() -> None:
    store = SpanStore()
    late = {"response_flags": "DC,DI", "error": "true"}
    store.add([span(BOOK, 1, 0, "a", 1, 8_000_000), span(BOOK, 2, 1, "b", 2, 2_500_000, tags=late)])
    _, page = await ask(Api(store, "", lambda: NOW), f"/trace/{BOOK}")
    assert ">2.5s failed, DC, DI</text>" in page.text
    assert "DC: caller left, DI: delayed by a fault</p>" in page.text


async def test_nothing_that_came_in_is_markup() -> None:
    bad = '"><script>alert(1)</script>'
    store = SpanStore()
    store.add([Span("d" * 32, "1" * 16, "", bad, bad, 990_000_000, 1, "", {bad: bad}, {bad: bad})])
    api = Api(store, "", lambda: NOW)
    for path in ("/search?tag=a:%22%3E%3Cscript%3E", f"/trace/{'d' * 32}"):
        _, response = await ask(api, path)
        assert "<script" not in response.text
