"""httpbin answers what it was asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.sandbox.node.conftest import Place, container


async def value(place: Place, *arguments: str) -> Any:
    return json.loads(await place.curl(*arguments))


async def test_httpbin_says_what_it_was_asked(place: Place) -> None:
    await place.serving("app", container("mccutchen/go-httpbin"))
    at, code = "localhost:8080", ("-o", "/dev/null", "-w", "%{http_code}")
    asked = await value(place, "-H", "X-Test: yes", f"{at}/get?a=1&a=2")
    assert asked["args"] == {"a": ["1", "2"]}
    assert asked["headers"]["X-Test"] == ["yes"]
    assert (await value(place, "-d", "a=1", f"{at}/post"))["form"] == {"a": ["1"]}
    as_json = ("-H", "Content-Type: application/json", "-d", '{"a": 1}')
    assert (await value(place, *as_json, f"{at}/anything/x"))["json"] == {"a": 1}
    assert await value(place, "-A", "me", f"{at}/user-agent") == {"user-agent": "me"}
    assert await place.curl(*code, f"{at}/status/418") == "418"
    assert await place.curl(*code, f"{at}/post") == "405"
    assert await place.curl(*code, f"{at}/status/x") == "400"
    assert (await value(place, "-L", f"{at}/redirect/3"))["method"] == "GET"
    assert {await place.curl(*code, f"{at}/unstable") for _ in range(60)} == {"200", "500"}
    assert "takes no query" in await place.curl(f"{at}/unstable?seed=1")
    assert "no /uuid" in await place.curl(f"{at}/uuid")
    assert await place.curl(*code, f"{at}/uuid") == "501"
    assert await place.curl(*code, f"{at}/none") == "404"
    assert (await place.exec("app", "curl", "-m", "0.05", f"{at}/delay/5"))[0] == 28


async def test_httpbin_waits_as_it_is_told(place: Place) -> None:
    command = ["/bin/go-httpbin", "-port", "8081"]
    await place.serving("app", container("docker.io/mccutchen/go-httpbin:v2.15.0", *command))
    at, code = "localhost:8081", ("-o", "/dev/null", "-w", "%{http_code}")
    for delay in ("20ms", "0.02"):
        assert float(await place.curl("-o", "/dev/null", "-w", "%{time_total}", f"{at}/delay/{delay}")) >= 0.02
    assert "11 is not from 0s to 10s" in (await value(place, f"{at}/delay/11"))["detail"]
    assert await place.curl(*code, f"{at}/delay/x") == "400"


async def test_httpbin_tells_headers_as_go_spells_them_and_their_values_as_they_came(place: Place) -> None:
    run = await place.serving("app", container("go-httpbin"))
    lines = ("x-e2e-id: orig", "b: 1", "X-E2E-ID: a", "Accept: c", "Accept: a")
    ask = "\r\n".join(("GET /headers HTTP/1.1", "Host: app", *lines, "Connection: close", "", ""))
    reader, writer = await asyncio.open_connection(run.ip, 8080)
    writer.write(ask.encode())
    answer = (await reader.read()).decode()
    writer.close()
    headers = json.loads(answer.partition("\r\n\r\n")[2])["headers"]
    assert list(headers) == ["Accept", "B", "Connection", "Host", "X-E2e-Id"]
    assert (headers["Accept"], headers["X-E2e-Id"]) == (["c", "a"], ["orig", "a"])


async def test_a_path_with_two_slashes_is_sent_to_the_clean_one(place: Place) -> None:
    """Go's router; a rewrite of `/httpbin` to `/` leads there."""
    await place.serving("app", container("mccutchen/go-httpbin"))
    at = "localhost:8080"
    shown = await place.curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"{at}//get?a=1")
    assert shown == f"301 http://{at}/get?a=1"
    assert (await value(place, "-L", f"{at}//get?a=1"))["args"] == {"a": ["1"]}
    assert await place.curl("-L", "-o", "/dev/null", "-w", "%{http_code}", f"{at}//status/418") == "418"


async def test_the_older_httpbin_answers_as_flask(place: Place) -> None:
    """The answers of the image of 2018: single values alone, one slash out of several, HTML when it refuses."""
    await place.serving("app", container("docker.io/kennethreitz/httpbin"))
    at, code = "localhost", ("-o", "/dev/null", "-w", "%{http_code}")
    for path in ("get", "/get"):
        asked = await value(place, "-H", "x-test: yes", f"{at}/{path}?a=1&b=2&b=3")
        assert (asked["args"], asked["headers"]["X-Test"]) == ({"a": "1", "b": ["2", "3"]}, "yes")
        assert asked["url"] == f"http://{at}/get?a=1&b=2&b=3"
        assert list(asked) == ["args", "headers", "origin", "url"]
    assert await place.curl(*code, f"{at}//status/418") == "418"
    assert "teapot" in await place.curl(f"{at}/status/418")
    assert await place.curl(*code, f"{at}/status/503:1") == "503"
    assert await place.curl(*code, f"{at}/status/x") == "400"
    posted = await value(place, "-d", "a=1", f"{at}/post")
    assert (posted["form"], posted["data"], posted["json"]) == ({"a": "1"}, "", None)
    as_json = ("-H", "Content-Type: application/json", "-d", '{"a": 1}')
    assert (await value(place, *as_json, f"{at}/anything/x"))["json"] == {"a": 1}
    assert "json" not in await value(place, *as_json, f"{at}/delay/0.01")
    assert (await value(place, "-L", f"{at}/redirect/2"))["url"] == f"http://{at}/get"
    assert "<title>httpbin.org</title>" in await place.curl(f"{at}/")
    for path, status in (("none", "404"), ("hostname", "404"), ("post", "405"), ("status", "404"), ("uuid", "501")):
        assert await place.curl(*code, f"{at}/{path}") == status, path
    assert "gunicorn" in await place.curl("-i", f"{at}/get")
