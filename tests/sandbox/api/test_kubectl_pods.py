"""What kubectl does with a running pod, with both supported versions."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit.sandbox import Kubectl

Eventually = Callable[[Callable[[], Any]], Any]
NODE = "aks-akssyspool-1234567-vmss000000"


def pod(name: str, image: str, *command: str) -> dict[str, Any]:
    container = {"name": "main", "image": image, "command": list(command)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


@pytest.fixture(scope="module")
def place(kubectl: Kubectl) -> Iterator[str]:
    """A namespace with a pod that talks, one that serves HTTP and one with a shell."""
    name = "pods-of-kubectl"
    kubectl("create", "namespace", name)
    talk = "echo one; echo two; sleep 1; echo three; sleep 3600"
    pods = [
        pod("talker", "busybox", "sh", "-c", talk),
        pod("web", "istio/examples-helloworld-v1"),
        pod("shell", "curlimages/curl", "sleep", "3600"),
    ]
    kubectl("create", "-n", name, "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": pods}))
    kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", name, "--timeout=60s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_get(either_kubectl: Kubectl, place: str) -> None:
    columns = either_kubectl("get", "pod", "web", "-n", place, "-o", "wide", "--no-headers").split()
    assert columns[:4] == ["web", "1/1", "Running", "0"]
    assert columns[5].startswith("127.")
    node = columns[6]
    of_node = ("get", "pods", "-n", place, "-o", "name", f"--field-selector=spec.nodeName={node}")
    assert "pod/web" in either_kubectl(*of_node).split()
    assert either_kubectl("get", "pods", "-n", place, "--field-selector=status.phase=Failed", "-o", "name") == ""


def test_describe(either_kubectl: Kubectl, place: str) -> None:
    text = either_kubectl("describe", "pod", "web", "-n", place)
    assert "Image:          istio/examples-helloworld-v1" in text
    assert re.search(r"Normal\s+Started\s", text)
    assert re.search(r"Normal\s+Scheduled\s", text)
    nodes = either_kubectl("describe", "nodes")
    assert "Non-terminated Pods:" in nodes
    assert place in nodes


def test_logs(either_kubectl: Kubectl, place: str, eventually: Eventually) -> None:
    eventually(lambda: "three" in either_kubectl("logs", "talker", "-n", place))
    assert either_kubectl("logs", "talker", "-n", place).split() == ["one", "two", "three"]
    assert either_kubectl("logs", "talker", "-n", place, "--tail=1").split() == ["three"]
    stamped = either_kubectl("logs", "talker", "-n", place, "--timestamps", "--tail=1").split()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", stamped[0])
    assert either_kubectl("logs", "-l", "app=talker", "-n", place, "--prefix").startswith("[pod/talker/main] one")
    assert "container nothing is not valid" in either_kubectl.fails("logs", "talker", "-n", place, "-c", "nothing")


def test_logs_that_go_on(either_kubectl: Kubectl, place: str) -> None:
    name = f"follow-{either_kubectl.cache.name}"
    talks = pod(name, "busybox", "sh", "-c", "echo first; sleep 1; echo last")
    talks["spec"]["restartPolicy"] = "Never"
    either_kubectl("create", "-n", place, "-f", "-", stdin=json.dumps(talks))
    either_kubectl("wait", "--for=condition=PodScheduled", f"pod/{name}", "-n", place, "--timeout=60s")
    done = either_kubectl.run("logs", "-f", name, "-n", place, "--pod-running-timeout=60s")
    assert done.stdout.split() == ["first", "last"], "it ends with the container"


def test_exec(either_kubectl: Kubectl, place: str) -> None:
    shell = ("exec", "shell", "-n", place)
    assert either_kubectl(*shell, "--", "echo", "hello").strip() == "hello"
    assert either_kubectl(*shell, "-i", "--", "cat", stdin="line one\nline two\n") == "line one\nline two\n"
    failed = either_kubectl.run(*shell, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (failed.returncode, failed.stdout.strip(), failed.stderr.splitlines()[0]) == (7, "out", "err")
    unknown = either_kubectl.run(*shell, "--", "no-such-command")
    assert unknown.returncode in (126, 127)
    assert "no-such-command" in unknown.stderr


def test_exec_reaches_other_pods(either_kubectl: Kubectl, place: str) -> None:
    address = either_kubectl.json("get", "pod", "web", "-n", place)["status"]["podIP"]
    said = either_kubectl("exec", "shell", "-n", place, "--", "curl", "-sS", f"http://{address}:5000/hello")
    assert "Hello version: v1" in said


def test_port_forward(either_kubectl: Kubectl, place: str) -> None:
    forwarding = either_kubectl.start("port-forward", "-n", place, "--address=127.0.0.1", "pod/web", ":5000")
    assert forwarding.stdout is not None
    try:
        line = forwarding.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+) -> 5000", line)
        assert found, line
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/hello", timeout=60) as answer:
                assert b"Hello version: v1" in answer.read()
    finally:
        forwarding.kill()
        forwarding.wait()


def test_attach(either_kubectl: Kubectl, place: str) -> None:
    run = either_kubectl.run(
        *("run", "once", "-n", place, "-i", "--rm", "--restart=Never", "--image=busybox"),
        *("--pod-running-timeout=60s", "--quiet", "--", "cat"),
        stdin="said\n",
    )
    assert (run.returncode, run.stdout.splitlines()[:1]) == (0, ["said"]), run.stderr


def test_a_pod_is_deleted_with_grace(either_kubectl: Kubectl, place: str) -> None:
    either_kubectl("create", "-n", place, "-f", "-", stdin=json.dumps(pod("goes", "pause")))
    either_kubectl("wait", "--for=condition=Ready", "pod/goes", "-n", place, "--timeout=60s")
    either_kubectl("delete", "pod", "goes", "-n", place, "--timeout=60s")
    assert "NotFound" in either_kubectl.fails("get", "pod", "goes", "-n", place)


def test_drain(either_kubectl: Kubectl, place: str, eventually: Eventually) -> None:
    tied = pod("tied", "pause")
    tied["spec"]["nodeName"] = NODE
    either_kubectl("create", "-n", place, "-f", "-", stdin=json.dumps(tied))
    either_kubectl("wait", "--for=condition=Ready", "pod/tied", "-n", place, "--timeout=60s")
    try:
        only = ("--pod-selector=app=tied", "--force", "--ignore-daemonsets", "--timeout=60s")
        assert "pod/tied deleted" in either_kubectl("drain", NODE, *only), "without evictions, which are refused"
        assert "SchedulingDisabled" in either_kubectl("get", "node", NODE)
    finally:
        either_kubectl("uncordon", NODE)
    assert "NotFound" in either_kubectl.fails("get", "pod", "tied", "-n", place)


def test_a_tunnel_to_a_service(either_kubectl: Kubectl, place: str) -> None:
    if not either_kubectl("get", "service", "-n", place, "-o", "name"):
        either_kubectl("expose", "pod", "web", "-n", place, "--port=80", "--target-port=5000")
    forwarding = either_kubectl.start("port-forward", "-n", place, "service/web", ":80")
    try:
        assert forwarding.stdout is not None
        assert "-> 5000" in forwarding.stdout.readline()
    finally:
        forwarding.kill()
        forwarding.wait()
