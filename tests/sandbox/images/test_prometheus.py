"""Prometheus in a pod: it finds the pods that are annotated for it, scrapes them, and answers what it has seen."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from sandbox.images.prometheus import Prometheus, programs
from sandbox.images.web import WebProgram
from tests.sandbox.node.conftest import NAMESPACE, PATIENCE, Place, container
from tests.sandbox.prometheus.test_targets import OURS

IMAGE = "docker.io/prom/prometheus:v3.7.3"


class Measured(WebProgram):
    """Tells how often it was asked for anything else."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.count = getattr(self, "count", 0) + (request.path != "/stats")
        return web.Response(
            text=f'# TYPE asked_total counter\nasked_total{{pod="{self.container.pod_name}"}} {self.count}\n'
        )


FILE = "/etc/config/prometheus.yml"


async def ask(place: Place, path: str, method: str = "GET") -> Any:
    network = place.run("prometheus").network
    reply = await network.http.request(method, f"http://{network.ip}:9090{path}", {})
    return reply.status, reply.body


async def query(place: Place, text: str) -> dict[str, str]:
    status, body = await ask(place, f"/api/v1/query?query={quote(text)}")
    assert status == 200, body
    return {row["metric"].get("pod", ""): row["value"][1] for row in json.loads(body)["data"]["result"]}


async def start(place: Place, config: str, *arguments: str) -> None:
    configured(place, config)
    await place.serving("prometheus", asking(*arguments), volumes=[VOLUME])


def configured(place: Place, config: str) -> None:
    metadata = {"name": "prometheus", "namespace": NAMESPACE}
    place.cluster.create("configmaps", {"metadata": metadata, "data": {"prometheus.yml": config}}, manager="test")
    place.programs |= programs(place.cluster.list)


def asking(*arguments: str) -> dict[str, Any]:
    mounts = [{"name": "config", "mountPath": "/etc/config"}]
    return container(IMAGE, args=[f"--config.file={FILE}", *arguments], volumeMounts=mounts)


VOLUME = {"name": "config", "configMap": {"name": "prometheus"}}


def measured(place: Place, name: str, **annotations: str) -> None:
    place.programs["measured"] = Measured
    pod = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": "web"},
            "annotations": {f"prometheus.io/{name}": value for name, value in annotations.items()},
        },
        "spec": {"containers": [container("measured")]},
    }
    place.cluster.create("pods", pod, manager="test")


async def test_it_scrapes_annotated_pods_and_itself_and_forgets_who_went(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Prometheus, "refresh", 0.02)
    measured(place, "one", scrape="true", port="8080", path="/stats")
    measured(place, "two", scrape="true", port="8080", path="/stats")
    measured(place, "silent")
    await place.until(lambda: all(map(place.ready, ("one", "two", "silent"))))
    one = place.run("one").network
    for _ in range(3):
        await one.http.request("GET", f"http://{one.ip}:8080/", {})
    await start(place, OURS)

    async def seen(text: str, expected: dict[str, str]) -> None:
        async with asyncio.timeout(PATIENCE):
            while await query(place, text) != expected:  # noqa: ASYNC110 - it looks by itself
                await asyncio.sleep(0.01)

    await seen('asked_total{app="web", namespace="default"}', {"one": "3", "two": "0"})
    await seen('up{job="kubernetes-pods"}', {"one": "1", "two": "1"})
    await seen('up{job="prometheus", instance="localhost:9090"}', {"": "1"})
    place.cluster.delete("pods", NAMESPACE, "two")
    await seen("asked_total", {"one": "3"})
    assert json.loads((await ask(place, "/api/v1/status/buildinfo"))[1])["data"]["version"] == "3.7.3"
    assert (await ask(place, "/-/ready"))[0] == 200
    assert b"the sandbox's stand-in for Prometheus" in (await ask(place, "/"))[1]


async def targets(place: Place) -> list[tuple[str, str, str]]:
    found = json.loads((await ask(place, "/api/v1/targets"))[1])["data"]["activeTargets"]
    return [(one["scrapePool"], one["scrapeInterval"], one["scrapeTimeout"]) for one in found]


GLOBAL = "global: {scrape_interval: 5s, scrape_timeout: 2s}\n"
ITSELF = "{job_name: prometheus, static_configs: [{targets: ['localhost:9090']}]}"
NODES = "{job_name: kubernetes-nodes, kubernetes_sd_configs: [{role: node}]}"


async def test_the_command_line_and_file_of_istios_addon(place: Place) -> None:
    """As its Deployment says them; jobs of which there is nothing here are named."""
    await start(
        place,
        f"{GLOBAL}scrape_configs: [{ITSELF}, {NODES}]",
        "--storage.tsdb.retention.time=15d",
        "--storage.tsdb.path=/data",
        "--web.console.libraries=/etc/prometheus/console_libraries",
        "--web.console.templates=/etc/prometheus/consoles",
        "--web.enable-lifecycle",
    )
    said = "the job kubernetes-nodes: there is no discovery of role node"
    assert f"not supported by the sandbox's Prometheus: {said}" in await place.log("prometheus")
    assert await targets(place) == [("prometheus", "5s", "2s")]
    assert await ask(place, "/-/healthy") == (200, b"Prometheus Server is Healthy.\n")
    assert await ask(place, "/-/ready") == (200, b"Prometheus Server is Ready.\n")


async def test_asked_to_it_reads_its_file_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file that is wrong says is told, and what was so before goes on (cmd/prometheus, web/web.go)."""
    monkeypatch.setattr(Prometheus, "refresh", 0.02)
    await start(place, f"{GLOBAL}scrape_configs: [{ITSELF}]", "--web.enable-lifecycle")
    mounted = place.run("prometheus")._volumes["config"]  # the sandbox's kubelet writes a volume once only
    mounted["prometheus.yml"] = f"scrape_configs: [{ITSELF}]".encode()
    assert await targets(place) == [("prometheus", "5s", "2s")]
    assert await ask(place, "/-/reload", "POST") == (200, b"")
    async with asyncio.timeout(PATIENCE):
        while await targets(place) != [("prometheus", "1m", "10s")]:  # noqa: ASYNC110 - it looks by itself
            await asyncio.sleep(0.01)
    mounted["prometheus.yml"] = b"scrape_configs: [{}]"
    status, said = await ask(place, "/-/reload", "PUT")
    assert status == 500
    assert said.startswith(b"failed to reload config: couldn't load configuration (--config.file=")
    assert said.endswith(b"job_name is empty\n")
    assert await targets(place) == [("prometheus", "1m", "10s")]
    assert await ask(place, "/-/reload") == (405, b"Only POST or PUT requests allowed")


async def test_without_the_flag_it_reads_nothing_again(place: Place) -> None:
    place.programs |= programs(place.cluster.list)
    await place.serving("prometheus", container(IMAGE))
    assert await ask(place, "/-/reload", "POST") == (403, b"Lifecycle API is not enabled.")
    assert await targets(place) == [("prometheus", "15s", "10s")]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            f"scrape_configs: [{ITSELF.replace('}]}', '}], metric_relabel_configs: []}')}]",
            "scrape_configs[prometheus].metric_relabel_configs: not supported by the sandbox's Prometheus",
        ),
        ("scrape_configs: [{}]", "job_name is empty"),
    ],
)
async def test_a_file_that_it_does_not_take_ends_it(place: Place, config: str, said: str) -> None:
    """With status 2, as the real one; a container that is started again and again."""
    configured(place, config)
    place.start("prometheus", asking(), restartPolicy="Never", volumes=[VOLUME])
    await place.until(lambda: place.state("prometheus").get("terminated"))
    assert place.state("prometheus")["terminated"]["exitCode"] == 2
    assert (await place.log("prometheus"))[-1] == f"Error loading config (--config.file={FILE}): {said}"


async def test_a_flag_it_does_not_have_ends_it(place: Place) -> None:
    place.programs |= programs(place.cluster.list)
    place.start("prometheus", container(IMAGE, args=["--web.enable-remote-write-receiver"]), restartPolicy="Never")
    await place.until(lambda: place.state("prometheus").get("terminated"))
    assert place.state("prometheus")["terminated"]["exitCode"] == 2
    assert "--web.enable-remote-write-receiver" in (await place.log("prometheus"))[-1]
