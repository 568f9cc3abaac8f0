"""One request through BookInfo is one trace: every proxy's spans, each below the one that caused it, as who has the
headers handed on sees it on a real mesh (istio.io/latest/docs/tasks/observability/distributed-tracing/jaeger/)."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from sandbox.server import launcher
from tests.kit.fixtures import Wait
from tests.sandbox.istioctl.test_istioctl import Sandbox

MANIFEST = Path(__file__).parent / "cases/traced.yaml"
COLLECTOR = "jaeger-collector.istio-system.svc.cluster.local"
OPERATOR = {
    "apiVersion": "install.istio.io/v1alpha1",
    "kind": "IstioOperator",
    "spec": {
        "meshConfig": {
            "enableTracing": True,
            "defaultConfig": {"tracing": {}},
            "extensionProviders": [
                {"name": "jaeger", "opentelemetry": {"port": 4317, "service": COLLECTOR}},
                {"name": "zipkin", "zipkin": {"port": 9411, "service": COLLECTOR}},
            ],
        }
    },
}
PARENT = "fedcba9876543210"
DELAY = 300_000
"""Microseconds, of the fault in the manifest."""

HOST = "{}.bookinfo.svc.cluster.local:9080"
GATEWAY = "istio-ingressgateway.istio-system"
TREE: list[tuple[int, str, str, str]] = [
    (0, GATEWAY, "server", f"{HOST.format('productpage')}/productpage"),
    (1, GATEWAY, "client", "router outbound|9080||productpage.bookinfo.svc.cluster.local; egress"),
    (2, "productpage.bookinfo", "server", f"{HOST.format('productpage')}/productpage"),
    (3, "productpage.bookinfo", "client", f"{HOST.format('details')}/*"),
    (4, "details.bookinfo", "server", f"{HOST.format('details')}/*"),
    (3, "productpage.bookinfo", "client", f"{HOST.format('reviews')}/*"),
    (4, "reviews.bookinfo", "server", f"{HOST.format('reviews')}/*"),
    (5, "reviews.bookinfo", "client", f"{HOST.format('ratings')}/*"),
    (6, "ratings.bookinfo", "server", f"{HOST.format('ratings')}/*"),
]
"""Depth, service, kind and operation, by their starts. A gateway has a span for what it sends on, too."""


class Bookinfo:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._numbers = itertools.count(1)
        service = json.loads(
            sandbox("kubectl", "get", "service", "istio-ingressgateway", "-n", "istio-system", "-o", "json")
        )
        address = service["status"]["loadBalancer"]["ingress"][0]["ip"]
        self._url = f"http://{address}:8080/productpage"

    def page(self, **headers: str) -> bytes:
        with urlopen(Request(self._url, headers=headers), timeout=60) as answer:  # noqa: S310 - http
            read: bytes = answer.read()
            return read

    def trace_id(self) -> str:
        return f"{next(self._numbers):032x}"

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Its spans as Jaeger tells them, with the names of their services and their tags as mappings."""
        path = f"/api/v1/namespaces/istio-system/services/tracing:80/proxy/api/traces/{trace_id}"
        ran = self.sandbox.run("kubectl", "get", "--raw", path)
        if ran.returncode:
            return []
        (found,) = json.loads(ran.stdout)["data"]
        for span in found["spans"]:
            span["service"] = found["processes"][span["processID"]]["serviceName"]
            span["tags"] = {tag["key"]: tag["value"] for tag in span["tags"]}
        spans: list[dict[str, Any]] = found["spans"]
        return spans


@pytest.fixture(scope="module")
def bookinfo(own_sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Bookinfo:
    sandbox = Sandbox(own_sandbox)
    operator = tmp_path_factory.mktemp("operator") / "operator.yaml"
    operator.write_text(yaml.safe_dump(OPERATOR))
    sandbox("istioctl", "install", "-y", "-f", str(operator))
    sandbox("kubectl", "apply", "-f", "-", stdin=MANIFEST.read_text())
    for namespace in ("bookinfo", "istio-system"):
        sandbox("kubectl", "rollout", "status", "deployment", "-n", namespace, "--timeout=60s")
    return Bookinfo(sandbox)


def trace_all_to(bookinfo: Bookinfo, provider: str) -> None:
    telemetry = {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": "mesh-default", "namespace": "istio-system"},
        "spec": {"tracing": [{"providers": [{"name": provider}], "randomSamplingPercentage": 100}]},
    }
    bookinfo.sandbox("kubectl", "apply", "-f", "-", stdin=json.dumps(telemetry))


def headers(provider: str, trace_id: str) -> dict[str, str]:
    """What a client says that has begun the trace itself."""
    if provider == "jaeger":
        return {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    return {"x-b3-traceid": trace_id, "x-b3-spanid": PARENT, "x-b3-sampled": "1"}


@pytest.mark.parametrize("provider", ["jaeger", "zipkin"])
def test_a_request_is_one_trace_across_all_services(bookinfo: Bookinfo, eventually: Wait, provider: str) -> None:
    trace_all_to(bookinfo, provider)

    def whole() -> list[dict[str, Any]] | None:
        """The trace of a request that meets no connection of before: those end with the next answer on them."""
        for _ in range(4):
            bookinfo.page()
        trace_id = bookinfo.trace_id()
        assert b"Simple Bookstore App" in bookinfo.page(**headers(provider, trace_id))
        deadline = time.monotonic() + 3
        while len(found := bookinfo.trace(trace_id)) < len(TREE) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found if len(found) == len(TREE) else None

    spans = eventually(whole)
    depths: dict[str, int] = {}
    for span in spans:
        (reference,) = span["references"]
        assert reference["refType"] == "CHILD_OF"
        depths[span["spanID"]] = depths.get(reference["spanID"], -1) + 1
    assert spans[0]["references"][0]["spanID"] == PARENT
    seen = [
        (depths[span["spanID"]], span["service"], span["tags"]["span.kind"], span["operationName"])
        for span in spans
    ]
    assert seen == TREE
    by_id = {span["spanID"]: span for span in spans}
    for span in spans[1:]:
        parent = by_id[span["references"][0]["spanID"]]
        assert parent["startTime"] <= span["startTime"] <= parent["startTime"] + parent["duration"]
    # The proxy that asks is the one that waits: the delay is in its span, and not in that of who is asked.
    asking, asked = spans[-2], spans[-1]
    # A timer may be a millisecond early, and the spans have two clocks' roundings.
    assert asking["duration"] >= 0.9 * DELAY
    assert asked["startTime"] - asking["startTime"] >= 0.9 * DELAY
    assert asking["tags"]["response_flags"] == "DI"
    requests = {span["tags"]["guid:x-request-id"] for span in spans if "guid:x-request-id" in span["tags"]}
    assert len(requests) == 1
    assert {span["tags"]["istio.canonical_service"] for span in spans} == {
        *("istio-ingressgateway", "productpage", "details", "reviews", "ratings")
    }


def test_what_a_telemetry_may_not_say_is_refused_by_name(bookinfo: Bookinfo) -> None:
    spec = {"metrics": [{"providers": [{"name": "prometheus"}]}]}
    metadata = {"name": "one", "namespace": "bookinfo"}
    telemetry = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": metadata, "spec": spec}
    ran = bookinfo.sandbox.run("kubectl", "apply", "-f", "-", stdin=json.dumps(telemetry))
    assert "spec.metrics: not supported by the sandbox" in ran.stderr
