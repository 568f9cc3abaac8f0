"""Prometheus in a pod: it finds the pods that are annotated for it, scrapes them, and answers what it has seen."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from sandbox.images.program import ProgramError
from sandbox.images.prometheus import Config, Prometheus, programs, read_config
from sandbox.images.web import WebProgram
from tests.sandbox.node.conftest import NAMESPACE, PATIENCE, Place, container

IMAGE = "docker.io/prom/prometheus:v3.7.3"


class Measured(WebProgram):
    """Tells how often it was asked for anything else."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.count = getattr(self, "count", 0) + (request.path != "/stats")
        return web.Response(
            text=f'# TYPE asked_total counter\nasked_total{{pod="{self.container.pod_name}"}} {self.count}\n'
        )


async def ask(place: Place, path: str) -> Any:
    network = place.run("prometheus").network
    reply = await network.http.request("GET", f"http://{network.ip}:9090{path}", {})
    return reply.status, reply.body


async def query(place: Place, text: str) -> dict[str, str]:
    status, body = await ask(place, f"/api/v1/query?query={quote(text)}")
    assert status == 200, body
    return {row["metric"].get("pod", ""): row["value"][1] for row in json.loads(body)["data"]["result"]}


async def start(place: Place, *arguments: str, **spec: Any) -> None:
    place.programs |= programs(lambda: place.cluster.list("pods"))
    await place.serving("prometheus", container(IMAGE, args=list(arguments)), **spec)


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
    await start(place)

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


async def test_the_command_line_and_file_of_istios_addon(place: Place) -> None:
    """As its Deployment says them; jobs of which there is nothing here are named."""
    data = {
        "metadata": {"name": "prometheus", "namespace": NAMESPACE},
        "data": {
            "prometheus.yml": "global: {scrape_interval: 5s, scrape_timeout: 2s}\nscrape_configs:\n"
            "- job_name: prometheus\n- job_name: kubernetes-nodes\n"
        },
    }
    place.cluster.create("configmaps", data, manager="test")
    mounted = container(
        IMAGE,
        args=[
            "--storage.tsdb.retention.time=15d",
            "--config.file=/etc/config/prometheus.yml",
            "--storage.tsdb.path=/data",
            "--web.console.libraries=/etc/prometheus/console_libraries",
            "--web.console.templates=/etc/prometheus/consoles",
            "--web.enable-lifecycle",
        ],
        volumeMounts=[{"name": "config", "mountPath": "/etc/config"}],
    )
    place.programs |= programs(lambda: place.cluster.list("pods"))
    await place.serving("prometheus", mounted, volumes=[{"name": "config", "configMap": {"name": "prometheus"}}])
    assert "not supported by the sandbox's Prometheus: the job kubernetes-nodes" in await place.log("prometheus")
    (target,) = json.loads((await ask(place, "/api/v1/targets"))[1])["data"]["activeTargets"]
    assert (target["scrapePool"], target["scrapeInterval"], target["scrapeTimeout"]) == ("prometheus", "5s", "2s")


async def test_a_flag_it_does_not_have_ends_it(place: Place) -> None:
    place.programs |= programs(lambda: [])
    place.start("prometheus", container(IMAGE, args=["--web.enable-remote-write-receiver"]), restartPolicy="Never")
    await place.until(lambda: place.state("prometheus").get("terminated"))
    assert place.state("prometheus")["terminated"]["exitCode"] == 2
    assert "--web.enable-remote-write-receiver" in (await place.log("prometheus"))[-1]


def test_what_the_file_says() -> None:
    assert read_config("") == Config(60.0, 10.0, False, False)
    said = "global: {scrape_interval: 1m30s}\nscrape_configs: [{job_name: kubernetes-pods}, {job_name: a}]"
    assert read_config(said) == Config(90.0, 10.0, False, True, ("a",))
    for wrong in ("[", "- a", "scrape_configs: [{}]", "global: {scrape_interval: soon}"):
        with pytest.raises(ProgramError, match="Error loading config"):
            read_config(wrong)
