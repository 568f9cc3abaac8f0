"""What all images have in common: their names, their command lines, their ports."""

from __future__ import annotations

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


async def test_two_programs_cannot_have_one_port(place: Place) -> None:
    second = container("go-httpbin", name="second")
    place.start("app", container("go-httpbin"), second, restartPolicy="Never")
    await place.until(lambda: place.state("app", 1).get("terminated") or place.state("app", 0).get("terminated"))
    logs = [*await place.log("app", 0), *await place.log("app", 1)]
    assert any("Address already in use" in line or "address already in use" in line for line in logs)
