"""A page's trace is proved to go by all services in order, and a fault's delay to be the caller's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.runs import Recorded
from tests.kit.workshop import BIN
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh.jaeger import Span, Trace
from workshop.mesh.observed_trace import Traced, judged_delays
from workshop.runbook import events
from workshop.runbook.options import Number

PROOF = Traced("/productpage", "bookinfo", ("productpage", "reviews", "ratings"), "glyphicon-star|text-red-500")
SEEN = """
gateway     -           server     0 3053
productpage gateway     server     9 3044
details     productpage server    19   13
asks        productpage client    33 3003 DC
reviews     asks        server    34 3002 DC
calls       reviews     client    40 7002 DI
ratings     calls       server  7040    1
again       productpage client  3035   17
reviews2    again       server  3038   14
calls2      reviews2    client  3042    2
ratings2    calls2      server  3042    2
"""
"""Id, parent, kind, start, duration (ms), flags: of a page of the lab istio.fault while half of the calls to
ratings wait 7 s, in a real Envoy. productpage gave reviews up after 3 s, and its second try was not delayed."""
SERVICES = {"asks": "productpage", "again": "productpage", "calls": "reviews", "calls2": "reviews"}


def seen(table: str = SEEN) -> Trace:
    spans = []
    for line in table.strip().splitlines():
        id, parent, kind, start, took, *flags = line.split()
        service = f"{SERVICES.get(id, id.rstrip('2'))}.bookinfo"
        tags = {"span.kind": kind, "response_flags": flags[0] if flags else "-"}
        spans.append(Span(id, parent.strip("-"), service, f"of {id}", int(start) / 1e3, int(took) / 1e3, tags))
    return Trace("1a36", tuple(sorted(spans, key=lambda span: (span.start, -span.seconds))))


def test_a_page_that_asked_twice_is_one_trace_in_order_with_the_delay_at_the_caller() -> None:
    found = PROOF.judged(seen())
    assert (found.kind, found.reason) == (
        "pass",
        "one trace of 11 spans goes through productpage, reviews, ratings, in order",
    )
    assert judged_delays(seen()).reason == "the delay is where reviews.bookinfo calls (of calls): 7.00 s"


def test_as_text_each_is_below_what_it_is_a_part_of() -> None:
    assert list(seen().lines())[3:7] == [
        "    33.0 ms   3003.0 ms      productpage.bookinfo: of asks  DC",
        "    34.0 ms   3002.0 ms        reviews.bookinfo: of reviews  DC",
        "    40.0 ms   7002.0 ms          reviews.bookinfo: of calls  DI: a fault's delay",
        "  7040.0 ms      1.0 ms            ratings.bookinfo: of ratings",
    ]


@pytest.mark.parametrize(
    ("is_so", "not_so", "reason"),
    [
        ("ratings     calls  ", "ratings     gateway", "goes by gateway, ratings, not by"),
        ("server  3038", "server  2900", "reviews.bookinfo began before productpage.bookinfo, which called it"),
        ("ratings", "rating", "has no span of ratings"),
    ],
)
def test_a_trace_that_goes_otherwise_fails(is_so: str, not_so: str, reason: str) -> None:
    found = PROOF.judged(seen(SEEN.replace(is_so, not_so)))
    assert found.kind == "fail"
    assert reason in found.reason


@pytest.mark.parametrize(
    ("is_so", "not_so", "reason"),
    [
        ("client    40 7002 DI", "server    40 7002 DI", "is in the span of reviews.bookinfo, the called one"),
        ("server  7040    1", "server    41 7000", "is also in the span of ratings.bookinfo"),
    ],
)
def test_a_delay_elsewhere_than_at_the_caller_fails(is_so: str, not_so: str, reason: str) -> None:
    found = judged_delays(seen(SEEN.replace(is_so, not_so)))
    assert found.kind == "fail"
    assert reason in found.reason


def test_a_caller_that_gives_up_ends_the_delay() -> None:
    """As reviews v3 does, after 2.5 s; a fault's delay in Envoy goes on until it is over, or nobody waits."""
    cut = seen(SEEN.replace("7002 DI", "2503 DC,DI"))
    assert judged_delays(cut).reason.endswith("2.50 s, until its caller gave up")


BOOKINFO = Path(__file__).parents[1] / "sandbox" / "mesh" / "cases" / "traced.yaml"
"""With reviews v3."""
JAEGER = Path(__file__).parents[2] / "sandbox" / "samples" / "addons" / "jaeger.yaml"
OPERATOR = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    extensionProviders:
    - name: jaeger
      opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317}
"""
TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec: {tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 100}]}
"""


def delayed(percent: int, seconds: float, headers: str = "") -> str:
    match = f"match: [{{headers: {{{headers}}}}}], " if headers else ""
    fault = f"fault: {{delay: {{fixedDelay: {seconds}s, percentage: {{value: {percent}}}}}}}"
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: ratings, namespace: bookinfo}}
spec: {{hosts: [ratings], http: [{{{match}{fault}, route: [{{destination: {{host: ratings}}}}]}}]}}
"""


@pytest.fixture
def kubectl(own_sandbox: launcher.Running, tmp_path: Path) -> Kubectl:
    """Of a cluster with Istio."""
    operator = tmp_path / "operator.yaml"
    operator.write_text(OPERATOR)
    istioctl = [str(own_sandbox.bin / "istioctl"), "--kubeconfig", str(own_sandbox.kubeconfig)]
    subprocess.run([*istioctl, "install", "-y", "-f", str(operator)], check=True, capture_output=True, timeout=60)
    return Kubectl(BIN / "kubectl", own_sandbox.kubeconfig, "primary", tmp_path)


@pytest.mark.slow
async def test_while_a_fault_delays_calls_a_trace_that_has_the_delay_is_found_and_told(kubectl: Kubectl) -> None:
    """On a real Envoy; the delay is half as long as what reviews v3 waits for."""
    for manifest in (BOOKINFO.read_text(), JAEGER.read_text(), f"{delayed(30, 1.2)}---{TELEMETRY}"):
        await kubectl.call("apply", "-f", "-", stdin=manifest)
    for namespace in ("bookinfo", "istio-system"):
        await kubectl.call("rollout", "status", "deployment", "-n", namespace, "--timeout=60s", seconds=70)
    run = Recorded(kubectl)
    found = await PROOF.prove(run)
    assert found.kind == "pass", found
    where = re.escape("reviews.bookinfo calls (ratings.bookinfo.svc.cluster.local:9080/*)")
    # Envoy's clock for what is to come is that of its loop's last turn: its spans are some ms shorter or longer.
    assert re.search(f"the delay is where {where}: 1\\.(1[5-9]|[2-9])", found.reason), found.reason
    told = "\n".join(event.text for event in run.of(events.Told))
    assert "  reviews.bookinfo: ratings.bookinfo.svc.cluster.local:9080/*  DI: a fault's delay" in told
    for rule in (delayed(1, 1.2), delayed(50, 1.2, "end-user: {exact: jason}")):
        await kubectl.call("apply", "-f", "-", stdin=rule)
        assert await PROOF._delaying(run) is None

    # Where nothing is traced nothing is found: that is wrong only if every request is to be.
    await kubectl.call("delete", "telemetries", "--all", "-n", "istio-system")
    run.patience = 0.5
    for sampling, kind in ((None, "fail"), (Number("sampling", "", "10"), "inconclusive")):
        found = await replace(PROOF, sampling=sampling).prove(run)
        share = sampling.default if sampling else "100"
        assert (found.kind, f"{share} % of requests are traced, and no page's" in found.reason) == (kind, True), (
            found
        )
