"""HelloWorld, httpbin, podinfo and the clients."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from sandbox.images.program import repository
from tests.sandbox.node.conftest import Place, container


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("busybox", "busybox"),
        ("docker.io/istio/proxyv2:1.31.1", "proxyv2"),
        ("registry:5000/a/b@sha256:abc", "b"),
        ("registry:5000/a/b:tag@sha256:abc", "b"),
    ],
)
def test_an_image_is_known_by_the_last_part_of_its_name(image: str, name: str) -> None:
    assert repository(image) == name


async def ask(place: Place, *arguments: str) -> str:
    status, out, err = await place.exec("app", "curl", "-s", *arguments)
    assert status == 0, err
    return out


async def value(place: Place, *arguments: str) -> Any:
    return json.loads(await ask(place, *arguments))


async def test_helloworld_says_its_version_and_pod(place: Place) -> None:
    await place.serving("app", container("docker.io/istio/examples-helloworld-v2"))
    assert await ask(place, "localhost:5000/hello") == "Hello version: v2, instance: app\n"
    assert await ask(place, "-o", "/dev/null", "-w", "%{http_code}", "localhost:5000/health") == "200"


GUNICORN = "gunicorn -b 0.0.0.0:5000 app:app -k gevent --access-logfile -"


@pytest.mark.parametrize(
    "fields",
    [
        {"command": GUNICORN.split()},
        {"args": GUNICORN.split()},
        {"args": ["gunicorn", "--bind=:5000", "--worker-class", "sync", "--access-logfile=-", "app:app"]},
    ],
)
async def test_helloworld_logs_each_request_when_gunicorn_is_told_to(place: Place, fields: Any) -> None:
    await place.serving("app", container("docker.io/istio/examples-helloworld-v1", **fields))
    await ask(place, "-A", "me", "-H", "Referer: http://there/", "localhost:5000/hello?probe=1&n=2")
    await ask(place, "-X", "POST", "-A", "", "localhost:5000/none")
    log = await place.log("app")
    lines = [line for line in log if "HTTP/1.1" in line]
    assert len(lines) == 2
    moment = r"\[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\]"
    shape = rf'127\.[.\d]+ - - {moment} "GET /hello\?probe=1&n=2 HTTP/1\.1" 200 33 "http://there/" "me"'
    assert re.fullmatch(shape, lines[0]), lines[0]
    assert '"POST /none HTTP/1.1" 404 ' in lines[1]


async def test_helloworld_logs_no_request_by_itself(place: Place) -> None:
    await place.serving("app", container("docker.io/istio/examples-helloworld-v1"))
    await ask(place, "localhost:5000/hello")
    assert not [line for line in await place.log("app") if "/hello" in line]


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
    assert await ask(place, *code, f"{at}/status/418") == "418"
    assert await ask(place, *code, f"{at}/post") == "405"
    assert await ask(place, *code, f"{at}/status/x") == "400"
    assert (await value(place, "-L", f"{at}/redirect/3"))["method"] == "GET"
    assert "no /uuid" in await ask(place, f"{at}/uuid")
    assert await ask(place, *code, f"{at}/uuid") == "501"
    assert await ask(place, *code, f"{at}/none") == "404"
    assert (await place.exec("app", "curl", "-m", "0.05", f"{at}/delay/5"))[0] == 28


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        ("go-httpbin", {"args": ["-port", "1"]}),
        ("go-httpbin", {"command": ["go-httpbin", "-prefix", "/x"]}),
        ("go-httpbin", {"command": ["go-httpbin", "-port"]}),
        ("go-httpbin", {"command": ["go-httpbin", "-port=x"]}),
        ("go-httpbin", {"command": ["go-httpbin", "-log-format=json"]}),
        ("go-httpbin", {"env": [{"name": "PREFIX", "value": "/x"}]}),
        ("go-httpbin", {"env": [{"name": "PORT", "value": "8082"}]}),
        ("httpbin", {"args": ["-port", "1"]}),
        ("examples-bookinfo-ratings-v1:1.20.3", {"command": ["node", "ratings.js"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "-b", "0.0.0.0:5000", "app:app", "--reload"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "-b", "127.0.0.1:5000", "app:app"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "-b", "0.0.0.0:5000", "app:app", "-k", "none"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "-b", "0.0.0.0:5000", "-k"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "app:app"]}),
        ("examples-helloworld-v1", {"args": ["--access-logfile", "-"]}),
        ("examples-helloworld-v1", {"command": ["gunicorn", "-b", "0.0.0.0:5000", "app:app", "-w", "2"]}),
        ("examples-helloworld-v1", {"env": [{"name": "GUNICORN_CMD_ARGS", "value": "--access-logfile -"}]}),
    ],
)
async def test_a_command_line_that_is_not_known_ends_the_program(place: Place, image: str, fields: Any) -> None:
    place.start("app", container(image, **fields), restartPolicy="Never")
    await place.until(lambda: place.state("app").get("terminated"))
    assert place.state("app")["terminated"]["exitCode"] in (1, 2, 127)


async def test_the_curl_image_is_curl(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    url = f"http://{place.run('app').ip}:8080/status/200"
    place.start(
        "call", container("curlimages/curl", args=["-s", "-w", "%{http_code}\n", url]), restartPolicy="Never"
    )
    await place.until(lambda: place.pod("call")["status"]["phase"] == "Succeeded")
    assert await place.log("call") == ["200"]
    await place.serving("idle", container("curlimages/curl", args=["sleep", "infinity"]))


async def test_httpbin_waits_as_it_is_told(place: Place) -> None:
    command = ["/bin/go-httpbin", "-port", "8081"]
    await place.serving("app", container("docker.io/mccutchen/go-httpbin:v2.15.0", *command))
    at, code = "localhost:8081", ("-o", "/dev/null", "-w", "%{http_code}")
    for delay in ("20ms", "0.02"):
        assert float(await ask(place, "-o", "/dev/null", "-w", "%{time_total}", f"{at}/delay/{delay}")) >= 0.02
    assert "11 is not from 0s to 10s" in (await value(place, f"{at}/delay/11"))["detail"]
    assert await ask(place, *code, f"{at}/delay/x") == "400"


async def test_two_programs_cannot_have_one_port(place: Place) -> None:
    second = container("go-httpbin", name="second")
    place.start("app", container("go-httpbin"), second, restartPolicy="Never")
    await place.until(lambda: place.state("app", 1).get("terminated") or place.state("app", 0).get("terminated"))
    logs = [*await place.log("app", 0), *await place.log("app", 1)]
    assert any("Address already in use" in line or "address already in use" in line for line in logs)


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("https://app", 1, "plain HTTP"),
        ("http://nobody.example", 6, "Could not resolve host: nobody.example"),
        ("localhost:1", 7, "Failed to connect to localhost port 1"),
        ("-f localhost:8080/status/404", 22, "returned error: 404"),
    ],
)
async def test_curl_fails_as_curl_does(place: Place, url: str, status: int, message: str) -> None:
    await place.serving("app", container("go-httpbin"))
    found, _, err = await place.exec("app", "curl", "-sS", *url.split())
    assert (found, message in err) == (status, True), err


async def test_curl_shows_heads_and_what_it_sent(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    assert (await ask(place, "-i", "localhost:8080/status/204")).startswith("HTTP/1.1 204 No Content\r\n")
    assert "Content-Type: application/json\r\n" in await ask(place, "-I", "localhost:8080/get")
    _, _, err = await place.exec("app", "curl", "-v", "-H", "X-A: b", "-H", "Accept:", "localhost:8080/get")
    assert "> GET /get HTTP/1.1" in err
    assert "> X-A: b" in err
    assert "> Accept" not in err
    assert "< HTTP/1.1 200 OK" in err


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
    assert await ask(place, *asked, f"{at}/redirect/2") == f"302 [{at}/redirect/1]"
    assert await ask(place, "-L", *asked, f"{at}/redirect/2") == "200 []"
    assert await ask(place, *asked, f"{at}/get") == "200 []"


async def test_what_curl_writes_out_is_of_the_transfer(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    asked = ("-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{url_effective}\\n")
    _, out, _ = await place.exec("app", "curl", *asked, "localhost:8080/hostname", "localhost:1/")
    size = len(await ask(place, "localhost:8080/hostname"))
    assert out == f"200 {size} http://localhost:8080/hostname\n000 0 http://localhost:1/\n"


async def test_wget_and_nslookup(place: Place) -> None:
    await place.serving("app", container("go-httpbin"))
    await place.expose("app", 80, 8080)
    assert '"hostname": "app"' in (await place.exec("app", "wget", "-qO-", "http://app/hostname"))[1]
    assert (await place.exec("app", "wget", "-q", "-O", "/f", "http://app/status/500"))[0] == 1
    address = place.cluster.get("services", "default", "app")["spec"]["clusterIP"]
    assert f"Address: {address}" in (await place.exec("app", "nslookup", "app"))[1]
    assert (await place.exec("app", "nslookup", "nobody"))[0] == 1
