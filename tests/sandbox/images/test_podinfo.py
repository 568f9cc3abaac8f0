"""podinfo says who it is, and is ready or not as it is told."""

from __future__ import annotations

import json

import pytest

from sandbox.images.podinfo import parse
from sandbox.images.program import ProgramError
from tests.sandbox.node.conftest import Place, container

IMAGE = "ghcr.io/stefanprodan/podinfo:6.9.2"


async def ask(place: Place, path: str, method: str = "GET", port: int = 9898, **headers: str) -> tuple[int, bytes]:
    network = place.run("app").network
    reply = await network.http.request(method, f"http://{network.ip}:{port}{path}", headers)
    return reply.status, reply.body


async def test_podinfo_has_its_version_color_and_health(place: Place) -> None:
    env = [{"name": "PODINFO_UI_COLOR", "value": "#00f"}]
    app = container("ghcr.io/stefanprodan/podinfo:6.7.0", "./podinfo", "--port=9899", env=env)
    await place.serving("app", app)
    for path in ("/", "/api/info"):
        info = json.loads((await ask(place, path, port=9899))[1])
        assert (info["version"], info["color"], info["hostname"]) == ("6.7.0", "#00f", "app")
        assert info["message"] == "greetings from podinfo v6.7.0"
    assert json.loads((await ask(place, "/version", port=9899))[1])["version"] == "6.7.0"
    assert b"background: #00f" in (await ask(place, "/", port=9899, **{"user-agent": "Mozilla/5.0"}))[1]


async def test_what_it_is_asked_to_be(place: Place) -> None:
    await place.serving("app", container(IMAGE))
    assert await ask(place, "/healthz") == (200, b'{\n  "status": "OK"\n}')
    assert await ask(place, "/status/503") == (503, b'{\n  "status": 503\n}')
    assert await ask(place, "/readyz/disable", "POST") == (202, b"")
    assert await ask(place, "/readyz") == (503, b"")
    assert await ask(place, "/readyz/enable", "POST") == (202, b"")
    assert (await ask(place, "/readyz"))[0] == 200
    not_found = ("/info", "/status/x", "/readyz/x", "/reviews/0")
    assert {(await ask(place, path))[0] for path in not_found} == {404}
    assert {(await ask(place, path))[0] for path in ("/cache/x", "/delay/1", "/panic", "/api/echo")} == {501}
    assert (await ask(place, "/version", "POST"))[0] == 405


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--cache-server=redis"], {}, "not supported by the sandbox's podinfo: --cache-server"),
        ([], {"PODINFO_CACHE_SERVER": "x"}, "PODINFO_CACHE_SERVER"),
        (["--random-error"], {}, "not supported by the sandbox's podinfo: --random-error"),
        ([], {"PODINFO_RANDOM_DELAY": "true"}, "PODINFO_RANDOM_DELAY"),
        (["nope"], {}, "unknown arguments"),
        (["--port", "x"], {}, 'invalid argument "x" for "--port"'),
        (["--port"], {}, "flag needs an argument: --port"),
    ],
)
def test_what_podinfo_cannot_do_is_refused(arguments: list[str], env: dict[str, str], said: str) -> None:
    with pytest.raises(ProgramError, match=said) as refused:
        parse(arguments, env)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "env", "port"),
    [
        ([], {}, "9898"),
        (["--port=1"], {"PODINFO_PORT": "2"}, "1"),
        ([], {"PODINFO_PORT": "2"}, "2"),
        ([], {"PODINFO_PORT": ""}, "9898"),
        # Of a service called podinfo.
        ([], {"PODINFO_PORT": "tcp://127.0.0.1:9898"}, "9898"),
        (["--port", "9899"], {"PODINFO_PORT": "tcp://127.0.0.1:9898"}, "9899"),
    ],
)
def test_flags_beat_variables(arguments: list[str], env: dict[str, str], port: str) -> None:
    assert parse(arguments, env)["port"] == port
