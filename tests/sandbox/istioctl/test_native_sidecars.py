"""Sidecars as a person sees them with kubectl: init containers that keep running.

What is expected is what a real mesh showed: shared/real/objects/pod-ratings.yaml and, in shared/real/kubectl,
get-pods-wide.txt and describe-pod-ratings.txt.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.fixtures import Wait
from tests.kit.sandbox import Kubectl

from .test_istioctl import Sandbox

APPLICATION = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: shop}
spec:
  selector: {app: hello}
  ports: [{name: http, port: 5000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: shop}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello, version: v1}}
    spec:
      containers: [{name: hello, image: docker.io/istio/examples-helloworld-v1:1.0}]
"""
RUN = ("run", "--rm", "-i", "--restart=Never", "--image=curlimages/curl", "-n", "shop")
POD = ("pods", "-n", "shop", "-l", "app=hello")


@pytest.fixture(scope="module")
def shop(own_sandbox: launcher.Running) -> Sandbox:
    sandbox = Sandbox(own_sandbox)
    sandbox("istioctl", "install", "-y", "--set", "profile=minimal")
    sandbox("kubectl", "apply", "-f", "-", stdin=APPLICATION)
    sandbox("kubectl", "rollout", "status", "-n", "shop", "deployment/hello", "--timeout=60s")
    return sandbox


@pytest.fixture(scope="module", params=["new", "old"])
def kubectl(
    request: pytest.FixtureRequest,
    own_sandbox: launcher.Running,
    shop: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Kubectl:
    binary = Path(sys.executable).parent / "kubectl"
    if request.param == "old":
        old = os.environ.get("KUBECTL_OLD")
        if not old:
            pytest.skip("KUBECTL_OLD does not name a kubectl 1.32")
        binary = Path(old)
    return Kubectl(binary, own_sandbox.kubeconfig, tmp_path_factory.mktemp("cache"))


def test_it_counts_and_is_looked_into_like_any_container(kubectl: Kubectl) -> None:
    assert re.search(r"^hello-\S+ +2/2 +Running", kubectl("get", *POD, "--no-headers"), re.M)
    inside = ("-n", "shop", "deploy/hello", "-c", "istio-proxy")
    assert "Envoy proxy is ready" in kubectl("logs", *inside)
    certificate = kubectl("exec", *inside, "--", "cat", "/var/run/secrets/istio/root-cert.pem")
    assert certificate.startswith("-----BEGIN CERTIFICATE-----")
    (pod,) = kubectl.json("get", *POD)["items"]
    assert [one["name"] for one in pod["status"]["containerStatuses"]] == ["hello"]
    proxy = pod["status"]["initContainerStatuses"][1]
    assert (proxy["name"], proxy["ready"], proxy["started"]) == ("istio-proxy", True, True)
    assert "running" in proxy["state"]


def test_it_is_described_before_the_containers(kubectl: Kubectl) -> None:
    described = kubectl("describe", *POD)
    of_init = described[described.index("\nInit Containers:") : described.index("\nContainers:")]
    assert re.findall(r"^  (istio-\S+):$", of_init, re.M) == ["istio-init", "istio-proxy"]
    health = "http-get http://:15021/healthz/ready delay=0s timeout=3s"
    assert f"Readiness:  {health} period=15s " in of_init
    assert f"Startup:    {health} period=1s " in of_init
    assert "/var/run/secrets/istio from istiod-ca-cert (rw)" in of_init
    assert "spec.initContainers{istio-proxy}" in kubectl(
        "get", "events", "-n", "shop", "-o", "jsonpath={.items[*].involvedObject.fieldPath}"
    )


def ran(kubectl: Kubectl, name: str, *curl: str) -> subprocess.CompletedProcess[str]:
    return kubectl.run(*RUN, name, "--", "-sS", *curl, timeout=60)


def test_a_pod_ends_as_a_whole_when_its_container_does(kubectl: Kubectl) -> None:
    done = ran(kubectl, "visitor", "http://hello:5000/hello")
    assert (done.returncode, "Hello version: v1" in done.stdout) == (0, True), done.stderr
    assert "visitor" not in kubectl("get", "pods", "-n", "shop")
    # The same name again, at another address, and a command that fails: its exit status is kubectl's.
    again = ran(kubectl, "visitor", "http://nowhere:5000")
    assert (again.returncode, "Could not resolve host" in again.stdout) == (6, True), again.stderr


def test_what_has_ended_shows_it(kubectl: Kubectl, eventually: Wait) -> None:
    kubectl("run", "once", "-n", "shop", "--restart=Never", "--image=busybox", "--", "sh", "-c", "exit 3")
    eventually(lambda: "Error" in kubectl("get", "pod", "-n", "shop", "once"))
    assert re.search(r"^once +0/2 +Error", kubectl("get", "pod", "-n", "shop", "once"), re.M)
    status = kubectl.json("get", "pod", "-n", "shop", "once")["status"]
    assert status["phase"] == "Failed"
    ended = [one["state"]["terminated"] for one in status["initContainerStatuses"]]
    assert [(one["exitCode"], one["reason"]) for one in ended] == [(0, "Completed")] * 2
    kubectl("delete", "pod", "-n", "shop", "once")
