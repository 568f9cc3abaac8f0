from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.kit.runs import Recorded
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.proxy_stats import Destination, Stats, parse, read
from workshop.runbook.errors import WorkshopError

HOST = "httpbin.primary.svc.cluster.local"


def exposition(
    *, requests: int = 9, good: int = 9, bad: int = 21, overflow: int = 21, prefix: str = "", subset: str = ""
) -> str:
    cluster = f'{prefix}cluster_name="outbound|8000|{subset}|{HOST}"'
    xx, digits = ("_xx", "") if prefix else ("", "xx")
    return f"""# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{{{prefix}response_code="200",{cluster}}} {good}
envoy_cluster_upstream_rq{xx}{{{prefix}response_code_class="2{digits}",{cluster}}} {good}
envoy_cluster_upstream_rq{xx}{{{prefix}response_code_class="5{digits}",{cluster}}} {bad}
envoy_cluster_internal_upstream_rq{xx}{{{prefix}response_code_class="5{digits}",{cluster}}} 5000
envoy_cluster_upstream_rq_total{{{cluster}}} {requests}
envoy_cluster_upstream_rq_pending_overflow{{{cluster}}} {overflow}
envoy_cluster_upstream_cx_overflow{{{cluster}}} {overflow + 1}
envoy_cluster_upstream_cx_none_healthy{{{cluster}}} {overflow + 2}
envoy_cluster_upstream_rq_total{{{prefix}cluster_name="xds-grpc"}} 77
# TYPE envoy_cluster_outlier_detection_ejections_active gauge
envoy_cluster_outlier_detection_ejections_active{{{cluster}}} 1
envoy_cluster_outlier_detection_ejections_enforced_total{{{cluster}}} 3
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{{{cluster},le="0.5"}} 0
envoy_cluster_upstream_rq_time_bucket{{{cluster},le="1"}} {requests - 1}
envoy_cluster_upstream_rq_time_bucket{{{cluster},le="2500"}} {requests}
envoy_cluster_upstream_rq_time_bucket{{{cluster},le="+Inf"}} {requests}
envoy_cluster_upstream_rq_time_sum{{{cluster}}} 2.0952380952380953438307642500149
envoy_cluster_upstream_rq_time_count{{{cluster}}} {requests}
istio_requests_total{{response_code="200"}} 12
envoy_server_live{{}} 1
"""


@pytest.mark.parametrize("prefix", ["", "envoy_"])
def test_labels_of_istios_and_of_envoys_own_spelling(prefix: str) -> None:
    stats = parse(exposition(prefix=prefix))
    assert stats.destinations == {
        (HOST, 8000, ""): Destination(
            HOST,
            8000,
            requests=9,
            answers={"2xx": 9, "5xx": 21},
            overflow=21,
            waited=22,
            unhealthy=23,
            ejected=1,
            ejections=3,
            latency=((0.0005, 0), (0.001, 8), (2.5, 1), (math.inf, 0)),
        )
    }


def test_a_destination_is_found_by_its_service_and_subset() -> None:
    stats = parse(exposition() + exposition(subset="v2", requests=4))
    assert stats.of("httpbin").requests == stats.of("httpbin.primary").requests == stats.of(HOST).requests == 9
    assert stats.of("httpbin", "v2").requests == 4
    assert stats.of("http") == Destination("http", 0)
    assert stats.of("httpbin", "v3").overflow == 0
    two_ports = Stats({**stats.destinations, (HOST, 80, ""): Destination(HOST, 80)})
    with pytest.raises(WorkshopError, match=f"there is more than one: {HOST}:8000, {HOST}:80"):
        two_ports.of("httpbin")


def test_the_difference_is_what_was_counted_since() -> None:
    before, after = parse(exposition()), parse(exposition(requests=39, good=39, bad=31, overflow=31))
    assert (after - before).of("httpbin") == Destination(
        HOST,
        8000,
        requests=30,
        answers={"2xx": 30, "5xx": 10},
        overflow=10,
        waited=10,
        unhealthy=10,
        ejected=1,
        latency=((0.0005, 0), (0.001, 30), (2.5, 0), (math.inf, 0)),
    )
    assert (after - Stats()) == after
    with pytest.raises(WorkshopError, match="less after than before"):
        before - after
    answered = before.of("httpbin")
    with pytest.raises(WorkshopError, match="less after than before"):
        replace(answered, answers={"5xx": 30}) - answered


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: client, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: client}}}}
  template:
    metadata: {{labels: {{app: client}}}}
    spec:
      containers: [{{name: istio-proxy, image: curlimages/curl, command: [sleep, infinity]}}]
"""


async def test_a_pod_without_a_proxy_is_an_error(kubectl: Kubectl, namespace: str) -> None:
    run = Recorded(kubectl)
    with pytest.raises(WorkshopError, match="not found"):
        await read(run, namespace=namespace, workload="deploy/client")
    await kubectl.call("apply", "-f", "-", stdin=DEPLOYMENT.format(namespace=namespace))
    await kubectl.call("rollout", "status", "-n", namespace, "deploy/client", "--timeout=60s")
    with pytest.raises(WorkshopError, match="pilot-agent"):
        await read(run, namespace=namespace, workload="deploy/client")
