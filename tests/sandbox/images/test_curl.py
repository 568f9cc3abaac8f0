"""curl, wget and nslookup in a pod."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from sandbox.images import commands
from sandbox.images.container_files import Files
from sandbox.images.program import Container, Streams
from sandbox.network import http_client
from tests.sandbox.node.conftest import Place, container


async def value(place: Place, *arguments: str) -> Any:
    return json.loads(await place.curl(*arguments))


async def test_the_curl_image_is_curl(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    url = f"http://{place.run('app').ip}:8080/status/200"
    place.start(
        "call", container("curlimages/curl", args=["-s", "-w", "%{http_code}\n", url]), restartPolicy="Never"
    )
    await place.until(lambda: place.pod("call")["status"]["phase"] == "Succeeded")
    assert await place.log("call") == ["200"]
    await place.serving("idle", container("curlimages/curl", args=["sleep", "infinity"]))


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("https://app", 1, "plain HTTP"),
        ("http://:8080/get", 3, "URL rejected: No host part in the URL"),
        ("http://app:http/", 3, "URL rejected: Port number was not a decimal number between 0 and 65535"),
        ("http://app:99999/", 3, "URL rejected: Port number was not a decimal number between 0 and 65535"),
        ("http://nobody.example", 6, "Could not resolve host: nobody.example"),
        ("localhost:1", 7, "Failed to connect to localhost port 1"),
        ("-f localhost:8080/status/404", 22, "returned error: 404"),
    ],
)
async def test_curl_fails_as_curl_does(place: Place, url: str, status: int, message: str) -> None:
    await place.serving("app", container("go-httpbin"))
    found, _, err = await place.exec("app", "curl", "-sS", *url.split())
    assert (found, message in err) == (status, True), err


class _Unanswering:
    """A network in which no connection comes about."""

    sidecar = True

    def route(self, host: str, port: int) -> tuple[str, int]:
        return host, port

    async def connect(self, host: str, port: int) -> socket.socket:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    def new_session(self) -> aiohttp.ClientSession:
        return http_client.new_session(self)


async def test_curl_gives_a_connection_up_when_it_is_told_to() -> None:
    pod: dict[str, Any] = {"metadata": {"name": "box", "namespace": "default"}}
    network: Any = _Unanswering()
    box = Container(pod, {"name": "main", "image": "curl"}, {}, Files(), network, Streams())
    err = bytearray()
    called = ["curl", "--connect-timeout", "0.01", "http://app"]
    async with asyncio.timeout(9):  # without the option it takes ten seconds
        assert await commands.run(called, box, Streams(err=err.extend)) == 28
    assert err == b"curl: (28) Connection timed out\n"


async def test_curl_shows_heads_and_what_it_sent(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    assert (await place.curl("-i", "localhost:8080/status/204")).startswith("HTTP/1.1 204 No Content\r\n")
    assert "Content-Type: application/json\r\n" in await place.curl("-I", "localhost:8080/get")
    _, _, err = await place.exec("app", "curl", "-v", "-H", "X-A: b", "-H", "Accept:", "localhost:8080/get")
    assert "> GET /get HTTP/1.1" in err
    assert "> X-A: b" in err
    assert "> Accept" not in err
    assert "< HTTP/1.1 200 OK" in err


async def test_curl_sends_each_header_that_it_is_given(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))

    async def sent(*lines: str) -> dict[str, list[str]]:
        arguments = [word for line in lines for word in ("-H", line)]
        found: dict[str, list[str]] = (await value(place, *arguments, "localhost:8080/headers"))["headers"]
        return found

    assert (await sent("x-dup: 2", "x-dup: 1", "X-Dup: 3"))["X-Dup"] == ["2", "1", "3"]
    assert (await sent("x-e;"))["X-E"] == [""]
    assert {"X-E", "X-F"}.isdisjoint(await sent("x-e:", "x-f;1"))
    assert (await sent("accept: b", "accept: a"))["Accept"] == ["b", "a"]
    assert (await sent("Accept;"))["Accept"] == [""]
    assert "User-Agent" not in await sent("User-Agent:")
    assert (await sent("Content-Type: text/x"))["Content-Type"] == ["text/x"]


async def test_curl_says_where_a_redirect_goes_that_it_does_not_follow(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    at, asked = "http://localhost:8080", ("-o", "/dev/null", "-w", "%{http_code} [%{redirect_url}]")
    assert await place.curl(*asked, f"{at}/redirect/2") == f"302 [{at}/redirect/1]"
    assert await place.curl("-L", *asked, f"{at}/redirect/2") == "200 []"
    assert await place.curl(*asked, f"{at}/get") == "200 []"


async def test_what_curl_writes_out_is_of_the_transfer(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    asked = ("-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{url_effective}\\n")
    _, out, _ = await place.exec("app", "curl", *asked, "localhost:8080/hostname", "localhost:1/")
    size = len(await place.curl("localhost:8080/hostname"))
    assert out == f"200 {size} http://localhost:8080/hostname\n000 0 http://localhost:1/\n"


async def test_wget_and_nslookup(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    await place.expose("app", 80, 8080)
    assert '"hostname": "app"' in (await place.exec("app", "wget", "-qO-", "http://app/hostname"))[1]
    assert (await place.exec("app", "wget", "-q", "-O", "/f", "http://app/status/500"))[0] == 1
    address = place.cluster.get("services", "default", "app")["spec"]["clusterIP"]
    assert f"Address: {address}" in (await place.exec("app", "nslookup", "app"))[1]
    assert (await place.exec("app", "nslookup", "nobody"))[0] == 1
