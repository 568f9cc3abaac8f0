"""HelloWorld says its version, and logs its requests as gunicorn does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.sandbox.node.conftest import Place, container


async def test_helloworld_says_its_version_and_pod(place: Place) -> None:
    await place.serving("app", container("docker.io/istio/examples-helloworld-v2"))
    assert await place.curl("localhost:5000/hello") == "Hello version: v2, instance: app\n"
    assert await place.curl("-o", "/dev/null", "-w", "%{http_code}", "localhost:5000/health") == "200"


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
    await place.curl("-A", "me", "-H", "Referer: http://there/", "localhost:5000/hello?probe=1&n=2")
    await place.curl("-X", "POST", "-A", "", "localhost:5000/none")
    log = await place.log("app")
    lines = [line for line in log if "HTTP/1.1" in line]
    assert len(lines) == 2
    moment = r"\[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\]"
    shape = rf'127\.[.\d]+ - - {moment} "GET /hello\?probe=1&n=2 HTTP/1\.1" 200 33 "http://there/" "me"'
    assert re.fullmatch(shape, lines[0]), lines[0]
    assert '"POST /none HTTP/1.1" 404 ' in lines[1]


async def test_helloworld_logs_no_request_by_itself(place: Place) -> None:
    await place.serving("app", container("docker.io/istio/examples-helloworld-v1"))
    await place.curl("localhost:5000/hello")
    assert not [line for line in await place.log("app") if "/hello" in line]
