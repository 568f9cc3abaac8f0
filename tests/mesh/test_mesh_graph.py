"""The graph that follows from samples with Istio's labels (tests/kit/mesh_samples.py), which the sandbox's
Prometheus is asked for by the very queries that a real one gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.kit import mesh_samples
from tests.kit.mesh_samples import bookinfo, breaker, call, database
from tests.kit.prometheus import behind_api, of_samples
from workshop.mesh.mesh_graph import Edge, Graph, Node, look
from workshop.mesh.prometheus import Prometheus

Looked = Callable[..., Awaitable[Graph]]


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    async def graph(*parts: dict[str, str], rules: bool = True, interval: float = 15) -> Graph:
        series = {name: notation for part in parts for name, notation in part.items()}
        async with behind_api(of_samples(series, mesh_samples.NOW)) as api:
            if rules:
                for kind, plural in (
                    ("VirtualService", "virtualservices"),
                    ("DestinationRule", "destinationrules"),
                ):
                    path = f"/apis/networking.istio.io/v1/{plural}"
                    api.lists[path] = [obj for obj in mesh_samples.rules() if obj["kind"] == kind]
            return await look(Prometheus(api.kubectl(tmp_path), ""), interval)

    return graph


def node(name: str, namespace: str = "bookinfo") -> Node:
    return Node(namespace, name)


def edge(graph: Graph, source: str, destination: str) -> Edge:
    (found,) = [it for it in graph.edges if (it.source.name, it.destination.name) == (source, destination)]
    return found


async def test_bookinfo_with_its_rates_and_times(looked: Looked) -> None:
    graph = await looked(bookinfo(8, 2))
    assert graph.window == 60
    assert {(it.source.name, it.destination.name): round(it.rate, 6) for it in graph.edges} == {
        ("", "istio-ingressgateway"): 10,
        ("istio-ingressgateway", "productpage-v1"): 10,
        ("productpage-v1", "details-v1"): 10,
        ("productpage-v1", "reviews-v1"): 8,
        ("productpage-v1", "reviews-v2"): 0,
        ("productpage-v1", "reviews-v3"): 2,
        ("reviews-v2", "ratings-v1"): 0,
        ("reviews-v3", "ratings-v1"): 2,
    }
    page = edge(graph, "istio-ingressgateway", "productpage-v1")
    assert page.source == node("istio-ingressgateway", "istio-system")
    # Between the bounds 100 and 250 ms, as histogram_quantile interpolates.
    assert (page.p50, page.p99) == (pytest.approx(0.175), pytest.approx(0.2485))
    assert edge(graph, "productpage-v1", "reviews-v2").p99 is None
    assert edge(graph, "productpage-v1", "reviews-v3").version == "v3"


@pytest.mark.parametrize(("interval", "window"), [(1, 10), (4.6, 19), (15, 60), (60, 240), (600, 300)])
async def test_figures_are_over_four_scrapes(looked: Looked, interval: float, window: float) -> None:
    """In whole seconds: `[18.4s]` is no duration."""
    assert (await looked(database(), interval=interval)).window == window


async def test_pods_that_prometheus_gets_nothing_from(looked: Looked) -> None:
    """Rates need two looks in the window (https://prometheus.io/docs/prometheus/latest/querying/functions/#rate),
    of four; `up` is 0 after one that failed. New ones and ones that are lost now and then are none of these."""
    looks = {"gone": "1x4 0x4", "never": "0x8", "at-times": "1x5 0 1 0", "new": "_x8 1", "well": "1x8"}
    series = {f'up{{job="kubernetes-pods", namespace="x", pod="{pod}"}}': values for pod, values in looks.items()}
    assert (await looked(series)).silent == ("gone", "never")
    assert (await looked(bookinfo(8, 2))).silent == ()


async def test_weights_beside_measured_shares(looked: Looked) -> None:
    split, _ = (await looked(bookinfo(8, 2))).splits
    assert [part.measured for part in split.parts] == pytest.approx([0.8, 0.2])
    assert not any(part.odd for part in split.parts)
    split, _ = (await looked(bookinfo(9, 1))).splits
    assert [part.odd for part in split.parts] == [True, True]
    assert split.calls == 600


async def test_without_requests_there_are_no_shares(looked: Looked) -> None:
    graph = await looked({})
    assert graph.edges == ()
    assert [part.measured for split in graph.splits for part in split.parts] == [None, None, None]
    assert not any(part.odd for split in graph.splits for part in split.parts)


async def test_an_open_breaker_is_the_services_whose_pod_it_kept_them_from(looked: Looked) -> None:
    """Calls that were refused name no pod: they are drawn at the one workload that the service has."""
    graph = await looked(breaker())
    found = edge(graph, "fortio", "httpbin")
    assert not found.destination.is_service
    assert (found.rate, found.errors, found.flags) == (
        pytest.approx(40),
        pytest.approx(10),
        {"UO": pytest.approx(10)},
    )
    marks = {mark.kind: mark for mark in graph.marks if mark.host.startswith("httpbin.")}
    assert marks["breaker"].said == "breaker open: 25 % refused (connections 1, waiting requests 1)"
    assert marks["breaker"].bad


async def test_what_a_fault_delays_until_its_caller_leaves_is_in_the_p99(looked: Looked) -> None:
    """Of it the metrics name no pod. So it was seen on the sandbox with the fault lab's delay, which reviews-v3
    waits 2.5 s for: the P99 of ratings-v1 was 49 ms, and that of calls to no pod, six of ten, 4.9 s."""
    answered = call(6, "reviews-v3", destination="ratings-v1", service="ratings", slow=50)
    left = {"destination": "unknown", "service": "ratings", "code": "0", "flags": "DC,DI", "slow": 5000}
    for rate, p50, p99 in ((4, 0.0375, 4.9), (0.05, 0.0375, 0.05), (9, 3.6, 4.9)):
        graph = await looked(answered, call(rate, "reviews-v3", **left), rules=False)
        found = edge(graph, "reviews-v3", "ratings-v1")
        assert found.rate == pytest.approx(6 + rate)
        assert (found.p50, found.p99) == (pytest.approx(p50, rel=0.05), pytest.approx(p99, rel=0.05))


async def test_where_no_workload_is_known_calls_end_at_the_service(looked: Looked) -> None:
    nowhere = call(5, "fortio", destination="unknown", service="httpbin", at="primary", code="503", flags="UH")
    graph = await looked(nowhere, rules=False)
    (found,) = graph.edges
    assert found.destination == Node("primary", "httpbin", is_service=True)
    assert found.error_share == 1
    assert [(mark.said, mark.bad) for mark in graph.marks] == [("no healthy pod", True)]


async def test_a_fault_is_marked_and_that_it_hits(looked: Looked) -> None:
    for rates, hits in (((8, 2), True), ((10, 0), False)):
        marks = {mark.said: mark.bad for mark in (await looked(bookinfo(*rates))).marks}
        assert marks["fault: delay 7s for 50 %"] == hits


async def test_the_callers_proxy_counts_and_the_called_ones_where_it_says_nothing(looked: Looked) -> None:
    """Also of a mirrored copy, which the caller's proxy does not report."""
    mirrored = call(9, "a", destination="m", service="m", reporters=("destination",))
    plain = call(1, "unknown", destination="b", service="b")
    graph = await looked(call(4, "a", destination="b", service="b"), mirrored, plain, rules=False)
    assert {(it.source.name, it.destination.name): it.rate for it in graph.edges} == {
        ("a", "b"): pytest.approx(4),
        ("a", "m"): pytest.approx(9),
        ("", "b"): pytest.approx(1),
    }


async def test_tcp_has_bytes_and_grpc_its_own_status(looked: Looked) -> None:
    graph = await looked(database())
    assert edge(graph, "ratings-v2", "mongodb-v1").bytes == pytest.approx(3000)
    ends = mesh_samples.labels("a", "x", "b", "v1", "b", "x", "source")
    told = f'{ends}, response_code="200", response_flags="-", grpc_response_status'
    series = {f'istio_requests_total{{{told}="{status}"}}': "0+15x8" for status in (0, 14)}
    (found,) = (await looked(series)).edges
    assert found.error_share == pytest.approx(0.5)


async def test_ejected_pods_where_proxies_count_them(looked: Looked) -> None:
    """Proxies do so where their annotation asks for it (see workshop/mesh/proxy_stats.py)."""
    name = 'envoy_cluster_outlier_detection_ejections_active{cluster_name="outbound|8000||%s"}'
    graph = await looked({name % "httpbin.primary.svc.cluster.local": "1x8", name % "x.y.svc.cluster.local": "0x8"})
    assert [(mark.host.split(".")[0], mark.said, mark.bad) for mark in graph.marks if mark.kind == "ejected"] == [
        ("httpbin", "ejected: 1", True)
    ]
