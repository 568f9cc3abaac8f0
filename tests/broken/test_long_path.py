"""A state folder whose path is too long for a Unix socket's name (107 bytes, unix(7)), with blanks and letters that
are not ASCII: Envoy, its sockets and what kubectl streams work there as anywhere; and what fails behind an upgraded
connection reaches kubectl as the kubelet would tell it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.sandbox import Kubectl

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: meshed}
spec: {containers: [{name: web, image: docker.io/istio/examples-helloworld-v1:1.0}]}
"""
_STATS = ("exec", "-n", "meshed", "web", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", "stats")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.Running]:
    base = tmp_path_factory.mktemp("long")
    folder = base / ("Überstunden im Café " * 20)[: max(1, 200 - len(str(base)))]
    assert len(os.fsencode(folder)) >= 200
    running = launcher.ensure(folder)
    istioctl = [running.bin / "istioctl", "--kubeconfig", running.kubeconfig, "install", "-y"]
    subprocess.run([*istioctl, "--set", "profile=minimal"], check=True, capture_output=True, timeout=60)
    yield running
    launcher.stop(folder)


@pytest.fixture(scope="module", params=["new", "old"])
def kubectl(
    request: pytest.FixtureRequest, long: launcher.Running, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    new = Path(sys.executable).parent / "kubectl"
    binary = new if request.param == "new" else Path(os.environ["KUBECTL_OLD"])
    kubectl = Kubectl(binary, long.kubeconfig, tmp_path_factory.mktemp("cache"))
    if "meshed" not in kubectl("get", "namespaces", "-o", "name"):
        kubectl("create", "namespace", "meshed")
        kubectl("label", "namespace", "meshed", "istio-injection=enabled")
        kubectl("create", "-f", "-", stdin=POD)
        kubectl("wait", "--for=condition=Ready", "pod/web", "-n", "meshed", "--timeout=60s")
    return kubectl


def test_envoy_is_asked_at_a_path_of_200_bytes(kubectl: Kubectl) -> None:
    assert "server.state: 0" in kubectl(*_STATS)


def test_what_fails_behind_the_upgrade_is_told_on_the_error_channel(
    kubectl: Kubectl, long: launcher.Running
) -> None:
    """In the words of the kubelet's InternalError; an HTTP error would be written into the open WebSocket."""
    (admin,) = long.kubeconfig.parent.glob("**/admin.sock")
    aside = admin.with_name("aside.sock")
    admin.rename(aside)
    try:
        failed = kubectl.run(*_STATS)
    finally:
        aside.rename(admin)
    assert failed.returncode == 1
    assert "error: Internal error occurred: error executing command in container: " in failed.stderr
    assert "No such file" in failed.stderr
