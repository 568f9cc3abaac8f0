"""What `kubectl exec -c istio-proxy` shows of a proxy, of a load whose numbers are known."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.core.addresses import listen_port
from sandbox.images.container_files import Files
from sandbox.images.program import Container, Streams
from sandbox.mesh.control_plane import AUTHORIZATION_POLICIES
from sandbox.mesh.mesh_programs import ProxyAgent

from .world import OF_DESTINATIONS, World, eventually, free_block

REQUESTS = 200
SHARED = ("BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster")
CLUSTER = "cluster.outbound|9080||reviews.default.svc.cluster.local;"
LABEL = 'cluster_name="outbound|9080||reviews.default.svc.cluster.local"'
MATCHER = 'proxyStatsMatcher:\n  inclusionPrefixes:\n  - "cluster.outbound"\n  - "cluster_manager"\n'
ANNOTATIONS: dict[str, dict[str, str]] = {
    "client": OF_DESTINATIONS,
    "client-2": OF_DESTINATIONS,
    "plain": {},
    "by-matcher": {"proxy.istio.io/config": MATCHER},
    "by-regexp": {"sidecar.istio.io/statsInclusionRegexps": r".*reviews.*_200"},
    "by-suffix": {"sidecar.istio.io/statsInclusionSuffixes": "downstream_rq_2xx,downstream_cx_total"},
    "all": {"sidecar.istio.io/statsInclusionPrefixes": "cluster,http,listener,tcp"},
}
"""By pod."""


@dataclass
class Loaded:
    """Proxies of which the first has sent REQUESTS requests to `reviews`, the others one."""

    world: World

    async def exec(self, *command: str, pod: str = "client") -> tuple[int | None, str, str]:
        """Run a command in the pod's proxy: exit status, stdout, stderr."""
        obj = self.world.cluster.get("pods", "default", pod)
        network: Any = type("PodNetwork", (), {"ip": obj["status"]["podIP"], "served": {}})()
        spec = {"name": "istio-proxy", "image": "proxyv2"}
        container = Container(obj, spec, {}, Files(), network, Streams())
        out, err = bytearray(), bytearray()
        agent = ProxyAgent(container, self.world.mesh.data_plane, "sidecar", self.world.mesh.statistics)
        status = await agent.exec(list(command), Streams(out=out.extend, err=err.extend))
        return status, out.decode(), err.decode()

    async def get(self, path: str, *, pod: str = "client") -> str:
        status, out, err = await self.exec("pilot-agent", "request", "GET", path, pod=pod)
        assert (status, err) == (0, "")
        return out


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    claim, network = free_block()
    world = World(network, directory)
    try:
        await world.start()
        yield world
    finally:
        await world.stop()
        claim.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loaded]:
    async with running(tmp_path_factory.mktemp("envoy")) as world:
        address = world.service("reviews", {"http": 9080})["spec"]["clusterIP"]
        await world.pod("reviews-v1", "reviews", "v1")
        for name, annotations in ANNOTATIONS.items():
            client = world.client(await world.sidecar(name, annotations=annotations), address, 9080)
            for _ in range(REQUESTS if name == "client" else 1):
                assert (await client.get("/", "reviews"))[0] == 200
        yield Loaded(world)


pytestmark = pytest.mark.asyncio(loop_scope="module")


def value(text: str, name: str) -> int:
    """Of the one line `name: value`."""
    (found,) = re.findall(rf"^{re.escape(name)}: (\d+)$", text, re.MULTILINE)
    return int(found)


async def test_counters_have_all_of_the_load_under_the_names_of_a_real_sidecar(loaded: Loaded) -> None:
    text = await loaded.get("stats")
    assert value(text, f"{CLUSTER}.upstream_rq_200") == REQUESTS
    assert value(text, f"{CLUSTER}.upstream_rq_total") == REQUESTS
    assert value(text, f"{CLUSTER}.upstream_rq_pending_overflow") == 0
    assert value(text, "server.live") == 1
    assert "client.default" not in text
    assert value(await loaded.get("stats", pod="client-2"), f"{CLUSTER}.upstream_rq_200") == 1


async def test_without_an_annotation_there_is_only_what_istio_always_has(loaded: Loaded) -> None:
    text = await loaded.get("stats", pod="plain")
    assert {line.split(".")[0] for line in text.split("\n") if line} == {"server", "listener_manager"}


async def test_envoy_keeps_what_some_proxy_shows_and_no_more(loaded: Loaded) -> None:
    """What it keeps it walks for every question."""
    kept = await loaded.world.mesh.data_plane.admin("/stats")
    roots = set(re.findall(r"(?m)^(?!istio)(.*?)([\w-]+)\.default/(\w+)", kept))
    assert {root for root in roots if root[1] in ("client", "plain")} == {("cluster.", "client", "outbound")}


async def test_what_policies_decide_is_counted_without_an_annotation(loaded: Loaded) -> None:
    """`rbac.denied` is among the suffixes that Istio always includes (pkg/bootstrap/config.go)."""
    world = loaded.world
    proxy = await world.sidecar("guarded", app="guarded")
    proxy.ports.add(9080)
    world.mesh.data_plane.reconsider(proxy)
    nobody = {"selector": {"matchLabels": {"app": "guarded"}}, "action": "DENY", "rules": [{}]}
    policy = {"metadata": {"name": "nobody", "namespace": "default"}, "spec": nobody}
    world.cluster.create(AUTHORIZATION_POLICIES, policy, manager="test")

    async def denied() -> bool:
        try:
            return (await world.outside(proxy.address, listen_port(9080)).get("/", "guarded"))[0] == 403
        except (OSError, asyncio.IncompleteReadError):  # not there yet
            return False

    await eventually(denied)
    name = "http.InboundPassthroughCluster;.rbac.denied"
    assert value(await loaded.get("stats", pod="guarded"), name) == 1
    label = 'http_conn_manager_prefix="InboundPassthroughCluster"'
    assert f"envoy_http_rbac_denied{{{label}}} 1\n" in await loaded.get("stats/prometheus", pod="guarded")


async def test_a_pod_of_the_same_name_shows_what_its_own_annotations_say(loaded: Loaded) -> None:
    world = loaded.world
    for asked in (OF_DESTINATIONS, {}):
        proxy = await world.sidecar("again", annotations=asked)
        assert ("envoy_cluster_" in await loaded.get("stats/prometheus", pod="again")) is bool(asked)
        await world.mesh.data_plane.unregister(proxy)
        world.cluster.delete("pods", "default", "again", grace_seconds=0)


async def test_annotations_say_what_there_is(loaded: Loaded) -> None:
    assert CLUSTER in await loaded.get("stats", pod="by-matcher")
    assert (await loaded.get("stats?filter=reviews", pod="by-regexp")).split("\n")[:2] == [
        f"{CLUSTER}.external.upstream_rq_200: 1",
        f"{CLUSTER}.upstream_rq_200: 1",
    ]
    page = (await loaded.get("stats/prometheus?filter=^cluster", pod="by-regexp")).splitlines()
    assert {line.partition("{")[0] for line in page if "#" not in line} - {""} == {
        *("envoy_cluster_external_upstream_rq", "envoy_cluster_upstream_rq")
    }
    listeners = await loaded.get("stats", pod="by-suffix")
    assert value(listeners, "http.outbound_0.0.0.0_9080;.downstream_rq_2xx") == 1
    assert value(listeners, "listener.0.0.0.0_15001.downstream_cx_total") == 1


async def test_filters_see_the_names_that_are_shown(loaded: Loaded) -> None:
    filtered = await loaded.get(r"stats?filter=^cluster\.outbound\|9080.*;\.upstream_rq_2..$")
    assert filtered == f"{CLUSTER}.upstream_rq_200: {REQUESTS}\n{CLUSTER}.upstream_rq_2xx: {REQUESTS}\n\n"
    assert await loaded.get(r"stats?filter=client\.default") == "\n"
    used = await loaded.get("stats?usedonly")
    assert f"{CLUSTER}.upstream_rq_200: " in used
    assert "upstream_rq_pending_overflow" not in used


@pytest.mark.parametrize("path", ["stats/prometheus", "stats?format=prometheus"])
async def test_prometheus_gets_istios_labels_and_whole_histograms(loaded: Loaded, path: str) -> None:
    text = await loaded.get(path)
    assert f'envoy_cluster_upstream_rq{{{LABEL},response_code="200"}} {REQUESTS}\n' in text
    assert f'envoy_cluster_upstream_rq{{{LABEL},response_code_class="2xx"}} {REQUESTS}\n' in text
    assert f"envoy_cluster_upstream_rq_total{{{LABEL}}} {REQUESTS}\n" in text
    assert f'envoy_cluster_upstream_rq_time_bucket{{{LABEL},le="+Inf"}} {REQUESTS}\n' in text
    assert f"envoy_cluster_upstream_rq_time_count{{{LABEL}}} {REQUESTS}\n" in text
    assert text.count("# TYPE envoy_cluster_upstream_rq_time histogram\n") == 1
    assert "client_default" not in text


async def test_prometheus_leaves_out_what_the_filter_does(loaded: Loaded) -> None:
    text = await loaded.get("stats/prometheus?filter=^cluster.outbound.*upstream_rq_total$")
    assert (
        text
        == f"# TYPE envoy_cluster_upstream_rq_total counter\nenvoy_cluster_upstream_rq_total{{{LABEL}}} 200\n\n"
    )
    lines = (await loaded.get("stats/prometheus?filter=reviews", pod="plain")).splitlines()
    assert {line.split("{")[0] for line in lines if "#" not in line and line} == {
        *("istio_requests_total", "istio_request_duration_milliseconds_bucket"),
        *(f"istio_request_{metric}" for metric in ("duration_milliseconds_sum", "duration_milliseconds_count")),
        *(f"istio_{way}_bytes_{kind}" for way in ("request", "response") for kind in ("bucket", "sum", "count")),
    }


async def test_every_statistic_reaches_prometheus(loaded: Loaded) -> None:
    """Names in text and in Prometheus' form are matched by how tags are taken from them: none may be lost."""
    counters, gauges, histograms = [
        (await loaded.get(f"stats?type={kind}", pod="all")).count(": ")
        for kind in ("Counters", "Gauges", "Histograms")
    ]
    every = (await loaded.get("stats/prometheus", pod="all")).splitlines()
    samples = [line for line in every if not line.startswith(("istio_", "# TYPE istio_"))]
    kinds, kind = Counter[str](), ""
    for line in (line for line in samples if line and "istio_" not in line.partition("{")[0]):
        if line.startswith("# TYPE"):
            kind = line.split()[-1]
        else:
            kinds[kind] += 1
    assert kinds["counter"] == counters > 100
    assert kinds["gauge"] == gauges > 10
    assert sum('le="+Inf"' in line for line in samples if line.startswith("envoy_")) == histograms > 5


async def test_names_that_are_the_same_to_prometheus_are_kept_apart(tmp_path: Path) -> None:
    async with running(tmp_path / "envoy") as world:
        for name, namespace, pods in (("a-b", "c", 1), ("a", "b-c", 2)):
            world.namespace(namespace)
            world.service(name, {"http": 8080}, namespace=namespace)
            for number in range(pods):
                await world.pod(f"{name}-{number}", name, port=8080, namespace=namespace)
        await world.sidecar("client", annotations=OF_DESTINATIONS)
        text = await Loaded(world).get("stats/prometheus?filter=membership_total")
    values = [
        f'envoy_cluster_membership_total{{cluster_name="outbound|8080||{host}.svc.cluster.local"}} {pods}'
        for host, pods in (("a-b.c", 1), ("a.b-c", 2))
    ]
    assert text.splitlines() == ["# TYPE envoy_cluster_membership_total gauge", *values, ""]


async def test_histograms_are_whole_however_often_one_looks(loaded: Loaded) -> None:
    world = loaded.world
    proxy = world.mesh.data_plane.proxies["client-2.default"]
    address = world.cluster.get("services", "default", "reviews")["spec"]["clusterIP"]
    client = world.client(proxy, address, 9080)
    name = f"envoy_cluster_upstream_rq_time_count{{{LABEL}}} "
    for sent in range(2, 22):
        await client.get("/", "reviews")
        text = await loaded.get("stats/prometheus?filter=upstream_rq_time", pod="client-2")
        assert f"{name}{sent}\n" in text


async def test_clusters_are_this_proxys(loaded: Loaded) -> None:
    clusters = await loaded.get("clusters")
    assert "outbound|9080||reviews.default.svc.cluster.local::default_priority::max_connections::" in clusters
    assert re.search(rf"svc.cluster.local::127[\d.]+:9080::rq_success::{REQUESTS}\n", clusters)
    assert "client" not in clusters
    assert "xds" not in clusters
    named = [one["name"] for one in json.loads(await loaded.get("clusters?format=json"))["cluster_statuses"]]
    assert sorted(named) == [*SHARED, "outbound|9080||reviews.default.svc.cluster.local"]


async def test_a_dump_is_of_this_proxys_configuration(loaded: Loaded) -> None:
    text = await loaded.get("config_dump")
    kinds = {config["@type"].rpartition(".")[2]: config for config in json.loads(text)["configs"]}
    bootstrap = kinds.pop("BootstrapConfigDump")["bootstrap"]
    assert "client" not in json.dumps(kinds)
    assert "stats_matcher" not in json.dumps(kinds)
    node = bootstrap["node"]
    address = node["metadata"]["INSTANCE_IPS"]
    assert (node["id"], node["cluster"]) == (
        f"sidecar~{address}~client.default~default.svc.cluster.local",
        "client.default",
    )
    assert bootstrap["admin"]["address"]["socket_address"]["port_value"] == 15000
    kept = bootstrap["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert [one["prefix"] for one in kept if "prefix" in one][:2] == ["cluster.outbound", "cluster_manager"]
    listeners = kinds["ListenersConfigDump"]["dynamic_listeners"]
    assert sorted(listener["name"] for listener in listeners) == ["health", "outbound", "virtualInbound"]
    (table,) = kinds["RoutesConfigDump"]["dynamic_route_configs"]
    assert table["route_config"]["name"] == "9080"
    names = [one["cluster"]["name"] for one in kinds["ClustersConfigDump"]["dynamic_active_clusters"]]
    assert sorted(names) == [*SHARED, "outbound|9080||reviews.default.svc.cluster.local"]


async def test_curl_asks_the_same(loaded: Loaded) -> None:
    status, out, _ = await loaded.exec("curl", "-s", "localhost:15000/stats?filter=upstream_rq_200")
    assert (status, out.splitlines()[-1]) == (0, f"{CLUSTER}.upstream_rq_200: {REQUESTS}")
    assert (await loaded.exec("curl", "-s", "http://127.0.0.1:15000/ready"))[:2] == (0, "LIVE\n")
    assert (await loaded.exec("curl", "-s", "reviews:9080/"))[0] is None


async def test_what_is_refused_says_so(loaded: Loaded) -> None:
    for command, words in {
        ("pilot-agent", "request", "POST", "quitquitquit"): "405: POST quitquitquit: not supported by the sandbox",
        ("pilot-agent", "request", "POST", "logging?level=debug"): "level=debug: not supported by the sandbox",
        ("pilot-agent", "request", "GET", "logging"): "405: Method GET not allowed, POST required.",
        ("pilot-agent", "wait"): "only knows: pilot-agent request GET|POST PATH",
        ("pilot-agent", "request", "GET", "stats?filter=("): "unsuccessful status code 400: Invalid re2 regex",
        ("pilot-agent", "request", "GET", "stats?format=html"): "format html: not supported by the sandbox",
        (
            "pilot-agent",
            "request",
            "GET",
            "stats?hidden=showonly",
        ): "parameter hidden: not supported by the sandbox",
        ("pilot-agent", "request", "GET", "config_dump?mask=a"): "400: FieldMask a could not be",
    }.items():
        status, out, err = await loaded.exec(*command)
        assert (status, out) == (1, "")
        assert words in err
    for path in ("certs", "listeners", "server_info", "help"):
        assert (await loaded.get(path)).startswith(
            "the sandbox's proxies answer these only: /clusters, /config_dump, "
        )


async def test_who_asks_at_the_same_time_is_told_what_each_would_be(loaded: Loaded) -> None:
    def told(page: str) -> list[str]:
        """Series, and how many requests there were: other values change by themselves, as of connections."""
        samples = [line for line in page.split("\n") if line]
        return sorted(
            line if "_total" in line else line.rpartition(" ")[0] for line in samples if "_cx_" not in line
        )

    alone = [told(await loaded.get("stats/prometheus", pod=pod)) for pod in ANNOTATIONS]
    together = await asyncio.gather(*(loaded.get("stats/prometheus", pod=pod) for pod in ANNOTATIONS))
    assert [told(page) for page in together] == alone
    assert all("envoy_server_concurrency{}" in page for page in alone)
    used = told(await loaded.get("stats/prometheus?usedonly"))
    assert set(used) < set(told(await loaded.get("stats/prometheus")))
    assert f"envoy_cluster_upstream_rq_total{{{LABEL}}} {REQUESTS}" in used
