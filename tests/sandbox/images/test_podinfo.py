"""podinfo: a good version, an erring one and a slow one."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import pytest

from sandbox.images.podinfo.options import Options, parse
from sandbox.images.program import ProgramError
from tests.sandbox.node.conftest import Place, container

IMAGE = "ghcr.io/stefanprodan/podinfo:6.9.2"


async def ask(place: Place, path: str, method: str = "GET", port: int = 9898, **headers: str) -> tuple[int, bytes]:
    network = place.run("app").network
    reply = await network.http.request(method, f"http://{network.ip}:{port}{path}", headers)
    return reply.status, reply.body


async def test_podinfo_has_its_version_color_and_health(place: Place) -> None:
    env = [{"name": "PODINFO_UI_COLOR", "value": "#00f"}]
    app = container("ghcr.io/stefanprodan/podinfo:6.7.0", "./podinfo", "--port=9899", "--level", "info", env=env)
    await place.serving("app", app)
    for path in ("/", "/api/info"):
        info = json.loads((await ask(place, path, port=9899))[1])
        assert (info["version"], info["color"], info["hostname"]) == ("6.7.0", "#00f", "app")
        assert info["message"] == "greetings from podinfo v6.7.0"
    assert json.loads((await ask(place, "/version", port=9899))[1])["version"] == "6.7.0"
    assert b"background: #00f" in (await ask(place, "/", port=9899, **{"user-agent": "Mozilla/5.0"}))[1]
    assert [json.loads(line)["msg"] for line in await place.log("app")] == ["Starting podinfo"]
    await ask(place, "/panic", port=9899)
    await place.until(lambda: place.state("app", field="lastState").get("terminated", {}).get("exitCode") == 255)


async def test_what_it_is_asked_to_be(place: Place) -> None:
    await place.serving("app", container(IMAGE))
    assert await ask(place, "/healthz") == (200, b'{\n  "status": "OK"\n}')
    assert await ask(place, "/status/503") == (503, b'{\n  "status": 503\n}')
    assert json.loads((await ask(place, "/delay/0"))[1]) == {"delay": 0}
    assert await ask(place, "/readyz/disable", "POST") == (202, b"")
    assert await ask(place, "/readyz") == (503, b"")
    assert await ask(place, "/readyz/enable", "POST") == (202, b"")
    assert (await ask(place, "/readyz"))[0] == 200
    assert json.loads((await ask(place, "/headers", **{"x-a": "b"}))[1])["X-A"] == ["b"]
    assert [(await ask(place, path))[0] for path in ("/info", "/panic/x", "/status/x", "/cache/x")] == [
        404,
        404,
        404,
        501,
    ]
    assert (await ask(place, "/version", "POST"))[0] == 405


async def test_a_random_error_is_one_of_three_answers_in_three(place: Place) -> None:
    await place.serving("app", container(IMAGE, args=["--random-error"]))
    codes = Counter([(await ask(place, path))[0] for path in ("/", "/healthz") for _ in range(600)])
    assert set(codes) == {200, 500, 400, 409}
    assert 290 < 1200 - codes[200] < 510  # a third, by 6.7 standard deviations
    assert all(60 < codes[code] < 210 for code in (500, 400, 409))
    assert (await ask(place, "/none"))[0] == 404


async def test_a_random_delay_is_between_its_bounds(place: Place) -> None:
    bounds = [("MIN", "20"), ("MAX", "23"), ("UNIT", "ms")]
    env = [{"name": f"PODINFO_RANDOM_DELAY_{name}", "value": value} for name, value in bounds]
    await place.serving("app", container(IMAGE, args=["--random-delay=true"], env=env))

    async def timed() -> float:
        began = time.perf_counter()
        assert (await ask(place, "/"))[0] == 200
        return time.perf_counter() - began

    took = await asyncio.gather(*(timed() for _ in range(30)))
    assert min(took) >= 0.0199
    assert len({round(one, 3) for one in took}) > 1


async def test_echo_may_be_made_by_others(place: Place) -> None:
    await place.serving("back", container(IMAGE))
    url = f"http://{place.run('back').ip}:9898"
    urls = f"{url}/echo,{url}/status/503"
    await place.serving("app", container(IMAGE, args=["--backend-url", urls, "--backend-url", f"{url[:-5]}:1/"]))
    network = place.run("app").network
    reply = await network.http.request("POST", f"http://{network.ip}:9898/api/echo", {}, b"hello")
    said = json.loads(reply.body)
    assert (reply.status, said[0], said[1]) == (200, "hello", f"backend {url}/status/503 response status code 503")
    assert "call failed" in said[2]
    back = await network.http.request("POST", f"{url}/echo", {}, b"hello")
    assert (back.status, back.body) == (202, b"hello")


async def test_requests_are_logged_for_debugging(place: Place) -> None:
    await place.serving("app", container(IMAGE, args=["--level=debug"]))
    for number in range(150):
        await ask(place, f"/?n={number}")
    lines = [json.loads(line) for line in await place.log("app")]
    asked = [line["uri"] for line in lines if line["msg"] == "request started"]
    assert asked[0] == "/?n=0"
    # One second's first hundred lines; the requests may have taken two.
    assert 100 <= len(asked) <= 150


async def test_an_unready_version_never_becomes_ready(place: Place) -> None:
    await place.serving("app", container(IMAGE, args=["--unready", "--unhealthy"]))
    assert [(await ask(place, path))[0] for path in ("/readyz", "/healthz", "/")] == [503, 503, 200]


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--cache-server=redis"], {}, "not supported by the sandbox's podinfo: --cache-server"),
        ([], {"PODINFO_CACHE_SERVER": "x"}, "PODINFO_CACHE_SERVER"),
        (["--nope"], {}, "unknown flag: --nope"),
        (["nope"], {}, "unknown flag: nope"),
        (["--port", "x"], {}, 'invalid argument "x" for "--port"'),
        (["--port"], {}, "flag needs an argument: --port"),
        (["--random-error=maybe"], {}, "maybe"),
        ([], {"PODINFO_RANDOM_DELAY_UNIT": "h"}, "accepted values are: s|ms"),
        (["--random-delay-min=6"], {}, "should be greater"),
        (["--random-delay", "--random-delay-min=5"], {}, "panic at every request"),
    ],
)
def test_what_podinfo_cannot_do_is_refused(arguments: list[str], env: dict[str, str], said: str) -> None:
    with pytest.raises(ProgramError, match=said) as refused:
        parse(arguments, env)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        ([], {}, Options()),
        (["--port=1"], {"PODINFO_PORT": "2"}, Options(port=1)),
        ([], {"PODINFO_RANDOM_ERROR": "true", "PODINFO_PORT": ""}, Options(random_error=True)),
        (["--random-error=false"], {"PODINFO_RANDOM_ERROR": "true"}, Options()),
        (
            ["--backend-url=a,b", "--backend-url", "c"],
            {"PODINFO_BACKEND_URL": "d"},
            Options(backend_url=("a", "b", "c")),
        ),
    ],
)
def test_flags_beat_variables(arguments: list[str], env: dict[str, Any], expected: Options) -> None:
    assert parse(arguments, env) == expected


def test_a_service_called_podinfo_does_not_take_the_port_away() -> None:
    assert parse([], {"PODINFO_PORT": "tcp://127.0.0.1:9898"}).port == 9898
    assert parse(["--port=9899"], {"PODINFO_PORT": "tcp://127.0.0.1:9898"}).port == 9899
