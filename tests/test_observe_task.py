"""`invoke observe` as it is typed, on a cluster whose Prometheus has the samples of tests/kit/mesh_samples.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.kit import mesh_samples
from tests.kit.mesh_samples import bookinfo, breaker, database, each_second
from tests.kit.prometheus import BehindApi, behind_api, of_samples, refusal
from tests.kit.workshop import Ran, Workshop, until
from workshop.console.graph_page import GRAPH

HANGS = 60.0
SERIES = {**bookinfo(8, 2), **breaker(), **database()}


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BehindApi]:
    async with behind_api(of_samples(SERIES, mesh_samples.NOW)) as made:
        for kind, plural in (("VirtualService", "virtualservices"), ("DestinationRule", "destinationrules")):
            found = [obj for obj in mesh_samples.rules() if obj["kind"] == kind]
            made.lists[f"/apis/networking.istio.io/v1/{plural}"] = found
        yield made


@pytest.fixture
def profile(api: BehindApi, tmp_path: Path) -> Path:
    kubectl = api.kubectl(tmp_path)
    said = {"target": "cluster", "cluster": {"context": kubectl.context, "kubeconfig": str(kubectl.kubeconfig)}}
    (tmp_path / "profile.yaml").write_text(json.dumps(said))
    return tmp_path / "profile.yaml"


async def observe(profile: Path, *words: str, **variables: str) -> Ran:
    workshop = Workshop(profile.parent / "state")
    return await asyncio.to_thread(workshop.run, "-f", str(profile), "observe", *words, **variables)


async def test_once_it_is_a_table(profile: Path, api: BehindApi) -> None:
    picture = profile.parent / "graph.svg"  # as tools/picture.py has it
    ran = await observe(profile, "--once", WORKSHOP_PICTURE=str(picture))
    assert ran.status == 0, ran.said
    assert re.search(r"productpage-v1 +→ reviews-v3 +2\.0/s +0\.0 % +38 ms +50 ms", ran.said)
    assert re.search(r"fortio +→ httpbin +40\.0/s +25\.0 %", ran.said)
    assert re.search(r"v3 .* 20\.0 % .* 20\.0 %", ran.said)
    assert "httpbin.primary  breaker open: 25 % refused" in ran.said
    assert not (profile.parent / "state").exists(), "a look leaves nothing"
    assert "productpage-v1" in picture.read_text()


async def test_without_prometheus_it_says_what_brings_one(profile: Path, api: BehindApi) -> None:
    async def none(request: Any) -> Any:
        return refusal(404, "NotFound", 'services "prometheus" not found')

    api.prometheus = none
    for words in (("--once",), ("--port", "0")):
        ran = await observe(profile, *words)
        assert ran.status == 2
        assert "there is no Service istio-system/prometheus" in ran.unfolded
        assert f"invoke -f {profile} lab.istio.observe" in ran.unfolded


async def test_a_port_that_is_none_is_refused(profile: Path) -> None:
    ran = await observe(profile, "--port", "http")
    assert (ran.status, "it is a number from 1 to 65535" in ran.unfolded) == (2, True)


@contextlib.contextmanager
def observing(profile: Path) -> Iterator[Any]:
    process = Workshop(profile.parent / "state").start("-f", str(profile), "observe", "--port", "0")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_a_page_follows_what_happens_until_ctrl_c(profile: Path, api: BehindApi) -> None:
    api.prometheus = of_samples(each_second(SERIES), mesh_samples.NOW, 1)
    with observing(profile) as process:
        said = await asyncio.to_thread(until, process, "until Ctrl-C")
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", said)
        async with aiohttp.ClientSession() as session, asyncio.timeout(HANGS):
            async with session.get(url) as page:
                assert await page.text() == GRAPH.page
                assert page.headers["Content-Security-Policy"] == GRAPH.policy
            async with session.get(url.replace("?token=", "?token=x")) as page:
                assert page.status == 403
            async with session.get(url.replace("/?", "/events?")) as events:
                told = await _next(events, lambda told: True)
                assert {(edge["from"], edge["to"]): edge["rate"] for edge in told["edges"]}[
                    "bookinfo/productpage-v1", "bookinfo/reviews-v3"
                ] == 2
                api.prometheus = of_samples(each_second({**SERIES, **bookinfo(5, 5)}), mesh_samples.NOW, 1)
                told = await _next(events, lambda told: told["splits"][0]["parts"][1][2] == 0.5)
                assert told["splits"][0]["parts"][1][-1] is True, "not as the weights say"
                failing = api.prometheus

                async def silent(request: Any) -> Any:
                    return refusal(503, "ServiceUnavailable", 'no endpoints available for service "prometheus"')

                api.prometheus = silent
                told = await _next(events, lambda told: told["lost"])
                assert "no endpoints available" in told["lost"]
                assert told["edges"], "what was seen last stays"
                api.prometheus = failing
                await _next(events, lambda told: not told["lost"])
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, HANGS) == 130


async def _next(events: aiohttp.ClientResponse, wanted: Any) -> dict[str, Any]:
    """The first event that is so."""
    while line := await events.content.readline():
        if line.startswith(b"data: "):
            told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            if wanted(told):
                return told
    raise AssertionError("the server has ended")
