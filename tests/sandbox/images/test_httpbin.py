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
