"""The stand-ins for Kiali and Grafana in pods, beside a Prometheus of samples (tests/kit/mesh_samples.py). Paths,
ports and the form of their files are those of the release's add-ons (samples/addons/kiali.yaml, grafana.yaml)."""

from __future__ import annotations

import asyncio
import json
import re
from xml.etree import ElementTree

import pytest
from aiohttp import web

from sandbox.images import addon_graph, addon_page, grafana, kiali
from sandbox.images.addon_graph import Arrow, Node
from sandbox.images.grafana import Grafana
from sandbox.images.mesh_figures import Line
from sandbox.images.program import Container
from sandbox.images.web import WebProgram
from sandbox.prometheus.http_api import Api
from sandbox.prometheus.scraping import Scraper
from tests.kit import mesh_samples
from tests.sandbox.node.conftest import Place, container
from tests.sandbox.prometheus.samples import loaded

KIALI = container(
    "quay.io/kiali/kiali:v2.27", name="kiali", command=["/opt/kiali/kiali", "-config", "/k/config.yaml"]
)
KIALI["volumeMounts"] = [{"name": "c", "mountPath": "/k"}]
GRAFANA = container("docker.io/grafana/grafana:12.0.1", name="grafana")
SOURCES = "/etc/grafana/provisioning/datasources/datasources.yaml"
GRAFANA["volumeMounts"] = [{"name": "c", "mountPath": SOURCES, "subPath": "datasources.yaml"}]
FILES = {
    "config.yaml": "{external_services: {prometheus: {url: 'http://prometheus:9090'}}, server: {web_root: /kiali}}",
    "datasources.yaml": "datasources: [{type: loki, url: x}, {type: prometheus, url: 'http://prometheus:9090'}]",
}


class OfSamples(WebProgram):
    port = 9090

    def __init__(self, container: Container) -> None:
        super().__init__(container)

        async def nothing(url: str) -> str:
            raise OSError(url)

        scraper = Scraper(
            loaded({**mesh_samples.bookinfo(), **mesh_samples.breaker()}),
            lambda: [],
            nothing,
            now=lambda: mesh_samples.NOW,
        )
        self._api = Api(scraper, "3.10.0", now=lambda: mesh_samples.NOW)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._api.answer(request)


@pytest.fixture
async def world(place: Place) -> Place:
    namespaces = ("bookinfo", "istio-system")
    for name in namespaces:
        place.cluster.create("namespaces", {"metadata": {"name": name, "labels": {"of": name}}}, manager="test")
    place.programs |= {**kiali.programs(lambda: place.cluster.list("namespaces")), "of-samples": OfSamples}
    place.cluster.create(
        "configmaps", {"metadata": {"name": "files", "namespace": "default"}, "data": FILES}, manager="test"
    )
    return place


async def serving(place: Place, name: str, spec: dict[str, object], *, prometheus: bool = True) -> None:
    if prometheus:
        await place.serving("prometheus", container("of-samples"))
        await place.expose("prometheus", 9090)
    await place.serving(name, spec, volumes=[{"name": "c", "configMap": {"name": "files"}}])


async def ask(place: Place, name: str, port: int, path: str) -> tuple[int, str]:
    network = place.run(name).network
    reply = await network.http.request("GET", f"http://{network.ip}:{port}{path}", {})
    return reply.status, reply.body.decode()


async def test_kiali_draws_who_calls_whom_and_answers_what_tells_that_it_is_there(world: Place) -> None:
    await serving(world, "kiali", KIALI)
    status, page = await ask(world, "kiali", 20001, "/kiali/")
    assert status == 200
    assert "the sandbox's stand-in for Kiali" in page
    # Of the samples: 8 and 2 a second to v1 and v3, whose calls to ratings are 2 a second, half of them delayed.
    rows = set(page.split("<tr>"))
    assert any(row.startswith("<td>productpage-v1 → reviews-v1</td><td>8/s</td><td>0 %</td>") for row in rows)
    assert any(row.startswith("<td>reviews-v3 → ratings-v1</td><td>2/s</td><td>0 %</td>") for row in rows)
    assert "outside the mesh → istio-ingressgateway</td><td>10/s" in page
    # A breaker refuses 10 a second of 40: of these the metrics name the service, and no pod.
    assert any(row.startswith("<td>fortio → httpbin</td><td>30/s</td><td>0 %</td>") for row in rows)
    refused = '<td>fortio → service httpbin</td><td>10/s</td><td class="bad">100 %</td>'
    assert any(row.startswith(refused) for row in rows)
    assert "://" not in page, "nothing from elsewhere"

    status, page = await ask(world, "kiali", 20001, "/kiali/?namespaces=istio-system&duration=30s")
    assert "reviews-v1" not in page
    assert 'href="?duration=60s&amp;namespaces=istio-system"' in page
    assert 'http-equiv="refresh"' in page
    status, page = await ask(world, "kiali", 20001, "/kiali/?namespaces=istio-system&duration=30s&refresh=off")
    assert 'http-equiv="refresh"' not in page
    assert 'href="?duration=60s&amp;namespaces=istio-system&amp;refresh=off"' in page
    assert "istio-ingressgateway" in page

    assert await ask(world, "kiali", 20001, "/kiali/healthz") == (200, "")
    status, said = await ask(world, "kiali", 20001, "/kiali/api/status")
    assert json.loads(said)["status"]["Kiali version"] == "v2.27"
    assert json.loads(said)["externalServices"] == [{"name": "Prometheus", "version": "3.10.0"}]
    status, said = await ask(world, "kiali", 20001, "/kiali/api/namespaces")
    assert {"bookinfo", "istio-system"} <= {one["name"] for one in json.loads(said)}
    refused = {"error": "not supported by the sandbox's Kiali: /kiali/api/clusters"}
    status, said = await ask(world, "kiali", 20001, "/kiali/api/clusters")
    assert (status, json.loads(said)) == (501, refused)
    assert (await ask(world, "kiali", 20001, "/elsewhere"))[0] == 404


async def test_who_asks_kiali_at_the_same_time_shares_its_look(world: Place) -> None:
    """Seen on a busy machine: of 16 at once half had to wait for longer than Prometheus is waited for."""
    await serving(world, "kiali", KIALI)
    alone = await ask(world, "kiali", 20001, "/kiali/?refresh=off")
    asked = [line for line in await world.log("prometheus") if "/api/v1/query" in line]
    assert asked
    pages = await asyncio.gather(*(ask(world, "kiali", 20001, "/kiali/?refresh=off") for _ in range(16)))
    assert pages == [alone] * 16
    assert sorted(line for line in await world.log("prometheus") if "/api/v1/query" in line) == sorted(asked * 2)


async def test_kiali_without_prometheus_says_so(world: Place) -> None:
    await serving(world, "kiali", KIALI, prometheus=False)
    status, page = await ask(world, "kiali", 20001, "/kiali")
    assert status == 200, "as Kiali's page, which is a program for the browser and there in any case"
    assert "http://prometheus:9090 is not reached" in page
    status, said = await ask(world, "kiali", 20001, "/kiali/api/status")
    assert status == 200
    assert "is not reached" in json.loads(said)["warningMessages"][0]


async def test_grafana_draws_the_golden_signals_of_each_workload(
    world: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grafana, "clock", lambda _: mesh_samples.NOW)
    await serving(world, "grafana", GRAFANA)
    assert await ask(world, "grafana", 3000, "/api/health") == (200, '{"database": "ok", "version": "12.0.1"}')
    status, page = await ask(world, "grafana", 3000, "/")
    assert status == 200
    assert "the sandbox's stand-in for Grafana" in page
    assert page.count("<svg") == 4
    assert "reviews-v1.bookinfo <b>8/s</b>" in page
    assert "reviews-v3.bookinfo <b>2/s</b>" in page
    assert "httpbin.primary <b>30/s</b>" in page
    assert "service httpbin.primary <b>100 %</b>" in page, "what the breaker refused"
    status, said = await ask(world, "grafana", 3000, "/api/dashboards/home")
    assert (status, "not supported by the sandbox's Grafana: /api/dashboards/home" in said) == (501, True)


@pytest.mark.parametrize(
    ("file", "said"),
    [("missing", "No such file"), ("list.yaml", "has no attribute"), ("broken.yaml", "Failed to parse")],
)
async def test_a_file_that_kiali_cannot_read_ends_it(world: Place, file: str, said: str) -> None:
    data = {"list.yaml": "[a]", "broken.yaml": "{"}
    world.cluster.create(
        "configmaps", {"metadata": {"name": "bad", "namespace": "default"}, "data": data}, manager="test"
    )
    one = {**KIALI, "command": ["kiali", "-config", f"/k/{file}"]}
    world.start("kiali", one, restartPolicy="Never", volumes=[{"name": "c", "configMap": {"name": "bad"}}])
    await world.until(lambda: world.state("kiali").get("terminated"))
    assert said in "\n".join(await world.log("kiali"))


def test_a_graph_is_in_layers_also_where_calls_go_back() -> None:
    def at(name: str) -> tuple[str, str]:
        return "", name

    nodes = [Node(at(name), name, "") for name in "abcd"]
    ends = [("a", "b"), ("b", "c"), ("c", "b"), ("a", "c"), ("c", "d"), ("d", "d")]
    assert addon_graph._layers([node.key for node in nodes], [(at(one), at(other)) for one, other in ends]) == {
        at("a"): 0,
        at("b"): 1,
        at("c"): 2,
        at("d"): 3,
    }
    drawn = addon_graph.graph(nodes, [Arrow(at(one), at(other), "<1/s>") for one, other in ends])
    tree = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert len(list(tree.iter("rect"))) == 4
    assert len([path for path in tree.iter("path") if path.get("class") == "edge "]) == 5


def test_in_a_box_names_are_cut_and_figures_never() -> None:
    """Seen of 0.0175/s in istio-system: "istio-system, 0…175/s in"."""
    texts = [
        ("istio-system", "0.0175/s in"),
        ("a-namespace-of-letters", "11.2/s in"),
        ("", "2/s in"),
        ("a", ""),
    ]
    nodes = [Node(("", str(at)), "kiali", *text) for at, text in enumerate(texts)]
    found = re.findall(r'class="soft"[^>]*>([^<]*)<', addon_graph.graph(nodes, []))
    assert found == ["istio…ystem, 0.0175/s in", "a-name…etters, 11.2/s in", "2/s in", "a"]


def test_of_many_workloads_those_are_drawn_that_fail_most_and_then_the_busiest() -> None:
    lines = [Line(f"w{number:02}", ((0.0, float(number)), (60.0, float(number)))) for number in range(20)]
    failed = [Line("w01", ((0.0, 50.0), (60.0, 50.0)))]
    drawn = grafana._dashboard({"rate": lines, "failed": failed, "p50": lines, "p99": lines}, 0.0, 60.0)
    (rates, *_) = drawn.split("</section>")
    assert re.findall(r"</i>(w\d\d) ", rates) == ["w01", *(f"w{number}" for number in range(13, 20))]
    assert "8 of 20 workloads" in drawn
    none = grafana._dashboard({"rate": [], "failed": [], "p50": [], "p99": []}, 0.0, 60.0)
    assert ("No requests in this time." in none, "<section" in none) == (True, False)


def test_charts_have_round_scales_and_say_when_there_is_nothing() -> None:
    drawn = addon_page.chart("Requests", "/s", [Line("<a>", ((0.0, 0.0), (60.0, 3.0)))], ["<a>"], 0.0, 60.0)
    tree = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert [mark.text for mark in tree.iter("text")][:3] == ["0/s", "2.5/s", "5/s"]
    drawn = addon_page.chart("P99", "ms", [Line("<a>", ((0.0, 0.0), (60.0, 4321.0)))], ["<a>"], 0.0, 60.0)
    assert "5,000 ms</text>" in drawn
    assert "<b>4,321 ms</b>" in drawn
    assert "No requests" in addon_page.chart("Requests", "/s", [Line("a")], ["a"], 0.0, 60.0)
