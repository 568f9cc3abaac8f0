"""The sum over sidecars is what fortio says it has sent: Istio's metrics at port 15020 of each pod."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from sandbox.prometheus.exposition import labels, samples
from sandbox.server import launcher
from tests.kit.sandbox import Kubectl

APPLICATION = """
apiVersion: v1
kind: Namespace
metadata: {name: sums, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: sums}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: sums}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec:
      containers: [{name: web, image: "docker.io/mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: sums, labels: {app: client}}
spec: {containers: [{name: fortio, image: "docker.io/fortio/fortio:1.75.2", args: [server]}]}
"""


@pytest.fixture(scope="module")
def kubectl(own_sandbox: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    istioctl = [str(own_sandbox.bin / "istioctl"), "--kubeconfig", str(own_sandbox.kubeconfig)]
    subprocess.run(
        [*istioctl, "install", "-y", "--set", "profile=minimal"], check=True, capture_output=True, timeout=60
    )
    made = Kubectl(
        Path(sys.executable).parent / "kubectl", own_sandbox.kubeconfig, tmp_path_factory.mktemp("cache")
    )
    made("apply", "-f", "-", stdin=APPLICATION)
    made("wait", "pod", "--all", "-n", "sums", "--for=condition=Ready", "--timeout=60s", timeout=70)
    return made


def counted(kubectl: Kubectl) -> Counter[tuple[str, str, str]]:
    """Of all pods: requests by reporter, status and security."""
    found: Counter[tuple[str, str, str]] = Counter()
    for pod in kubectl.json("get", "pods", "-n", "sums")["items"]:
        assert pod["metadata"]["annotations"]["prometheus.io/port"] == "15020"
        url = f"http://{pod['status']['podIP']}:15020/stats/prometheus"
        with urllib.request.urlopen(url, timeout=30) as answer:
            page = answer.read().decode()
        for series, value, _ in samples(page, {}):
            known = labels(series).mapping
            if known["__name__"] == "istio_requests_total":
                assert (known["source_workload"], known["destination_workload"]) == ("client", "web")
                found[known["reporter"], known["response_code"], known["connection_security_policy"]] += int(value)
    return found


@pytest.mark.parametrize("number", [400, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_the_sum_over_sidecars_is_what_was_sent(kubectl: Kubectl, number: int) -> None:
    """An answer that no proxy asks again for is among them."""
    before, sent = counted(kubectl), Counter[str]()
    for path, count in (("/status/200", number), ("/status/418", number // 10)):
        load = ("load", "-c", "4", "-qps", "0", "-n", str(count), "-json", "-", "-quiet", f"http://web:8000{path}")
        said = kubectl("exec", "-n", "sums", "client", "-c", "fortio", "--", "fortio", *load, timeout=300)
        sent.update(json.loads(said[said.index("{") :])["RetCodes"])
    assert sent == {"200": number, "418": number // 10}
    assert counted(kubectl) - before == {
        **{("source", code, "unknown"): count for code, count in sent.items()},
        **{("destination", code, "mutual_tls"): count for code, count in sent.items()},
    }
