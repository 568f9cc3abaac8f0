"""The sum over sidecars is what was sent: Istio's metrics at port 15020 of each pod, for several callers, callees
and answers at once (https://istio.io/latest/docs/reference/config/metrics/: each side of a request counts it once).
benchmarks/counted_requests.py does the same with 10,000 requests, and tells what they cost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import httptools

from sandbox.core.addresses import SIDECAR_PORT
from sandbox.network.pod_network import proxy_header
from sandbox.prometheus.exposition import labels, samples
from sandbox.server import launcher
from tests.kit.sandbox import Kubectl

_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: sums}
spec: {selector: {app: NAME}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: sums}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, version: v1}}
    spec:
      containers: [{name: web, image: "docker.io/mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
"""
_CALLER = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: sums, labels: {app: NAME}}
spec: {containers: [{name: main, image: "docker.io/fortio/fortio:1.75.2", args: [server]}]}
"""
_NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: sums, labels: {istio-injection: enabled}}
"""
APPLICATION = "---".join(
    (
        _NAMESPACE,
        *(
            _SERVICE.replace("NAME", name).replace("REPLICAS", number)
            for name, number in (("web", "2"), ("api", "1"))
        ),
        *(_CALLER.replace("NAME", name) for name in ("one", "two")),
    )
)
SENT = {
    ("one", "web", 200): 0.40,
    ("one", "web", 418): 0.05,
    ("one", "api", 200): 0.15,
    ("two", "web", 200): 0.20,
    ("two", "web", 500): 0.04,
    ("two", "api", 200): 0.10,
    ("two", "api", 404): 0.06,
}
"""Which share of the requests who sends to whom, with which answer: none that a proxy asks again for (as 503 is),
and no share like another's."""


def deployed(sandbox: launcher.Running, cache: Path) -> Kubectl:
    """Istio and the application."""
    istioctl = [str(sandbox.bin / "istioctl"), "--kubeconfig", str(sandbox.kubeconfig)]
    subprocess.run(
        [*istioctl, "install", "-y", "--set", "profile=minimal"], check=True, capture_output=True, timeout=60
    )
    kubectl = Kubectl(Path(sys.executable).parent / "kubectl", sandbox.kubeconfig, cache)
    kubectl("apply", "-f", "-", stdin=APPLICATION)
    kubectl("wait", "pod", "--all", "-n", "sums", "--for=condition=Ready", "--timeout=60s", timeout=70)
    return kubectl


class Answers:
    """What comes back on a connection on which the next requests do not wait for answers."""

    def __init__(self) -> None:
        self.codes = Counter[int]()
        self._parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        self.codes[self._parser.get_status_code()] += 1

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)


async def ask(caller: str, address: str, host: str, code: int, number: int) -> None:
    """By the sidecar of a pod, which a connection out of it comes to. Where Envoy closes it (its listener has
    changed), what it has not answered it has not counted either, and is asked anew."""
    request = f"GET /status/{code} HTTP/1.1\r\nhost: {host}:8000\r\n\r\n".encode()
    done = 0
    while done < number:
        reader, writer = await asyncio.open_connection(caller, SIDECAR_PORT)
        writer.write(proxy_header((caller, 40000), (address, 8000)))
        answers, asked, data = Answers(), 0, b"-"
        while data and asked < number - done:
            more = min(100, number - done - asked)
            asked += more
            writer.write(request * more)
            while data and answers.codes.total() < asked:
                data = await reader.read(65536)
                answers.feed(data)
        writer.close()
        done += answers.codes.total()
        assert set(answers.codes) <= {code}


def counted(kubectl: Kubectl) -> Counter[tuple[str, ...]]:
    """Of all pods: requests by reporter and its side's security, caller, callee and status."""
    found: Counter[tuple[str, ...]] = Counter()
    for pod in kubectl.json("get", "pods", "-n", "sums")["items"]:
        assert pod["metadata"]["annotations"]["prometheus.io/port"] == "15020"
        url = f"http://{pod['status']['podIP']}:15020/stats/prometheus"
        with urllib.request.urlopen(url, timeout=30) as answer:
            page = answer.read().decode()
        for series, value, _ in samples(page, {}):
            known = labels(series).mapping
            if known["__name__"] == "istio_requests_total":
                ends = ("source_workload", "destination_workload", "response_code")
                side = ("reporter", "connection_security_policy")
                found[tuple(known[name] for name in (*side, *ends))] += int(value)
    return found


def send(kubectl: Kubectl, number: int) -> dict[tuple[str, str, int], int]:
    """How many by whom, to whom, with which answer."""
    there = kubectl.json("get", "pods,services", "-n", "sums")["items"]
    pods = {one["metadata"]["name"]: one["status"]["podIP"] for one in there if one["kind"] == "Pod"}
    services = {one["metadata"]["name"]: one["spec"]["clusterIP"] for one in there if one["kind"] == "Service"}
    sent = {key: round(number * share) for key, share in SENT.items()}

    async def every() -> None:
        async with asyncio.TaskGroup() as group:
            for (caller, callee, code), count in sent.items():
                group.create_task(ask(pods[caller], services[callee], callee, code, count))

    asyncio.run(every())
    return sent


def expected(sent: dict[tuple[str, str, int], int]) -> dict[tuple[str, ...], int]:
    return {
        (*side, caller, callee, str(code)): count
        for (caller, callee, code), count in sent.items()
        for side in (("source", "unknown"), ("destination", "mutual_tls"))
    }


def test_the_sum_over_sidecars_is_what_was_sent(own_sandbox: launcher.Running, tmp_path: Path) -> None:
    kubectl = deployed(own_sandbox, tmp_path)
    assert not counted(kubectl)
    sent = send(kubectl, 2_000)
    assert sum(sent.values()) == 2_000
    assert counted(kubectl) == expected(sent)
