"""What Prometheus is asked, and what comes back. A real kubectl is in between, and the answers are of the sandbox's
Prometheus, which are the real one's (tests/sandbox/prometheus)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.kit.prometheus import Answering, BehindApi, behind_api, of_samples, refusal, text
from workshop.kubernetes.kubectl_failures import KubectlError, Reason
from workshop.mesh.prometheus import (
    NoPrometheus,
    Prometheus,
    PrometheusSilent,
    QueryRefused,
    Sample,
    Series,
)

SAMPLES = {
    'istio_requests_total{destination_version="v1"}': "0+30x4",
    'istio_requests_total{destination_version="v3"}': "0+10x4",
}
NOW = 60.0


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BehindApi]:
    async with behind_api(of_samples(SAMPLES, NOW)) as made:
        yield made


@pytest.fixture
def prometheus(api: BehindApi, tmp_path: Path) -> Prometheus:
    return Prometheus(api.kubectl(tmp_path), "invoke lab.istio.observe")


async def test_a_vector_is_its_samples(prometheus: Prometheus) -> None:
    found = await prometheus.query("sum by (destination_version) (istio_requests_total)")
    assert found == (
        Sample({"destination_version": "v1"}, 120.0, 60.0),
        Sample({"destination_version": "v3"}, 40.0, 60.0),
    )
    then = await prometheus.query('istio_requests_total{destination_version="v1"}', time=15.5)
    assert [(sample.value, sample.at) for sample in then] == [(30.0, 15.5)]
    assert await prometheus.query("nothing_like_it") == ()


async def test_a_scalar_is_a_sample_without_labels_and_need_not_be_a_number(prometheus: Prometheus) -> None:
    assert await prometheus.query("2 + 3") == (Sample({}, 5.0, 60.0),)
    (ratio,) = await prometheus.query("0 / 0")
    assert math.isnan(ratio.value)
    assert [sample.value for sample in await prometheus.query("vector(1) / 0")] == [math.inf]


async def test_a_range_is_series_of_points(prometheus: Prometheus) -> None:
    found = await prometheus.query_range('istio_requests_total{destination_version="v3"}', 0, 60, 30)
    labels = {"__name__": "istio_requests_total", "destination_version": "v3"}
    assert found == (Series(labels, ((0.0, 0.0), (30.0, 20.0), (60.0, 40.0))),)


async def test_how_often_it_looks(api: BehindApi, prometheus: Prometheus) -> None:
    for every in (15.0, 2.0, 90.0):
        api.prometheus = of_samples({}, NOW, every)
        assert await prometheus.scrape_interval("kubernetes-pods") == every
    assert await prometheus.scrape_interval("nodes") is None


async def test_what_came_of_its_looks_is_told_by_pod(api: BehindApi, prometheus: Prometheus) -> None:
    """As https://prometheus.io/docs/prometheus/latest/querying/api/#targets has it."""
    late = "context deadline exceeded"
    pods = [("a", "up", ""), ("b", "down", late)]
    told = [{"labels": {"pod": pod}, "health": health, "lastError": why} for pod, health, why in pods]
    api.prometheus = text({"status": "success", "data": {"activeTargets": told}})
    assert await prometheus.troubles("kubernetes-pods") == {"b": late}


async def test_what_it_refuses_is_told_with_how_to_ask_the_same(prometheus: Prometheus) -> None:
    with pytest.raises(QueryRefused, match="ask Prometheus for rate\\(") as refused:
        await prometheus.query("rate(istio_requests_total)")
    assert refused.value.kind == "bad_data"
    assert "in call to function" in refused.value.came_back
    assert "get --raw" in refused.value.next_command
    assert (
        "http:prometheus:9090/proxy/api/v1/query?query=rate%28istio_requests_total%29" in refused.value.next_command
    )
    with pytest.raises(QueryRefused, match="it is a matrix"):
        await prometheus.query("istio_requests_total[1m]")


NONE = [
    # What the API server says of a Service that is not there (k8s.io/apimachinery errors.NewNotFound).
    (refusal(404, "NotFound", 'services "prometheus" not found'), "there is no Service istio-system/prometheus"),
    (web.Response(text="404 page not found\n", status=404), "is no Prometheus (404)"),
    (web.Response(text="<html>Welcome</html>"), "is no Prometheus (200)"),
]


def always(response: web.Response) -> Answering:
    """The same again and again."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=response.body, status=response.status, content_type=response.content_type)

    return answer


@pytest.mark.parametrize(("answer", "said"), NONE, ids=lambda value: str(value)[:20])
async def test_without_prometheus_there_is_a_command_that_brings_it(
    api: BehindApi, prometheus: Prometheus, answer: web.Response, said: str
) -> None:
    api.prometheus = always(answer)
    with pytest.raises(NoPrometheus) as none:
        await prometheus.query("up")
    assert said in none.value.came_back
    assert (none.value.next_command, none.value.exit_status) == ("invoke lab.istio.observe", 2)


async def test_a_cluster_that_is_yet_to_be_made_has_none(prometheus: Prometheus) -> None:
    absent = replace(prometheus, kubectl=replace(prometheus.kubectl, absent=True))
    with pytest.raises(NoPrometheus):
        await absent.query("up")


SILENT = [
    # k8s.io/kubernetes pkg/registry/core/service: ResourceLocation; apiserver's proxy handler.
    refusal(503, "ServiceUnavailable", 'no endpoints available for service "prometheus"'),
    refusal(
        503,
        "ServiceUnavailable",
        "error trying to reach service: dial tcp 10.244.0.9:9090: connect: connection refused",
    ),
    web.Response(text="Service Unavailable", status=503),
]


@pytest.mark.parametrize("answer", SILENT, ids=["no pod", "refused", "not ready"])
async def test_one_that_does_not_answer_yet(api: BehindApi, prometheus: Prometheus, answer: web.Response) -> None:
    api.prometheus = always(answer)
    with pytest.raises(PrometheusSilent) as silent:
        await prometheus.query("up")
    assert "get pods,endpoints -n istio-system" in silent.value.next_command
    assert not silent.value.everywhere


async def test_one_that_hangs(api: BehindApi, prometheus: Prometheus) -> None:
    async def hanging(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        raise AssertionError

    api.prometheus = hanging
    with pytest.raises(PrometheusSilent, match=r"no answer within 0.5 s"):
        await replace(prometheus, seconds=0.5).query("up")


async def test_who_may_not_ask_is_told_in_kubectls_words(api: BehindApi, prometheus: Prometheus) -> None:
    said = 'services "http:prometheus:9090" is forbidden: User "ada" cannot get resource "services/proxy"'
    api.prometheus = always(refusal(403, "Forbidden", said))
    with pytest.raises(KubectlError) as forbidden:
        await prometheus.query("up")
    assert forbidden.value.reason is Reason.FORBIDDEN


async def test_an_api_server_that_is_gone_is_no_missing_prometheus(tmp_path: Path) -> None:
    async with behind_api(text({})) as api:
        kubectl = api.kubectl(tmp_path)
    with pytest.raises(KubectlError) as gone:
        await Prometheus(kubectl, "").query("up")
    assert gone.value.reason is Reason.UNREACHABLE
